"""The notations of --volume and --mount."""

from __future__ import annotations

import os

from tierce.containers.request import HostPath
from tierce.errors import UsageError

_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_IGNORED = ("z", "Z", "nocopy", "consistent", "cached", "delegated", "rw")
"""SELinux labels (we set none), and what matters only for volumes or on a Mac."""


def parse_volume(text: str) -> HostPath:
    """`source:target[:options]`, as in `-v /srv/data:/data:ro`. Raises UsageError."""
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not source or not target:
        raise UsageError(
            f"invalid volume specification: '{text}'", hint="write it as source:target"
        )
    if not source.startswith(("/", ".", "~")):
        raise UsageError(
            f"volume {source}: named volumes are not supported",
            hint="give an absolute path of this machine",
        )
    read_only = False
    propagation: list[str] = []
    for option in options.split(",") if options else ():
        if option == "ro":
            read_only = True
        elif option in _PROPAGATION:
            propagation.append(option)
        elif option not in _IGNORED:
            raise UsageError(f"invalid volume specification: '{text}': unknown mode: {option}")
    return HostPath(
        _source(source), _target(target, text), read_only, create=True, options=tuple(propagation)
    )


def parse_mount(text: str) -> HostPath:
    """`type=bind,source=…,target=…[,readonly]`: fields of CSV. Raises UsageError."""
    import csv  # 2 ms, for a rare flag

    fields: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        key, _, value = field.partition("=")
        fields[_FIELDS.get(key.strip().lower(), key)] = value
    kind = fields.pop("type", "volume")
    if kind != "bind":
        raise UsageError(f"mount {text}: type {kind} is not supported", hint="use type=bind")
    source, target = fields.pop("source", ""), fields.pop("target", "")
    if not source or not target:
        raise UsageError(f"invalid argument '{text}' for '--mount' flag: source and target needed")
    read_only = _flag(fields.pop("readonly", "false"), text)
    propagation = fields.pop("bind-propagation", "")
    for ignored in ("consistency", "bind-nonrecursive", "bind-recursive"):
        fields.pop(ignored, None)
    if fields:
        unknown = next(iter(fields))
        raise UsageError(
            f"invalid argument '{text}' for '--mount' flag: unexpected key '{unknown}'"
        )
    if propagation and propagation not in _PROPAGATION:
        raise UsageError(f"mount {text}: bind-propagation {propagation} is unknown")
    options = (propagation,) if propagation else ()
    return HostPath(_source(source), _target(target, text), read_only, options=options)


_FIELDS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}


def _flag(value: str, text: str) -> bool:
    if value.lower() in {"", "1", "true"}:
        return True
    if value.lower() in {"0", "false"}:
        return False
    raise UsageError(f"invalid argument '{text}' for '--mount' flag: invalid value for readonly")


def _source(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _target(path: str, text: str) -> str:
    if not path.startswith("/"):
        raise UsageError(f"mount {text}: the path in the container must be absolute, not '{path}'")
    target = os.path.normpath(path)
    if target.strip("/") == "":
        raise UsageError(f"mount {text}: the path in the container must not be '/'")
    return target
