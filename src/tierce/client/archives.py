"""Images as files, from Python: save and load."""

from __future__ import annotations

from tierce.archive.load import Loaded, load
from tierce.archive.save import save
from tierce.archive.staging import Progress

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import IO

    from tierce.oci.platform import Platform
    from tierce.store import Store

__all__ = ["Archives", "Loaded", "Progress"]


class Archives:
    """Brings images of one store into files, and back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(
        self,
        source: IO[bytes] | str | os.PathLike[str],
        *,
        platforms: Sequence[Platform] = (),
        on_progress: Callable[[Progress], object] | None = None,
    ) -> list[Loaded]:
        """Load all images of a docker archive or OCI layout; see `tierce.archive.load.load`."""
        return load(self._store, source, platforms=platforms, on_progress=on_progress)

    def save(
        self,
        references: Sequence[str],
        sink: IO[bytes] | str | os.PathLike[str],
        *,
        format: str = "docker",
        platforms: Sequence[Platform] = (),
    ) -> None:
        """Save images to an archive; see `tierce.archive.save.save`."""
        save(self._store, references, sink, format=format, platforms=platforms)
