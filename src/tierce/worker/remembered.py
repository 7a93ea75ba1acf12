"""What is remembered of one directory of the caller from build to build, in small files of words.

All of it can be lost: what is not remembered is found out again.
"""

from __future__ import annotations

import os
import threading

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest

_MAX_REMEMBERED = 64
_DIGEST_CHARACTERS = 64


class Remembered:
    """Words by a name; all of them are hexadecimal SHA-256. Safe to share between threads."""

    WORDS = 1

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, tuple[str, ...]] | None = None
        self._changed = False
        self._lock = threading.Lock()

    def find(self, name: str) -> tuple[str, ...] | None:
        """What is remembered by a name."""
        with self._lock:
            return self._load().get(name)

    def keep(self, name: str, *words: str) -> None:
        """Remember words by a name, in the place of others."""
        with self._lock:
            known = self._load()
            if known.get(name) != words:
                known.pop(name, None)  # so that the newest comes last
                known[name] = words
                self._changed = True

    def save(self) -> None:
        """Write what is known; atomic, and never fatal, as with any cache."""
        if not self._changed or self._known is None:
            return
        latest = list(self._known.items())[-_MAX_REMEMBERED:]
        text = "".join([f"{' '.join((name, *words))}\n" for name, words in latest])
        partial = f"{self._path}.{os.getpid()}.{threading.get_ident()}.partial"
        try:
            with open(partial, "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(partial, self._path)
        except OSError:
            try:
                os.unlink(partial)
            except OSError:
                pass

    def _load(self) -> dict[str, tuple[str, ...]]:
        if self._known is None:
            try:
                with open(self._path, encoding="utf-8") as file:
                    lines = [line.split() for line in file]
            except (OSError, ValueError):
                lines = []
            self._known = {
                words[0]: tuple(words[1:])
                for words in lines
                if [len(word) for word in words] == [_DIGEST_CHARACTERS] * (1 + self.WORDS)
            }
        return self._known


class RememberedSelections(Remembered):
    """Digests of selections, each with the stamp it holds for."""

    WORDS = 2

    def get(self, name: str, stamp: str) -> str:
        """The digest, or nothing when it is not known for this stamp."""
        known = self.find(name)
        return known[1] if known is not None and stamp and known[0] == stamp else ""

    def put(self, name: str, stamp: str, digest: str) -> None:
        """Remember a digest, unless there is no stamp for it."""
        if stamp:
            self.keep(name, stamp, digest)


class RememberedLayers(Remembered):
    """The layers that were written last of what is in the directory."""

    def get(self, name: str) -> Digest | None:
        """The diff id of the layer that was made by the operation with this name."""
        known = self.find(name)
        try:
            return None if known is None else Digest.parse(f"sha256:{known[0]}")
        except InvalidValue:
            return None  # a damaged file

    def put(self, name: str, diff_id: Digest) -> None:
        """Remember a layer."""
        self.keep(name, diff_id.hex)
