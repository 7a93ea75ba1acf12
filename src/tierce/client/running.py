"""Running a container in the foreground: what of `client.containers` a quick start needs."""

from __future__ import annotations

from tierce.containers.environment import read_env_file
from tierce.containers.foreground import Streams
from tierce.containers.names import check_name
from tierce.containers.request import HostPath, RunRequest
from tierce.containers.run import run
from tierce.containers.signals import parse_signal
from tierce.containers.volumes import parse_mount, parse_volume

__all__ = [
    "HostPath",
    "RunRequest",
    "Streams",
    "check_name",
    "parse_mount",
    "parse_signal",
    "parse_volume",
    "read_env_file",
    "run",
]
