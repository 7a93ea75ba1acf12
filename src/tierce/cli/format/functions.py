"""The functions of templates: those of Go's text/template, and those that docker adds."""

from __future__ import annotations

from tierce.cli.format.gojson import encode
from tierce.cli.format.printf import format_values
from tierce.cli.format.printing import (
    print_all,
    print_line,
    shown,
)
from tierce.cli.format.values import (
    MISSING,
    NilPointer,
    StringMap,
    Struct,
    is_nil,
    is_true,
    type_name,
)
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HTML = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
JAVASCRIPT = str.maketrans(
    {
        **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
        **{mark: f"\\u{ord(mark):04X}" for mark in "<>&="},
        "\\": r"\\",
        "'": r"\'",
        '"': r"\"",
    }
)
URL_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


class CallError(Exception):
    """Why a function has no result."""


class Function(Value):
    """`parameters` are the kinds of the arguments: "string", "int" or "any". When it is
    variadic, any number of further ones may follow.
    """

    call: Callable[..., object]
    parameters: tuple[str, ...]
    variadic: bool = False

    def kind_of(self, position: int) -> str:
        return self.parameters[position] if position < len(self.parameters) else "any"


def index(item: object, *keys: object) -> object:
    """`index x 1 "a"` is x[1]["a"]; a map gives the zero of its values for an unknown key."""
    if item is MISSING or item is None:
        raise CallError("index of untyped nil")
    for key in keys:
        if item is None or isinstance(item, NilPointer):
            raise CallError("index of nil pointer")
        if isinstance(item, list | tuple):
            item = element(item, key, "slice")
        elif isinstance(item, str):
            item = element(item.encode("utf-8", "surrogateescape"), key, "string")
        elif isinstance(item, dict):
            if key is None or key is MISSING:
                raise CallError("value is nil; should be of type string")
            if not isinstance(key, str):
                raise CallError(f"value has type {type_name(key)}; should be string")
            item = item.get(key, "" if isinstance(item, StringMap) else None)
        else:
            raise CallError(f"can't index item of type {type_name(item)}")
    return item


def element(items: Sequence[object], key: object, what: str) -> object:
    number = position(key, len(items))
    if number == len(items):
        raise CallError(f"reflect: {what} index out of range")
    return items[number]


def position(key: object, last: int) -> int:
    """A key that is a position up to the last one."""
    if key is None or key is MISSING:
        raise CallError("cannot index slice/array with nil")
    if isinstance(key, bool) or not isinstance(key, int):
        raise CallError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= last:
        raise CallError(f"index out of range: {key}")
    return key


def slice_of(item: object, *bounds: object) -> object:
    """`slice x 1 3` is x[1:3], of a list or of the bytes of a string."""
    if item is MISSING or item is None:
        raise CallError("slice of untyped nil")
    if len(bounds) > 3:
        raise CallError(f"too many slice indexes: {len(bounds)}")
    whole: bytes | list[object]
    if isinstance(item, str):
        if len(bounds) == 3:
            raise CallError("cannot 3-index slice a string")
        whole = item.encode("utf-8", "surrogateescape")
    elif isinstance(item, list | tuple):
        whole = list(item)
    else:
        raise CallError(f"can't slice item of type {type_name(item)}")
    limits = [0, len(whole), len(whole)]
    for number, bound in enumerate(bounds):
        limits[number] = position(bound, len(whole))
    for low, high in ((0, 1), (1, 2)):
        if limits[low] > limits[high]:
            raise CallError(f"invalid slice index: {limits[low]} > {limits[high]}")
    part = whole[limits[0] : limits[1]]
    return part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part


def length(item: object) -> int:
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogateescape"))
    if isinstance(item, list | tuple | dict):
        return len(item)
    if item is None or isinstance(item, NilPointer):
        raise CallError("len of nil pointer")
    if item is MISSING:
        raise CallError("reflect: call of reflect.Value.Type on zero Value")
    raise CallError(f"len of type {type_name(item)}")


# Comparison


def basic_kind(value: object) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, kind):
            return name
    return ""


def equal(first: object, *others: object) -> bool:
    """Whether the first equals any of the others."""
    if not others:
        raise CallError("missing argument for comparison")
    return any(equal_pair(first, other) for other in others)


def equal_pair(left: object, right: object) -> bool:
    kinds = basic_kind(left), basic_kind(right)
    if kinds[0] != kinds[1]:
        if left is not MISSING and right is not MISSING and left is not None and right is not None:
            raise CallError("incompatible types for comparison")
        return False
    if kinds[0]:
        return left == right
    if is_nil(left) or is_nil(right):
        return is_nil(left) == is_nil(right)
    if isinstance(left, Struct) and isinstance(right, Struct):
        return left is right
    raise CallError(f"non-comparable type {shown(right)}: {type_name(right)}")


def less(left: object, right: object) -> bool:
    kinds = basic_kind(left), basic_kind(right)
    if "" in kinds:
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError("incompatible types for comparison")
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, bool) or not isinstance(left, int | float):
        raise CallError("invalid type for comparison")
    assert isinstance(right, int | float)
    return left < right


def less_or_equal(left: object, right: object) -> bool:
    return less(left, right) or equal(left, right)


# Text


def printable(values: tuple[object, ...]) -> str:
    """The text of the arguments of an escaping function."""
    nothing = str(MISSING)
    return print_all([nothing if value is None or value is MISSING else value for value in values])


def found(values: tuple[object, ...]) -> list[object]:
    """The arguments of a printing function: for those, no value is nil."""
    return [None if value is MISSING else value for value in values]


def query_escape(*values: object) -> str:
    data = printable(values).encode("utf-8", "surrogateescape")
    return "".join(
        chr(byte) if chr(byte) in URL_SAFE else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in data
    )


def javascript(*values: object) -> str:
    text = printable(values).translate(JAVASCRIPT)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text)


def json(value: object) -> str:
    return encode(value)


def split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def join(items: object, separator: str) -> str:
    if items is None or items is MISSING:
        return ""
    if isinstance(items, dict):
        return separator.join(sorted(map(shown, items.values())))
    if isinstance(items, list | tuple):
        return separator.join(map(shown, items))
    raise CallError(f"expected slice, got {type_name(items)}")


def title(text: str) -> str:
    """The first letter of each word as a capital; the others stay as they are."""
    letters = []
    inside = False
    for letter in text:
        letters.append(letter if inside else letter.upper() if len(letter.upper()) == 1 else letter)
        inside = letter == "_" or letter.isalnum() or not (letter.isascii() or letter.isspace())
    return "".join(letters)


def pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else ""


def truncate(text: str, size: int) -> str:
    """No more than so many bytes of the text."""
    data = text.encode("utf-8", "surrogateescape")
    if size < 0:
        raise CallError(f"runtime error: slice bounds out of range [:{size}]")
    return data[:size].decode("utf-8", "surrogateescape")


def unreachable(*_values: object) -> object:
    """`and` and `or` evaluate their own arguments."""
    raise AssertionError


def has_no_functions(value: object, *_values: object) -> object:
    """`call`: nothing that templates are given is a function."""
    if value is None or value is MISSING:
        raise CallError("call of nil")
    raise CallError(f"non-function of type {type_name(value)}")


BUILTINS = {
    "and": Function(unreachable, ("any",), variadic=True),
    "call": Function(has_no_functions, ("any",), variadic=True),
    "eq": Function(equal, ("any",), variadic=True),
    "ge": Function(lambda left, right: not less(left, right), ("any", "any")),
    "gt": Function(lambda left, right: not less_or_equal(left, right), ("any", "any")),
    "html": Function(lambda *values: printable(values).translate(HTML), (), variadic=True),
    "index": Function(index, ("any",), variadic=True),
    "js": Function(javascript, (), variadic=True),
    "le": Function(less_or_equal, ("any", "any")),
    "len": Function(length, ("any",)),
    "lt": Function(less, ("any", "any")),
    "ne": Function(lambda left, right: not equal(left, right), ("any", "any")),
    "not": Function(lambda value: not is_true(value), ("any",)),
    "or": Function(unreachable, ("any",), variadic=True),
    "print": Function(lambda *values: print_all(found(values)), (), variadic=True),
    "printf": Function(
        lambda form, *values: format_values(form, found(values)), ("string",), variadic=True
    ),
    "println": Function(lambda *values: print_line(found(values)), (), variadic=True),
    "slice": Function(slice_of, ("any",), variadic=True),
    "urlquery": Function(query_escape, (), variadic=True),
}

DOCKER = {
    "join": Function(join, ("any", "string")),
    "json": Function(json, ("any",)),
    "lower": Function(lambda text: text.lower(), ("string",)),
    "pad": Function(pad, ("string", "int", "int")),
    "split": Function(split, ("string", "string")),
    "title": Function(title, ("string",)),
    "truncate": Function(truncate, ("string", "int")),
    "upper": Function(lambda text: text.upper(), ("string",)),
}

FUNCTIONS = BUILTINS | DOCKER

# In the headline of a table the fields are its headers, which stay as they are.
HEADER_FUNCTIONS = FUNCTIONS | {
    "join": Function(lambda header, _separator: header, ("string", "string")),
    "json": Function(lambda header: header, ("string",)),
    "lower": Function(lambda header: header, ("string",)),
    "split": Function(lambda header, _separator: header, ("string", "string")),
    "title": Function(lambda header: header, ("string",)),
    "truncate": Function(lambda header, _size: header, ("string", "int")),
    "upper": Function(lambda header: header, ("string",)),
}
