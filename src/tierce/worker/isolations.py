"""The ways to isolate RUN steps, by name."""

AUTOMATIC = ""
"""Containers or, for root without CAP_SYS_ADMIN, chroot."""

CHROOT = "chroot"
CONTAINERS = ("default", "oci")
EVERY = (AUTOMATIC, *CONTAINERS, CHROOT)
