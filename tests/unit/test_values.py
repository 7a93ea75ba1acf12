"""Value, the base of every record."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import ClassVar

import pytest

from tierce.values import NamedTuple, Value


class Point(Value):
    limit: ClassVar[int] = 9

    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x > self.limit:
            raise ValueError("x is too large")


class Named(Point):
    name: str = "origin"


class Other(Value):
    x: int
    y: int = 0


def test_fields_are_given_by_position_or_by_name() -> None:
    assert Point(1, 2) == Point(1, y=2) == Point(y=2, x=1)


def test_default_fills_what_is_not_given() -> None:
    assert Point(1).y == 0


def test_subclass_adds_fields_after_those_of_its_base() -> None:
    named = Named(1, 2, "corner")
    assert (named.x, named.y, named.name) == (1, 2, "corner")
    assert Named(1).name == "origin"


def test_class_variable_is_no_field() -> None:
    assert Point._fields == ("x", "y")
    with pytest.raises(TypeError, match="limit"):
        Point(1, limit=3)  # type: ignore[call-arg]


def test_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match="Point needs x"):
        Point()  # type: ignore[call-arg]


def test_unknown_field_is_named() -> None:
    with pytest.raises(TypeError, match="z"):
        Point(1, z=3)  # type: ignore[call-arg]


def test_field_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="x"):
        Point(1, x=1)  # type: ignore[misc]


def test_too_many_positions_are_refused() -> None:
    with pytest.raises(TypeError, match="2 fields"):
        Point(1, 2, 3)  # type: ignore[call-arg]


def test_field_cannot_be_assigned_or_deleted() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="immutable"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del point.x
    with pytest.raises(AttributeError, match="immutable"):
        point.z = 2
    assert point == Point(1)


def test_value_has_no_dictionary() -> None:
    assert not hasattr(Named(1), "__dict__")


def test_equal_fields_of_another_class_are_not_equal() -> None:
    assert Point(1) != Other(1)
    assert Point(1) != Named(1)
    assert hash(Point(1)) == hash(Point(1))
    assert len({Point(1), Other(1), Point(1)}) == 2


def test_replace_changes_only_what_is_named() -> None:
    point = Point(1, 2)
    assert point.replace(y=5) == Point(1, 5)
    assert point == Point(1, 2)


def test_replace_checks_the_new_fields() -> None:
    with pytest.raises(ValueError, match="too large"):
        Point(1).replace(x=10)


def test_repr_can_be_read_back() -> None:
    assert repr(Named(1, 2)) == "Named(x=1, y=2, name='origin')"


@pytest.mark.parametrize("value", [Point(1, 2), Named(3, 4, "n")])
def test_value_survives_pickle_and_copy(value: Point) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value


class Row(NamedTuple):
    """A row."""

    name: str
    size: int = 3

    def twice(self) -> int:
        return 2 * self.size


def test_named_tuple_is_what_typing_makes() -> None:
    row = Row("a")
    assert row == ("a", 3)
    assert row.twice() == 6
    assert row._replace(size=4) == Row("a", 4)
    assert repr(row) == "Row(name='a', size=3)"
    assert (Row.__module__, Row.__qualname__, Row.__doc__) == (__name__, "Row", "A row.")
    assert pickle.loads(pickle.dumps(row)) == row


def test_modules_with_values_keep_annotations_as_text() -> None:
    """From Python 3.14 on, a class body has no annotations without that import (PEP 649)."""
    source = Path(__file__).parents[2] / "src/tierce"
    kinds = re.compile(r"^class \w+\((Value|NamedTuple)\):", re.MULTILINE)
    for path in source.rglob("*.py"):
        text = path.read_text()
        assert not kinds.search(text) or "from __future__ import annotations" in text, path
