"""Frozen values: the base of every small, immutable record in tierce.

Also `NamedTuple` and `Protocol` as `typing` has them, without what importing that costs.

`dataclasses` would do the same, but importing it and making a class costs about 0.7 ms a class
and 16 ms for `inspect`, on each start of a command that should take 60 ms in all. `Value` makes
a class in 0.1 ms: `__slots__` from the annotations, construction by position or by name,
equality, hash and repr over the fields, and no assignment afterwards.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself takes 9 ms to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, ClassVar, NamedTuple, Protocol, Self, dataclass_transform
else:

    class Protocol:
        """What other classes look like; nothing here asks it whether they do."""

    class _NamedTupleType(type):
        """Turns the annotations of a class body into a named tuple, methods and all."""

        def __new__(mcs, name, bases, body):
            from collections import namedtuple  # 2 ms, for those who need one

            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            kind = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            for attribute, value in body.items():
                setattr(kind, attribute, value)
            return kind

    NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {})

    def dataclass_transform(**_options):
        return lambda kind: kind


__all__ = ["NamedTuple", "Protocol", "Value"]


@dataclass_transform(frozen_default=True)
class _ValueType(type):
    """Turns the annotations of a class body into slots."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _ValueType:
        inherited: tuple[str, ...] = ()
        defaults: dict[str, Any] = {}
        for base in bases:
            inherited += getattr(base, "_fields", ())
            defaults |= getattr(base, "_defaults", {})
        own = tuple(
            field
            for field, annotation in body.get("__annotations__", {}).items()
            if not str(annotation).startswith(("ClassVar", "typing.ClassVar"))
        )
        defaults |= {field: body.pop(field) for field in own if field in body}
        body["__slots__"] = own
        body["_fields"] = inherited + own
        body["_defaults"] = defaults
        return super().__new__(mcs, name, bases, body)


class Value(metaclass=_ValueType):
    """An immutable record; subclasses only annotate their fields.

    Fields need hashable values where the record itself is hashed. `__post_init__` may check
    the fields and raise; it cannot change them.
    """

    _fields: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        fields = self._fields
        if len(arguments) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} fields")
        put = object.__setattr__
        for field, value in zip(fields, arguments):
            put(self, field, value)
        for field in fields[len(arguments) :]:
            if field in named:
                put(self, field, named.pop(field))
            elif field in self._defaults:
                put(self, field, self._defaults[field])
            else:
                raise TypeError(f"{type(self).__name__} needs {field}")
        if named:
            raise TypeError(f"{type(self).__name__} has no {', '.join(named)}, or got it twice")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the fields; nothing by default."""

    def replace(self, **changes: Any) -> Self:
        """The same record with other values in some fields."""
        return type(self)(**{field: getattr(self, field) for field in self._fields} | changes)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._astuple() == other._astuple()

    def __hash__(self) -> int:
        return hash((type(self), self._astuple()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), self._astuple())

    def _astuple(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in self._fields])
