"""The ladder of privilege: what this user may do here, from the most to the least.

What can be done is tried by who does it; here it is told which rung that comes to, and why.
"""

from __future__ import annotations

import os

from tierce.linux import userns
from tierce.linux.process import effective_capabilities
from tierce.runtime import chroot
from tierce.runtime.unprivileged import UserNamespace, detect
from tierce.values import Value

_NO_DEVICES = "devices of the machine, and layers mounted from their tars"
_NO_LIMITS = "limits, but in the foreground with a control group that is delegated"
_NO_PORTS = "published ports below 1024"


class Rung(Value):
    """A rung: what it is called, why it is this one, and what one above it would give."""

    name: str
    reason: str = ""
    lacks: tuple[str, ...] = ()


def rung() -> Rung:
    """The rung that this process is on."""
    if os.geteuid():
        return Rung(
            "user without namespaces",
            f"a user namespace cannot be made: {userns.how_to_allow()}",
            ("containers and RUN: images can be managed, and built from COPY",),
        )
    space = detect()
    if space is not None:
        return _in_namespace(space)
    if "CAP_SYS_ADMIN" in effective_capabilities():
        return Rung("root with namespaces", "this is root, with CAP_SYS_ADMIN")
    if chroot.is_called_for():
        return Rung(
            "root without CAP_SYS_ADMIN",
            "no namespaces, no mounts: RUN by chroot, on snapshots that are copies",
            ("containers", "isolation and limits of RUN", "its /proc"),
        )
    return Rung(
        "root without CAP_SYS_ADMIN and CAP_SYS_CHROOT",
        "no namespaces, no mounts, no chroot",
        ("containers and RUN: images can be managed, and built from COPY",),
    )


def _in_namespace(space: UserNamespace) -> Rung:
    lacks = (_NO_DEVICES, _NO_LIMITS, _NO_PORTS)
    if space.uids > 1 and space.gids > 1:
        return Rung(
            "user namespace with subordinate ids",
            f"this is not root of the machine; {space.uids} users and {space.gids} groups",
            lacks,
        )
    return Rung(
        "user namespace with one id",
        space.more or "there is one id",
        ("files, and users in containers, that are not root's", *lacks),
    )
