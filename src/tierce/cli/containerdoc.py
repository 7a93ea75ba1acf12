"""A container as docker's API describes it: field by field what `inspect` shows."""

from __future__ import annotations

from tierce.cli.format.units import rfc3339_nano
from tierce.cli.format.values import NilList, NilMap, NilPointer, StringMap, Struct
from tierce.cli.hostdoc import host_document, network_of
from tierce.cli.imagedoc import NEVER, empty_objects, texts
from tierce.cli.mountdoc import mount_documents
from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session
    from tierce.client.containers import (
        ContainerDetails,
        Containers,
        ContainerState,
        ContainerView,
    )

OMITTED_IN_CONFIG = frozenset({"ExposedPorts", "StopSignal", "StopTimeout", "Shell"})


def container_document(
    session: Session, containers: Containers, details: ContainerDetails
) -> Struct:
    """The document of a container."""
    view = details.view
    state = view.state
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
            "Mounts": mount_documents(state, str(session.store.paths.volumes)),
            "Config": config_document(view),
            "NetworkSettings": network_document(state),
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
        },
    )


def config_document(view: ContainerView) -> Struct:
    state = view.state
    return Struct(
        "container.Config",
        {
            "Hostname": state.hostname,
            "Domainname": "",
            "User": state.user,
            "AttachStdin": state.stdin and not state.detached,
            "AttachStdout": not state.detached,
            "AttachStderr": not state.detached,
            "ExposedPorts": empty_objects(state.exposed),
            "Tty": state.terminal,
            "OpenStdin": state.stdin,
            "StdinOnce": state.stdin and not state.detached,
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
        },
        omitted=OMITTED_IN_CONFIG,
    )


def network_document(state: ContainerState) -> Struct:
    return Struct(
        "container.NetworkSettings",
        {
            "SandboxID": "",
            "SandboxKey": "",
            "Ports": {},
            "IPAddress": "",
            "Gateway": "",
            "MacAddress": "",
            "Networks": {network_of(state): Struct(
                "network.EndpointSettings",
                {"IPAddress": "", "Gateway": "", "MacAddress": "", "NetworkID": ""},
            )},
        },
    )  # fmt: skip


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
