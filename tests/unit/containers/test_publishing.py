"""--publish, --expose and their like, as docker reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.containers.publishing import (
    check_mac,
    is_address,
    parse_expose,
    parse_host,
    parse_publish,
)
from tierce.errors import UsageError
from tierce.runtime.ports import PortRequest


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("80", PortRequest(80)),
        ("80/udp", PortRequest(80, "udp")),
        ("80/TCP", PortRequest(80, "tcp")),
        (":80", PortRequest(80)),
        ("8080:80", PortRequest(80, "tcp", "", 8080, 8080)),
        ("0:80", PortRequest(80)),
        ("127.0.0.1:8080:80/sctp", PortRequest(80, "sctp", "127.0.0.1", 8080, 8080)),
        ("127.0.0.1::80", PortRequest(80, "tcp", "127.0.0.1")),
        ("0.0.0.0:8080:80", PortRequest(80, "tcp", "0.0.0.0", 8080, 8080)),
        ("8000-8010:80", PortRequest(80, "tcp", "", 8000, 8010)),
        ("65535:65535", PortRequest(65535, "tcp", "", 65535, 65535)),
        ("target=80", PortRequest(80)),
        ("mode=ingress,published=8080,target=80", PortRequest(80, "tcp", "", 8080, 8080)),
        ("published=5353,target=53,protocol=udp,mode=host", PortRequest(53, "udp", "", 5353, 5353)),
    ],
)
def test_publish_of_one_port(text: str, request_: PortRequest) -> None:
    assert parse_publish(text) == (request_,)


def test_publish_of_a_range_is_a_port_for_a_port() -> None:
    assert parse_publish("10.0.0.1:8000-8002:80-82/udp") == tuple(
        PortRequest(80 + step, "udp", "10.0.0.1", 8000 + step, 8000 + step) for step in range(3)
    )
    assert parse_publish("80-81") == (PortRequest(80), PortRequest(81))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified: <empty>"),
        (":", "no port specified: :<empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("/tcp", "no port specified: /tcp<empty>"),
        ("abc:80", "invalid hostPort: abc"),
        ("80:abc", "invalid containerPort: abc"),
        ("70000:80", "invalid hostPort: 70000"),
        ("80:0", "invalid containerPort: 0"),
        ("80-70:80", "invalid hostPort: 80-70"),
        ("-1:80", "invalid hostPort: -1"),
        ("+80:80", "invalid hostPort: +80"),
        ("٨٠:80", "invalid hostPort: ٨٠"),
        ("9" * 5000, "invalid containerPort: " + "9" * 5000),
        ("80-90:80-81", "invalid ranges specified for container and host Ports: 80-81 and 80-90"),
        ("80/icmp", "invalid proto: icmp"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("localhost:80:80", "invalid IP address: localhost"),
        ("[::1]:80:80", "publish [::1]:80:80: ports are published on IPv4 addresses alone"),
        ("::1:80:80", "publish ::1:80:80: ports are published on IPv4 addresses alone"),
        ("published=80", 'missing mandatory field "target"'),
        ("target=80,mode=x", "invalid mode value (x): must be either 'ingress' or 'host'"),
        ("target=80,x=y", "invalid field key x"),
        ("target=80,x", "invalid publish opts format (should be name=value but got 'x')"),
    ],
)
def test_publish_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parse_publish(text)


@given(st.text(alphabet="0123456789:.-/=,[]tcpudp \n\0é", max_size=40))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    try:
        found = parse_publish(text)
    except UsageError:
        return
    for port in found:
        assert 0 < port.container < 1 << 16
        assert 0 <= port.first <= port.last < 1 << 16


def test_expose_of_ports_and_ranges() -> None:
    assert parse_expose("80") == ("80/tcp",)
    assert parse_expose("80-82/udp") == ("80/udp", "81/udp", "82/udp")


@pytest.mark.parametrize("text", ["a:b", "80-70", "x", "", "80/icmp", "0", "65536", "1-2-3"])
def test_expose_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_expose(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a:1.2.3.4", ("a", "1.2.3.4")),
        ("a=1.2.3.4", ("a", "1.2.3.4")),
        ("a:::1", ("a", "::1")),
        ("a=::1", ("a", "::1")),
        ("a:[::1]", ("a", "::1")),
        ("a.b:host-gateway", ("a.b", "host-gateway")),
    ],
)
def test_hosts_are_added_by_name_and_address(text: str, host: tuple[str, str]) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text", ["a", ":1.2.3.4", "a:b", "a:", "a:b=1.2.3.4", "a\nb:1.2.3.4", "a:1.2.3.4\nb", "a b:::1"]
)
def test_host_that_would_be_another_line_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="add-host"):
        parse_host(text)


def test_addresses_are_told_by_version() -> None:
    assert is_address("1.2.3.4")
    assert is_address("::1")
    assert not is_address("::1", version=4)
    assert not is_address("1.2.3.4", version=6)
    assert not any(map(is_address, ["", "1.2.3", "1.2.3.4\n", "1.2.3.4\0", "é", "01.2.3.4 "]))


def test_hardware_addresses_are_written_alike() -> None:
    assert check_mac("02-42-AC-11-00-02") == "02:42:ac:11:00:02"
    for text in (
        "",
        "zz",
        "02:42:ac:11:00",
        "02:42:ac:11:00:0g",
        "01:00:5e:00:00:01",
        "2:4:a:1:0:2",
    ):
        with pytest.raises(UsageError, match="is not a valid mac address"):
            check_mac(text)
