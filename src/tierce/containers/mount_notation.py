"""The notation of --mount: fields of CSV, as `type=volume,source=data,target=/data,readonly`."""

from __future__ import annotations

from tierce.containers.request import HostPath, MemoryMount, VolumeMount
from tierce.containers.volumes import (
    PROPAGATION,
    host_path,
    target_path,
    tmpfs_options,
)
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_SWITCHES = frozenset({"readonly", "volume-nocopy", "bind-create-src"})
_REPEATED = frozenset({"volume-label", "volume-opt"})
_KNOWN = _SWITCHES | _REPEATED | {
    *("type", "source", "target", "consistency", "bind-propagation", "bind-recursive"),
    *("volume-subpath", "volume-driver", "tmpfs-size", "tmpfs-mode"),
}  # fmt: skip
_TYPES = ("bind", "volume", "tmpfs")
_RECURSION = ("enabled", "disabled", "writable", "readonly")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_mount(text: str) -> HostPath | VolumeMount | MemoryMount:
    """What a --mount asks for. Raises UsageError."""
    try:
        fields = _Fields(text)
        return _mount(fields, text)
    except UsageError as error:
        if error.message.startswith("mount "):
            raise
        complaint = f"invalid argument '{text}' for '--mount' flag: {error.message}"
        raise UsageError(complaint, hint=error.hint) from None


class _Fields:
    """The fields, by their full names; those that may come several times as lists."""

    def __init__(self, text: str) -> None:
        self.one: dict[str, str] = {}
        self.several: dict[str, list[str]] = {name: [] for name in _REPEATED}
        for key, value in _split(text):
            if key in _REPEATED:
                self.several[key].append(value)
            else:
                self.one[key] = value

    def text(self, key: str) -> str:
        return self.one.get(key, "")

    def switch(self, key: str) -> bool:
        return self.one.get(key, "false") in {"1", "true"}

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        found = (text.partition("=")[::2] for text in self.several[key])
        return tuple((name, value) for name, value in found if name)

    def given(self, prefix: str) -> bool:
        names = [*self.one, *(name for name, values in self.several.items() if values)]
        return any(name.startswith(prefix) for name in names)


def _split(text: str) -> Iterator[tuple[str, str]]:
    import csv  # 2 ms, for a flag that few give

    fields = next(csv.reader([text.strip()]), [])
    if not fields:
        raise UsageError("value is empty")
    for field in fields:
        name, equals, value = field.partition("=")
        if name.strip() != name:
            raise UsageError(
                f"invalid option '{name.strip()}' in '{field}': option should not have whitespace"
            )
        key = _SAME.get(name.lower(), name.lower())
        if equals and not value.strip():
            raise UsageError(f"invalid value for '{name}': value is empty")
        if value.strip() != value:
            raise UsageError(
                f"invalid value for '{name}' in '{field}': value should not have whitespace"
            )
        if key == "bind-nonrecursive":
            raise UsageError("bind-nonrecursive is deprecated, use bind-recursive=disabled instead")
        if not equals and key not in _SWITCHES:
            raise UsageError(f"invalid field '{field}' must be a key=value pair")
        if key not in _KNOWN:
            raise UsageError(f"unknown option '{name}' in '{field}'")
        if key in _SWITCHES and equals and value not in {"1", "true", "0", "false"}:
            raise UsageError(
                f"invalid value for '{name}': invalid boolean value (\"{value}\"): must be one of "
                '"true", "1", "false", or "0" (default "true")'
            )
        yield key, value if equals else "true"


def _mount(fields: _Fields, text: str) -> HostPath | VolumeMount | MemoryMount:
    kind = fields.text("type").lower() if "type" in fields.one else "volume"
    if kind not in _TYPES:
        raise UsageError(f"mount {text}: type {kind} is not supported", hint="use bind or volume")
    for other in _TYPES:
        if other != kind and fields.given(f"{other}-"):
            raise UsageError(f"cannot mix '{other}-*' options with mount type '{kind}'")
    if not fields.text("target"):
        raise UsageError("target is required")
    target = target_path(fields.text("target"), text)
    if kind == "bind":
        return _bind(fields, target, text)
    if kind == "tmpfs":
        return _tmpfs(fields, target)
    driver = fields.text("volume-driver") or "local"
    if driver != "local":
        raise UsageError(f"mount {text}: no volume driver {driver}, there is only local")
    name = fields.text("source")
    subpath = fields.text("volume-subpath")
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise UsageError(f"invalid volume subpath: {subpath}: it leads out of the volume")
    if subpath and not name:
        raise UsageError("must not set Subpath when using anonymous volumes")
    return VolumeMount(
        name,
        target,
        read_only=fields.switch("readonly"),
        copy=not fields.switch("volume-nocopy"),
        subpath=subpath,
        labels=fields.pairs("volume-label"),
        options=fields.pairs("volume-opt"),
    )


def _bind(fields: _Fields, target: str, text: str) -> HostPath:
    source = fields.text("source")
    if not source:
        raise UsageError("source is required for a mount of type bind")
    read_only = fields.switch("readonly")
    propagation = fields.text("bind-propagation").lower()
    if propagation and propagation not in PROPAGATION:
        raise UsageError(f"mount {text}: bind-propagation {propagation} is unknown")
    recursion = fields.text("bind-recursive") or "enabled"
    if recursion not in _RECURSION:
        raise UsageError(
            f"invalid value for bind-recursive: {recursion} "
            '(must be "enabled", "disabled", "writable", or "readonly")'
        )
    if recursion in {"writable", "readonly"} and not read_only:
        raise UsageError(
            f"option 'bind-recursive={recursion}' requires 'readonly' to be specified in "
            "conjunction"
        )
    if recursion == "readonly" and propagation != "rprivate":
        raise UsageError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
            "specified in conjunction"
        )
    options: tuple[str, ...] = (propagation,) if propagation else ()
    if recursion == "readonly":
        options += ("rro",)
    return HostPath(
        host_path(source),
        target,
        read_only,
        create=fields.switch("bind-create-src"),
        options=options,
        recursive=recursion != "disabled",
    )


def _tmpfs(fields: _Fields, target: str) -> MemoryMount:
    if fields.text("source"):
        raise UsageError("a mount of type tmpfs has no source")
    options = ["ro"] if fields.switch("readonly") else []
    if mode := fields.text("tmpfs-mode"):
        if not mode or mode.strip("01234567"):
            raise UsageError(f"invalid value for tmpfs-mode: {mode}")
        options.append(f"mode={int(mode, 8):o}")
    if size := fields.text("tmpfs-size"):
        options.append(f"size={_bytes(size)}")
    return MemoryMount(target, tmpfs_options(options))


def _bytes(text: str) -> int:
    """A size as docker reads it: `64m`, `1.5g`, `100KiB`, by powers of two. Raises UsageError."""
    number = text.rstrip("bBiIkKmMgGtTpP ")
    unit = text[len(number) :].strip().lower().removesuffix("ib")
    unit = unit if unit in _UNITS else unit.removesuffix("b")
    try:
        found = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        found = -1.0
    if not 0 <= found < 1 << 63:
        raise UsageError(f"invalid value for tmpfs-size: {text}")
    return int(found)
