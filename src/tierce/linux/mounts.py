"""Mounting and the table of mounts: mount(2), umount2(2), fsopen(2) and their relatives."""

from __future__ import annotations

import errno
import os

from tierce.linux import libc
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_DIRSYNC = 0x80
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 0x1
FSMOUNT_CLOEXEC = 0x1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6

_PAGE_SIZE = 4096
"""mount(2) copies at most one page of options, and cuts off what is longer without a word."""

_FLAGS: dict[str, tuple[bool, int]] = {
    "bind": (True, MS_BIND),
    "rbind": (True, MS_BIND | MS_REC),
    "remount": (True, MS_REMOUNT),
    "ro": (True, MS_RDONLY),
    "rw": (False, MS_RDONLY),
    "nosuid": (True, MS_NOSUID),
    "suid": (False, MS_NOSUID),
    "nodev": (True, MS_NODEV),
    "dev": (False, MS_NODEV),
    "noexec": (True, MS_NOEXEC),
    "exec": (False, MS_NOEXEC),
    "sync": (True, MS_SYNCHRONOUS),
    "dirsync": (True, MS_DIRSYNC),
    "noatime": (True, MS_NOATIME),
    "nodiratime": (True, MS_NODIRATIME),
    "relatime": (True, MS_RELATIME),
    "strictatime": (True, MS_STRICTATIME),
}
_PROPAGATION: dict[str, int] = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}


class MountSpec(Value):
    """A mount that somebody else makes: what fstab(5) would say.

    `type` is "overlay", "bind", "tmpfs" …; `target` may be empty when whoever mounts chooses it;
    `options` are those of mount(8), flags and file system options mixed, one word each
    ("ro", "lowerdir=/a:/b"). `beneath` are mounts, each with its target, that this one is made of:
    they need to be there while it is made, and no longer.
    """

    type: str
    source: str
    target: str
    options: tuple[str, ...] = ()
    beneath: tuple[MountSpec, ...] = ()


class MountInfo(Value):
    """A line of /proc/self/mountinfo, see proc(5)."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: str
    type: str
    source: str
    super_options: str


def mount(
    source: str | None, target: str, type: str | None, flags: int = 0, data: str | None = None
) -> None:
    if data is not None and len(os.fsencode(data)) >= _PAGE_SIZE:
        raise OSError(errno.E2BIG, "mount options longer than a page", target)
    libc.call("mount", source, target, type, flags, data, path=target)


def umount2(target: str, flags: int = 0) -> None:
    libc.call("umount2", target, flags, path=target)


def fsopen(type: str, flags: int = FSOPEN_CLOEXEC) -> int:
    return libc.syscall(libc.SYS_FSOPEN, type, flags, path=type)


def fsconfig_set_string(context: int, key: str, value: str) -> None:
    libc.syscall(libc.SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, key, value, 0, path=value)


def fsconfig_set_flag(context: int, key: str) -> None:
    libc.syscall(libc.SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, key, None, 0, path=key)


def fsconfig_create(context: int) -> None:
    libc.syscall(libc.SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(context: int, flags: int = FSMOUNT_CLOEXEC, attributes: int = 0) -> int:
    return libc.syscall(libc.SYS_FSMOUNT, context, flags, attributes)


def open_tree(directory: int, path: str, flags: int) -> int:
    return libc.syscall(libc.SYS_OPEN_TREE, directory, path, flags, path=path)


def move_mount(
    from_directory: int, from_path: str, to_directory: int, to_path: str, flags: int
) -> None:
    libc.syscall(
        libc.SYS_MOVE_MOUNT, from_directory, from_path, to_directory, to_path, flags, path=to_path
    )


def mount_spec(spec: MountSpec, target: str = "") -> None:
    """Makes the mount; `target` overrides the one in the value.

    What is beneath is mounted first, and unmounted at once: an overlay has its own clones of the
    mounts that its layers are in, so that only itself is left for others to see, and to unmount.
    """
    done = 0
    try:
        for each in spec.beneath:
            mount_spec(each)
            done += 1
        _mount_alone(spec, target or spec.target)
    finally:
        for each in reversed(spec.beneath[:done]):
            umount2(each.target, UMOUNT_NOFOLLOW | MNT_DETACH)


def _mount_alone(spec: MountSpec, target: str) -> None:
    """A bind mount takes its flags by a second, remounting call, since the first ignores them; for
    an overlay whose layers do not fit in a page of options, see `mount_overlay`.
    """
    flags, propagation, data = parse_options(spec.options)
    if spec.type == "overlay" and len(os.fsencode(",".join(data))) >= _PAGE_SIZE:
        try:
            mount_overlay(target, data, flags)
        except OSError as error:
            # Before Linux 6.5 there was no `lowerdir+`, before 5.2 no fsopen(2).
            if error.errno not in {errno.EINVAL, errno.ENOSYS}:
                raise
            mount_overlay_by_descriptor(target, data, flags)
    elif spec.type == "bind" or flags & MS_BIND:
        mount(spec.source, target, None, MS_BIND | (flags & MS_REC))
        restrictions = flags & ~(MS_BIND | MS_REC)
        if restrictions:
            mount(None, target, None, MS_REMOUNT | MS_BIND | restrictions)
    else:
        mount(spec.source or spec.type, target, spec.type, flags, ",".join(data) or None)
    for kind in propagation:
        mount(None, target, None, kind)


def mount_overlay(target: str, options: Sequence[str], flags: int = 0) -> None:
    """Mounts an overlay with any number of layers, bottom layers last as in `lowerdir=`.

    fsconfig(2) takes the layers one by one as `lowerdir+` (Linux 6.5).
    """
    context = fsopen("overlay")
    try:
        for option in options:
            key, separator, value = option.partition("=")
            if key == "lowerdir":
                for layer in value.split(":"):
                    fsconfig_set_string(context, "lowerdir+", layer)
            elif separator:
                fsconfig_set_string(context, key, value)
            else:
                fsconfig_set_flag(context, key)
        if flags & MS_RDONLY:
            fsconfig_set_flag(context, "ro")
        fsconfig_create(context)
        # The flags of mount(2) for nosuid, nodev and noexec are those of fsmount(2), too.
        tree = fsmount(context, attributes=flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))
    finally:
        os.close(context)
    try:
        move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def mount_overlay_by_descriptor(target: str, options: Sequence[str], flags: int = 0) -> None:
    """Mounts an overlay with one page of options, its layers named by a descriptor's short path.

    127 layers fit when they share a directory in which their names are short.
    """
    lower = next(option for option in options if option.startswith("lowerdir="))
    layers = lower.removeprefix("lowerdir=").split(":")
    common = os.path.commonpath(layers)
    descriptor = os.open(common, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = [layer.removeprefix(common).lstrip("/") for layer in layers]
        short = ":".join(f"/proc/self/fd/{descriptor}/{name}" for name in names)
        others = [option for option in options if option is not lower]
        mount("overlay", target, "overlay", flags, ",".join([f"lowerdir={short}", *others]))
    finally:
        os.close(descriptor)


def parse_options(options: Sequence[str]) -> tuple[int, list[int], list[str]]:
    """Splits options of mount(8) into flags, propagation flags, and what the file system reads."""
    flags = 0
    propagation: list[int] = []
    data: list[str] = []
    for option in options:
        if option in _FLAGS:
            on, flag = _FLAGS[option]
            flags = flags | flag if on else flags & ~flag
        elif option in _PROPAGATION:
            propagation.append(_PROPAGATION[option])
        elif option != "defaults":
            data.append(option)
    return flags, propagation, data


def mount_table(path: str = "/proc/self/mountinfo") -> list[MountInfo]:
    """The mounts that this thread's namespace has, in the kernel's order: parents first."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return [_mount_info(line) for line in file]


def _mount_info(line: str) -> MountInfo:
    front, _, back = line.rstrip("\n").partition(" - ")
    fields = front.split(" ")
    type_, source, super_options = back.split(" ", 2)
    return MountInfo(
        id=int(fields[0]),
        parent=int(fields[1]),
        device=fields[2],
        root=_unescaped(fields[3]),
        target=_unescaped(fields[4]),
        options=fields[5],
        type=type_,
        source=_unescaped(source),
        super_options=super_options,
    )


def _unescaped(text: str) -> str:
    """Undoes the kernel's octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    start, *parts = text.split("\\")
    return start + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)
