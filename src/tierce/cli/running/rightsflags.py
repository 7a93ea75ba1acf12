"""The flags for what a container may do and use; what they mean is in `cli.running.rights`.

That is loaded when one of them is given, so that a container without pays nothing for them.
"""

from __future__ import annotations

from tierce.cli.flags import Flag
from tierce.cli.limitflags import LIMIT_FLAGS
from tierce.cli.table import load_module

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session
    from tierce.client.running import RunRequest

FLAGS = (
    *LIMIT_FLAGS,
    Flag("blkio-weight", kind="int",
         help="Block IO (relative weight), between 10 and 1000, or 0 to disable"),
    Flag("blkio-weight-device", kind="list", help="Block IO weight (relative device weight)"),
    Flag("cap-add", kind="list", help="Add Linux capabilities"),
    Flag("cap-drop", kind="list", help="Drop Linux capabilities"),
    Flag("cgroupns", kind="string", help="Cgroup namespace to use (host|private)"),
    Flag("cpu-rt-period", kind="int", help="Limit CPU real-time period in microseconds"),
    Flag("cpu-rt-runtime", kind="int", help="Limit CPU real-time runtime in microseconds"),
    Flag("device", kind="list", help="Add a host device to the container"),
    Flag("device-cgroup-rule", kind="list",
         help="Add a rule to the cgroup allowed devices list"),
    Flag("device-read-bps", kind="list",
         help="Limit read rate (bytes per second) from a device"),
    Flag("device-read-iops", kind="list", help="Limit read rate (IO per second) from a device"),
    Flag("device-write-bps", kind="list",
         help="Limit write rate (bytes per second) to a device"),
    Flag("device-write-iops", kind="list", help="Limit write rate (IO per second) to a device"),
    Flag("gpus", kind="string", help="GPU devices to add to the container"),
    Flag("group-add", kind="list", help="Add additional groups to join"),
    Flag("init",
         help="Run an init inside the container that forwards signals and reaps processes"),
    Flag("ipc", kind="string", help="IPC mode to use"),
    Flag("isolation", kind="string", help="Container isolation technology"),
    Flag("kernel-memory", kind="bytes", help="Kernel memory limit (deprecated)", hidden=True),
    Flag("memory-reservation", kind="bytes", help="Memory soft limit"),
    Flag("memory-swappiness", kind="int", default=-1,
         help="Tune container memory swappiness (0 to 100)"),
    Flag("oom-kill-disable", help="Disable OOM Killer"),
    Flag("oom-score-adj", kind="int", help="Tune host's OOM preferences (-1000 to 1000)"),
    Flag("pid", kind="string", help="PID namespace to use"),
    Flag("pids-limit", kind="int", help="Tune container pids limit (set -1 for unlimited)"),
    Flag("runtime", kind="string", help="Runtime to use for this container"),
    Flag("security-opt", kind="list", help="Security Options"),
    Flag("storage-opt", kind="list", help="Storage driver options for the container"),
    Flag("sysctl", kind="map", help="Sysctl options"),
    Flag("userns", kind="string", help="User namespace to use"),
    Flag("uts", kind="string", help="UTS namespace to use"),
)  # fmt: skip
_NAMES = (*(flag.name for flag in FLAGS), "privileged")


def with_rights(request: RunRequest, options: Parsed, session: Session) -> RunRequest:
    """The request with what the flags ask for; what cannot be given is told of.

    Raises UsageError, and what `client.rights.prepared` raises.
    """
    if not any(options.given(name) for name in _NAMES):
        return request
    rights = load_module("tierce.cli.running.rights")
    found: RunRequest = rights.with_rights(request, options, session)
    return found
