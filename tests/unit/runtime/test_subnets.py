"""Choosing a subnet."""

import pytest

from tierce.errors import RuntimeUnavailable
from tierce.runtime.subnets import Subnet, first_free, name_servers, routes

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
vpn\t0000560A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_first_subnet_without_a_route_is_chosen() -> None:
    assert str(first_free([])) == "10.86.0.0/16"
    assert str(first_free(routes(ROUTES))) == "10.85.0.0/16"


def test_default_route_leaves_all_free() -> None:
    assert [str(route) for route in routes(ROUTES)] == ["172.17.0.0/16", "10.86.0.0/24"]


def test_name_server_behind_the_default_route_stays_reachable() -> None:
    servers = name_servers("nameserver 10.86.3.4\nnameserver ::1\noptions x\nnameserver\n")
    assert [str(server) for server in servers] == ["10.86.3.4/32"]
    assert str(first_free(servers)) == "10.85.0.0/16"


def test_machine_with_routes_to_everything_is_told_so() -> None:
    with pytest.raises(RuntimeUnavailable, match="routes to all"):
        first_free([Subnet.parse("10.0.0.0/8")])


def test_subnet_knows_its_gateway_and_whom_it_overlaps() -> None:
    subnet = Subnet.parse("10.88.0.0/16")
    assert subnet.gateway == "10.88.0.1"
    assert subnet.overlaps(Subnet.parse("10.88.7.0/24"))
    assert subnet.overlaps(Subnet.parse("10.0.0.0/8"))
    assert not subnet.overlaps(Subnet.parse("10.89.0.0/16"))


@pytest.mark.parametrize("text", ["", "10.88.0", "10.88.0.256/16", "a.b.c.d/8", "10.88.0.-1/8"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Subnet.parse(text)
