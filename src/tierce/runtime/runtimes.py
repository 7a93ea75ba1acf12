"""What an OCI runtime is to us: a program, how it is called, what it says when it fails."""

from __future__ import annotations

import fcntl
import os

from tierce.lean import json
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.runtime.unprivileged import UserNamespace

_MFD_EXEC = 0x10
"""Linux 6.3; where vm.memfd_noexec is set, a file in memory cannot be executed without."""


_ELF = b"\x7fELF"
_MOST_BYTES = 1 << 30


class Runtime(Value):
    """An OCI runtime that works on this machine, as `probe.choose_runtime` found it.

    `shares_cgroup`: it runs in the launcher's cgroup and makes none. `seccomp_filter` is the
    default profile as the runtime compiled it, or empty where it takes none. `reason` says why
    this one was chosen. `space` is the user namespace that it was found in, if that is an
    ordinary user's.
    """

    name: str
    path: str
    version: str
    reason: str
    shares_cgroup: bool = False
    seccomp_filter: str = ""
    space: UserNamespace | None = None

    @property
    def groupless(self) -> bool:
        """Whether it may make no cgroups: all is in the one of this process, or in ours."""
        return self.space is not None


def sealed_copy(path: str) -> int:
    """A descriptor of a program's copy in memory that nobody can write to, or -1.

    crun and runc copy themselves like this at each start, so that a container cannot overwrite
    them through /proc/self/exe (CVE-2019-5736), and run themselves again; they see that they are
    a sealed copy already, and leave it out. That saves a third of the start.
    """
    copy = -1
    try:
        with open(path, "rb", buffering=0) as program:
            if program.read(len(_ELF)) != _ELF:
                return -1  # the interpreter of a script could not open the copy
            copy = _memory_file(os.path.basename(path))
            done = 0
            while sent := os.sendfile(copy, program.fileno(), done, _MOST_BYTES):
                done += sent
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    except OSError:
        if copy >= 0:
            os.close(copy)
        return -1
    return copy


def _memory_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)


def failure_in_log(path: str) -> str:
    """The reason that a runtime wrote to its log for not starting a container, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    entries = [entry for line in lines if (entry := _log_entry(line)) is not None]
    errors = [entry for entry in entries if entry.get("level") in {"error", "fatal"}]
    return str(errors[-1].get("msg", "")) if errors else ""


def _log_entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
