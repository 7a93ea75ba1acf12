"""As many containers as a busy developer has."""

import http.client
from collections.abc import Iterator
from contextlib import closing

import pytest

from support.containers import SeenContainers, nothing_outlives
from support.program import BASE, Tierce

COUNT = 50
SERVE = (
    "mkdir /www; hostname > /www/index.html; busybox httpd -p 80 -h /www; echo ready;"
    "while :; do sleep 600; done"
)


@pytest.fixture
def seen(shared: Tierce) -> Iterator[SeenContainers]:
    """The containers of the test, none of which outlives it, with nothing of theirs."""
    with nothing_outlives(shared) as found:
        yield found


def test_fifty_containers_started_in_a_loop_are_reached_over_http(
    shared: Tierce, seen: SeenContainers
) -> None:
    identifiers = [
        shared.run("run", "-d", "-p", "127.0.0.1::80", BASE, "sh", "-c", SERVE).stdout.strip()
        for _ in range(COUNT)
    ]
    assert seen.ids == set(identifiers)
    assert len(shared.run("ps", "-q").stdout.split()) == COUNT
    form = "{{.Id}} {{(index (index .NetworkSettings.Ports `80/tcp`) 0).HostPort}}"
    found = shared.run("container", "inspect", "-f", form, *identifiers).stdout.splitlines()
    ports = dict(line.split() for line in found)
    assert len(set(ports.values())) == COUNT
    for identifier in identifiers:
        with shared.running("logs", "-f", identifier) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
        port = int(ports[identifier])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read().decode() == f"{identifier[:12]}\n"
    shared.run("rm", "-f", *identifiers)
