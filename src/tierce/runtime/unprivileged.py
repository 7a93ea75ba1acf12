"""What is different for containers in the user namespace of an ordinary user.

What the kernel does not let such a namespace do is done in another way here, as podman and crun's
own `spec --rootless` do; what then is missing is refused.
"""

from __future__ import annotations

import os
import select
import stat

from tierce.errors import ContainerError
from tierce.lean import signal
from tierce.linux import cgroups, userns
from tierce.runtime.monitor import number_in
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.runtime.groups import GroupSpec

_TTY_GROUP = "gid=5"
_SYS = "/sys"
_CGROUPS = "/sys/fs/cgroup"
_END_SECONDS = 10.0


class UserNamespace(Value):
    """The user namespace of this process, when it is not the initial one.

    `uids` and `gids` are how many there are, from 0 on; `groups` says that it may make cgroups,
    `more` how its user gets more ids.
    """

    uids: int
    gids: int
    groups: bool = False
    more: str = ""


def detect() -> UserNamespace | None:
    """The namespace this process is in; None for the initial one, where all is as usual."""
    if userns.in_first():
        return None
    uids, gids = (sum(count for _, _, count in ranges) for ranges in userns.maps())
    more = userns.more_ids() if 1 in {uids, gids} else ""
    return UserNamespace(uids, gids, may_make_groups(), more)


def may_make_groups() -> bool:
    """Whether there is a hierarchy in which this process may make groups below its own."""
    setup = cgroups.detect()
    paths = list(cgroups.legacy_parents(setup).values())
    if setup.unified is not None:
        paths.append(setup.unified.path + cgroups.own_paths().get((), "/").rstrip("/"))
    return any(os.access(path, os.W_OK) for path in paths)


def limits(groups: GroupSpec) -> bool:
    """Whether groups are for more than devices, which the kernel keeps from users anyway."""
    return bool(groups.resources.controllers or groups.parent)


def adapt(config: dict[str, Any], space: UserNamespace) -> None:
    """Changes a specification (see `bundle`) to what can be had in a user namespace.

    Raises ContainerError for a user that is none there.
    """
    user = config["process"]["user"]
    for what, number, count in (
        ("user", user["uid"], space.uids),
        ("group", user["gid"], space.gids),
    ):
        if number >= count:
            raise ContainerError(
                f"run as {what} {number}: this user namespace has {_ids(count)}",
                hint=space.more,
            )
    user["additionalGids"] = [gid for gid in user["additionalGids"] if gid < space.gids]
    kinds = {namespace["type"] for namespace in config["linux"]["namespaces"]}
    config["mounts"] = [
        mount
        for mount in config["mounts"]
        # Groups that nobody may make are of no use, and showing them takes more than that.
        if (space.groups or (mount["destination"], mount["type"]) != (_CGROUPS, "cgroup"))
        # Nor may users mount the host's message queues.
        and ("ipc" in kinds or mount["type"] != "mqueue")
    ]
    # The runtime shows nodes of the machine instead of making them: there may be none.
    config["linux"]["devices"] = [
        node
        for node in config["linux"].get("devices", [])
        if _device_at(node["path"]) == (node["type"], node["major"], node["minor"])
    ]
    for mount in config["mounts"]:
        if mount["type"] == "devpts" and space.gids <= 5:
            mount["options"] = [option for option in mount["options"] if option != _TTY_GROUP]
        if (mount["destination"], mount["type"]) == (_SYS, "sysfs") and "network" not in kinds:
            # sysfs shows what a network namespace has; the host's is not this user's.
            mount |= {"type": "bind", "source": _SYS}
            mount["options"] = ["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"]


def _device_at(path: str) -> tuple[str, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
    return None if kind is None else (kind, os.major(status.st_rdev), os.minor(status.st_rdev))


def _ids(count: int) -> str:
    return "one id only" if count == 1 else f"{count} ids only"


def end_process(directory: str, identifier: str) -> None:
    """Kills process 1 of a container that has no groups to find its processes by. Idempotent.

    With it all others end, as it is process 1 of a PID namespace. `directory` is that of the
    container while it runs, see `monitor`.
    """
    pid = number_in(f"{directory}/pid")
    try:
        ended = os.pidfd_open(pid) if pid > 0 else -1
    except ProcessLookupError:
        return
    if ended < 0:
        return
    try:
        # The number may be another process's by now: one of the container has mounts of its files.
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            if identifier not in file.read():
                return
        signal.pidfd_send_signal(ended, signal.SIGKILL)
        select.select([ended], [], [], _END_SECONDS)
    except OSError:  # it has ended
        return
    finally:
        os.close(ended)
