"""Attempts to get out of a container, tried inside of it by a Python that is mounted there.

Run as a program, with what there is to be found outside as JSON in its first argument; it prints,
as JSON, what became of each attempt: the name of the error with which it was refused, or
"SUCCEEDED" and what was gained. `NAMES` are all attempts.
"""

import ctypes
import errno
import json
import os
import socket
import stat
import sys
from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
MASKED = (
    *("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"),
    *("/proc/latency_stats", "/proc/interrupts", "/sys/firmware", "/proc/acpi", "/proc/scsi"),
    "/sys/devices/virtual/powercap",
)
_X86 = {
    "ptrace": 101,
    "mount": 165,
    "umount2": 166,
    "unshare": 272,
    "setns": 308,
    "init_module": 175,
    "delete_module": 176,
    "kexec_load": 246,
    "reboot": 169,
    "swapon": 167,
    "settimeofday": 164,
    "acct": 163,
    "iopl": 172,
    "pivot_root": 155,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "process_vm_readv": 310,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "bpf": 321,
    "userfaultfd": 323,
    "lookup_dcookie": 212,
    "syslog": 103,
    "clone": 56,
}
_GENERIC = {
    "ptrace": 117,
    "mount": 40,
    "umount2": 39,
    "unshare": 97,
    "setns": 268,
    "init_module": 105,
    "delete_module": 106,
    "kexec_load": 104,
    "reboot": 142,
    "swapon": 224,
    "settimeofday": 170,
    "acct": 89,
    "pivot_root": 41,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "process_vm_readv": 270,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "perf_event_open": 241,
    "bpf": 280,
    "userfaultfd": 282,
    "syslog": 116,
    "clone": 220,
}
_SAME = {
    "open_tree": 428,
    "fsopen": 430,
    "clone3": 435,
    "io_uring_setup": 425,
    "mount_setattr": 442,
}
NUMBERS = (_X86 if os.uname().machine == "x86_64" else _GENERIC) | _SAME

_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "mount_memory": ("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "mount_processes": ("mount", b"proc", b"/tmp", b"proc", 0, None),
    "mount_cgroups": ("mount", b"cgroup", b"/tmp", b"cgroup", 0, b"memory"),
    "mount_again_writable": ("mount", b"none", b"/proc/sys", None, 32 | 4096, None),
    "mount_by_descriptor": ("fsopen", b"tmpfs", 0),
    "copy_mounts": ("open_tree", -100, b"/", 1),
    "change_mounts": ("mount_setattr", -100, b"/proc/sys", 0, None, 0),
    "unmount_masks": ("umount2", b"/proc/sys", 2),
    "change_root": ("pivot_root", b"/", b"/tmp"),
    "unshare_mounts": ("unshare", CLONE_NEWNS),
    "unshare_users": ("unshare", CLONE_NEWUSER),
    "clone_users": ("clone", CLONE_NEWUSER | 17, None, None, None, None),
    "clone_by_structure": ("clone3", None, 0),
    "load_module": ("init_module", None, 0, b""),
    "remove_module": ("delete_module", b"nothing", 0),
    "load_kernel": ("kexec_load", 0, 0, None, 0),
    "restart": ("reboot", 0, 0, 0, None),
    "swap": ("swapon", b"/tmp", 0),
    "set_time": ("settimeofday", b"\0" * 16, None),
    "account": ("acct", None),
    "add_key": ("add_key", b"user", b"name", b"x", 1, -3),
    "request_key": ("request_key", b"user", b"name", None, -3),
    "join_keys": ("keyctl", 0, -3, 0),
    "load_program": ("bpf", 5, None, 0),
    "watch_events": ("perf_event_open", None, 0, -1, -1, 0),
    "catch_faults": ("userfaultfd", 0),
    "ring": ("io_uring_setup", 1, None),
    "read_kernel_log": ("syslog", 3, ctypes.create_string_buffer(16), 16),
    "ports": ("iopl", 3),
    "join_other_processes": ("setns", 0, CLONE_NEWPID),
}
"""Attempts that are one system call, with its arguments."""


def interpreter(program: str = __file__) -> list[str]:
    """Flags that show a container, read-only, what this Python needs of the machine.

    Also this program, as /attacks.py.
    """
    paths = [os.path.realpath(sys.base_prefix), "/usr/lib"]
    words = [f"{path}:{path}:ro" for path in dict.fromkeys(paths)]
    words += [f"{os.path.realpath(path)}:{path}:ro" for path in ("/lib", "/lib64")]
    words.append(f"{program}:/attacks.py:ro")
    return [part for word in words for part in ("-v", word)]


class Refused(Exception):
    """An attempt that came to nothing without an error of the kernel's."""


def call(name: str, *arguments: object) -> int:
    """Make a system call. Raises OSError."""
    if name not in NUMBERS:
        raise Refused("this processor has no such call")
    library = ctypes.CDLL(None, use_errno=True)
    found = library.syscall(
        ctypes.c_long(NUMBERS[name]),
        *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments),
    )
    if found < 0:
        raise OSError(ctypes.get_errno(), name)
    if name.startswith("clone") and found == 0:
        os._exit(0)
    return int(found)


def write(path: str, text: str) -> str:
    with open(path, "w") as file:
        file.write(text)
    return path


def open_node(kind: int, device: int) -> str:
    path = f"/tmp/node{device}"
    os.mknod(path, kind | 0o600, device)
    os.close(os.open(path, os.O_RDONLY))
    return path


def see_processes(outside: dict[str, object]) -> str:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if str(outside["mark"]).encode() in file.read() and int(pid) != os.getpid():
                return pid
    raise Refused("not seen")


def see_files(outside: dict[str, object]) -> str:
    """What is outside, by its path from every directory that could be another root."""
    places = ["", *("/.." * count for count in (1, 8))]
    places += [f"/proc/{pid}/root" for pid in os.listdir("/proc") if pid.isdigit()]
    places += [f"/proc/{pid}/cwd" for pid in os.listdir("/proc") if pid.isdigit()]
    places += [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    for place in places:
        for up in ("", "/../../../../../../../.."):
            if os.path.exists(f"{place}{up}{outside['file']}"):
                return f"{place}{up}"
    raise Refused("not seen")


def see_sockets(_: dict[str, object]) -> str:
    found = [
        f"{pid}/{number}: {os.readlink(f'/proc/{pid}/fd/{number}')}"
        for pid in ("1", "self")
        for number in os.listdir(f"/proc/{pid}/fd")
        if number not in {"0", "1", "2"} and os.path.lexists(f"/proc/{pid}/fd/{number}")
    ]
    if not found:
        raise Refused("none")
    return str(found)


def read_masked(_: dict[str, object]) -> str:
    for path in MASKED:
        if os.path.isdir(path):
            if os.listdir(path):
                return path
        elif os.path.exists(path):
            with open(path, "rb") as file:
                if file.read(1):
                    return path
    raise Refused("all are empty")


def make_group(_: dict[str, object]) -> str:
    for directory, _inner, names in os.walk("/sys/fs/cgroup"):
        if "cgroup.procs" in names:
            os.mkdir(f"{directory}/inner")
            return directory
    raise Refused("no group is seen")


def release_agent(_: dict[str, object]) -> str:
    for directory, _inner, names in os.walk("/sys/fs/cgroup"):
        if "release_agent" in names or "notify_on_release" in names:
            name = "release_agent" if "release_agent" in names else "notify_on_release"
            return write(f"{directory}/{name}", "1")
    raise Refused("there is none")


def open_by_handle(_: dict[str, object]) -> str:
    """The root of the file system that a file of the host is on, by its usual handle."""
    handle = (ctypes.c_uint32 * 4)(8, 1, 2, 0)
    root = os.open("/etc/hosts", os.O_RDONLY)
    return str(call("open_by_handle_at", root, handle, os.O_RDONLY))


def debug(outside: dict[str, object]) -> str:
    return str(call("ptrace", PTRACE_SEIZE, outside["pid"], None, None))


def read_memory(outside: dict[str, object]) -> str:
    buffer = ctypes.create_string_buffer(8)
    here = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    return str(call("process_vm_readv", outside["pid"], here, 1, here, 1, 0))


def signal_outside(outside: dict[str, object]) -> str:
    os.kill(int(str(outside["pid"])), 9)
    return "killed"


def raw_socket(_: dict[str, object]) -> str:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "raw"


def packet_socket(_: dict[str, object]) -> str:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    return "packets"


def disk(outside: dict[str, object]) -> str:
    return open_node(stat.S_IFBLK, int(str(outside["disk"])))


_OTHERS: dict[str, Callable[[dict[str, object]], str]] = {
    "see_processes": see_processes,
    "see_files": see_files,
    "leaked_descriptors": see_sockets,
    "read_masked": read_masked,
    "core_pattern": lambda _: write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "helper_of_modules": lambda _: write("/proc/sys/kernel/modprobe", "/tmp/x"),
    "system_request": lambda _: write("/proc/sysrq-trigger", "h"),
    "helper_of_devices": lambda _: write("/sys/kernel/uevent_helper", "/tmp/x"),
    "interrupts": lambda _: write("/proc/irq/default_smp_affinity", "1"),
    "make_group": make_group,
    "release_agent": release_agent,
    "join_mounts_of_process_1": lambda _: str(
        call("setns", os.open("/proc/1/ns/mnt", os.O_RDONLY), CLONE_NEWNS)
    ),
    "open_by_handle": open_by_handle,
    "debug_process": debug,
    "read_memory": read_memory,
    "kill_process": signal_outside,
    "disk": disk,
    "memory_device": lambda _: open_node(stat.S_IFCHR, os.makedev(1, 1)),
    "log_device": lambda _: open_node(stat.S_IFCHR, os.makedev(1, 11)),
    "tunnel_device": lambda _: open_node(stat.S_IFCHR, os.makedev(10, 200)),
    "fuse_device": lambda _: open_node(stat.S_IFCHR, os.makedev(10, 229)),
    "loop_device": lambda _: open_node(stat.S_IFCHR, os.makedev(10, 237)),
}
ALLOWED = {"raw_socket": raw_socket, "packet_socket": packet_socket}
"""What docker lets the root of a container do, unless CAP_NET_RAW is dropped."""

NAMES = (*_ARGUMENTS, *_OTHERS)


def attempt(name: str, outside: dict[str, object]) -> str:
    """What became of an attempt."""
    try:
        if name in _ARGUMENTS:
            function, *arguments = _ARGUMENTS[name]
            gained = str(call(str(function), *arguments))
        else:
            gained = (_OTHERS | ALLOWED)[name](outside)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Refused as reason:
        return f"refused: {reason}"
    return f"SUCCEEDED: {gained}"


if __name__ == "__main__":
    found = {name: attempt(name, json.loads(sys.argv[1])) for name in (*NAMES, *ALLOWED)}
    print(json.dumps(found))
