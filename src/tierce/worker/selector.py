"""Tells the digests of what steps select, and remembers them, in a build and between builds."""

from __future__ import annotations

import threading

from tierce import worker
from tierce.errors import BuildError, LayerError
from tierce.worker.content import Selection, name_of, select, stamp_of
from tierce.worker.context import LocalTree
from tierce.worker.sources import find_sources

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tierce.layer.entry import Entry
    from tierce.store import Store
    from tierce.worker.content import RememberedSelections
    from tierce.worker.results import Result

Patterns = tuple[str, ...]
"""Paths with wildcards, such as the sources of a COPY."""


class Selector:
    """The selections of one build.

    In a directory of the caller they are made one at a time, so that the digests of files stay
    what they are meanwhile: what is copied says what its key is made of, whatever happens to a
    file that two steps read.
    """

    def __init__(self, store: Store, remembered: Mapping[LocalTree, RememberedSelections]) -> None:
        self._store = store
        self._remembered = remembered
        self._stored: dict[tuple[int | None, Patterns], Selection] = {}
        self._local: dict[LocalTree, dict[Patterns, Selection]] = {}
        self._lock = threading.Lock()

    def select(self, source: Result, patterns: Patterns) -> Selection:
        """What patterns select in the result of a step. Raises BuildError."""
        if isinstance(source, LocalTree):
            with self._lock:
                known = self._local.setdefault(source, {})
                if patterns not in known:
                    known[patterns] = self._select_local(source, patterns)
                return known[patterns]
        name = (source.snapshot, patterns)
        if name not in self._stored:
            try:
                tree = worker.files.tree_of(self._store, source)
                self._stored[name] = select(tree, list(find_sources(tree, patterns)))
            except LayerError as error:
                raise BuildError(error.message, hint=error.hint) from error
        return self._stored[name]

    def after_copy(
        self, tree: LocalTree, patterns: Patterns, digests: Iterable[tuple[Entry, bytes]]
    ) -> Selection:
        """What patterns selected for a copy, which read these digests. Raises BuildError."""
        with self._lock:
            known = self._local.setdefault(tree, {})
            if tree.learn(digests):
                known.clear()
            selection = known.get(patterns)
            if selection is None or not selection.paths:
                selection = known[patterns] = self._read(tree, patterns)
            return selection

    def _select_local(self, tree: LocalTree, patterns: Patterns) -> Selection:
        sources = list(find_sources(tree, patterns))
        digest = self._remembered[tree].get(name_of(sources), stamp_of(tree, sources))
        return Selection(digest) if digest else self._read(tree, patterns)

    def _read(self, tree: LocalTree, patterns: Patterns) -> Selection:
        sources = list(find_sources(tree, patterns))
        selection = select(tree, sources)
        # When a file was changed since it was listed, its stamp is one that never comes again.
        self._remembered[tree].put(name_of(sources), stamp_of(tree, sources), selection.digest)
        return selection
