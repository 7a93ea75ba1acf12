"""Processes: their identity, their ends, their capabilities."""

import os

from tierce.linux import libc

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ = 23
PR_SET_CHILD_SUBREAPER = 36

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
"""Names by number, as in capabilities(7), without "CAP_"."""


def prctl(option: int, argument: int = 0) -> int:
    return libc.call("prctl", option, argument, 0, 0, 0)


def boot_id() -> str:
    """A text that is another one after each boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is no more.

    Numbers of processes are used again, but not within one tick: with the boot id, this names a
    process for ever. A zombie has ended: None.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses, and may itself hold blanks and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, started: int) -> bool:
    """Whether this very process still runs; `started` is what `start_time` said of it."""
    return start_time(pid) == started


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads; empty when it is no more."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def bounding_capabilities(pid: int | str = "self") -> frozenset[str]:
    """The capabilities that a process and its descendants can have at most ("CAP_CHOWN" …)."""
    return _capabilities(pid, "CapBnd:")


def effective_capabilities(pid: int | str = "self") -> frozenset[str]:
    """The capabilities that a process has now."""
    return _capabilities(pid, "CapEff:")


def _capabilities(pid: int | str, field: str) -> frozenset[str]:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(field):
                bits = int(line[len(field) :], 16)
                return frozenset(
                    f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bits >> number & 1
                )
    return frozenset()
