"""The ports of a container as docker shows them."""

from __future__ import annotations

from tierce.cli.format.values import NilList, Struct

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.client.containers import ContainerView, Published

ANY_ADDRESS = "0.0.0.0"


def shown_ports(view: ContainerView) -> str:
    """`0.0.0.0:8080->80/tcp, 443/tcp`: what is published and, of a running one, exposed.

    Ports that follow each other, and are published under their own numbers, are one range.
    """
    if not view.running:
        return ""
    published = view.endpoint.ports if view.endpoint else ()
    ports = [(port.container, _address(port), port.port, port.protocol) for port in published]
    done = {(port.container, port.protocol) for port in published}
    ports += [
        (number, "", 0, protocol)
        for number, protocol in map(_number, view.state.exposed)
        if (number, protocol) not in done and number
    ]
    groups: dict[tuple[str, str], list[int]] = {}
    ranges: list[str] = []
    others: list[str] = []
    for number, address, own, protocol in sorted(ports, key=_sort_key):
        if address and own != number:
            others.append(f"{address}:{own}->{number}/{protocol}")
            continue
        key = (address, protocol)
        group = groups.get(key)
        if group is not None and number == group[1] + 1:
            group[1] = number
            continue
        if group is not None:
            ranges.append(_range(key, group))
        groups[key] = [number, number]
    ranges += [_range(key, group) for key, group in groups.items()]
    return ", ".join([*ranges, *others])


def port_lines(published: Iterable[Published]) -> list[str]:
    """`80/tcp -> 0.0.0.0:8080`, one for each."""
    ports = sorted(published, key=lambda port: (port.container, port.protocol, port.port))
    return [f"{port.name} -> {_address(port)}:{port.port}" for port in ports]


def bindings(view: ContainerView) -> dict[str, object]:
    """`NetworkSettings.Ports`: the ports of the machine for each of a container that runs."""
    if not view.running:
        return {}
    exposed = [f"{number}/{protocol}" for number, protocol in map(_number, view.state.exposed)]
    found: dict[str, list[Struct]] = {name: [] for name in sorted(exposed)}
    for port in view.endpoint.ports if view.endpoint else ():
        binding = {"HostIp": _address(port), "HostPort": str(port.port)}
        found.setdefault(port.name, []).append(Struct("nat.PortBinding", binding))
    return {name: each or NilList() for name, each in found.items()}


def _address(port: Published) -> str:
    return port.host_ip or ANY_ADDRESS


def _number(text: str) -> tuple[int, str]:
    """Number and protocol of "80/tcp"; what an image says need not be a port, and is then 0."""
    number, _, protocol = text.partition("/")
    return (int(number) if number.isdecimal() else 0), protocol or "tcp"


def _sort_key(port: tuple[int, str, int, str]) -> tuple[int, bytes, int, str]:
    number, address, own, protocol = port
    packed = bytes(int(part) for part in address.split(".")) if address else b""
    return number, packed, own, protocol


def _range(key: tuple[str, str], group: list[int]) -> str:
    address, protocol = key
    first, last = group
    text = str(first) if first == last else f"{first}-{last}"
    return f"{address}:{text}->{text}/{protocol}" if address else f"{text}/{protocol}"
