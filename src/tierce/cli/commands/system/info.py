"""`tierce info`: the store, the machine, and what tierce makes of them."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.units import bytes_size
from tierce.cli.format.values import Struct
from tierce.cli.inspecting import show_document
from tierce.client.host import SystemInfo, parts, system_info

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.cli.session import Session
    from tierce.client.parts import Part

PLUGINS: dict[str, object] = {
    "Volume": ["local"],
    "Network": ["bridge", "host", "null"],
    "Authorization": None,
    "Log": ["json-file", "local", "none"],
}

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
        show_document(session, document(info, lambda: parts(session.store)), form)
    else:
        found = parts(session.store)
        session.stdout.write(text_of(info, found, debug=session.debug))
    return 0


def text_of(info: SystemInfo, found: Sequence[Part], *, debug: bool) -> str:
    """docker's layout: what it would ask its daemon for is in the second part."""
    runtime = info.runtime
    if runtime.name:
        program = f"{runtime.name} {runtime.version} ({runtime.path})"
    else:
        program = "none"
    lines = [
        "Client:",
        f" Version:    {info.version}",
        " Context:    default",
        f" Debug Mode: {'true' if debug else 'false'}",
        "",
        "Server: none, tierce has no daemon",
        f" Containers: {info.containers}",
        f"  Running: {info.containers_running - info.containers_paused}",
        f"  Paused: {info.containers_paused}",
        f"  Stopped: {info.containers - info.containers_running}",
        f" Images: {info.images}",
        f" Storage Driver: {info.snapshotter}",
        *[f"  {name}: {value}" for name, value in driver_status(info)],
        f" Cgroups: {info.cgroup_mode}",
        f" Runtime: {program}",
        f"  Reason: {runtime.reason}",
        f" Privilege: {info.rung.name}",
        f"  Reason: {info.rung.reason}",
        *[f"  Lacks: {lack}" for lack in info.rung.lacks],
        " Parts:",
        *[f"  {line_of(part)}" for part in found],
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


def line_of(part: Part) -> str:
    """A part on one line: which it is, or what its absence costs."""
    if not part.here:
        return f"{part.name}: missing: {part.without}"
    path = f"({part.path})" if part.path else ""
    return f"{part.name}: {' '.join(filter(None, (part.version, path))) or 'yes'}"


def driver_status(info: SystemInfo) -> list[list[str]]:
    """What docker, too, says of a storage driver: pairs of a name and a value."""
    return [["Large Layers", "mounted from tars by EROFS" if info.mounts_tars else "unpacked"]]


def document(info: SystemInfo, found: Callable[[], Sequence[Part]]) -> Struct:
    """The fields of docker's info that mean something here, and tierce's own.

    `found` gives the parts, for who wants to know them.
    """
    runtime, rung = info.runtime, info.rung
    return Struct(
        "system.dockerInfo",
        {
            "ID": "",
            "Containers": info.containers,
            "ContainersRunning": info.containers_running - info.containers_paused,
            "ContainersPaused": info.containers_paused,
            "ContainersStopped": info.containers - info.containers_running,
            "Images": info.images,
            "Driver": info.snapshotter,
            "DriverStatus": driver_status(info),
            "Plugins": Struct("system.PluginsInfo", PLUGINS),
            **limits_of(info),
            "CgroupDriver": "none" if info.cgroup_mode == "none" or info.rootless else "cgroupfs",
            "CgroupVersion": "2" if info.cgroup_mode == "unified" else "1",
            "CgroupMode": info.cgroup_mode,
            "LoggingDriver": "json-file",
            "DefaultRuntime": runtime.name,
            "Runtimes": {runtime.name: {"path": runtime.path}} if runtime.name else {},
            "RuntimeVersion": runtime.version,
            "RuntimeReason": runtime.reason,
            "Swarm": Struct("swarm.Info", {"NodeID": "", "LocalNodeState": "inactive"}),
            "LiveRestoreEnabled": True,
            "Isolation": "",
            "SecurityOptions": [
                "name=seccomp,profile=builtin",
                *(["name=rootless"] if info.rootless else []),
            ],
            "Privilege": rung.name,
            "PrivilegeReason": rung.reason,
            "PrivilegeLacks": list(rung.lacks),
            "Parts": lambda: [struct_of(part) for part in found()],
            "KernelVersion": info.kernel,
            "OperatingSystem": info.operating_system,
            "OSType": "linux",
            "Architecture": info.architecture,
            "NCPU": info.processors,
            "MemTotal": info.memory,
            "Name": info.hostname,
            "Labels": [],
            "ExperimentalBuild": False,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "DockerRootDir": info.root,
            "RunDir": info.run,
            "ServerVersion": info.version,
            "Warnings": [],
            "ClientInfo": Struct(
                "system.clientInfo", {"Version": info.version, "Context": "default"}
            ),
        },
        aliases={"CPUCfsPeriod": "CpuCfsPeriod", "CPUCfsQuota": "CpuCfsQuota"},
    )


def limits_of(info: SystemInfo) -> dict[str, object]:
    """Which limits containers can have, under docker's names."""
    known = info.limits
    return {
        "MemoryLimit": known.has("memory"),
        "SwapLimit": known.has("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
        "CpuCfsPeriod": known.has("cpu", "cpu.cfs_period_us", "cpu.max"),
        "CpuCfsQuota": known.has("cpu", "cpu.cfs_quota_us", "cpu.max"),
        "CPUShares": known.has("cpu", "cpu.shares", "cpu.weight"),
        "CPUSet": known.has("cpuset"),
        "PidsLimit": known.has("pids"),
        "OomKillDisable": known.has("memory", "memory.oom_control"),
    }


def struct_of(part: Part) -> Struct:
    return Struct(
        "system.Part",
        {
            "Name": part.name,
            "Here": part.here,
            "Version": part.version,
            "Path": part.path,
            "Without": part.without,
        },
    )
