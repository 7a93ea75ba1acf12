"""`tierce info`: the store, the machine, and what tierce makes of them."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.units import bytes_size
from tierce.cli.format.values import Struct
from tierce.cli.inspecting import show_document
from tierce.client.host import SystemInfo, system_info

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="system info",
    usage="[OPTIONS]",
    short="Display system-wide information",
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
)


def run(options: Parsed, session: Session) -> int:
    info = system_info(session.store)
    form = options.text("format")
    if form:
        show_document(session, document(info), form)
    else:
        session.stdout.write(text_of(info, debug=session.debug))
    return 0


def text_of(info: SystemInfo, *, debug: bool) -> str:
    """docker's layout: what it would ask its daemon for is in the second part."""
    runtime = info.runtime
    if runtime.name:
        program = f"{runtime.name} {runtime.version} ({runtime.path})"
    else:
        program = "none"
    stopped = info.containers - info.containers_running
    lines = [
        "Client:",
        f" Version:    {info.version}",
        " Context:    default",
        f" Debug Mode: {'true' if debug else 'false'}",
        "",
        "Server: none, tierce has no daemon",
        f" Containers: {info.containers}",
        f"  Running: {info.containers_running}",
        f"  Stopped: {stopped}",
        f" Images: {info.images}",
        f" Storage Driver: {info.snapshotter}",
        *[f"  {name}: {value}" for name, value in driver_status(info)],
        f" Cgroups: {info.cgroup_mode}",
        f" Runtime: {program}",
        f"  Reason: {runtime.reason}",
        f" Privilege: {info.privilege}",
        f" Kernel Version: {info.kernel}",
        f" Operating System: {info.operating_system}",
        " OSType: linux",
        f" Architecture: {info.architecture}",
        f" CPUs: {info.processors}",
        f" Total Memory: {bytes_size(info.memory)}",
        f" Name: {info.hostname}",
        f" Docker Root Dir: {info.root}",
        f" Run Dir: {info.run}",
        "",
    ]
    return "\n".join(lines)


def driver_status(info: SystemInfo) -> list[list[str]]:
    """What docker, too, says of a storage driver: pairs of a name and a value."""
    return [["Large Layers", "mounted from tars by EROFS" if info.mounts_tars else "unpacked"]]


def document(info: SystemInfo) -> Struct:
    """The fields of docker's info that mean something here, and tierce's own."""
    runtime = info.runtime
    return Struct(
        "system.dockerInfo",
        {
            "Containers": info.containers,
            "ContainersRunning": info.containers_running,
            "ContainersStopped": info.containers - info.containers_running,
            "Images": info.images,
            "Driver": info.snapshotter,
            "DriverStatus": driver_status(info),
            "CgroupVersion": "2" if info.cgroup_mode == "unified" else "1",
            "CgroupMode": info.cgroup_mode,
            "DefaultRuntime": runtime.name,
            "Runtimes": {runtime.name: {"path": runtime.path}} if runtime.name else {},
            "RuntimeVersion": runtime.version,
            "RuntimeReason": runtime.reason,
            "Privilege": info.privilege,
            "KernelVersion": info.kernel,
            "OperatingSystem": info.operating_system,
            "OSType": "linux",
            "Architecture": info.architecture,
            "NCPU": info.processors,
            "MemTotal": info.memory,
            "Name": info.hostname,
            "DockerRootDir": info.root,
            "RunDir": info.run,
            "ServerVersion": info.version,
            "ClientInfo": Struct(
                "system.clientInfo", {"Version": info.version, "Context": "default"}
            ),
        },
    )
