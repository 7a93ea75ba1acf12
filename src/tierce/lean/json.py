"""JSON as `json` reads and writes it, by the same functions in C.

What is wrong with a text is left for `json` itself to say.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, TextIO

_SPACE = " \t\n\r"
_scanner: Any = _json.make_scanner  # which is typed as if it took one of its own


class _Reading:
    """What the scanner wants to know: as `json.JSONDecoder` has it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, parse_constant: Callable[[str], Any]) -> None:
        self.parse_constant = parse_constant


def loads(text: str | bytes, *, parse_constant: Callable[[str], Any] = float) -> Any:
    """The value of a text, infinities and NaN by `parse_constant`; bytes are UTF-8.

    Raises as `json.loads`.
    """
    if not isinstance(text, str):
        text = text.decode("utf-8", "surrogatepass")
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _scanner(_Reading(parse_constant))(text, start)
    except (StopIteration, SystemError):
        # The scanner has an exception for what is wrong only when `json.decoder` is there already.
        rest = "nothing was found"
    else:
        rest = text[end:].strip(_SPACE)
    if rest:
        import json  # 4 ms, for those who have no JSON

        return json.loads(text, parse_constant=parse_constant)
    return value


def load(file: TextIO | BinaryIO) -> Any:
    """`loads` of all that is in a file."""
    return loads(file.read())


def dumps(
    value: object,
    *,
    separators: tuple[str, str] = (", ", ": "),
    sort_keys: bool = False,
    ascii_only: bool = True,
    allow_nan: bool = True,
) -> str:
    """A value as text in one line; `separators` stand between members, and behind names.

    Raises TypeError for what JSON cannot say, ValueError for what holds itself.
    """
    between, behind = separators
    encode = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
    encoder = _json.make_encoder(
        *({}, _refuse, encode, None, behind, between, sort_keys, False, allow_nan)
    )
    return "".join(encoder(value, 0))


def dump(value: object, file: TextIO) -> None:
    """`dumps` into a file."""
    file.write(dumps(value))


def _refuse(value: object) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
