"""The flags of `container run` about networks and ports."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.client.running import (
    RunRequest,
    check_mac,
    is_address,
    parse_expose,
    parse_host,
    parse_publish,
    why_not_bridge,
)
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

FLAGS = (
    Flag("add-host", kind="list", help="Add a custom host-to-IP mapping (host:ip)"),
    Flag("dns", kind="list", help="Set custom DNS servers"),
    Flag("dns-opt", kind="list", hidden=True),
    Flag("dns-option", kind="list", help="Set DNS options"),
    Flag("dns-search", kind="list", help="Set custom DNS search domains"),
    Flag("expose", kind="list", help="Expose a port or a range of ports"),
    Flag("hostname", "h", kind="string", help="Container host name"),
    Flag("ip", kind="string", help="IPv4 address (e.g., 10.86.30.104)"),
    Flag("mac-address", kind="string",
         help="Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag("net", kind="list", shown="network", hidden=True),
    Flag("network", kind="list", shown="network", help="Connect a container to a network "
         '("bridge", "host", "none" or "container:<name|id>")'),
    Flag("publish", "p", kind="list", help="Publish a container's port(s) to the host"),
    Flag("publish-all", "P", help="Publish all exposed ports to random ports"),
)  # fmt: skip

NETWORKS = ("bridge", "host", "none")
"""And "default", for the one that a container has without the flag."""

_ALONE = {"host", "none"}
_HOSTNAME_LIMIT = 64


def with_network(request: RunRequest, options: Parsed) -> RunRequest:
    """The request with what the flags ask for. Raises UsageError."""
    network, fields = _network(options)
    address, mac = options.text("ip"), options.text("mac-address")
    address, mac = fields.get("ip", address), fields.get("mac-address", mac)
    if address and not is_address(address, version=4):
        raise UsageError(f"invalid IPv4 address: {address}")
    for name, given in (("mac-address", mac), ("ip address", address)):
        if given and network in _ALONE:
            raise UsageError(f"conflicting options: {name} and the network mode")
    return request.replace(
        network=network,
        hostname=_hostname(options.text("hostname")),
        hosts=tuple(parse_host(text) for text in options.texts("add-host")),
        dns=tuple(_server(text) for text in options.texts("dns")),
        dns_search=tuple(_domain(text) for text in options.texts("dns-search")),
        dns_options=(
            *(_word("dns-option", text) for text in options.texts("dns-option")),
            *(_word("dns-opt", text) for text in options.texts("dns-opt")),
        ),
        address=address,
        mac=check_mac(mac) if mac else "",
        ports=tuple(port for text in options.texts("publish") for port in parse_publish(text)),
        publish_all=options.flag("publish-all"),
        exposed=tuple(port for text in options.texts("expose") for port in parse_expose(text)),
    )


def tell_of_network(request: RunRequest, session: Session) -> RunRequest:
    """Says what of the request this machine, or the network, cannot give; returns the rest.

    To be called once, before the container is made.
    """
    network = request.network
    if network == "default" and (reason := why_not_bridge(session.store)):
        session.warn(f"tierce: network host instead of bridge: {reason}")
        network = "host"
    if network in _ALONE and (request.ports or request.publish_all):
        session.warn(f"WARNING: Published ports are discarded when using {network} network mode")
        request = request.replace(ports=(), publish_all=False)
    return request


def _network(options: Parsed) -> tuple[str, dict[str, str]]:
    """The network's name, and the fields of docker's long form."""
    given = [*options.texts("network"), *options.texts("net")]
    if not given:
        return "default", {}
    if len(given) > 1:
        raise UsageError(
            f"network {', '.join(given)}: a container is on one network",
            hint=f"use one of {', '.join(NETWORKS)}, container:NAME",
        )
    fields: dict[str, str] = {}
    name = given[0]
    if "=" in name and not name.startswith("container:"):
        for part in name.split(","):
            key, _, value = part.partition("=")
            if key.strip().lower() not in {"name", "ip", "mac-address"}:
                raise UsageError(
                    f'invalid argument "{given[0]}" for "--network" flag: invalid field key {key}'
                )
            fields[key.strip().lower()] = value.strip()
        name = fields.get("name", "")
    if name.startswith("container:"):
        if not name.removeprefix("container:"):
            raise UsageError("invalid container format container:<name|id>")
        return name, fields
    if name not in {"default", *NETWORKS}:
        raise UsageError(
            f"network {name} not found",
            hint=f"use one of {', '.join(NETWORKS)}, container:NAME",
        )
    return name, fields


def _hostname(text: str) -> str:
    """It is written to files that are read line by line; the kernel takes so many bytes."""
    if len(text.encode()) > _HOSTNAME_LIMIT or any(
        each.isspace() or not each.isprintable() for each in text
    ):
        raise UsageError(f"invalid hostname format: {text!r}")
    return text


def _server(text: str) -> str:
    if not is_address(text):
        raise UsageError(
            f'invalid argument "{text}" for "--dns" flag: '
            f"IP address is not correctly formatted: {text}"
        )
    return text


def _domain(text: str) -> str:
    known = "abcdefghijklmnopqrstuvwxyz0123456789-_."
    if text != "." and (not text or text.lower().strip(known) or len(text) > 255):
        raise UsageError(
            f'invalid argument "{text}" for "--dns-search" flag: {text} is not a valid domain'
        )
    return text


def _word(flag: str, text: str) -> str:
    if not text or not all(each.isprintable() and not each.isspace() for each in text):
        raise UsageError(f'invalid argument {text!r} for "--{flag}" flag: not one word')
    return text
