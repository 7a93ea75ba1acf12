"""What --exclude and --parents leave of a directory: a walk over a part of it.

A directory that nothing is taken of does not come along; one that only lies on the way to
something that is taken does, and is said to be implied.
"""

from __future__ import annotations

from tierce.errors import BuildError, InvalidValue
from tierce.graph.patterns import compile_patterns

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.layer.entry import Entry
    from tierce.layer.view import Tree


class Filter:
    """Which of the things below a directory are taken, by their paths from there."""

    def __init__(self, includes: Sequence[str], excludes: Sequence[str]) -> None:
        """Without `includes`, all is taken that is not excluded. Raises BuildError."""
        try:
            self._includes = compile_patterns(includes) if includes else None
            self._excludes = compile_patterns(excludes) if excludes else None
        except InvalidValue as error:
            raise BuildError(error.message, hint=error.hint) from error

    def takes(self, path: str) -> bool:
        """Whether a path is taken; that its directory is, does not matter."""
        if self._includes is not None and not self._includes.matches(path):
            return False
        return self._excludes is None or not self._excludes.matches(path)

    def enters(self, path: str) -> bool:
        """Whether something below a directory may be taken."""
        includes, excludes = self._includes, self._excludes
        if excludes is not None and excludes.matches(path) and not excludes.has_exceptions:
            return False
        return includes is None or includes.matches(path) or includes.may_match_below(path)

    def walk(self, tree: Tree, top: str) -> Iterator[tuple[Entry, bool]]:
        """What is taken below a directory, and whether it is implied; parents come first."""
        cut = len(top) + 1 if top else 0
        passed: list[Entry] = []  # the directories on the way here, of which nothing is taken yet
        names: dict[str, str] = {}  # of a file whose first name is not taken, the first that is
        for entry in tree.walk(top, lambda directory: self.enters(directory.path[cut:])):
            while passed and not entry.path.startswith(f"{passed[-1].path}/"):
                passed.pop()
            if not self.takes(entry.path[cut:]):
                if entry.kind == "dir":
                    passed.append(entry)
                continue
            for directory in passed:
                yield directory, True
            passed.clear()
            if entry.kind == "hardlink" and not self.takes(entry.link[cut:]):
                first = names.setdefault(entry.link, entry.path)
                file = tree.lookup(entry.path)
                assert file is not None
                entry = file if first == entry.path else entry._replace(link=first)
            yield entry, False
