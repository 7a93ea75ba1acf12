"""The ports of EXPOSE: "8080", "8000-8010/udp"."""

from __future__ import annotations

from tierce.dockerfile.gotext import quote
from tierce.errors import InvalidValue
from tierce.values import Value

_PROTOCOLS = ("tcp", "udp", "sctp")
_LAST_PORT = 65535


class PortWord(Value):
    """A word of EXPOSE, cut at its colons and its slash; all parts but `ports` may be empty."""

    text: str
    address: str
    host: str
    ports: str
    protocol: str


def read_port(text: str) -> PortWord:
    """Cut a word. Raises InvalidValue when there is no port, or no such protocol."""
    rest, _, container = text.rpartition(":")
    address, _, host = rest.rpartition(":")
    ports, _, protocol = container.partition("/")
    if not ports:
        raise InvalidValue(f"invalid port: {quote(text)}: no port specified", value=text)
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise InvalidValue(
            f"invalid port: {quote(text)}: invalid proto: {protocol}",
            value=text,
            hint="the protocols are tcp, udp and sctp",
        )
    return PortWord(text, address, host, ports, protocol)


def exposed_ports(word: PortWord) -> list[str]:
    """ "80-82/udp" as ["80/udp", "81/udp", "82/udp"].

    `[ip:]host:container` is taken as BuildKit takes it: what is before the container's port is
    checked and dropped. Raises InvalidValue.
    """
    if word.address:
        _check_address(word.address)
    first, last = _range("containerPort", word.ports)
    if word.host:
        host_first, host_last = _range("hostPort", word.host)
        if last != first and last - first != host_last - host_first:
            raise InvalidValue(
                "invalid ranges specified for container and host Ports:"
                f" {word.ports} and {word.host}",
                value=word.text,
            )
    suffix = (word.protocol or "tcp").lower()
    return [f"{port}/{suffix}" for port in range(first, last + 1)]


def _range(what: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = (_number(first), _number(last) if dash else _number(first))
    if None in numbers:
        raise InvalidValue(f"invalid {what}: {text}", value=text)
    start, end = numbers
    if start is None or end is None or end < start:
        raise InvalidValue(f"invalid {what}: {text}", value=text)
    return start, end


def _number(text: str) -> int | None:
    digits = text.removeprefix("+").lstrip("0") or text[-1:]
    if not digits or digits.strip("0123456789") or len(digits) > 5:
        return None
    return int(digits) if int(digits) <= _LAST_PORT else None


def _check_address(address: str) -> None:
    import ipaddress  # takes 9 ms, for a form that EXPOSE hardly ever has

    try:
        ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise InvalidValue(f"invalid IP address: {address}", value=address) from None
