"""Images out of root file systems, from Python."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from tierce.archive.filesystem import import_filesystem
from tierce.client.changes import apply_changes
from tierce.errors import ArchiveError
from tierce.export.history import timestamp
from tierce.oci.config import ImageConfig
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from tierce.store import Store
    from tierce.store.images import Image

_TIMEOUT_SECONDS = 60


def import_image(
    store: Store,
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
    with ExitStack() as opened:
        if isinstance(source, str) and is_url(source):
            source = opened.enter_context(download(source))
        return import_filesystem(
            store,
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
    import http.client  # 40 ms that only this pays
    import urllib.error
    import urllib.request

    try:
        # Proxies as the environment names them; certificates are verified.
        stream: IO[bytes] = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise ArchiveError(f"download {url}: HTTP {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        raise ArchiveError(f"download {url}: {cause}") from error
    return stream
