"""Runs a command as an ordinary user: drop_privileges.py USER PATH[:PATH…] COMMAND…

The paths are shown to that user even if they are in a directory that it cannot enter, as the home
of root is where a Python may be installed: in a mount namespace of the command's own.
"""

import grp
import os
import pwd
import stat
import sys

from tierce.linux import mounts
from tierce.linux.namespaces import CLONE_NEWNS, CLONE_NEWUSER, make_private, unshare

NO_NAMESPACES = "TIERCE_TEST_NO_NAMESPACES"
"""Environment variable: the command may make no user namespaces."""


def main(name: str, paths: str, *command: str) -> None:
    user = pwd.getpwnam(name)
    unshare(CLONE_NEWNS)
    make_private()
    show([os.path.realpath(path) for path in paths.split(":")])
    open_tun()
    if os.environ.pop(NO_NAMESPACES, ""):
        forbid_namespaces()
    os.setgroups([group.gr_gid for group in grp.getgrall() if name in group.gr_mem])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.umask(0o022)
    os.execv(command[0], command)


def open_tun() -> None:
    """Gives everybody a /dev/net/tun, as udev does, for the command alone."""
    node = "/dev/net/tun"
    if not os.path.exists(node) or os.stat(node).st_mode & 0o006 == 0o006:
        return
    mounts.mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755")
    os.mknod("/mnt/tun", stat.S_IFCHR, os.stat(node).st_rdev)
    os.chmod("/mnt/tun", 0o666)
    mounts.mount("/mnt/tun", node, None, mounts.MS_BIND)
    mounts.umount2("/mnt", mounts.MNT_DETACH)


def forbid_namespaces() -> None:
    """In a namespace with the same ids as outside; the limit is that of each namespace."""
    parent = os.getpid()
    told, tells = os.pipe()
    if not os.fork():
        os.read(told, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{parent}/{name}", "w", encoding="ascii") as file:
                file.write("0 0 4294967295")
        os._exit(0)
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    os.write(tells, b"x")
    os.wait()
    with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
        file.write("0")


def show(paths: list[str]) -> None:
    """Covers the directories that keep others out, with nothing in them but the paths."""
    flags = mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC | mounts.AT_RECURSIVE
    covered: dict[str, list[tuple[str, int]]] = {}
    for path in paths:
        closed = closed_above(path)
        if closed:
            covered.setdefault(closed, []).append(
                (path, mounts.open_tree(mounts.AT_FDCWD, path, flags))
            )
    for closed, inside in covered.items():
        mounts.mount("tmpfs", closed, "tmpfs", 0, "mode=755")
        for path, tree in inside:
            os.makedirs(path)
            empty = mounts.MOVE_MOUNT_F_EMPTY_PATH
            mounts.move_mount(tree, "", mounts.AT_FDCWD, path, empty)
            os.close(tree)


def closed_above(path: str) -> str:
    """The outermost directory above a path that others cannot enter, or nothing."""
    parts = path.strip("/").split("/")
    for count in range(1, len(parts)):
        above = "/" + "/".join(parts[:count])
        if not os.stat(above).st_mode & stat.S_IXOTH:
            return above
    return ""


main(*sys.argv[1:])
