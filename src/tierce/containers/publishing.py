"""The notations of --publish, --expose and of addresses, with docker's words for mistakes."""

from __future__ import annotations

from tierce.errors import UsageError
from tierce.runtime.ports import PROTOCOLS, PortRequest

_LONG_FIELDS = ("mode", "published", "target", "protocol")
_MODES = ("ingress", "host")
_LARGEST = 65535
_MAC_BYTES = 6


def parse_publish(text: str) -> tuple[PortRequest, ...]:
    """`[[ADDRESS:]PORT:]PORT[/PROTOCOL]`, where ports may be ranges, or the long form.

    That is `mode=…,published=…,target=…,protocol=…`. A range for one port of the container is
    one of which a free one is taken. Raises UsageError.
    """
    text = _short_form(text) if "=" in text else text
    address, host, container = _parts(text)
    number, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if address:
        address = _host_address(address, text)
    if not number:
        raise UsageError(f"no port specified: {text}<empty>")
    first, last = _range(number, f"invalid containerPort: {number}", lowest=1)
    host_first, host_last = 0, 0
    if host:
        host_first, host_last = _range(host, f"invalid hostPort: {host}", lowest=0)
    if protocol not in PROTOCOLS:
        raise UsageError(f"invalid proto: {protocol}")
    if last == first:
        return (PortRequest(first, protocol, address, host_first, host_last),)
    if host and host_last - host_first != last - first:
        raise UsageError(
            f"invalid ranges specified for container and host Ports: {number} and {host}"
        )
    return tuple(
        [
            PortRequest(first + step, protocol, address, *([host_first + step] * 2 if host else ()))
            for step in range(last - first + 1)
        ]
    )


def parse_expose(text: str) -> tuple[str, ...]:
    """`PORT[/PROTOCOL]`, or a range; each as "80/tcp". Raises UsageError."""
    if ":" in text:
        raise UsageError(f"invalid port format for --expose: {text}")
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    first, last = _range(number, f"invalid range format for --expose: {text}", lowest=1)
    if protocol not in PROTOCOLS:
        raise UsageError(f"invalid proto: {protocol}")
    return tuple([f"{port}/{protocol}" for port in range(first, last + 1)])


def is_address(text: str, *, version: int = 0) -> bool:
    """Whether this is an IP address, of version 4 or 6 (0: either)."""
    import _socket  # the module `socket` takes 4 ms to import

    families = {4: _socket.AF_INET, 6: _socket.AF_INET6}
    for family in [families[version]] if version else families.values():
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def check_mac(text: str) -> str:
    """A hardware address as it is written to the interface. Raises UsageError."""
    parts = text.replace("-", ":").lower().split(":")
    digits = "0123456789abcdef"
    if len(parts) != _MAC_BYTES or any(len(part) != 2 or part.strip(digits) for part in parts):
        raise UsageError(f"{text} is not a valid mac address")
    if int(parts[0], 16) & 1:
        raise UsageError(f"{text} is not a valid mac address: it is one of a group")
    return ":".join(parts)


def parse_host(text: str) -> tuple[str, str]:
    """(name, address) of `name:address` or `name=address`, for --add-host. Raises UsageError.

    The address may be "host-gateway".
    """
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not name or any(each.isspace() or each in ":#" for each in name):
        raise UsageError(
            f'invalid argument "{text}" for "--add-host" flag: bad format for add-host: "{text}"'
        )
    if address == "host-gateway":
        return name, address
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not is_address(address):
        raise UsageError(
            f'invalid argument "{text}" for "--add-host" flag: '
            f'invalid IP address in add-host: "{address}"'
        )
    return name, address


def _short_form(text: str) -> str:
    fields = {"protocol": "tcp", "published": "", "target": ""}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        if not separator or not name:
            raise UsageError(f"invalid publish opts format (should be name=value but got '{part}')")
        if name not in _LONG_FIELDS:
            raise UsageError(f"invalid field key {name}", hint=f"one of {', '.join(_LONG_FIELDS)}")
        fields[name] = value
    if fields.get("mode", "host") not in _MODES:
        raise UsageError(
            f"invalid mode value ({fields['mode']}): must be either 'ingress' or 'host'"
        )
    if not fields["target"]:
        raise UsageError('missing mandatory field "target"')
    return f"{fields['published']}:{fields['target']}/{fields['protocol']}"


def _parts(text: str) -> tuple[str, str, str]:
    """Address, host's port, container's port; an address of version 6 has colons itself."""
    parts = text.split(":")
    if len(parts) < 3:
        return "", "" if len(parts) == 1 else parts[0], parts[-1]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _host_address(text: str, whole: str) -> str:
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_address(address, version=4):
        return address
    if is_address(address, version=6):
        raise UsageError(
            f"publish {whole}: ports are published on IPv4 addresses alone",
            hint="containers have no IPv6 addresses; leave the address out, or give one of IPv4",
        )
    raise UsageError(f"invalid IP address: {address}")


def _range(text: str, mistake: str, *, lowest: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise UsageError(mistake)
    start, end = (int(number) if len(number) < 6 else _LARGEST + 1 for number in numbers)
    if not lowest <= start <= end <= _LARGEST:
        raise UsageError(mistake)
    return start, end
