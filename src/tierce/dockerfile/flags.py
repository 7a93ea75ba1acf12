"""The flags of an instruction: `--from=build`, `--link`, `--mount=type=cache,target=/x`."""

from __future__ import annotations

from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import InvalidValue

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXT, TEXTS, SWITCH = "text", "texts", "switch"
"""Kinds: one value; a value each time the flag is given; true or false, true when bare."""

_SWITCH_VALUES = {"": True, "true": True, "false": False}


class Flags:
    """The flags that one instruction was given."""

    def __init__(self, given: Mapping[str, str | list[str] | bool]) -> None:
        self._given = given

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._given.get(name)
        return tuple(value) if isinstance(value, list) else ()

    def switch(self, name: str) -> bool | None:
        """None when the flag is not given."""
        value = self._given.get(name)
        return value if isinstance(value, bool) else None


def parse_flags(given: Sequence[str], known: Mapping[str, str]) -> Flags:
    """Read the flags by their kinds. Raises InvalidValue in BuildKit's words."""
    found: dict[str, str | list[str] | bool] = {}
    for word in given:
        flag, equals, value = word.partition("=")
        name = flag[2:]
        kind = known.get(name)
        if kind is None:
            raise InvalidValue(f"unknown flag: {flag}{did_you_mean(name, known)}", value=word)
        if name in found and kind != TEXTS:
            raise InvalidValue(f"duplicate flag specified: {flag}", value=word)
        if equals and not value if kind == SWITCH else not equals:
            raise InvalidValue(f"missing a value on flag: {flag}", value=word)
        if kind == TEXT:
            found[name] = value
        elif kind == TEXTS:
            values = found.setdefault(name, [])
            assert isinstance(values, list)
            values.append(value)
        else:
            found[name] = _switch(flag, value)
    return Flags(found)


def _switch(flag: str, value: str) -> bool:
    try:
        return _SWITCH_VALUES[value.lower()]
    except KeyError:
        raise InvalidValue(
            f"expecting boolean value for flag {flag}, not: {value}", value=value
        ) from None
