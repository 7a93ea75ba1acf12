"""The flags that limit what a process may use, for all commands that run one.

What they mean is in `cli.limits`, which is loaded when one of them is given.
"""

from __future__ import annotations

from tierce.cli.flags import Flag

LIMIT_FLAGS = (
    Flag("cgroup-parent", kind="string", help="Set the parent cgroup of what is run"),
    Flag("cpu-period", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", kind="int", help="Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-shares", "c", kind="int", help="CPU shares (relative weight)"),
    Flag("cpus", kind="string", shown="decimal", help="Number of CPUs"),
    Flag("cpuset-cpus", kind="string", help="CPUs in which to allow execution (0-3, 0,1)"),
    Flag("cpuset-mems", kind="string", help="MEMs in which to allow execution (0-3, 0,1)"),
    Flag("memory", "m", kind="bytes", help="Memory limit"),
    Flag("memory-swap", kind="string", shown="bytes",
         help="Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    Flag("shm-size", kind="bytes", help="Size of /dev/shm"),
    Flag("ulimit", kind="list", help="Ulimit options"),
)  # fmt: skip
LIMIT_NAMES = tuple(flag.name for flag in LIMIT_FLAGS)
