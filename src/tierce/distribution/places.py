"""Where the images of a name are: registries.conf, version 2 (containers-registries.conf(5)).

A `[[registry]]` is for the names that begin with its prefix; of several, the longest prefix counts.
Its `location` takes the place of the prefix, mirrors come before it, and it may be marked as
`insecure` or `blocked`. Short names always mean docker.io, as for docker.
"""

from __future__ import annotations

import os

from tierce.errors import RegistryError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from tierce.oci.reference import Reference

_SIZE_LIMIT = 1 << 20
_TABLE = b"[[registry"


class Place(Value):
    """A host and the path of a repository there; an `is_mirror` may lack what is wanted."""

    host: str
    path: str
    insecure: bool = False
    is_mirror: bool = False


class _Mirror(Value):
    location: str
    insecure: bool
    pulls: str


class _Entry(Value):
    prefix: str
    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[_Mirror, ...]
    file: str

    def fits(self, name: str) -> bool:
        if self.prefix.startswith("*."):
            host = name.partition("/")[0]
            return host.endswith(self.prefix[1:])
        rest = name.removeprefix(self.prefix)
        return name.startswith(self.prefix) and (not rest or rest[0] in "/:@")

    def moved(self, name: str, location: str) -> tuple[str, str]:
        """Host and path of a name, with a location in the place of the prefix."""
        if self.prefix.startswith("*."):
            moved = name if not location else f"{location}/{name.partition('/')[2]}"
        else:
            moved = (location or self.prefix) + name.removeprefix(self.prefix)
        host, _, path = moved.partition("/")
        return host, path


class Places:
    """What a registries.conf says; read when it is first asked."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._entries: list[_Entry] | None = None

    def of(self, reference: Reference, *, pulling: bool) -> Sequence[Place]:
        """Where to look for an image, in order; to push, only where it belongs.

        Raises RegistryError for a registry that is blocked, or a file that cannot be read.
        """
        name = reference.name
        entry = self._entry(name)
        if entry is None:
            return (Place(reference.domain, reference.path),)
        if entry.blocked:
            raise RegistryError(
                f"reach {reference.domain}: registry {entry.prefix} is blocked in {entry.file}"
            )
        found = []
        for mirror in entry.mirrors if pulling else ():
            if mirror.pulls == "digest-only" and reference.digest is None:
                continue
            if mirror.pulls == "tag-only" and reference.digest is not None:
                continue
            host, path = entry.moved(name, mirror.location)
            found.append(Place(host, path, mirror.insecure, is_mirror=True))
        host, path = entry.moved(name, entry.location)
        return (*found, Place(host, path, entry.insecure))

    def is_insecure(self, host: str) -> bool:
        """Whether a registry as a whole is marked so."""
        entry = self._entry(host)
        return entry is not None and entry.insecure

    def _entry(self, name: str) -> _Entry | None:
        if self._entries is None:
            self._entries = [entry for file in self._all_files() for entry in _read(file)]
        fitting = [entry for entry in self._entries if entry.fits(name)]
        # Of equal prefixes, the file that was read last counts.
        return max(
            enumerate(fitting), key=lambda each: (len(each[1].prefix), each[0]), default=(0, None)
        )[1]

    def _all_files(self) -> Iterator[str]:
        for file in self._files:
            yield file
            directory = f"{file}.d"
            try:
                names = sorted(os.listdir(directory))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _unreadable(directory, error) from error
            yield from (os.path.join(directory, each) for each in names if each.endswith(".conf"))


def _read(file: str) -> Iterator[_Entry]:
    try:
        with open(file, "rb") as opened:
            raw = opened.read(_SIZE_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unreadable(file, error) from error
    if _TABLE not in raw:
        return  # as the file is that most systems come with
    import tomllib  # for those who have written something there

    try:
        document = tomllib.loads(raw.decode())
        for table in document.get("registry", ()):
            yield _entry_of(table, file)
    except (ValueError, TypeError, AttributeError) as error:
        raise RegistryError(f"read {file}: {error}") from error


def _entry_of(table: dict[str, Any], file: str) -> _Entry:
    location = _text(table, "location")
    prefix = _text(table, "prefix") or location
    if not prefix:
        raise ValueError("a [[registry]] has neither prefix nor location")
    by_digest = bool(table.get("mirror-by-digest-only", False))
    mirrors = tuple(
        _Mirror(
            _text(each, "location"),
            bool(each.get("insecure", False)),
            _text(each, "pull-from-mirror") or ("digest-only" if by_digest else "all"),
        )
        for each in table.get("mirror", ())
    )
    return _Entry(
        prefix,
        location,
        bool(table.get("insecure", False)),
        bool(table.get("blocked", False)),
        mirrors,
        file,
    )


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value.strip("/")


def _unreadable(path: str, error: OSError) -> RegistryError:
    return RegistryError(f"read {path}: {(error.strerror or str(error)).lower()}")
