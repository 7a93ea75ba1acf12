"""The parts that are not tierce's: whether they are here, which they are, what is without them."""

from __future__ import annotations

import os
import subprocess

from tierce.linux import cgroups, userns
from tierce.linux.process import effective_capabilities
from tierce.runtime import cni
from tierce.store.snapshots.probe import images_work, overlay_works
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SECONDS = 5.0
_PROGRAM_DIRECTORIES = "/usr/local/libexec:/usr/libexec/podman:/usr/local/bin:/usr/bin:/bin"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Part(Value):
    """A program or a feature of the kernel.

    `path` is empty for one that is not here, and for what is none; `version` is empty where it
    says none; `without` is what its absence costs, with what is to be done for it.
    """

    name: str
    here: bool
    version: str = ""
    path: str = ""
    without: str = ""


class _Program(Value):
    name: str
    package: str
    without: str
    question: tuple[str, ...] = ("--version",)


_NONE: tuple[str, ...] = ()
_PROGRAMS = (
    _Program("crun", "crun", "containers by runc, which takes three times as long, or none"),
    _Program("runc", "runc", "nothing, as long as there is crun"),
    _Program("conmon", "conmon", "no containers in the background"),
    _Program("tini-static", "tini", "--init by catatonit, or not at all"),
    _Program("catatonit", "catatonit", "nothing, as long as there is tini"),
    _Program("iptables", "iptables", "root's containers have the host's network"),
    _Program("pasta", "passt", "users' containers have the host's network"),
    _Program("newuidmap", "uidmap", "users have one id in their containers", _NONE),
    _Program("newgidmap", "uidmap", "users have one group in their containers", _NONE),
    _Program("git", "git", "no contexts and no ADD of repositories"),
    _Program("mmdebstrap", "mmdebstrap", "image bootstrap by debootstrap, or not at all"),
)
_PLUGINS = ("bridge", "host-local", "portmap")


def programs(names: Sequence[str] = ()) -> list[Part]:
    """The programs, in the order of what they are for; only those of these names, if any."""
    directories = f"{os.environ.get('PATH', '')}:{_PROGRAM_DIRECTORIES}:{_SBIN}"
    wanted = [program for program in _PROGRAMS if not names or program.name in names]
    paths = {program.name: cni.find_in(directories, program.name) for program in wanted}
    # All at once: each takes some milliseconds, of which most are spent waiting.
    asked = {
        program.name: _ask(paths[program.name], *program.question)
        for program in wanted
        if paths[program.name] and program.question
    }
    parts = []
    for program in wanted:
        path = paths[program.name]
        parts.append(
            Part(
                program.name,
                bool(path),
                _version_in(_answer(asked.get(program.name))),
                path,
                _cost(program.without, program.package),
            )
        )
    return parts


def plugins() -> list[Part]:
    """The CNI plugins that root's network is made by."""
    paths = {name: cni.find_plugin(name, os.environ) for name in _PLUGINS}
    asked = {name: _ask(path) for name, path in paths.items() if path}
    cost = _cost("root's containers have the host's network", cni.PACKAGE)
    return [
        Part(f"CNI {name}", bool(path), _version_in(_answer(asked.get(name))), path, cost)
        for name, path in paths.items()
    ]


def features(snapshots: Path) -> list[Part]:
    """What the kernel gives, for the store whose directory of snapshots this is."""
    setup = cgroups.detect()
    controllers = {name for mount in setup.mounts for name in mount.controllers}
    controllers |= set(setup.unified_controllers)
    namespaces = "CAP_SYS_ADMIN" in effective_capabilities()
    return [
        Part(
            "overlay",
            namespaces and overlay_works(snapshots),
            without="snapshots are whole copies, which take time and space",
        ),
        Part(
            "erofs",
            namespaces and images_work(snapshots),
            without="large layers are unpacked (it needs Linux 6.12, and root)",
        ),
        Part(
            "cgroups",
            setup.mode != "none",
            " ".join([setup.mode, *sorted(controllers)]),
            without="no limits, no stats, no pause",
        ),
        Part(
            "user namespaces",
            not userns.forbidden(),
            without=f"users run nothing ({userns.how_to_allow()})",
        ),
        Part(
            "seccomp",
            os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
            without="containers may make every system call",
        ),
    ]


def _cost(text: str, package: str) -> str:
    return f"{text} (apt-get install {package})"


def _ask(path: str, *question: str) -> subprocess.Popen[str] | None:
    """Starts a program that is to say its version; one that does not start says none."""
    try:
        return subprocess.Popen(
            [path, *question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A plugin that is asked for nothing tells of itself.
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        )
    except OSError:
        return None


def _answer(asked: subprocess.Popen[str] | None) -> str:
    if asked is None:
        return ""
    with asked:
        try:
            return asked.communicate(timeout=_SECONDS)[0]
        except subprocess.TimeoutExpired:
            asked.kill()
            return ""


def _version_in(text: str) -> str:
    """The first word of the lines with something of a number in it: "v1.8.9" is 1.8.9."""
    for line in text.splitlines():
        for word in line.split():
            word = word.strip("(),")
            if word.lstrip("v")[:1].isdigit() and "." in word:
                return word.lstrip("v")
        if "version" in line:  # it says that it does not know
            return ""
    return ""
