"""How data looks to a template: Go's types as Python values.

| Go | Python |
|---|---|
| bool, string, int, float64 | bool, str, int, float |
| []T | list or tuple; `NilList()` when it is nil |
| map[string]interface{} | dict |
| map[string]string | StringMap; `NilMap()` when it is nil |
| a struct, or a pointer to one | Struct; NilPointer when it is nil |
| interface{} that is nil | None |
| no value at all, such as what a map has no key for | MISSING |

The nil forms exist because templates and JSON show them: an empty `Cmd` is `[]` and `null`.
"""

from __future__ import annotations

from tierce.errors import TierceError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final


class FormatError(TierceError):
    """A template that does not parse or cannot be executed; the message is Go's."""


class Missing:
    """The type of MISSING."""

    def __repr__(self) -> str:
        return "<no value>"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class StringMap(dict[str, object]):
    """A map whose values are strings: indexing it with an unknown key gives an empty one."""


class NilMap(StringMap):
    """A map that was never made: empty, and `null` in JSON."""


class NilList(list[object]):
    """A slice that was never made: empty, and `null` in JSON."""


class NilPointer:
    """A pointer to no struct."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __bool__(self) -> bool:
        return False


class Struct:
    """A Go struct: named fields in a fixed order.

    `fields` are by their names in JSON; a value may be a function without arguments, which is
    called when somebody asks for it. `aliases` gives the names that fields have in Go, where they
    differ. Those in `omitted` are left out of JSON while they are empty. `escape_html` is for
    structs that docker writes with JSON's `<`, `>` and `&` escaped. `methods` take one text, and
    are not in JSON.
    """

    __slots__ = ("aliases", "escape_html", "fields", "methods", "omitted", "type_name")

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, object],
        *,
        aliases: Mapping[str, str] | None = None,
        omitted: frozenset[str] = frozenset(),
        escape_html: bool = False,
        methods: Mapping[str, Callable[[str], object]] | None = None,
    ) -> None:
        self.type_name = type_name
        self.fields = fields
        self.aliases = aliases or {}
        self.omitted = omitted
        self.escape_html = escape_html
        self.methods = methods or {}

    def __contains__(self, name: str) -> bool:
        return self.aliases.get(name, name) in self.fields

    def __getitem__(self, name: str) -> object:
        value = self.fields[self.aliases.get(name, name)]
        return value() if callable(value) else value

    def visible(self) -> list[tuple[str, object]]:
        """The names and values that JSON has, in order."""
        pairs = [(name, self[name]) for name in self.fields]
        return [(name, value) for name, value in pairs if value or name not in self.omitted]


class Method(Value):
    """A method of a struct by its name, to be called with one text."""

    name: str
    call: Callable[[str], object]


class Headers(dict[str, object]):
    """The headers of a table by the names of fields; a label's is the last part of its name."""

    methods: Mapping[str, Callable[[str], object]] = {
        "Label": lambda name: name.rpartition(".")[2].replace("-", " ").replace("_", " ")
    }


def type_name(value: object) -> str:
    """The Go type of a value, as error messages name it."""
    if isinstance(value, Struct | NilPointer):
        return f"*{value.type_name}"
    if isinstance(value, list | tuple):
        strings = value and all(isinstance(element, str) for element in value)
        return "[]string" if strings else "[]interface {}"
    if isinstance(value, StringMap):
        return "map[string]string"
    for kind, name in SIMPLE_TYPES:
        if isinstance(value, kind):
            return name
    return "interface {}" if value is None else "<nil>" if value is MISSING else "unknown"


SIMPLE_TYPES: tuple[tuple[type, str], ...] = (
    (dict, "map[string]interface {}"),
    (str, "string"),
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
)


def is_nil(value: object) -> bool:
    return value is None or value is MISSING or isinstance(value, NilList | NilMap | NilPointer)


def is_true(value: object) -> bool:
    """Whether `if` takes the value for true: it is not the zero of its type."""
    return isinstance(value, Struct) or bool(value)
