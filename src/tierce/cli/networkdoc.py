"""A network as docker shows it: a row of `network ls`, and the document of `network inspect`."""

from __future__ import annotations

from tierce.cli.format.units import go_time, rfc3339_nano
from tierce.cli.format.values import StringMap, Struct
from tierce.cli.imagedoc import NEVER

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.client.containers import ContainerView
    from tierce.client.networks import NetworkView

HEADERS = {
    "CreatedAt": "CREATED AT",
    "Driver": "DRIVER",
    "ID": "NETWORK ID",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "Name": "NAME",
    "Scope": "SCOPE",
}
SHORT_ID = 12


def network_row(view: NetworkView, *, truncate: bool) -> Struct:
    return Struct(
        "network.networkContext",
        {
            "CreatedAt": lambda: go_time(view.created),
            "Driver": view.driver,
            "ID": view.id[:SHORT_ID] if truncate else view.id,
            "IPv4": "true",
            "IPv6": "false",
            "Internal": "false",
            "Labels": "",
            "Name": view.name,
            "Scope": view.scope,
        },
        escape_html=True,
    )


def network_document(view: NetworkView) -> Struct:
    config = []
    if view.subnet is not None:
        fields = {"Subnet": str(view.subnet), "Gateway": view.subnet.gateway}
        config.append(Struct("network.IPAMConfig", fields))
    options = {"com.docker.network.bridge.name": view.interface} if view.interface else {}
    return Struct(
        "network.Inspect",
        {
            "Name": view.name,
            "Id": view.id,
            "Created": rfc3339_nano(view.created) if view.created else NEVER,
            "Scope": view.scope,
            "Driver": view.driver,
            "EnableIPv4": True,
            "EnableIPv6": False,
            "IPAM": Struct(
                "network.IPAM", {"Driver": "default", "Options": StringMap(), "Config": config}
            ),
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": Struct("network.ConfigReference", {"Network": ""}),
            "ConfigOnly": False,
            "Containers": {each.id: _container(each) for each in view.containers},
            "Options": StringMap(options),
            "Labels": StringMap(),
        },
        aliases={"ID": "Id"},
    )


def _container(view: ContainerView) -> Struct:
    found = view.endpoint
    return Struct(
        "network.EndpointResource",
        {
            "Name": view.name,
            "EndpointID": "",
            "MacAddress": found.mac if found else "",
            "IPv4Address": f"{found.address}/{found.prefix}" if found else "",
            "IPv6Address": "",
        },
    )
