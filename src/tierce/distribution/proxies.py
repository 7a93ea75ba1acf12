"""Which proxy a request goes through: as Go finds it, which docker and BuildKit ask."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address


def is_loopback(host: str) -> bool:
    """Whether a host's name says that it is this machine."""
    return host == "localhost" or host.startswith("127.") or host in {"::1", "[::1]"}


def proxy_for(scheme: str, host: str, port: int | None, environment: Mapping[str, str]) -> str:
    """The proxy for a URL, or nothing.

    Lower-case variables go last; what runs on this machine has no proxy.
    """
    if is_loopback(host):
        return ""

    def variable(name: str) -> str:
        return environment.get(name.upper()) or environment.get(name, "")

    proxy = variable(f"{scheme}_proxy")
    if not proxy or _is_excepted(host, port, variable("no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    if not exceptions:
        return False
    address = _address(host)
    for text in exceptions.split(","):
        name = text.strip().lower()
        if name == "*":
            return True
        bare, colon, number = name.rpartition(":")
        if colon and number.isdecimal() and "]" not in number and bare.count(":") == 0:
            if port is None or int(number) != port:
                continue
            name = bare
        if not name:
            continue
        if address is not None:
            if _is_within(address, name.strip("[]")):
                return True
            continue
        name = name.removeprefix("*")
        if host == name.removeprefix(".") and not name.startswith("."):
            return True
        if host.endswith(name if name.startswith(".") else f".{name}"):
            return True
    return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    import ipaddress  # 6 ms, for those who have exceptions from a proxy

    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_within(address: IPv4Address | IPv6Address, network: str) -> bool:
    import ipaddress  # as above

    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
