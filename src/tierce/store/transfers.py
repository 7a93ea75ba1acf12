"""What was transferred in part, so that another process can go on.

Content that comes in is appended to a file of its own, under the lock of its digest, and becomes a
blob when it is complete and verified. Of content that goes out it is noted where the receiver
expects the rest. Neither has a row: what nobody goes on with in a week is thrown away.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce.store.failures import reported, store_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from tierce.oci.digest import Digest
    from tierce.store.locks import Locks

KEPT_SECONDS = 7 * 86_400
_NOTE_LIMIT = 16 << 10


class Transfers:
    """The unfinished transfers of a store."""

    def __init__(self, directory: str, locks: Locks) -> None:
        self._directory = directory
        self._locks = locks

    @contextmanager
    def incoming(self, digest: Digest, cancelled: Event) -> Iterator[str]:
        """The path of the file for content that comes in; nobody else writes to it meanwhile.

        The file may be there, with what has come, or not. Raises Cancelled while it waits.
        """
        with self._locks.hold_unless(cancelled, f"download {digest}"):
            with reported(f"keep download of {digest}"):
                os.makedirs(self._directory, mode=0o700, exist_ok=True)
            yield f"{self._directory}/{digest.algorithm}-{digest.hex}"

    def discard(self, digest: Digest) -> None:
        """Throw away what has come of some content. Idempotent."""
        self._unlink(f"{digest.algorithm}-{digest.hex}")

    def note(self, key: str, text: str) -> None:
        """Remember where something that goes out goes on."""
        path = self._note_path(key)
        temporary = f"{path}.{os.getpid()}"
        with reported("note upload"):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(temporary, path)

    def noted(self, key: str) -> str:
        """What was remembered, or nothing."""
        try:
            with open(self._note_path(key), encoding="utf-8", errors="replace") as file:
                return file.read(_NOTE_LIMIT)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise store_error("read note of upload", error) from error

    def forget(self, key: str) -> None:
        """What goes out has arrived. Idempotent."""
        self._unlink(os.path.basename(self._note_path(key)))

    def _note_path(self, key: str) -> str:
        import hashlib  # costly; whoever transfers content hashes it, too

        return f"{self._directory}/upload-{hashlib.sha256(key.encode()).hexdigest()}"

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(f"{self._directory}/{name}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise store_error(f"remove {name}", error) from error
