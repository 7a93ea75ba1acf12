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
    from tierce.worker.remembered import RememberedSelections
    from tierce.worker.results import Result
    from tierce.worker.sources import Wanted


class Selector:
    """The selections of one build.

    In a directory of the caller they are made one at a time, so that the digests of files stay
    what they are meanwhile: what is copied says what its key is made of, whatever happens to a
    file that two steps read.
    """

    def __init__(self, store: Store, remembered: Mapping[LocalTree, RememberedSelections]) -> None:
        self._store = store
        self._remembered = remembered
        self._stored: dict[tuple[int | None, Wanted], Selection] = {}
        self._local: dict[LocalTree, dict[Wanted, Selection]] = {}
        self._lock = threading.Lock()

    def select(self, source: Result, wanted: Wanted) -> Selection:
        """The digest of what is wanted of the result of a step. Raises BuildError."""
        if isinstance(source, LocalTree):
            with self._lock:
                known = self._local.setdefault(source, {})
                if wanted not in known:
                    known[wanted] = self._select_local(source, wanted)
                return known[wanted]
        name = (source.snapshot, wanted)
        if name not in self._stored:
            try:
                tree = worker.files.tree_of(self._store, source)
                self._stored[name] = select(tree, list(find_sources(tree, wanted)), wanted)
            except LayerError as error:
                raise BuildError(error.message, hint=error.hint) from error
        return self._stored[name]

    def listed(self, source: Result, wanted: Wanted) -> Selection:
        """As `select`, with the paths also of what was remembered as a whole.

        Where the files have changed since then, there are none. Raises BuildError.
        """
        selection = self.select(source, wanted)
        if selection.paths or not isinstance(source, LocalTree):
            return selection
        with self._lock:
            found = select(source, list(find_sources(source, wanted)), wanted)
            if found.digest == selection.digest:
                self._local[source][wanted] = selection = found
        return selection

    def learn(
        self, copied: Iterable[tuple[LocalTree, Wanted]], digests: Iterable[tuple[Entry, bytes]]
    ) -> None:
        """A copy has read this of a directory of the caller: from now on, that is what was there.

        Raises BuildError.
        """
        with self._lock:
            for tree, wanted in copied:
                known = self._local.setdefault(tree, {})
                if tree.learn(digests):
                    known.clear()
                selection = known.get(wanted)
                if selection is None or not selection.paths:
                    known[wanted] = self._read(tree, wanted)

    def _select_local(self, tree: LocalTree, wanted: Wanted) -> Selection:
        sources = list(find_sources(tree, wanted))
        digest = self._remembered[tree].get(name_of(sources, wanted), stamp_of(tree, sources))
        return Selection(digest) if digest else self._read(tree, wanted)

    def _read(self, tree: LocalTree, wanted: Wanted) -> Selection:
        sources = list(find_sources(tree, wanted))
        selection = select(tree, sources, wanted)
        # When a file was changed since it was listed, its stamp is one that never comes again.
        self._remembered[tree].put(
            name_of(sources, wanted), stamp_of(tree, sources), selection.digest
        )
        return selection
