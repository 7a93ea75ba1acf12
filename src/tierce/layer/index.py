"""What a layer holds, without its bytes: compact on disk, loaded in milliseconds."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from tierce.layer.columns import Columns
from tierce.layer.entry import Entry, sort_key


class LayerIndex:
    """The entries of one layer, sorted by `sort_key`, one for each path.

    The exception is an "opaque", which follows the "dir" of the same path. A directory may be
    there by its contents only. Rows count from 0. Immutable, and safe to share between threads.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._paths = columns.paths

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "LayerIndex":
        """An index of sorted entries, such as `write_layer` returns."""
        return cls(Columns.of(entries))

    def encode(self) -> bytes:
        """The index as bytes; equal entries give equal bytes."""
        return self._columns.encode()

    @classmethod
    def decode(cls, data: bytes) -> "LayerIndex":
        """The inverse of `encode`. Raises CorruptLayer for anything else, such as a torn file."""
        return cls(Columns.decode(data))

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Entry]:
        return self._columns.entries(0, len(self._paths))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of entries that occur."""
        return self._columns.kinds

    @property
    def has_all_parents(self) -> bool:
        """Whether the directory of each entry is an entry as well (the root aside)."""
        return self._columns.has_all_parents

    def entry(self, row: int) -> Entry:
        """The entry of one row."""
        return self._columns.entry(row)

    def entries(self, rows: range) -> Iterator[Entry]:
        """The entries of successive rows; cheaper than one by one."""
        return self._columns.entries(rows.start, rows.stop)

    def kind(self, row: int) -> str:
        return self._columns.kind(row)

    def path(self, row: int) -> str:
        return self._paths[row]

    def rows(self, path: str) -> range:
        """The rows of a path itself: none, one, or two if one of them is "opaque"."""
        start = bisect_left(self._paths, sort_key(path), key=sort_key)
        stop = start
        while stop < len(self._paths) and self._paths[stop] == path:
            stop += 1
        return range(start, stop)

    def inside(self, path: str) -> range:
        """The rows of everything inside the directory `path`, at any depth."""
        start = self.rows(path).stop
        if not path:
            return range(start, len(self._paths))
        # "\1" sorts right after the "\0" that separates `path` from what is in it.
        stop = bisect_left(self._paths, sort_key(path) + "\1", lo=start, key=sort_key)
        return range(start, stop)

    def has_inside(self, path: str) -> bool:
        """Whether anything is inside `path`."""
        row = self.rows(path).stop
        return row < len(self._paths) and (not path or self._paths[row].startswith(path + "/"))

    def names(self, path: str) -> list[str]:
        """The names in the directory `path`, sorted; of whiteouts too."""
        rows = self.inside(path)
        paths = self._paths
        skip = len(path) + 1 if path else 0
        names = []
        row = rows.start
        while row < rows.stop:
            name, slash, _ = paths[row][skip:].partition("/")
            names.append(name)
            child = f"{path}/{name}" if path else name
            row += 1
            if row < rows.stop and (slash or paths[row].startswith(child)):
                row = self.inside(child).stop
        return names

    def get(self, path: str) -> Entry | None:
        """The entry at `path`, unless it is a whiteout or not there."""
        for row in self.rows(path):
            if self.kind(row) not in {"whiteout", "opaque"}:
                return self.entry(row)
        return None
