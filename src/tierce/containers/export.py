"""The files of a container as a tar: `container export`."""

from __future__ import annotations

from tierce.archive.output import Sink
from tierce.containers.upper import open_upper
from tierce.layer.entry import Content, Entry
from tierce.layer.writer import write_layer

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from tierce.layer.entry import LiveItem
    from tierce.layer.live import LiveLayer
    from tierce.layer.view import Tree
    from tierce.store import Store
    from tierce.store.containers import ContainerRow

_NANOSECONDS = 1_000_000_000
_DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
_MODE = 0o755


def export(store: Store, row: ContainerRow, sink: IO[bytes]) -> None:
    """Writes all files that a container sees, but for those of mounts, as a tar.

    A container may run meanwhile: of files that it writes to, what is there of them is taken.
    Raises ArchiveError when the sink fails, ContainerError, NotFound, LayerError.
    """
    output = Sink(sink)
    with store.leases.ensure("container export"), open_upper(store, row) as upper:
        tree = store.snapshots.view(
            upper.active.parent, upon=upper.layer, beneath=places_of_mounts(row.created)
        )
        write_layer(_items(tree, upper.layer), output.write, hash_files=False)
    output.flush()


def places_of_mounts(created: float) -> list[Entry]:
    """What docker puts beneath the image of each container, for mounts to be made upon.

    Images rarely have these files. Those who make images of exports expect them.
    """
    time_ns = round(created * _NANOSECONDS)
    entries = [Entry(path, "dir", _MODE, mtime_ns=time_ns) for path in _DIRECTORIES]
    entries += [Entry(path, "file", _MODE, mtime_ns=time_ns) for path in _FILES]
    link = Entry("etc/mtab", "symlink", 0o777, mtime_ns=time_ns, link="/proc/mounts")
    return sorted([*entries, link], key=lambda entry: entry.path.split("/"))


def _items(tree: Tree, live: LiveLayer) -> Iterator[LiveItem]:
    for entry in tree.walk():
        if entry.kind != "file" or not entry.size:
            yield entry, None
            continue
        content = tree.content(entry)
        if content.path.startswith(f"{live.path}/"):
            yield from live.items(iter((entry,)))
        else:
            yield entry, Content(*content)
