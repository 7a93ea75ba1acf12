"""A directory with caches: an OCI image layout whose index names each by a tag.

Several builds may write to one at the same time: blobs appear whole under the name of their
digest, and the index is replaced last, by one at a time. Blobs are only removed on demand, and
while nobody else writes.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from itertools import count

from tierce.archive.extent import Extent
from tierce.archive.layout import REF_NAME
from tierce.archive.names import BLOBS, INDEX, LAYOUT
from tierce.archive.source import open_archive, read
from tierce.errors import ArchiveError, BuildError, DigestMismatch, InvalidValue, NotFound
from tierce.export.cache.document import CACHE_CONFIG, SIZE_LIMIT, CacheDocument
from tierce.export.cache.reset import unneeded_blobs
from tierce.oci.digest import Digest, new_hash
from tierce.oci.document import dump
from tierce.oci.manifest import SIZE_LIMIT as MANIFEST_LIMIT
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.media_types import OCI_INDEX
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Self

    from tierce.archive.source import Archive
    from tierce.archive.staging import Staging
    from tierce.export.cache.options import CacheDirectory
    from tierce.oci.descriptor import Descriptor

    Fill = Callable[[Callable[[bytes | bytearray | memoryview], object]], object]
    """Gives content, piece by piece, to what it is called with."""

_CHUNK = 1 << 20
_WRITERS = "writers.lock"
"""Locked by all who write blobs, together, and by who removes some, alone."""

_LOCK = f"{INDEX}.lock"
"""The name that BuildKit's index has a lock by, too."""


class FoundCache(Value):
    """A cache of a directory; `digest` is that of its manifest."""

    digest: Digest
    manifest: Manifest
    document: CacheDocument


def read_cache(source: CacheDirectory, staging: Staging) -> FoundCache:
    """Read a cache, but none of its layers.

    Raises NotFound where there is none, ArchiveError, DigestMismatch, InvalidValue for one that
    is not sound, or not of tierce.
    """
    if not os.path.isdir(source.path):
        raise NotFound("directory", source.path, "no such directory")
    with open_archive(source.path, staging) as archive:
        digest = Digest.parse(source.digest) if source.digest else _tagged(archive, source.tag)
        raw = _verified(archive, digest, MANIFEST_LIMIT)
        manifest = parse(raw)
        if not isinstance(manifest, Manifest) or manifest.config.media_type != CACHE_CONFIG:
            raise InvalidValue(
                "it is no cache that tierce wrote",
                hint="caches of BuildKit and other tools have a form of their own",
            )
        document = CacheDocument.parse(_verified(archive, manifest.config.digest, SIZE_LIMIT))
    for layer in document.layers:
        if layer.blob >= len(manifest.layers):
            raise InvalidValue(f"parse cache: layer {layer.diff_id} has no blob {layer.blob}")
    return FoundCache(digest, manifest, document)


def blob_of(archive: Archive, descriptor: Descriptor) -> Extent:
    """The content of a blob, whose size is right. Raises ArchiveError."""
    extent = archive.find(_place(descriptor.digest))
    if extent is None:
        raise ArchiveError(f"read cache: blob {descriptor.digest} is not there")
    if extent.size != descriptor.size:
        raise ArchiveError(
            f"read cache: blob {descriptor.digest} has {extent.size} bytes instead of "
            f"{descriptor.size}"
        )
    return extent


class CacheWriter:
    """Writes into a directory. Use as a context manager, so that nobody removes what is written.

    Raises BuildError for what the system refuses.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._names = count()
        self._writing = -1
        with self._reported():
            os.makedirs(os.path.join(path, BLOBS, "sha256"), exist_ok=True)
            if not os.path.exists(os.path.join(path, LAYOUT)):
                self._put(LAYOUT, dump({"imageLayoutVersion": "1.0.0"}))

    def __enter__(self) -> Self:
        with self._reported():
            self._writing = os.open(
                os.path.join(self._path, _WRITERS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            fcntl.flock(self._writing, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)

    def has(self, descriptor: Descriptor, *, verify: bool = False) -> bool:
        """Whether a blob is there and has its size or, if that is to be verified, its digest."""
        try:
            with open(self._blob(descriptor.digest), "rb", buffering=0, opener=_opener) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size != descriptor.size:
                    return False
                return not verify or _digest_of(file, descriptor.digest) == descriptor.digest
        except OSError:
            return False

    def write(self, descriptor: Descriptor, fill: Fill) -> None:
        """Write a blob. Raises DigestMismatch when it is not what its descriptor says."""
        digest, size = new_hash(descriptor.digest.algorithm), 0
        path = self._blob(descriptor.digest)
        with self._reported():
            os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = self._temporary(os.path.dirname(path))
        try:
            with self._reported():
                file = open(temporary, "xb", buffering=0)  # noqa: SIM115 (closed below)
            with file:

                def sink(data: bytes | bytearray | memoryview) -> None:
                    nonlocal size
                    digest.update(data)
                    size += len(data)
                    left = memoryview(data)
                    with self._reported():
                        while left:
                            left = left[file.write(left) :]

                fill(sink)
            actual = Digest.from_hash(digest)
            if actual != descriptor.digest or size != descriptor.size:
                raise DigestMismatch(
                    "layer for the cache", expected=str(descriptor.digest), actual=str(actual)
                )
            with self._reported():
                os.rename(temporary, path)
        except BaseException:
            _remove(temporary)
            raise

    def write_bytes(self, descriptor: Descriptor, content: bytes) -> None:
        """Write a small blob, unless it is there."""
        if not self.has(descriptor):
            self.write(descriptor, lambda sink: sink(content))

    def tag(self, tag: str, manifest: Descriptor) -> None:
        """Let a tag name a manifest, instead of any other; other tags stay."""
        with self._reported(), open(os.path.join(self._path, _LOCK), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            others = [each for each in self._index() if each.annotation(REF_NAME) != tag]
            named = manifest.replace(annotations=((REF_NAME, tag),))
            self._put(INDEX, dump(Index(OCI_INDEX, (*others, named)).to_json()))

    def reset(self, staging: Staging) -> bool:
        """Remove what no cache of the directory needs; False when others write at this moment.

        Raises ArchiveError, InvalidValue when it cannot be told what is needed.
        """
        try:
            fcntl.flock(self._writing, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for path in unneeded_blobs(self._path, staging):
            with self._reported():
                _remove(path)
        fcntl.flock(self._writing, fcntl.LOCK_SH)
        return True

    def _index(self) -> tuple[Descriptor, ...]:
        try:
            with open(os.path.join(self._path, INDEX), "rb") as file:
                found = parse(file.read(MANIFEST_LIMIT + 1), OCI_INDEX)
        except (FileNotFoundError, InvalidValue):
            return ()  # what cannot be read names nothing that would be lost
        return found.manifests if isinstance(found, Index) else ()

    def _put(self, name: str, content: bytes) -> None:
        temporary = self._temporary(self._path)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, os.path.join(self._path, name))
        except BaseException:
            _remove(temporary)
            raise

    def _temporary(self, directory: str) -> str:
        # The host's name as well: the directory may be shared between machines.
        return os.path.join(
            directory, f".{os.uname().nodename}-{os.getpid()}-{next(self._names)}.partial"
        )

    def _blob(self, digest: Digest) -> str:
        return os.path.join(self._path, _place(digest))

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            raise BuildError(f"export cache to {self._path}: {cause}") from error


def _tagged(archive: Archive, tag: str) -> Digest:
    if archive.find(INDEX) is None:
        raise NotFound("cache", tag, "there is no index.json in it")
    index = parse(read(archive, INDEX, MANIFEST_LIMIT), OCI_INDEX)
    assert isinstance(index, Index)
    for descriptor in index.manifests:
        if descriptor.annotation(REF_NAME) == tag:
            return descriptor.digest
    raise NotFound("cache", tag, f"there is no cache with the tag {tag} in it")


def _verified(archive: Archive, digest: Digest, limit: int) -> bytes:
    raw = read(archive, _place(digest), limit)
    actual = Digest.of(raw, digest.algorithm)
    if actual != digest:
        raise DigestMismatch("blob of the cache", expected=str(digest), actual=str(actual))
    return raw


def _place(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.hex}"


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # not to wait at a fifo


def _digest_of(file: IO[bytes], like: Digest) -> Digest:
    digest = new_hash(like.algorithm)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return Digest.from_hash(digest)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it was renamed, or never made
