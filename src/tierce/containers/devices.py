"""Devices of the host that a container is given: --device."""

from __future__ import annotations

import os
import stat

from tierce.errors import ContainerError, UsageError
from tierce.runtime.particulars import DeviceNode

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
_MOST = 10_000
"""Devices in a directory and those below it."""


def find_all(
    wanted: Iterable[tuple[str, str, str]],
) -> tuple[tuple[DeviceNode, ...], tuple[str, ...]]:
    """The nodes to make, and the rules to open them, for sources, targets and access.

    Raises ContainerError.
    """
    nodes: dict[str, DeviceNode] = {}
    rules: list[str] = []
    for source, target, access in wanted:
        for node in find(source, target, access):
            nodes[node.path] = node
            rules.append(f"{node.kind} {node.major}:{node.minor} {access}")
    return tuple(nodes.values()), tuple(dict.fromkeys(rules))


def find(source: str, target: str, access: str) -> list[DeviceNode]:
    """The device at a path of the host, or all that are in a directory, with their new paths.

    Links in the source are followed. Raises ContainerError.
    """
    real = os.path.realpath(source)
    try:
        status = os.stat(real)
    except OSError as error:
        raise _failure(source, "no such file or directory") from error
    if stat.S_ISDIR(status.st_mode):
        found = list(_below(real, target.rstrip("/")))
        if len(found) > _MOST:
            raise _failure(source, f"more than {_MOST} devices")
        if not found:
            raise _failure(source, "there are no devices in it")
        return found
    node = _node(status, target, real)
    if node is None:
        raise _failure(source, "not a device node")
    return [node]


def _below(directory: str, target: str) -> Iterator[DeviceNode]:
    """Devices in a directory; what is none, or may not be looked at, is left out, as in docker."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"}:
                yield from _below(entry.path, path)
        elif entry.name != "console":
            node = _node(entry.stat(follow_symlinks=False), path, entry.path)
            if node is not None:
                yield node


def _node(status: os.stat_result, path: str, source: str) -> DeviceNode | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    return DeviceNode(
        path,
        kind,
        os.major(status.st_rdev),
        os.minor(status.st_rdev),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        source,
    )


def number_of(path: str) -> tuple[int, int]:
    """The numbers of a block device that is to be limited. Raises UsageError."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"stat {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError(f"limit device {path}: not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _failure(source: str, reason: str) -> ContainerError:
    return ContainerError(
        f'error gathering device information while adding custom device "{source}": {reason}'
    )
