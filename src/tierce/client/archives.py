"""Images as files, from Python: save, load, import."""

from __future__ import annotations

import os
import time

from tierce.archive.filesystem import import_filesystem
from tierce.archive.load import Loaded, load
from tierce.archive.save import save
from tierce.archive.staging import Progress
from tierce.client.changes import apply_changes
from tierce.errors import ArchiveError
from tierce.export.history import timestamp
from tierce.oci.config import ImageConfig
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from tierce.store import Store
    from tierce.store.images import Image

__all__ = ["Archives", "Loaded", "Progress", "is_url"]

_TIMEOUT_SECONDS = 60


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

    def import_filesystem(
        self,
        source: IO[bytes] | str | os.PathLike[str],
        name: str = "",
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: Platform | None = None,
        created: float | None = None,
    ) -> Image:
        """Make an image of the tar of a root file system: a path, an http URL or a stream.

        `changes` are Dockerfile instructions for its config, `created` is in seconds since the
        epoch, by default now. Raises ArchiveError, UsageError, InvalidValue for a bad name,
        StoreError.
        """
        platform = Platform.host() if platform is None else platform
        base = ImageConfig(platform.architecture, platform.os, platform.variant)
        config = apply_changes(base, changes)
        reference = Reference.parse(name) if name else None
        if isinstance(source, str) and is_url(source):
            source = download(source)
        return import_filesystem(
            self._store,
            source,
            created=timestamp(time.time() if created is None else created),
            name=reference,
            config=config,
            message=message,
            platform=platform,
        )


def is_url(source: str) -> bool:
    """Whether what is to be imported is to be downloaded."""
    return source.startswith(("http://", "https://"))


def download(url: str) -> IO[bytes]:
    """The content behind a URL as a stream. Raises ArchiveError."""
    import urllib.request  # 40 ms that only this pays

    try:
        # Proxies as the environment names them; certificates are verified.
        stream: IO[bytes] = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        raise ArchiveError(f"download {url}: {cause}") from error
    return stream
