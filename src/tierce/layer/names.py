"""Names in a tar, turned into the paths and kinds of entries, or refused."""

from tierce.errors import CorruptLayer, UnsafeLayer
from tierce.layer.entry import OPAQUE_NAME, WHITEOUT_PREFIX, encode_path

# AUFS kept its own files in layers under such names; nobody needs them (moby/moby, pkg/archive).
_METADATA_PREFIX = WHITEOUT_PREFIX * 2
_NAME_MAX = 255


def clean_path(name: str) -> str:
    """A name from a tar as the path of an `Entry`: "./usr//bin/" is "usr/bin", "/" is "".

    An absolute name counts from the layer's root, as everywhere. Raises UnsafeLayer for "..".
    """
    path = name.strip("/")
    if "/." in path or "//" in path or path.startswith("."):
        parts = [part for part in path.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise UnsafeLayer(f'read layer entry {name}: ".." in its path', entry=name)
        path = "/".join(parts)
    return path


def whiteout(path: str) -> tuple[str, str] | None:
    """(kind, hidden path) if `path` is a whiteout; kind "" for a name that is to be ignored.

    Raises UnsafeLayer for a whiteout of no name, "." or "..", CorruptLayer for something inside
    of one.
    """
    parent, _, name = path.rpartition("/")
    if name == OPAQUE_NAME and f"/{WHITEOUT_PREFIX}" not in f"/{parent}":
        return "opaque", parent
    parts = path.split("/")
    if any(part.startswith(_METADATA_PREFIX) for part in parts):
        return "", ""
    if any(part.startswith(WHITEOUT_PREFIX) for part in parts[:-1]):
        raise CorruptLayer(f"read layer entry {path}: it is inside of a whiteout", entry=path)
    if not name.startswith(WHITEOUT_PREFIX):
        return None
    hidden = name.removeprefix(WHITEOUT_PREFIX)
    if hidden in {"", ".", ".."}:
        raise UnsafeLayer(f"read layer entry {path}: a whiteout of no file", entry=path)
    return "whiteout", f"{parent}/{hidden}" if parent else hidden


def check_length(path: str, raw_length: int, limit: int, *, parts: bool = True) -> None:
    """Refuse what no file system takes; `raw_length` is the length of `path` in bytes.

    Its parts are names too, unless it is the target of a symlink. Raises UnsafeLayer.
    """
    if raw_length > limit or (
        parts and any(len(encode_path(part)) > _NAME_MAX for part in path.split("/"))
    ):
        raise UnsafeLayer(f"read layer entry {path[:60]}…: the name is too long", entry=path)
