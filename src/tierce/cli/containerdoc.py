"""A container as docker's API describes it: field by field what `inspect` shows."""

from __future__ import annotations

from tierce.cli.format.units import rfc3339_nano
from tierce.cli.format.values import NilList, NilMap, NilPointer, StringMap, Struct
from tierce.cli.hostdoc import host_document
from tierce.cli.imagedoc import NEVER, empty_objects, texts
from tierce.cli.imagedoc import health_document as check_document
from tierce.cli.mountdoc import mount_documents
from tierce.cli.ports import bindings
from tierce.client.networks import network_id
from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session
    from tierce.client.containers import (
        ContainerDetails,
        Containers,
        ContainerView,
    )
    from tierce.client.health import Health

OMITTED_IN_CONFIG = frozenset({"ExposedPorts", "Healthcheck", "Shell", "StopSignal", "StopTimeout"})
OMITTED_IN_STATE = frozenset({"Health"})


def container_document(
    session: Session, containers: Containers, details: ContainerDetails, *, sizes: bool = False
) -> Struct:
    """The document of a container; by `sizes` with those of its files."""
    view = details.view
    state = view.state
    measured: dict[str, object] = {}
    if sizes:
        measured = dict(zip(("SizeRw", "SizeRootFs"), containers.sizes(view)))
    return Struct(
        "container.InspectResponse",
        {
            "Id": view.id,
            "Created": rfc3339_nano(view.created),
            "Path": state.args[0] if state.args else "",
            "Args": list(state.args[1:]),
            "State": state_document(details),
            "Image": view.image,
            "ResolvConfPath": "",
            "HostnamePath": "",
            "HostsPath": "",
            "LogPath": details.log,
            "Name": f"/{view.name}",
            "RestartCount": 0,
            "Driver": session.store.parts.snapshotter.name,
            "Platform": state.platform or "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": texts(details.exec_ids),
            "HostConfig": host_document(state),
            "GraphDriver": lambda: driver_document(session, containers, view),
            **measured,
            "Mounts": mount_documents(state, str(session.store.paths.volumes)),
            "Config": config_document(view),
            "NetworkSettings": network_document(view),
        },
        aliases={"ID": "Id"},
    )


def state_document(details: ContainerDetails) -> Struct:
    view, state = details.view, details.view.state
    return Struct(
        "container.State",
        {
            "Status": view.status,
            "Running": view.running,
            "Paused": view.status == "paused",
            "Restarting": False,
            "OOMKilled": state.out_of_memory,
            "Dead": False,
            "Pid": details.pid,
            "ExitCode": 0 if view.running else state.exit_code,
            "Error": state.error,
            "StartedAt": rfc3339_nano(state.started) if state.started else NEVER,
            "FinishedAt": rfc3339_nano(state.finished) if state.finished else NEVER,
            "Health": health_document(view.health)
            if view.health
            else NilPointer("container.Health"),
        },
        omitted=OMITTED_IN_STATE,
    )


def health_document(health: Health) -> Struct:
    """What is known of a container's health, with the last answers."""
    log = [
        Struct(
            "container.HealthcheckResult",
            {
                "Start": rfc3339_nano(entry.start),
                "End": rfc3339_nano(entry.end),
                "ExitCode": entry.exit_code,
                "Output": entry.output,
            },
        )
        for entry in health.log
    ]
    return Struct(
        "container.Health",
        {"Status": health.status, "FailingStreak": health.failing_streak, "Log": log},
    )


def config_document(view: ContainerView) -> Struct:
    state = view.state
    return Struct(
        "container.Config",
        {
            "Hostname": state.hostname,
            "Domainname": "",
            "User": state.user,
            "AttachStdin": "stdin" in state.attached,
            "AttachStdout": "stdout" in state.attached,
            "AttachStderr": "stderr" in state.attached,
            "ExposedPorts": empty_objects(state.exposed),
            "Tty": state.terminal,
            "OpenStdin": state.stdin,
            "StdinOnce": state.stdin_once,
            "Env": texts(state.env),
            "Cmd": texts(state.command),
            "Image": state.image_name,
            "Volumes": empty_objects(state.directories),
            "WorkingDir": "" if state.working_dir == "/" else state.working_dir,
            "Entrypoint": texts(state.entrypoint),
            "OnBuild": NilList(),
            "Labels": StringMap(state.labels) if state.labels else NilMap(),
            "StopSignal": state.stop_signal,
            "StopTimeout": state.stop_timeout,
            "Healthcheck": check_document(state.health_check)
            if state.health_check
            else NilPointer("container.HealthConfig"),
            "Shell": texts(state.shell or None),
        },
        omitted=OMITTED_IN_CONFIG,
    )


def network_document(view: ContainerView) -> Struct:
    found, state = view.endpoint, view.state
    addresses = {
        "Gateway": found.gateway if found else "",
        "IPAddress": found.address if found else "",
        "IPPrefixLen": found.prefix if found else 0,
        "MacAddress": found.mac if found else "",
    }
    # Who shares the network of another container, is on none itself.
    networks = {} if view.network.startswith("container:") else {
        view.network: Struct(
            "network.EndpointSettings",
            {
                "IPAMConfig": {"IPv4Address": state.address} if state.address else NilMap(),
                "Links": NilList(),
                "Aliases": NilList(),
                **addresses,
                "NetworkID": network_id(view.network),
                "EndpointID": "",
                "IPv6Gateway": "",
                "GlobalIPv6Address": "",
                "GlobalIPv6PrefixLen": 0,
                "DriverOpts": NilMap(),
                "DNSNames": NilList(),
            },
        )
    }  # fmt: skip
    return Struct(
        "container.NetworkSettings",
        {
            "Bridge": "",
            "SandboxID": "",
            "SandboxKey": "",
            "Ports": bindings(view),
            **addresses,
            "GlobalIPv6Address": "",
            "Networks": networks,
        },
    )


def driver_document(session: Session, containers: Containers, view: ContainerView) -> Struct:
    """Where the files of the container are."""
    data: object = NilPointer("map")
    try:
        directories = containers.layer_directories(view)
        if directories is not None:
            data = StringMap(
                {
                    "LowerDir": ":".join(map(str, directories.lower)),
                    "MergedDir": str(directories.merged),
                    "UpperDir": str(directories.upper),
                    "WorkDir": str(directories.work),
                }
            )
    except TierceError as error:
        session.report(error)
    name = session.store.parts.snapshotter.name
    return Struct("storage.DriverData", {"Data": data, "Name": name})
