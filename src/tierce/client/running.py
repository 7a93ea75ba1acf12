"""Running a container in the foreground: what of `client.containers` a quick start needs."""

from __future__ import annotations

from tierce.containers.environment import read_env_file
from tierce.containers.foreground import Streams
from tierce.containers.names import check_name
from tierce.containers.network import why_not_bridge
from tierce.containers.publishing import (
    check_mac,
    is_address,
    parse_expose,
    parse_host,
    parse_publish,
)
from tierce.containers.request import HostPath, MemoryMount, RunRequest, VolumeMount
from tierce.containers.run import run
from tierce.containers.signals import parse_signal
from tierce.containers.volumes import parse_tmpfs, parse_volume, parse_volumes_from

__all__ = [
    "HostPath",
    "MemoryMount",
    "RunRequest",
    "Streams",
    "VolumeMount",
    "check_mac",
    "check_name",
    "is_address",
    "parse_expose",
    "parse_host",
    "parse_publish",
    "parse_signal",
    "parse_tmpfs",
    "parse_volume",
    "parse_volumes_from",
    "read_env_file",
    "run",
    "why_not_bridge",
]
