"""Reading JSON documents that may be hostile, and writing them as Go does.

Every reader of a foreign manifest or config goes through `Fields`, so that a wrong type is an
InvalidValue that names the field, never an AttributeError. As Go's decoder does, null counts as
absent, unknown fields are ignored, and text that is not Unicode gets U+FFFD.
"""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.lean import json

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_INT64 = 1 << 63


class Fields:
    """One JSON object; `where` names it in errors ("image config: history[2]")."""

    __slots__ = ("_members", "where")

    def __init__(self, members: Any, where: str) -> None:
        if not isinstance(members, dict):
            raise InvalidValue(f"parse {where}: expected an object, not {_kind(members)}")
        self._members: dict[str, Any] = members
        self.where = where

    def __contains__(self, name: str) -> bool:
        return self._members.get(name) is not None

    def names(self) -> tuple[str, ...]:
        """The names of all members, sorted."""
        return tuple(sorted(self._members))

    def text(self, name: str, default: str = "") -> str:
        """A string; `default` if absent."""
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self._refuse(name, "a string", value)
        return _unicode(value)

    def integer(self, name: str, default: int = 0) -> int:
        """A 64-bit integer; `default` if absent."""
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self._refuse(name, "an integer", value)
        if not -_INT64 <= value < _INT64:
            self._refuse(name, "a 64-bit integer", value)
        return value

    def flag(self, name: str) -> bool:
        """A boolean; False if absent."""
        value = self._members.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            self._refuse(name, "true or false", value)
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; None if absent."""
        values = self._members.get(name)
        if values is None:
            return None
        if not isinstance(values, list):
            self._refuse(name, "a list of strings", values)
        for value in values:
            if not isinstance(value, str):
                self._refuse(name, "a list of strings", value)
        return tuple([_unicode(value) for value in values])

    def text_map(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object whose values are strings, as sorted pairs; empty if absent."""
        values = self._members.get(name)
        if values is None:
            return ()
        if not isinstance(values, dict):
            self._refuse(name, "an object of strings", values)
        for value in values.values():
            # Go decodes null into the zero value.
            if value is not None and not isinstance(value, str):
                self._refuse(name, "an object of strings", value)
        return tuple(sorted((_unicode(key), _unicode(values[key] or "")) for key in values))

    def keys(self, name: str) -> tuple[str, ...]:
        """The sorted keys of an object that stands for a set; empty if absent."""
        values = self._members.get(name)
        if values is None:
            return ()
        if not isinstance(values, dict):
            self._refuse(name, "an object", values)
        return tuple(sorted(_unicode(key) for key in values))

    def object(self, name: str) -> Fields | None:
        """A nested object; None if absent."""
        value = self._members.get(name)
        return None if value is None else Fields(value, f"{self.where}: {name}")

    def objects(self, name: str) -> Iterator[Fields]:
        """A list of objects; empty if absent. A null among them is an empty object."""
        values = self._members.get(name)
        if values is None:
            return
        if not isinstance(values, list):
            self._refuse(name, "a list", values)
        for place, value in enumerate(values):
            yield Fields({} if value is None else value, f"{self.where}: {name}[{place}]")

    def _refuse(self, name: str, expected: str, value: Any) -> NoReturn:
        raise InvalidValue(f"parse {self.where}: {name}: expected {expected}, not {_kind(value)}")


def load(raw: bytes, where: str, *, size_limit: int) -> Any:
    """Decode a JSON document of at most `size_limit` bytes; `where` names it in errors.

    Raises InvalidValue for everything else: no JSON, too large, too deeply nested, NaN.
    """
    if len(raw) > size_limit:
        raise InvalidValue(f"parse {where}: {len(raw)} bytes, more than {size_limit}")
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidValue(f"parse {where}: nested too deeply") from None
    except ValueError as error:
        # JSONDecodeError, an integer of thousands of digits, NaN: all are ValueErrors.
        raise InvalidValue(f"parse {where}: not valid JSON: {error}") from None


def load_object(raw: bytes, where: str, *, size_limit: int) -> Fields:
    """`load`, for a document that must be an object."""
    return Fields(load(raw, where, size_limit=size_limit), where)


def dump(document: Any, *, indent: int | None = None) -> bytes:
    """Encode as Go's `json.Marshal`, or `json.MarshalIndent` with `indent` spaces, would.

    The order of the members is the caller's. Go leaves non-ASCII text alone but escapes what
    could end a script element in HTML.
    """
    if indent is None:
        text = json.dumps(document, ascii_only=False, allow_nan=False, separators=(",", ":"))
    else:
        text = _indented(document, indent)
    for character in "<>&\u2028\u2029":
        if character in text:
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _indented(document: Any, indent: int) -> str:
    import json  # 4 ms, for what is made for people to read

    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)


def _unicode(text: str) -> str:
    """Text that UTF-8 can encode: a lone surrogate (an unpaired \\ud800) becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "an object"
