"""Resolves what --chown names, and whom WORKDIR belongs to, as BuildKit's file operations do."""

from __future__ import annotations

from tierce.errors import BuildError
from tierce.layer.view import read_file

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.layer.view import Tree

_MAX_BYTES = 10 << 20  # as BuildKit's limit for these files
_MAX_ID = (1 << 31) - 1
_DIGITS = len(str(_MAX_ID))

Owner = tuple[int, int]
"""(uid, gid)"""
ROOT: Owner = (0, 0)


def resolve_owner(text: str, tree: Tree | None) -> Owner:
    """The owner that "user", "user:group", or numbers in their place mean in a file system.

    As in BuildKit, a number alone also names the group, a user that is not found is root, a
    group that is not found is the user's own, and one that is empty is root's. Raises LayerError
    when /etc/passwd or /etc/group is larger than 10 MiB, BuildError for a name where there is no
    file system at all.
    """
    user, colon, group = text.partition(":")
    if tree is None and any(part and _id(part) is None for part in (user, group)):
        raise BuildError(
            f"find owner {text}: an empty image has no users",
            hint="give numbers, or copy /etc/passwd into it first",
        )
    uid, gid = ROOT
    if (number := _id(user)) is not None:
        uid = gid = number
    elif user:
        found = _find(tree, "etc/passwd", user)
        if found is not None:
            uid, gid = _number(found, 2), _number(found, 3)
    if (number := _id(group)) is not None:
        gid = number
    elif group:
        found = _find(tree, "etc/group", group)
        gid = _number(found, 2) if found is not None else gid
    elif colon:
        gid = 0
    return uid, gid


def _id(text: str) -> int | None:
    if text == "root":
        return 0  # whatever the files say
    return _number_of(text)


def _number_of(text: str) -> int | None:
    digits = text.lstrip("0") or text[-1:]
    if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS and int(digits) <= _MAX_ID:
        return int(digits)
    return None


def _find(tree: Tree | None, path: str, name: str) -> list[bytes] | None:
    """The fields of the line of a table that begins with a name."""
    table = read_file(tree, path, _MAX_BYTES) if tree is not None else None
    wanted = name.encode("utf-8", "surrogateescape")
    for line in (table or b"").splitlines():
        fields = line.strip().split(b":")
        if fields[0] == wanted:
            return fields
    return None


def _number(fields: list[bytes], index: int) -> int:
    """The id in a field; 0 for what is none, as an image may say anything."""
    if index >= len(fields):
        return 0
    return _number_of(fields[index].decode("utf-8", "replace")) or 0
