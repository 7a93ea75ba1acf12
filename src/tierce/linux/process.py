"""Processes: their children and their capabilities; which boot of the machine this is."""

import os

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
"""Names by number, as in capabilities(7), without "CAP_"."""


def boot_id() -> str:
    """A text that is another one after each boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads; empty when it is no more."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="utf-8") as file:
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


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since the boot; 0 when it is no more.

    With the number of the process and the boot this tells it from all others. One that has ended
    and waits to be reaped counts as gone.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


def number_of(descriptor: int) -> int:
    """The number of the process that a pidfd holds; 0 when it has ended."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                return max(int(line[4:]), 0)
    return 0


def open_process(pid: int, started: int) -> int:
    """A pidfd of the process with this number and `start_time`, or -1 when it is no more."""
    if pid <= 0:
        return -1
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    # The descriptor holds on to one process; the number could have been given to another before.
    if start_time(pid) != started:
        os.close(descriptor)
        return -1
    return descriptor
