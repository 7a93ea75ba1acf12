"""Whether an unpacked layer has the files that the layer's tar has, whoever wrote the tar."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from tierce.layer.entry import Entry

_SECOND = 1_000_000_000


def same_layer(packed: Iterable[Entry] | None, unpacked: Iterable[Entry]) -> bool:
    """Whether both have the same entries with the same content, digests of files included.

    Directories that a tar has by their contents only are not compared, nor is the root, which
    some tars mention, nor which name of a file counts as the first. None (no tar) is never the
    same.
    """
    if packed is None:
        return False
    wanted, found = _facts(packed), _facts(unpacked)
    implied = {path for path, facts in found.items() if path not in wanted and facts[0] == "dir"}
    return wanted == {path: facts for path, facts in found.items() if path not in implied}


def _facts(entries: Iterable[Entry]) -> dict[str, tuple[Any, ...]]:
    """What there is at each path; files with several names have all of them among their facts."""
    listed = [entry for entry in entries if entry.path]
    files = {entry.path: entry for entry in listed if entry.kind != "opaque"}
    names: dict[str, list[str]] = {}
    for entry in listed:
        if entry.kind == "hardlink":
            names.setdefault(entry.link, [entry.link]).append(entry.path)
    facts: dict[str, tuple[Any, ...]] = {}
    for entry in listed:
        if entry.kind == "opaque":
            facts[entry.path + "/"] = ("opaque",)
            continue
        file = files.get(entry.link, entry) if entry.kind == "hardlink" else entry
        facts[entry.path] = (
            file.kind,
            file.mode if file.kind != "symlink" else 0,  # has none on Linux
            file.uid,
            file.gid,
            file.size,
            file.mtime_ns // _SECOND,
            file.link,
            file.device,
            file.xattrs,
            file.digest,
            tuple(sorted(names.get(file.path, ()))),
        )
    return facts
