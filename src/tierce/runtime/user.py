"""Who a container's process runs as: what USER and --user mean in a root file system."""

from __future__ import annotations

from tierce.errors import ContainerError
from tierce.linux.rootfs import read_in_root
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    ReadFile = Callable[[str], bytes | None]

_LARGEST_ID = (1 << 31) - 1
_DIGITS = len(str(_LARGEST_ID))
_FILE_LIMIT = 10 << 20


class Identity(Value):
    """Numbers for setuid(2) and its relatives; `groups` are the supplementary ones, `gid` first.

    `home` is what /etc/passwd says, "/" for a user who is not in there.
    """

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


class _User(Value):
    name: str
    uid: int
    gid: int
    home: str


class _Group(Value):
    name: str
    gid: int
    members: tuple[str, ...]


def read_file(root: int, path: str) -> bytes | None:
    """A regular file in a container's root, for `resolve_user`; None for what is none, or absent.

    Raises ContainerError for one that is too large: what is cut off could mean another user.
    """
    content = read_in_root(root, path, _FILE_LIMIT + 1)
    if content is not None and len(content) > _FILE_LIMIT:
        raise ContainerError(f"read {path} of the container: larger than {_FILE_LIMIT} bytes")
    return content


def resolve_user(text: str, read: ReadFile, groups: Iterable[str] = ()) -> Identity:
    """What "", "app", "1000", "app:staff" or "1000:1000" mean, by docker's rules.

    `read` gives the content of a file of the container, or None. A number need not be in
    /etc/passwd; a name must. Supplementary groups come from /etc/group, unless a group is
    named, and are in any case `groups`. Raises ContainerError.
    """
    found = _resolve_user(text, read)
    more = [_find_group(group, read) for group in groups]
    return found.replace(groups=tuple(dict.fromkeys([*found.groups, *more]))) if more else found


def _resolve_user(text: str, read: ReadFile) -> Identity:
    wanted_user, _, wanted_group = text.partition(":")
    if _is_number(wanted_user, root=True) and _is_number(wanted_group, root=True):
        uid, gid = _number(wanted_user), _number(wanted_group)
        return Identity(uid, gid, (gid,), _home(uid, read))
    user = _find_user(wanted_user or "0", read)
    if user is None and wanted_user and not _is_number(wanted_user):
        raise ContainerError(
            f"unable to find user {wanted_user}: no matching entries in passwd file"
        )
    uid = user.uid if user else _number(wanted_user or "0")
    gid = user.gid if user else 0
    home = _home(uid, read)
    if wanted_group:
        gid = _find_group(wanted_group, read)
        return Identity(uid, gid, (gid,), home)
    name = user.name if user else ""
    others = [group.gid for group in _groups(read) if name and name in group.members]
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *others])), home)


def _find_user(wanted: str, read: ReadFile) -> _User | None:
    if _is_number(wanted):
        return next((user for user in _users(read) if user.uid == _id(wanted)), None)
    return next((user for user in _users(read) if user.name == wanted), None)


def _find_group(wanted: str, read: ReadFile) -> int:
    numeric = _is_number(wanted)
    for group in _groups(read):
        if group.gid == _id(wanted) if numeric else group.name == wanted:
            return group.gid
    if not numeric:
        raise ContainerError(f"unable to find group {wanted}: no matching entries in group file")
    return _number(wanted)


def _home(uid: int, read: ReadFile) -> str:
    """Of the first name of the user, whichever was asked for: a process has only the number."""
    user = _find_user(str(uid), read)
    return user.home if user else "/"


def _users(read: ReadFile) -> Iterator[_User]:
    for fields in _lines("/etc/passwd", 7, read):
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None:
            yield _User(fields[0], uid, gid, fields[5] or "/")


def _groups(read: ReadFile) -> Iterator[_Group]:
    for fields in _lines("/etc/group", 4, read):
        gid = _id(fields[2])
        if gid is not None:
            yield _Group(fields[0], gid, tuple(fields[3].split(",")))


def _lines(path: str, count: int, read: ReadFile) -> Iterator[list[str]]:
    """Fields of each line; short lines are filled up, as the C library's readers do not mind.

    Only a newline ends one: with those ends that str.splitlines() knows besides, who may set the
    name or the shell of a user would add others.
    """
    for line in (read(path) or b"").decode(errors="surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if line.strip() and not line.startswith("#"):
            yield fields + [""] * (count - len(fields))


def _is_number(text: str, *, root: bool = False) -> bool:
    return (text.isascii() and text.isdigit()) or (root and text == "root")


def _id(text: str) -> int | None:
    """The id that digits are; None for what is none, as an image may say anything."""
    digits = text.lstrip("0") or text[-1:]
    if not _is_number(digits) or len(digits) > _DIGITS or int(digits) > _LARGEST_ID:
        return None
    return int(digits)


def _number(text: str) -> int:
    number = 0 if text == "root" else _id(text)
    if number is None:
        raise ContainerError(f"user or group {text[:20]}: ids must be in the range 0-{_LARGEST_ID}")
    return number
