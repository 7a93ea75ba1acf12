"""The flags of `container run` about networks."""

import pytest

from tierce.cli.commands.container.run import COMMAND
from tierce.cli.flags import parse
from tierce.cli.running.network import with_network
from tierce.client.running import RunRequest
from tierce.errors import UsageError


def request(*flags: str) -> RunRequest:
    return with_network(RunRequest(image="x"), parse(COMMAND, [*flags, "x"]))


def test_network_is_the_default_unless_one_is_named() -> None:
    assert request().network == "default"
    assert request("--network", "none").network == "none"
    assert request("--net=host").network == "host"
    assert request("--network", "container:a=b").network == "container:a=b"


def test_long_form_has_addresses() -> None:
    found = request("--network", "name=bridge,ip=10.86.0.9,mac-address=02:42:AC:00:00:01")
    assert (found.network, found.address, found.mac) == (
        "bridge",
        "10.86.0.9",
        "02:42:ac:00:00:01",
    )


def test_everything_else_goes_into_the_request() -> None:
    found = request(
        *("-p", "8080:80", "-p", "53/udp", "-P", "--expose", "90", "--hostname", "h.x"),
        *("--dns", "::1", "--dns-search", ".", "--dns-opt", "a", "--dns-option", "ndots:1"),
        *("--add-host", "a:1.2.3.4"),
    )
    assert [(port.container, port.protocol, port.first) for port in found.ports] == [
        (80, "tcp", 8080),
        (53, "udp", 0),
    ]
    assert found.publish_all
    assert found.exposed == ("90/tcp",)
    assert found.hostname == "h.x"
    assert (found.dns, found.dns_search, found.dns_options) == (("::1",), (".",), ("ndots:1", "a"))
    assert found.hosts == (("a", "1.2.3.4"),)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--network", "mine"), "network mine not found"),
        (("--network", "host", "--network", "none"), "a container is on one network"),
        (("--network", "name=bridge,alias=x"), "invalid field key alias"),
        (("--network", "container:"), "invalid container format"),
        (("--network", "host", "--ip", "10.0.0.1"), "ip address and the network mode"),
        (("--network", "none", "--mac-address", "02:42:ac:00:00:01"), "mac-address and the"),
        (("--ip", "::1"), "invalid IPv4 address: ::1"),
        (("--dns", "1.2.3"), "IP address is not correctly formatted: 1.2.3"),
        (("--dns-search", "a b"), "a b is not a valid domain"),
        (("--dns-search", "a\nnameserver 1.2.3.4"), "is not a valid domain"),
        (("--dns-option", "a\nb"), "not one word"),
        (("--hostname", "a\n1.2.3.4 b"), "invalid hostname format"),
        (("--hostname", "a" * 65), "invalid hostname format"),
    ],
)
def test_what_cannot_be_is_refused(flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        request(*flags)
    assert message in raised.value.message
