"""Says of each step that missed the cache what differed from the nearest step that is known."""

from __future__ import annotations

import re

from tierce.errors import StoreError
from tierce.solver.explain import Candidate, Explanation, explain
from tierce.worker.components import decode_components, without

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from tierce.solver.cache import Outcome
    from tierce.solver.explain import Components
    from tierce.store import Store

    class Remembered(Protocol):
        """A step of elsewhere that can be compared with."""

        @property
        def keys(self) -> Sequence[str]: ...
        @property
        def name(self) -> str: ...
        @property
        def created(self) -> float: ...
        @property
        def components(self) -> bytes: ...


_PLACE = re.compile(r"(?:\[(?P<place>[^\]]*)\] )?(?P<text>(?P<word>\S*).*)", re.DOTALL)
_STAGE = re.compile(r"(?P<stage>.*?)\s*(?P<number>\d+)/\d+\Z")
_COMPARED_AT_MOST = 24


class _Name:
    """The name of a step in its parts: "[build 2/4] RUN make"."""

    __slots__ = ("number", "stage", "text", "word")

    def __init__(self, name: str) -> None:
        match = _PLACE.match(name)
        assert match is not None
        place = _STAGE.match(match["place"] or "")
        self.stage, self.number = (place["stage"], place["number"]) if place else ("", "")
        self.text, self.word = match["text"], match["word"].upper()

    def nearness(self, other: _Name) -> int:
        """How well another name fits: the text counts most, then the place."""
        near = 4 * (self.text == other.text) + 2 * (self.stage == other.stage)
        return near + (self.number == other.number)


def explain_misses(
    store: Store,
    outcomes: Sequence[Outcome],
    newest: int,
    elsewhere: Sequence[Remembered],
    secrets: Sequence[str] = (),
) -> list[Explanation]:
    """An explanation for each step that ran, without the values of `secrets`.

    Compared are the records of the store up to the number `newest`, which were there before the
    build, and those of `elsewhere`.
    """
    # What has no name is shown as a part of a step that has one.
    missed = [each for each in outcomes if each.ran and each.vertex.name]
    if not missed:
        return []
    known = [
        _Known(record.name, record.last_used, record.id, b"")
        for record in store.records.list()
        if record.id <= newest
    ]
    known += [_Known(each.name, each.created, 0, each.components) for each in elsewhere]
    known.sort(key=lambda each: each.time, reverse=True)
    return [
        explain(
            outcome,
            without(secrets, outcome.vertex.name),
            decode_components(outcome.components),
            _nearest(outcome, known, store),
        )
        for outcome in missed
    ]


class _Known:
    """A step that is remembered; `number` is that of its record in the store, or 0."""

    __slots__ = ("components", "name", "number", "parsed", "time")

    def __init__(self, name: str, time: float, number: int, components: bytes) -> None:
        self.name = name
        self.time = time
        self.number = number
        self.components = components
        self.parsed = _Name(name)

    def read(self, store: Store) -> Components | None:
        """What it is made of; None when that was not kept, or by another version of tierce."""
        data = store.records.components(self.number) if self.number else self.components
        try:
            return decode_components(data) if data else None
        except StoreError:
            return None


def _nearest(outcome: Outcome, known: Sequence[_Known], store: Store) -> Iterator[Candidate]:
    """The steps with the names that fit best, the newest first among those that fit alike."""
    name = _Name(outcome.vertex.name)
    alike = [each for each in known if each.parsed.word == name.word]
    alike.sort(key=lambda each: name.nearness(each.parsed), reverse=True)  # keeps their order
    for each in alike[:_COMPARED_AT_MOST]:
        components = each.read(store)
        if components is not None:
            yield Candidate(each.name, each.time, components)
