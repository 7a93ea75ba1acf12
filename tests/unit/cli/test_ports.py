"""Ports as `ps`, `port` and `inspect` show them."""

from tierce.cli.format.values import NilList
from tierce.cli.ports import bindings, port_lines, shown_ports
from tierce.client.containers import ContainerState, ContainerView, Published
from tierce.runtime.endpoints import Endpoint


def view(
    *ports: Published, exposed: tuple[str, ...] = (), status: str = "running"
) -> ContainerView:
    state = ContainerState(exposed=exposed)
    endpoint = Endpoint("10.86.0.2", 16, "10.86.0.1", "", ports)
    return ContainerView("id", "name", "", 0.0, status, state, None, endpoint=endpoint)


def test_published_ports_are_shown_with_their_address() -> None:
    shown = shown_ports(
        view(Published(80, "tcp", "", 8080), Published(53, "udp", "127.0.0.1", 5353))
    )
    assert shown == "127.0.0.1:5353->53/udp, 0.0.0.0:8080->80/tcp"


def test_ports_under_their_own_numbers_are_ranges() -> None:
    ports = [Published(port, "tcp", "", port) for port in (9002, 9000, 9001, 9005)]
    assert (
        shown_ports(view(*ports, exposed=("80/tcp", "81/tcp", "83")))
        == "80-81/tcp, 0.0.0.0:9000-9002->9000-9002/tcp, 83/tcp, 0.0.0.0:9005->9005/tcp"
    )


def test_exposed_port_that_is_published_is_shown_once() -> None:
    assert shown_ports(view(Published(80, "tcp", "", 80), exposed=("80/tcp",))) == (
        "0.0.0.0:80->80/tcp"
    )


def test_container_that_does_not_run_has_no_ports() -> None:
    stopped = view(Published(80, "tcp", "", 80), exposed=("80/tcp",), status="exited")
    assert shown_ports(stopped) == ""
    assert bindings(stopped) == {}


def test_what_an_image_says_of_ports_may_be_anything() -> None:
    odd = view(exposed=("", "/", "x/tcp", "80/udp", "²"))
    assert shown_ports(odd) == "80/udp"
    assert bindings(odd)["80/udp"] == NilList()


def test_lines_of_port_are_in_the_order_of_the_containers_ports() -> None:
    ports = [Published(443, "tcp", "", 1), Published(80, "tcp", "127.0.0.1", 2)]
    assert port_lines(ports) == ["80/tcp -> 127.0.0.1:2", "443/tcp -> 0.0.0.0:1"]
