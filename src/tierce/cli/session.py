"""What a command works with: the streams, the environment, the global options, the store."""

from __future__ import annotations

from tierce.cli.table import load_module

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from tierce.errors import TierceError
    from tierce.store import Store


class Session:
    """One run of the command line. The store is opened when it is first asked for.

    `root` is where the store is, or empty for the usual place. Results go to `stdout`; progress,
    diagnostics and prompts to `stderr`.
    """

    def __init__(
        self,
        *,
        stdin: TextIO,
        stdout: TextIO,
        stderr: TextIO,
        environ: Mapping[str, str],
        root: str = "",
        debug: bool = False,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.environ = environ
        self.root = root
        self.debug = debug
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The store, opened; it is closed when the session ends."""
        if self._store is None:
            store: type[Store] = load_module("tierce.store").Store
            self._store = store.open(self.root or None)
        return self._store

    def print(self, text: str = "") -> None:
        """One line of the result."""
        self.stdout.write(text + "\n")

    def warn(self, text: str) -> None:
        """One line of diagnostics."""
        self.stdout.flush()
        self.stderr.write(text + "\n")
        self.stderr.flush()

    def report(self, error: TierceError) -> None:
        """Show an error that does not end the command."""
        self.warn(f"tierce: {error.message}")
        if error.hint:
            self.warn(f"hint: {error.hint}")

    def close(self) -> None:
        """Close the store. May be called twice."""
        store, self._store = self._store, None
        if store is not None:
            store.close()
