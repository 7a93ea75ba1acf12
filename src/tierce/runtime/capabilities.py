"""Which capabilities a container's root has."""

from __future__ import annotations

from tierce.linux.process import CAPABILITIES

DEFAULT = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW"),
    *("CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE"),
    *("CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"),
)
"""Docker's set: enough for package managers and servers, nothing that reaches the host."""

ALL = tuple(f"CAP_{name}" for name in CAPABILITIES)
