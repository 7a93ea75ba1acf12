"""Running the RUN steps of a build by chroot(2), where there are neither namespaces nor mounts.

That is how an ordinary container is, in which a CI job is root: without CAP_SYS_ADMIN. A step then
sees the processes and the network of that container, can signal these, and is limited as it is
limited; its /proc is empty. What it finds in its root beside the files of the image is put there
for as long as it runs (`inplace`). Snapshots are copies: there is nothing else to run on.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from tierce.errors import Cancelled, ContainerError
from tierce.linux.process import effective_capabilities
from tierce.linux.rootfs import remove_in_directory
from tierce.runtime import capabilities, executable
from tierce.runtime.bundle import SHM_SIZE, BindMount, TmpfsMount, check_target
from tierce.runtime.chroot_process import CONTROL, Chrooted
from tierce.runtime.inplace import Places, PlainRoot
from tierce.runtime.resolver import resolv_conf, step_hosts
from tierce.runtime.steps import STDERR, STDOUT, StepEnd, StepSpec
from tierce.runtime.user import Identity, resolve_user

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import threading

    from tierce.runtime.steps import Log

NOT_ISOLATED = (
    "RUN is isolated by chroot alone: steps see the processes and the network of this machine, "
    "nothing limits them, and their /proc is empty"
)
"""What whoever builds is told."""

_PROGRAM = "from tierce.runtime.chroot_process import main; main()"

_DEVICES = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
    "tty": (5, 0),
}  # fmt: skip
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_DIRECTORIES = {"shm": 0o1777, "pts": 0o755, "mqueue": 0o1777}
_CHUNK = 1 << 16
_CANCEL_MILLISECONDS = 50


def is_called_for() -> bool:
    """Whether this is root who can do nothing but change its root directory."""
    has = effective_capabilities()
    return "CAP_SYS_ADMIN" not in has and "CAP_SYS_CHROOT" in has


class ChrootRunner:
    """Runs steps as `StepRunner` does, several at once. A context manager."""

    def __init__(self, directory: str) -> None:
        """`directory` is on the file system of the snapshots; one of our own is made in it."""
        self._directory = f"{directory}/chroot-{os.getpid()}-{os.urandom(4).hex()}"
        os.mkdir(self._directory, 0o700)

    def __enter__(self) -> ChrootRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes what it needed. Idempotent."""
        parent, name = os.path.split(self._directory)
        above = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_in_directory(above, name)
        except FileNotFoundError:
            pass
        finally:
            os.close(above)

    def private_directory(self) -> str:
        """A new directory that nobody else may look into, removed when this is closed."""
        path = f"{self._directory}/{os.urandom(4).hex()}"
        os.mkdir(path, 0o700)
        return path

    def run(self, step: StepSpec, *, log: Log, cancel: threading.Event) -> StepEnd:
        """Runs a step to its end, as `StepRunner.run`; raises as that does.

        ContainerError also for what cannot be had without namespaces.
        """
        _refuse(step)
        root = PlainRoot(step.root[0].source)
        try:
            return self._run(step, root, log, cancel)
        except ContainerError as error:
            if error.exit_code == ContainerError.OURS:
                raise
            log(STDERR, f"{error.message}\n".encode())
            return StepEnd(error.exit_code)
        except OSError as error:
            raise ContainerError(f"prepare {error.filename}: {error.strerror}") from error
        finally:
            root.remove_stubs()
            root.close()

    def _run(self, step: StepSpec, root: PlainRoot, log: Log, cancel: threading.Event) -> StepEnd:
        identity = resolve_user(step.process.user, root.read)
        for path in ("/proc", "/dev", "/sys"):
            root.make_directory(path)
        root.make_directory(step.process.cwd, uid=identity.uid, gid=identity.gid)
        if not (step.binds or step.secrets):
            executable.check(step.process, root.status)
        # Beside the tree, so that what is moved stays on its file system.
        aside = f"{root.path}-{os.urandom(4).hex()}"
        with Places(root, aside, cancel) as places:
            _furnish(step, root, places)
            return _Process(_chrooted(step, identity)).run(log, cancel)


class _Process:
    """One process in its root, and what it starts."""

    def __init__(self, what: Chrooted) -> None:
        self._what = what

    def run(self, log: Log, cancel: threading.Event) -> StepEnd:
        out, out_writer = os.pipe()
        err, err_writer = os.pipe()
        try:
            try:
                pid, lifeline = self._start(out_writer, err_writer)
            finally:
                os.close(out_writer)
                os.close(err_writer)
            try:
                cancelled = _read_all({out: STDOUT, err: STDERR}, log, cancel)
            finally:
                # However this ends: then everything that was started does, before anything else.
                os.close(lifeline)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            os.close(out)
            os.close(err)
        if cancelled:
            raise Cancelled("step cancelled")
        if status < 0:
            raise ContainerError(f"run a step: what watches it ended by signal {-status}")
        return StepEnd(status)

    def _start(self, stdout: int, stderr: int) -> tuple[int, int]:
        control, lifeline = os.pipe()
        nothing, nobody = os.pipe()
        os.close(nobody)
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-c", _PROGRAM],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing, 0),
                    (os.POSIX_SPAWN_DUP2, stdout, 1),
                    (os.POSIX_SPAWN_DUP2, stderr, 2),
                    (os.POSIX_SPAWN_DUP2, control, CONTROL),
                ],
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        finally:
            os.close(control)
            os.close(nothing)
        line = memoryview(self._what.encode())
        while line:
            line = line[os.write(lifeline, line) :]
        return pid, lifeline


def _refuse(step: StepSpec) -> None:
    """What a chroot cannot give is refused. Raises ContainerError."""
    cannot = ""
    if step.network == "none":
        cannot = "--network=none needs a network namespace"
    elif step.resources.controllers or step.cgroup_parent:
        cannot = "limits need cgroups"
    elif step.shm_size != SHM_SIZE:
        cannot = "--shm-size needs a mount"
    elif any(isinstance(mount, TmpfsMount) and mount.size for mount in step.binds):
        cannot = "the size of a tmpfs needs a mount"
    elif len(step.root) != 1 or step.root[0].type != "bind":
        cannot = "snapshots that are mounted need CAP_SYS_ADMIN"
    if cannot:
        raise ContainerError(
            f"isolate by chroot: {cannot}", hint="build where namespaces can be made"
        )


def _chrooted(step: StepSpec, identity: Identity) -> Chrooted:
    env = step.process.env
    if not any(variable.startswith("HOME=") for variable in env):
        env = (*env, f"HOME={identity.home}")
    return Chrooted(
        root=step.root[0].source,
        args=step.process.args,
        env=env,
        cwd=step.process.cwd,
        uid=identity.uid,
        gid=identity.gid,
        groups=identity.groups or (identity.gid,),
        ulimits=step.process.ulimits,
        capabilities=None if step.insecure else capabilities.DEFAULT,
    )


def _furnish(step: StepSpec, root: PlainRoot, places: Places) -> None:
    """Puts into the root what a container would have mounted there."""
    for path in ("/proc", "/sys"):
        places.directory(path, 0o555)
    _make_devices(places.directory("/dev", 0o755))
    places.file("/etc/resolv.conf", resolv_conf(host_network=True).encode(errors="surrogateescape"))
    places.file("/etc/hosts", step_hosts(step.hosts).encode())
    sources = {mount: _source(mount) for mount in step.binds if isinstance(mount, BindMount)}
    places.hold([source for mount, source in sources.items() if _is_borrowed(mount, source)])
    for mount in sorted(step.binds, key=lambda mount: mount.target.count("/")):
        check_target(root.resolve(mount.target))
        if isinstance(mount, TmpfsMount):
            status = root.status(mount.target)
            places.directory(mount.target, 0o1777 if status is None else status.st_mode & 0o7777)
        elif _is_borrowed(mount, source := sources[mount]):
            places.borrow(mount.target, source)
        else:
            places.copy(mount.target, source)
    for secret in step.secrets:
        check_target(root.resolve(secret.target))
        places.file(secret.target, secret.content, secret.mode, (secret.uid, secret.gid))


def _source(mount: BindMount) -> str:
    """Where what a bind mount shows is, no link in it leading out of its tree."""
    tree = PlainRoot(mount.root[0].source)
    try:
        if tree.status(mount.source) is None:
            raise ContainerError(f"bind mount {mount.source}: no such file or directory")
        return f"{tree.path}{tree.resolve(mount.source)}".rstrip("/")
    finally:
        tree.close()


def _is_borrowed(mount: BindMount, source: str) -> bool:
    """Whether a step may change it: a cache, or files that are its own."""
    return not mount.read_only and os.path.isdir(source)


def _make_devices(directory: int) -> None:
    """Docker's devices; without CAP_MKNOD those that a plain file can stand for."""
    for name, target in _LINKS.items():
        os.symlink(target, name, dir_fd=directory)
    for name, mode in _DIRECTORIES.items():
        os.mkdir(name, dir_fd=directory)
        os.chmod(name, mode, dir_fd=directory)
    for name, numbers in _DEVICES.items():
        try:
            os.mknod(name, 0o020666, os.makedev(*numbers), dir_fd=directory)
        except PermissionError:
            if name != "null":
                continue
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o666, dir_fd=directory))
        os.chmod(name, 0o666, dir_fd=directory)


def _read_all(streams: dict[int, int], log: Log, cancel: threading.Event) -> bool:
    """Reads both streams to their ends, which come when all is dead; says whether to cancel."""
    poll = select.poll()
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    left = len(streams)
    while left:
        for descriptor, _ in poll.poll(_CANCEL_MILLISECONDS):
            if data := os.read(descriptor, _CHUNK):
                log(streams[descriptor], data)
            else:
                poll.unregister(descriptor)
                left -= 1
        if cancel.is_set():
            return True
    return False
