"""What is in a volume from the start: a directory of the image that it is mounted upon."""

from __future__ import annotations

import os

from tierce.layer.apply import apply_items
from tierce.lean.path import Path
from tierce.store.snapshots.overlay import give_root_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.layer.entry import Item
    from tierce.layer.view import Tree


def fill_directory(tree: Tree, target: str, directory: str) -> bool:
    """Make an empty directory what the directory `target` of a tree is; says whether there is one.

    Owner, mode, attributes and times are those of the tree, for an ordinary user as far as it can
    give them. Raises LayerError, OSError.
    """
    path = tree.resolve(target.lstrip("/"))
    entry = tree.lookup(path)
    if not path or entry is None or entry.kind != "dir":
        return False
    apply_items(_items(tree, path), directory)
    if os.geteuid():
        entry = entry._replace(uid=os.geteuid(), gid=os.getegid())
    give_root_attributes(entry, Path(directory))
    return True


def _items(tree: Tree, path: str) -> Iterator[Item]:
    """What is in a directory of a tree, by paths relative to that."""
    start = len(path) + 1
    for entry in tree.walk(path):
        content = tree.content(entry) if entry.kind == "file" else None
        link = entry.link[start:] if entry.kind == "hardlink" else entry.link
        yield entry._replace(path=entry.path[start:], link=link), content
