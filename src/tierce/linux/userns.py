"""User namespaces of ordinary users: user_namespaces(7), newuidmap(1), subuid(5).

A process that has entered one is root there, and outside whoever it was: its user's files are
root's, and what belongs to other users inside belongs outside to the user's subordinate ids.
"""

from __future__ import annotations

import errno
import os
import pwd

from tierce.errors import RuntimeUnavailable
from tierce.linux import libc
from tierce.linux.namespaces import CLONE_NEWUSER, unshare
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
_PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
_DIRECTORIES = "/usr/local/bin:/usr/bin:/bin"

_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0",
     "sysctl kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
     "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
)  # fmt: skip
"""What may forbid user namespaces: a file, what it then holds, and how root allows them."""


class Ranges(Value):
    """Which ids a namespace has. Each range: the first inside, the first outside, how many.

    `reason` says why there is but one of each, where that is so.
    """

    uids: tuple[tuple[int, int, int], ...]
    gids: tuple[tuple[int, int, int], ...]
    reason: str = ""

    @property
    def is_single(self) -> bool:
        return bool(self.reason)


def in_first() -> bool:
    """Whether this is the initial user namespace, or one that cannot be told from it."""
    try:
        return maps()[0] == ((0, 0, 4294967295),)
    except OSError:  # a kernel without
        return True


def maps(pid: int | str = "self") -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """The ranges of user and of group ids that a process's namespace has. Raises OSError."""
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
            lines = [line.split() for line in file]
        found.append(tuple((int(inside), int(out), int(count)) for inside, out, count in lines))
    return tuple(found)


def ranges_of(uid: int, gid: int) -> Ranges:
    """The ids that a user may have in a namespace: its own as root, then the subordinate ones."""
    single = Ranges(((0, uid, 1),), ((0, gid, 1),))
    missing = [program for program in _PROGRAMS.values() if not find_program(program)]
    if missing:
        names = " and ".join(missing)
        return single.replace(reason=f"{names}: not installed (apt-get install uidmap)")
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    found: list[tuple[tuple[int, int, int], ...]] = []
    for path, own in ((SUBUID, uid), (SUBGID, gid)):
        ranges = tuple(_subordinate(path, name, uid))
        if not ranges:
            return single.replace(reason=f"{path} has no ids for {name}: as root, usermod "
                                         f"--add-sub{path[-3:]}s 100000-165535 {name}")  # fmt: skip
        found.append(_numbered(own, ranges))
    return Ranges(found[0], found[1])


def enter(ranges: Ranges) -> Ranges:
    """Makes a namespace with these ids, and enters it as root; for a process with one thread.

    Where newuidmap refuses, with one id of each; returns what there is. Raises
    RuntimeUnavailable where no user namespace can be made.
    """
    uid, gid = os.geteuid(), os.getegid()
    helper = None if ranges.is_single else _Helper(ranges)
    try:
        unshare(CLONE_NEWUSER)
    except OSError as error:
        if helper is not None:
            helper.give_up()
        raise RuntimeUnavailable(
            f"make a user namespace: {error.strerror}", hint=how_to_allow()
        ) from error
    if helper is not None and (refusal := helper.write()):
        ranges = Ranges(((0, uid, 1),), ((0, gid, 1),), refusal)
    try:
        if ranges.is_single:
            _write_single(uid, gid)
        _become_root()
    except OSError as error:  # AppArmor lets one be made that can do nothing
        raise RuntimeUnavailable(
            f"enter a user namespace: {error.strerror}", hint=how_to_allow()
        ) from error
    return ranges


def join(namespace: int) -> None:
    """Enters, as root, the namespace of this descriptor; for a process with one thread.

    Raises OSError.
    """
    libc.call("setns", namespace, CLONE_NEWUSER)
    _become_root()


def members(identity: tuple[int, int], uid: int) -> Iterator[int]:
    """Descriptors of a user namespace whose root is `uid`, by way of each process that is in it.

    `identity` is its device and inode; those of one that has ended may be given to another one.
    Whoever takes a descriptor closes it.
    """
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            descriptor = os.open(f"/proc/{name}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # somebody else's, or it has just ended
            continue
        if identity_of(descriptor) == identity and _root_of(name) == uid:
            yield descriptor
        else:
            os.close(descriptor)


def _root_of(pid: str) -> int:
    """Who outside is root in a process's namespace; -1 for nobody."""
    try:
        inside, outside, _ = maps(pid)[0][0]
    except (OSError, IndexError):  # it has ended, or nobody is anybody in it
        return -1
    return outside if inside == 0 else -1


def identity_of(namespace: int | str) -> tuple[int, int]:
    """What tells a namespace (a descriptor, or a path) from all that live at the same time."""
    status = os.stat(namespace)
    return status.st_dev, status.st_ino


def forbidden() -> bool:
    """Whether a switch of the kernel keeps users from making namespaces, or it has none."""
    if not os.path.exists("/proc/self/ns/user"):
        return True
    return any(_is_set(path, forbidding) for path, forbidding, _ in _SWITCHES)


def what_containers_need() -> str:
    """What this process lacks to make namespaces, for the hint of an error."""
    if os.geteuid():
        return how_to_allow()
    return "containers need CAP_SYS_ADMIN; in a container, run it with --privileged"


def more_ids() -> str:
    """How the user of this namespace gets more ids, for the hint of an error; empty elsewhere."""
    if in_first():
        return ""
    uids, gids = maps()
    return ranges_of(uids[0][1], gids[0][1]).reason


def how_to_allow() -> str:
    """What root can do here so that users may make namespaces, for the hint of an error."""
    for path, forbidding, command in _SWITCHES:
        if _is_set(path, forbidding):
            return f"root allows it by: {command}"
    return "in a container, let it make user namespaces (its seccomp profile), or be root there"


def _is_set(path: str, value: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == value
    except OSError:  # not a switch of this kernel
        return False


def find_program(name: str) -> str:
    """Where a program of the package uidmap is, or nothing."""
    for directory in f"{os.environ.get('PATH', '')}:{_DIRECTORIES}".split(":"):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return ""


class _Helper:
    """A process that stays outside, where newuidmap may do what it is there for.

    It is started before this process leaves, and waits until there is something to write to.
    """

    def __init__(self, ranges: Ranges) -> None:
        self._starts, self._told = os.pipe()
        self._answer, tells = os.pipe()
        pid = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(self._told)
                if os.read(self._starts, 1):
                    os.write(tells, _map(pid, ranges).encode())
            finally:
                os._exit(0)
        os.close(self._starts)
        os.close(tells)

    def write(self) -> str:
        """Has it write the ids; returns why it could not, or nothing."""
        os.write(self._told, b"\n")
        with open(self._answer, "rb") as file:
            answer = file.read().decode(errors="replace").strip()
        os.close(self._told)
        os.waitpid(self._pid, 0)
        return " ".join(answer.split())

    def give_up(self) -> None:
        os.close(self._told)
        os.close(self._answer)
        os.waitpid(self._pid, 0)


def _map(pid: int, ranges: Ranges) -> str:
    """Runs newuidmap and newgidmap; returns what was wrong. For a process that then ends."""
    for kind, given in (("uid", ranges.uids), ("gid", ranges.gids)):
        program = find_program(_PROGRAMS[kind])
        words = [_PROGRAMS[kind], str(pid), *(str(n) for each in given for n in each)]
        out, into = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, into, 1), (os.POSIX_SPAWN_DUP2, into, 2)]
        try:
            child = os.posix_spawn(program, words, os.environ, file_actions=actions)
        except OSError as error:
            return f"{program}: {error.strerror}"
        os.close(into)
        with open(out, "rb") as file:
            said = file.read().decode(errors="replace")
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return said or f"{program} ended with status {status}"
    return ""


def _write_single(uid: int, gid: int) -> None:
    # A group could forbid something to its members: the kernel wants them kept, for one id.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _become_root() -> None:
    if os.geteuid() == _overflow("uid"):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _overflow(kind: str) -> int:
    """What the id of somebody is who has none in this namespace."""
    with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
        return int(file.read())


def _subordinate(path: str, name: str, uid: int) -> Iterator[tuple[int, int]]:
    """The ranges in a file of subuid(5) that are a user's, by name or number."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in {name, str(uid)}:
            first, count = fields[1:]
            if first.isdigit() and count.isdigit() and int(count):
                yield int(first), int(count)


def _numbered(own: int, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int, int], ...]:
    found = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        found.append((inside, first, count))
        inside += count
    return tuple(found)
