"""Items read as the entries of a tar are, for who takes either."""

from __future__ import annotations

import os

from tierce.errors import CorruptLayer, LayerError
from tierce.layer.entry import Content, Entry, LiveItem, OpenFile

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.layer.pax import Extents

_CHUNK = 1 << 20
_NOTHING = memoryview(b"")
# As the writer opens them: what was replaced by a FIFO must fail, not hang.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class ItemReader:
    """Has what `TarReader` has: `next`, and for the content of a file `left` and `chunk`.

    A file of the host is read when its content is asked for; that of a tar stays open for the
    next ones. Raises LayerError for what cannot be read, CorruptLayer for what is cut short.
    """

    def __init__(self, items: Iterable[LiveItem]) -> None:
        self._items = iter(items)
        self._entry = Entry("", "dir")
        self._content: Content | OpenFile | bytes | None = None
        self._buffer = memoryview(bytearray(_CHUNK))
        self._source = ""
        self._descriptor = -1
        self.left = 0
        """Bytes of the current entry's data that have not been taken yet."""
        self.extents: Extents | None = None
        """Nothing is sparse here."""

    def next(self) -> Entry | None:
        """The next entry, or None at the end."""
        item = next(self._items, None)
        if item is None:
            self.close()
            return None
        self._entry, self._content = item
        self.left = self._entry.size if self._entry.kind == "file" else 0
        return self._entry

    def chunk(self) -> memoryview:
        """The next bytes of the current entry's data, good until the next call."""
        if not self.left:
            return _NOTHING
        done = self._entry.size - self.left
        if isinstance(self._content, bytes) or self._content is None:
            self.left = 0
            return memoryview(self._content or b"")[done:]
        size = min(self.left, _CHUNK)
        live = isinstance(self._content, OpenFile)
        start = self._content.offset if isinstance(self._content, Content) else 0
        try:
            got = os.preadv(self._opened(), [self._buffer[:size]], start + done)
        except OSError as error:
            raise LayerError(
                f"read {self._entry.path}: {error.strerror}", entry=self._entry.path
            ) from None
        if not got and live:
            got = size
            self._buffer[:got] = bytes(got)
        if not got:
            raise CorruptLayer(
                f"read {self._entry.path}: it is shorter than it should be", entry=self._entry.path
            )
        self.left -= got
        return self._buffer[:got]

    def drain(self) -> None:
        """Nothing follows the end."""

    def close(self) -> None:
        """Close what is open. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._source = ""

    def _opened(self) -> int:
        if isinstance(self._content, OpenFile):
            return self._content.descriptor
        assert isinstance(self._content, Content)
        if self._source != self._content.path:
            self.close()
            self._descriptor = os.open(self._content.path, _OPEN)
            self._source = self._content.path
        return self._descriptor
