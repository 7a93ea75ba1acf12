"""Holding ports of this machine."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tierce.errors import ContainerError
from tierce.runtime.ports import HeldPorts, PortRequest, Published, process_with


def nobody(_address: str, _port: int, _protocol: str) -> str:
    return ""


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of loopback that this process listens at."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_random_ports_are_different_and_held() -> None:
    with HeldPorts() as held:
        held.hold([PortRequest(80, host_ip="127.0.0.1"), PortRequest(80)], nobody)
        first, second = held.published
        assert first.port != second.port
        assert (first.host_ip, second.host_ip) == ("127.0.0.1", "")
        assert len(held.descriptors) == 2
        with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", second.port))
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", second.port))


def test_range_skips_what_is_taken(listening: int) -> None:
    with HeldPorts() as held:
        held.hold([PortRequest(80, "tcp", "127.0.0.1", listening, 65535)], nobody)
        assert held.published[0].port > listening


def test_taken_port_names_its_holder(listening: int) -> None:
    with HeldPorts() as held, pytest.raises(ContainerError) as raised:
        held.hold([PortRequest(80, "tcp", "", listening, listening)], process_with)
    assert raised.value.message.startswith(
        f"Bind for 0.0.0.0:{listening} failed: port is already allocated (process "
    )
    assert raised.value.message.endswith(f"pid {os.getpid()})")


def test_what_was_held_before_a_refusal_is_let_go(listening: int) -> None:
    held = HeldPorts()
    with pytest.raises(ContainerError):
        held.hold(
            [PortRequest(80), PortRequest(81, "tcp", "127.0.0.1", listening, listening)], nobody
        )
    held.close()
    assert held.descriptors == ()


def test_process_is_found_by_its_sockets_alone(listening: int) -> None:
    assert process_with("127.0.0.1", listening, "tcp").endswith(f"pid {os.getpid()}")
    assert process_with("0.0.0.0", listening, "tcp") != ""
    assert process_with("127.0.0.2", listening, "tcp") == ""
    assert process_with("127.0.0.1", listening, "udp") == ""


def test_datagrams_and_streams_have_ports_of_their_own() -> None:
    with HeldPorts() as held:
        held.hold([PortRequest(53, "udp", "127.0.0.1")], nobody)
        port = held.published[0].port
        with closing(socket.create_server(("127.0.0.1", port))):
            pass


def test_ports_are_in_each_others_way_by_address_and_protocol() -> None:
    everywhere = Published(80, "tcp", "", 8080)
    assert everywhere.is_in_way_of(Published(81, "tcp", "127.0.0.1", 8080))
    assert Published(81, "tcp", "127.0.0.1", 8080).is_in_way_of(everywhere)
    assert not everywhere.is_in_way_of(Published(80, "udp", "", 8080))
    assert not everywhere.is_in_way_of(Published(80, "tcp", "", 8081))
    one = Published(80, "tcp", "127.0.0.1", 8080)
    assert not one.is_in_way_of(Published(80, "tcp", "127.0.0.2", 8080))
