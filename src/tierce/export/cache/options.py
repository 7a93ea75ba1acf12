"""Where a build's cache comes from and goes to, as typed values: `--cache-from`, `--cache-to`."""

from __future__ import annotations

from tierce.export.outputs import GZIP, Compression
from tierce.values import Value

LATEST = "latest"
"""The tag that a cache has unless it is given another."""

MIN, MAX = "min", "max"
MODES = (MIN, MAX)


class CacheDirectory(Value):
    """A cache in a directory, that of `digest` if there is one, else the one called `tag`."""

    path: str
    tag: str = LATEST
    digest: str = ""


class CacheImage(Value):
    """The cache under a name: inside an image of the store or, without that, in its registry.

    There it may be a cache of its own, or inside an image, too.
    """

    reference: str


CacheSource = CacheDirectory | CacheImage


class DirectoryExport(Value):
    """Write the cache to a directory, which is made if need be, under a tag.

    With `mode` "min" only layers of the resulting image go with it, with "max" those of all steps.
    A failure is only a warning with `ignore_error`. With `reset`, blobs that no cache of the
    directory needs are removed.
    """

    path: str
    tag: str = LATEST
    mode: str = MIN
    compression: Compression = Compression(GZIP)
    ignore_error: bool = False
    reset: bool = False


class RegistryExport(Value):
    """Write the cache to a registry, under a name; the rest as in `DirectoryExport`."""

    reference: str
    mode: str = MIN
    compression: Compression = Compression(GZIP)
    ignore_error: bool = False


class InlineExport(Value):
    """Write the cache into the config of the resulting image, whose layers are all that it has."""

    ignore_error: bool = False


CacheExport = DirectoryExport | RegistryExport | InlineExport
