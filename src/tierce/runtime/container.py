"""A container as it is to be, and the bundle by which a runtime makes it so.

Everything here is for the thread in whose mount namespace the container is made.
"""

from __future__ import annotations

import os
import stat

from tierce.errors import ContainerError
from tierce.lean import json
from tierce.linux import mounts
from tierce.linux.mounts import MountSpec
from tierce.runtime import bundle, executable, unprivileged
from tierce.runtime.groups import GroupSpec, specification_of
from tierce.runtime.user import resolve_user
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from tierce.runtime.particulars import Pins
    from tierce.runtime.root import ContainerRoot
    from tierce.runtime.unprivileged import UserNamespace

_TMP_MODE = 0o1777


class TextFile(Value):
    """A file that the container sees at `target`, with this content, mounted with `options`.

    Instead of the content, a function can be given that is called when it is needed.
    """

    target: str
    content: str | Callable[[], str]
    read_only: bool = True
    options: tuple[str, ...] = ()


class SecretFile(Value):
    """A file that the container sees at `target`, read-only, and that is in memory alone."""

    target: str
    content: bytes
    mode: int = 0o400
    uid: int = 0
    gid: int = 0

    def __repr__(self) -> str:
        return f"SecretFile({self.target!r})"


class ContainerSpec(Value):
    """All that makes a container.

    `root` is mounted in order, one mount over the other; `directories` are made in it if absent.
    `network` is a descriptor of the network namespace to join, -1 for one of the isolation's kind.
    When the environment of the process holds secrets, it is `private`: that is in memory, too.
    What is made in the root for mounts is noted in the file `stubs`, if that is not empty.
    """

    root: tuple[MountSpec, ...]
    process: bundle.ProcessSpec
    isolation: bundle.Isolation
    binds: tuple[bundle.BindMount | bundle.TmpfsMount, ...] = ()
    files: tuple[TextFile, ...] = ()
    directories: tuple[str, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    private: bool = False
    groups: GroupSpec | None = None
    network: int = -1
    stubs: str = ""


def write_bundle(
    spec: ContainerSpec,
    directory: str,
    root: ContainerRoot,
    *,
    grantable: Collection[str],
    seccomp: bundle.SeccompPolicy,
    cgroup: Callable[[], str],
    pins: Pins | None = None,
    space: UserNamespace | None = None,
) -> str:
    """Mounts all that the container needs, and writes the bundle; returns where that is.

    That is `directory`, which is there and private, or for a container with secrets one in
    memory. `cgroup` is called when all is mounted, and gives the group for the runtime to make.
    `pins` are of the particulars, if it has such. Raises ContainerError.
    """
    root.mount(spec.root)
    identity = resolve_user(spec.process.user, root.read, spec.process.groups)
    for path in ("/proc", "/dev", "/sys"):
        if spec.stubs:
            root.make_stub(path, directory=True)
        else:
            root.make_directory(path)
    for path in spec.directories:
        root.make_directory(path)
    bundle.check_directory(root.resolve(spec.process.cwd))
    root.make_directory(spec.process.cwd, uid=identity.uid, gid=identity.gid)
    if not (spec.binds or spec.secrets):
        executable.check(spec.process, root.status)
    private = root.mount_memory() if spec.secrets or spec.private else directory
    parts = _Parts(spec, directory, root)
    config = bundle.make_spec(
        spec.process,
        identity,
        root=root.path,
        isolation=spec.isolation,
        grantable=grantable,
        seccomp=seccomp,
        mounts=[*parts.files(), *parts.binds(), *parts.secrets(private)],
        cgroup=cgroup(),
        resources=bundle.NO_RESOURCES
        if spec.groups is None
        else specification_of(spec.groups.resources),
    )
    if spec.network >= 0:
        _join_network(config, root, spec.network)
    if pins is not None:
        pins.apply(config, root, makes_nodes=space is None)
    if space is not None:
        unprivileged.adapt(config, space)
    with open(f"{private}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    if spec.stubs:
        root.note_stubs(spec.stubs)
    return private


def _join_network(specification: dict[str, Any], root: ContainerRoot, namespace: int) -> None:
    """Has the container put in a network namespace that is there already.

    The runtime finds it by a mount: of the descriptor it has no use, in a process of its own.
    """
    flags = mounts.AT_EMPTY_PATH | mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC
    path = root.attach(mounts.open_tree(namespace, "", flags), directory=False)
    for entry in specification["linux"]["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = path


class _Parts:
    """What is mounted in the root, in the specification's form."""

    def __init__(self, spec: ContainerSpec, directory: str, root: ContainerRoot) -> None:
        self._spec = spec
        self._directory = directory
        self._root = root

    def files(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for number, file in enumerate(self._spec.files):
            source = f"{self._directory}/file{number}"
            with open(source, "w", encoding="utf-8", errors="surrogateescape") as written:
                os.fchmod(written.fileno(), 0o644)
                content = file.content
                written.write(content if isinstance(content, str) else content())
            self._root.make_stub(file.target, directory=False)
            made.append(
                bundle.bind(source, file.target, read_only=file.read_only, options=file.options)
            )
        return made

    def binds(self) -> list[dict[str, Any]]:
        """The parents before what is mounted below them, whatever order they were given in."""
        made: list[dict[str, Any]] = []
        for mount in sorted(self._spec.binds, key=lambda mount: mount.target.count("/")):
            bundle.check_target(self._root.resolve(mount.target))
            if isinstance(mount, bundle.TmpfsMount):
                made.append(self._tmpfs(mount))
                continue
            source, directory = self._root.mount_source(mount.root, mount.source)
            self._root.make_stub(mount.target, directory=directory)
            made.append(
                bundle.bind(source, mount.target, read_only=mount.read_only, options=mount.options)
            )
        return made

    def _tmpfs(self, mount: bundle.TmpfsMount) -> dict[str, Any]:
        status = self._root.status(mount.target)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise ContainerError(f"mount tmpfs at {mount.target}: not a directory")
        mode = _TMP_MODE if status is None else stat.S_IMODE(status.st_mode)
        self._root.make_stub(mount.target, directory=True, mode=mode)
        return bundle.tmpfs(mount, mode)

    def secrets(self, directory: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for number, secret in enumerate(self._spec.secrets):
            bundle.check_target(self._root.resolve(secret.target))
            source = f"{directory}/secret{number}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(source, flags, 0o600), "wb") as file:
                file.write(secret.content)
                os.fchown(file.fileno(), secret.uid, secret.gid)
                os.fchmod(file.fileno(), secret.mode)
            self._root.make_stub(secret.target, directory=False)
            options = ["nodev", "nosuid", "rprivate", *(() if secret.mode & 0o111 else ("noexec",))]
            made.append(bundle.bind(source, secret.target, read_only=True, options=options))
        return made
