"""Which processes are taken for the monitor of a container."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tierce.runtime.monitor import monitors_of


@contextmanager
def called_conmon(identifier: str, user: int | None = None) -> Iterator[int]:
    """A process that gives itself out for the conmon of a container; its number."""
    command = ["conmon", "-c", "read -r line", "sh", identifier]
    with subprocess.Popen(
        command, executable="/bin/sh", stdin=subprocess.PIPE, user=user, group=user
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_monitors_are_found_by_the_container_that_they_watch() -> None:
    identifier = os.urandom(32).hex()
    with called_conmon(identifier) as pid:
        assert [found.pid for found in monitors_of(identifier)] == [pid]
        assert not list(monitors_of(os.urandom(32).hex()))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start a process of another user")
def test_process_of_another_user_is_no_monitor() -> None:
    identifier = os.urandom(32).hex()
    with called_conmon(identifier, user=65534):
        assert not list(monitors_of(identifier))
