"""The notations of --volume, --tmpfs and --volumes-from; that of --mount is in `mount_notation`."""

from __future__ import annotations

import os

from tierce.containers.request import HostPath, MemoryMount, VolumeMount
from tierce.errors import UsageError

PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_COPYING = "nocopy"
_IGNORED = ("z", "Z", "consistent", "cached", "delegated", "rw")
"""SELinux labels (we set none), and what matters only on a Mac."""

_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev", "rprivate")
_TMPFS_FLAGS = (
    *("ro", "suid", "dev", "exec", "sync", "dirsync", "async", "noatime", "nodiratime"),
    *("relatime", "norelatime", "strictatime", "nostrictatime", "atime", "diratime", "rw"),
)
_TMPFS_DATA = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
_NEGATED = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro", "async": "sync"} | {
    name: f"no{name}" for name in ("atime", "diratime", "relatime", "strictatime")
}


def parse_volume(text: str) -> HostPath | VolumeMount:
    """`source:target[:options]`: a path of the host, or the name of a volume; or a target alone.

    Raises UsageError.
    """
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise _invalid(text)
    if len(parts) == 1:
        return VolumeMount("", target_path(text, text))
    source, target, *rest = parts
    if not target or (len(parts) == 2 and not target.startswith("/") and _is_mode(target)):
        raise _invalid(text)
    host = source.startswith(("/", ".", "~"))
    read_only, copy = False, True
    propagation: list[str] = []
    for option in rest[0].split(",") if rest and rest[0] else ():
        if option == "ro":
            read_only = True
        elif option in PROPAGATION and host:
            propagation.append(option)
        elif option == _COPYING and not host:
            copy = False
        elif option not in _IGNORED:
            raise UsageError(f"invalid volume specification: '{text}': unknown mode: {option}")
    if host:
        return HostPath(
            host_path(source),
            target_path(target, text),
            read_only,
            create=True,
            options=tuple(propagation),
        )
    return VolumeMount(source, target_path(target, text), read_only=read_only, copy=copy)


def parse_tmpfs(text: str) -> MemoryMount:
    """`target[:options]`, with the options of mount(8). Raises UsageError."""
    target, _, options = text.partition(":")
    return MemoryMount(target_path(target, text), tmpfs_options(options.split(",")))


def tmpfs_options(given: list[str]) -> tuple[str, ...]:
    """Options for a tmpfs, after those that it has by default; of each, the last one counts.

    Raises UsageError for what a tmpfs cannot have.
    """
    chosen: dict[str, str] = {}
    for option in [*_TMPFS_DEFAULTS, *given]:
        name = option.partition("=")[0]
        if option in {"", "defaults"}:
            continue
        if name in _TMPFS_DATA and "=" in option:
            key = name
        elif option in PROPAGATION:
            key = "propagation"
        elif option in _TMPFS_DEFAULTS or option in _TMPFS_FLAGS or option in _NEGATED.values():
            key = _NEGATED.get(option, option)
        else:
            raise UsageError(f'invalid tmpfs option "{name}"')
        chosen.pop(key, None)
        chosen[key] = option
    return tuple(option for option in chosen.values() if option not in _NEGATED)


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """`container[:ro|rw]`: whose mounts to take, and whether only to be read. Raises UsageError."""
    container, _, mode = text.partition(":")
    if not container:
        raise UsageError("volumes-from specification cannot be an empty string")
    if any(option not in {"ro", "rw", "z", "Z"} for option in mode.split(",") if mode):
        raise UsageError(f"invalid volumes-from: {text}: invalid mode: {mode}")
    return container, "ro" in mode.split(",")


def host_path(path: str) -> str:
    """A path of the host as it was meant."""
    return os.path.abspath(os.path.expanduser(path))


def target_path(path: str, text: str) -> str:
    """A path in a container; `text` is what it was given with. Raises UsageError."""
    if not path.startswith("/"):
        raise UsageError(f"mount {text}: the path in the container must be absolute, not '{path}'")
    target = os.path.normpath(path)
    if target.strip("/") == "":
        raise UsageError(f"mount {text}: the path in the container must not be '/'")
    return "/" + target.lstrip("/")


def _is_mode(text: str) -> bool:
    modes = {"ro", _COPYING, *_IGNORED, *PROPAGATION}
    return all(option in modes for option in text.split(","))


def _invalid(text: str) -> UsageError:
    return UsageError(
        f"invalid volume specification: '{text}'", hint="write it as source:target[:options]"
    )
