"""`RUN --mount=type=cache,target=/root/.cache,sharing=locked`."""

from __future__ import annotations

from tierce.dockerfile.gotext import parse_bool
from tierce.dockerfile.suggest import did_you_mean
from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
_KEYS = (
    "type from source target readonly id sharing required size mode uid gid"
    " src dst destination ro rw readwrite env".split()
)
_SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_32_BITS = 1 << 32


class MountSpec(Value):
    """What a mount says; None and "" stand for what was not said.

    `source_from` is its `from`: a stage or an image. `id` and `sharing` are of caches, secrets
    and ssh; `size` (bytes) of tmpfs; `env` and `required` of secrets.
    """

    type: str = "bind"
    source_from: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = ""
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None


def mount_from(text: str) -> str:
    """The `from` of a mount, for what has to be known before variables are. Raises InvalidValue.

    A variable in it is refused: which stages are built must not depend on what they build.
    """
    if not text:
        raise InvalidValue("failed to parse csv mounts: EOF")
    found = ""
    for field in split_fields(text):
        key, _, value = field.partition("=")
        if key.lower() != "from":
            continue
        if "$" in value[:-1]:
            raise InvalidValue(
                f"'{key.lower()}' doesn't support variable expansion, define alias stage instead",
                value=value,
            )
        found = value
    return found


def parse_mount(text: str, expand: Callable[[str], str]) -> MountSpec:
    """Read a mount, its values expanded. Raises InvalidValue in BuildKit's words."""
    reader = _Reader()
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if equals:
            reader.read(key, expand(value), field)
        else:
            reader.read_bare(key, field)
    return reader.finish()


class _Reader:
    """Takes the fields of a mount in their order; what is allowed depends on the type so far."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._read_only: bool | None = None

    @property
    def _type(self) -> str:
        return str(self._fields.get("type", "bind"))

    def read_bare(self, key: str, field: str) -> None:
        if key in ("readonly", "ro"):
            self._read_only = True
        elif key in ("readwrite", "rw"):
            self._read_only = False
        elif key == "required":
            self._require_type(key, "secret", "ssh")
            self._fields["required"] = True
        else:
            raise InvalidValue(f"invalid field '{field}' must be a key=value pair", value=field)

    def read(self, key: str, value: str, field: str) -> None:
        if key == "type":
            self._fields["type"] = _choice("unsupported mount type", value, TYPES)
        elif key == "from":
            self._fields["source_from"] = value
        elif key in ("source", "src"):
            self._fields["source"] = value
        elif key in ("target", "dst", "destination"):
            self._fields["target"] = value
        elif key in ("readonly", "ro"):
            self._read_only = _boolean(key, value)
        elif key in ("readwrite", "rw"):
            self._read_only = not _boolean(key, value)
        elif key == "required":
            self._require_type(key, "secret", "ssh")
            self._fields["required"] = _boolean(key, value)
        elif key == "size":
            self._require_type(key, "tmpfs")
            self._fields["size"] = _size(key, value)
        elif key == "sharing":
            self._fields["sharing"] = _choice("unsupported sharing value", value, SHARINGS)
        elif key in ("id", "env"):
            self._fields[key] = value
        elif key in ("mode", "uid", "gid"):
            self._fields[key] = _number(key, value, 8 if key == "mode" else 10)
        else:
            raise InvalidValue(
                f"unexpected key '{key}' in '{field}'{did_you_mean(key, _KEYS)}", value=field
            )

    def _require_type(self, key: str, *types: str) -> None:
        if self._type not in types:
            raise InvalidValue(f"unexpected key '{key}' for mount type '{self._type}'", value=key)

    def finish(self) -> MountSpec:
        """Check what the fields say together."""
        kind = self._type
        if kind not in ("secret", "ssh", "cache"):
            for key in ("mode", "uid", "gid"):
                if key in self._fields:
                    raise InvalidValue(f'{key} not allowed for "{kind}" type mounts', value=key)
        read_only = self._read_only
        if read_only is None:
            read_only = kind not in ("cache", "tmpfs")
        if kind == "secret":
            self._check_secret()
        if "sharing" in self._fields and kind != "cache":
            raise InvalidValue(f"invalid cache sharing set for {kind} mount")
        return MountSpec(**self._fields, read_only=read_only)

    def _check_secret(self) -> None:
        fields = self._fields
        if fields.get("source_from"):
            raise InvalidValue("secret mount should not have a from")
        if "sharing" in fields:
            raise InvalidValue("secret mount should not define sharing")
        if not (fields.get("source") or fields.get("target") or fields.get("id")):
            raise InvalidValue("invalid secret mount. one of source, target required")
        if fields.get("source") and fields.get("id"):
            raise InvalidValue("both source and id can't be set")


def split_fields(text: str) -> list[str]:
    """One line of comma-separated values (RFC 4180: quoted fields, `""` for a quote).

    Raises InvalidValue.
    """
    fields: list[str] = []
    position = 0
    while True:
        if text[position : position + 1] == '"':
            field, position = _quoted_field(text, position + 1)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field, position = text[position:end], end
            if '"' in field:
                raise InvalidValue('failed to parse csv mounts: bare " in non-quoted field')
        fields.append(field)
        if position >= len(text):
            return fields
        position += 1  # the comma


def _quoted_field(text: str, position: int) -> tuple[str, int]:
    """The field behind an opening quote, and where it ends."""
    parts: list[str] = []
    while True:
        end = text.find('"', position)
        if end < 0:
            break
        parts.append(text[position:end])
        position = end + 1
        following = text[position : position + 1]
        if following in (",", ""):
            return "".join(parts), position
        if following != '"':
            break
        parts.append('"')
        position += 1
    raise InvalidValue('failed to parse csv mounts: extraneous or missing " in quoted-field')


def _choice(what: str, value: str, choices: tuple[str, ...]) -> str:
    if value.lower() in choices:
        return value.lower()
    raise InvalidValue(f'{what} "{value}"{did_you_mean(value, choices)}', value=value)


def _boolean(key: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except InvalidValue:
        raise InvalidValue(f"invalid value for {key}: {value}", value=value) from None


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or len(value) > 11 or int(value, base) >= _32_BITS:
        raise InvalidValue(f"invalid value {value} for {key}", value=value)
    return int(value, base)


def _size(key: str, value: str) -> int:
    """Bytes of "100", "64m", "1.5GiB"; units are powers of 1024 whatever their spelling."""
    number = value.rstrip("bBiIkKmMgGtTpP ")
    unit = value[len(number) :].strip().lower().removesuffix("b").removesuffix("i")
    whole, _, fraction = number.partition(".")
    if unit not in _SIZE_UNITS or not whole or (whole + fraction).strip("0123456789"):
        raise InvalidValue(f"invalid value for {key}: {value}", value=value)
    return int(float(number[:20]) * _SIZE_UNITS[unit])
