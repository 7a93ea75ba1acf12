"""Resolves what --chown and USER name, with the rules of BuildKit's file operations."""

from collections.abc import Callable

from tierce.errors import BuildError
from tierce.layer.view import Tree

_MAX_BYTES = 10 << 20  # as BuildKit's limit for these files

ReadFile = Callable[[str], bytes | None]


def read_small_file(tree: Tree | None, path: str) -> bytes | None:
    """The content of a file in a tree, links followed; None when there is none.

    Raises BuildError when it is larger than 10 MiB.
    """
    if tree is None:
        return None
    entry = tree.lookup(tree.resolve(path.lstrip("/")))
    if entry is not None and entry.kind == "hardlink":
        entry = tree.lookup(entry.link)
    if entry is None or entry.kind != "file":
        return None
    if entry.size > _MAX_BYTES:
        raise BuildError(f"read {path}: larger than {_MAX_BYTES} bytes")
    content = tree.content(entry)
    with open(content.path, "rb") as file:
        file.seek(content.offset)
        return file.read(content.size)


def resolve_owner(text: str, read: ReadFile) -> tuple[int, int]:
    """(uid, gid) of "user", "user:group", or numbers in their place.

    As in BuildKit, a number alone also names the group, and a name that is not found is root.
    """
    user, _, group = text.partition(":")
    uid = gid = 0
    if user.isascii() and user.isdigit():
        uid = gid = int(user)
    else:
        found = _find(read("/etc/passwd"), user)
        if found is not None:
            uid, gid = _number(found, 2), _number(found, 3)
    if group.isascii() and group.isdigit():
        gid = int(group)
    elif group:
        found = _find(read("/etc/group"), group)
        gid = _number(found, 2) if found is not None else 0
    return uid, gid


def _find(table: bytes | None, name: str) -> list[bytes] | None:
    """The fields of the line of a table that begins with a name."""
    wanted = name.encode()
    for line in (table or b"").splitlines():
        fields = line.strip().split(b":")
        if fields[0] == wanted:
            return fields
    return None


def _number(fields: list[bytes], index: int) -> int:
    try:
        return int(fields[index])
    except (IndexError, ValueError):
        return 0
