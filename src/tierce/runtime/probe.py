"""Which OCI runtime works here.

A runtime can be there and refuse the machine: crun 1.8 does, in hybrid cgroup setups, unless it
is started as `launcher` does it. So a candidate has to create a container before it is chosen.
What was found out is remembered until the next boot, or until a runtime or tierce changes.
"""

from __future__ import annotations

import os

import tierce
from tierce.errors import RuntimeUnavailable, TierceError, UsageError
from tierce.lean import json
from tierce.linux.mounts import MountSpec
from tierce.runtime import bundle, capabilities, unprivileged
from tierce.runtime.crun import Engine
from tierce.runtime.launcher import Launcher
from tierce.runtime.root import ContainerRoot
from tierce.runtime.runtimes import Runtime, failure_in_log
from tierce.runtime.seccomp import TABLE, profile
from tierce.runtime.user import Identity
from tierce.store.paths import Paths

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.runtime.unprivileged import UserNamespace

CANDIDATES = ("crun", "runc")
"""The quickest first: crun takes a third of runc's time."""

_SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Searched, too: users have no sbin on their PATH, where Debian puts runc."""

_HINT = "install crun: apt-get install crun"


def choose_runtime(paths: Paths, only: str = "") -> Runtime:
    """The runtime that is used, crun before runc; from memory if nothing changed since.

    `paths` are those of the store, whose run directory exists; `only` is the name of the one that
    it has to be, if it has to. Raises RuntimeUnavailable, which says what is wrong with each
    candidate; UsageError when there is none of that name.
    """
    found = _programs(os.environ.get("PATH", ""))
    if only:
        if only not in found:
            raise UsageError(
                f"unknown or invalid runtime name: {only}",
                hint=f"installed are: {', '.join(found) or 'none'}",
            )
        found = {only: found[only]}
    space = unprivileged.detect()
    known = _fingerprint(found, space)
    memory = f"{paths.runtime}-{only}" if only else str(paths.runtime)
    runtime = _remembered(memory, known)
    if runtime is None:
        runtime = _first_that_works(found, paths.bundles)
        _remember(memory, known, runtime)
    return runtime if space is None else runtime.replace(space=space)


def _programs(search_path: str) -> dict[str, str]:
    """The candidates that are installed, by name."""
    directories = f"{search_path}:{_SYSTEM_DIRECTORIES}".split(":")
    found: dict[str, str] = {}
    for name in CANDIDATES:
        for directory in directories:
            path = f"{directory}/{name}"
            if directory and os.access(path, os.X_OK) and os.path.isfile(path):
                found[name] = path
                break
    return found


def _first_that_works(found: dict[str, str], directory: str) -> Runtime:
    if not found:
        names = " or ".join(CANDIDATES)
        raise RuntimeUnavailable(f"find an OCI runtime: no {names} in PATH", hint=_HINT)
    refusals: list[str] = []
    causes: list[TierceError] = []
    for name in CANDIDATES:
        if name not in found:
            refusals.append(f"{name} is not installed")
            continue
        try:
            runtime = _try(name, found[name], directory)
        except TierceError as error:
            refusals.append(f"{name}: {error.message}")
            causes.append(error)
            continue
        return runtime.replace(reason="; ".join(refusals) or "the quickest one, and it works here")
    if causes[0].hint:
        raise causes[0]  # such as a missing privilege, which no other runtime makes up for
    raise RuntimeUnavailable(f"use an OCI runtime: {'; '.join(refusals)}", hint=_HINT)


def _try(name: str, path: str, directory: str) -> Runtime:
    """Creates a container with docker's defaults, and starts nothing in it."""
    # runc 1.1 wants device rules that docker's own do not have, so it makes its cgroups itself.
    shares = name == "crun"
    runtime = Runtime(name, path, "", "", shares_cgroup=shares, space=unprivileged.detect())
    rules = bundle.DEVICE_RULES if shares else ()
    with Launcher(directory, rules) as launcher, Engine(runtime, launcher) as engine:
        version = _call(engine, ["--version"]).partition("\n")[0].rpartition(" ")[2]
        return runtime.replace(version=version, seccomp_filter=_seccomp_filter(engine))


def _seccomp_filter(engine: Engine) -> str:
    """The default profile as the runtime compiles it, in base 64; empty where it takes none.

    crun 1.8 compiles the profile at each start, which takes 11 ms of 15. That it takes what it
    compiled before is seen by a second container. Raises RuntimeUnavailable.
    """
    import base64  # needed once in a boot

    compiled = _create(engine, bundle.SeccompPolicy(profile(capabilities.DEFAULT)))
    if not compiled:
        return ""
    text = base64.b64encode(compiled).decode()
    try:
        taken = _create(engine, bundle.SeccompPolicy(filter=text))
    except RuntimeUnavailable:
        taken = b""
    return text if taken == compiled else ""


def _create(engine: Engine, seccomp: bundle.SeccompPolicy) -> bytes:
    """Creates a container; returns its compiled seccomp filter, if the runtime shows it.

    Raises RuntimeUnavailable.
    """
    launcher = engine.launcher
    name = launcher.next_name()
    directory = f"{launcher.directory}/{name}"
    root = ContainerRoot(launcher.mount_points, name)
    isolation = bundle.Isolation("probe")

    def prepare() -> None:
        os.mkdir(directory, 0o700)
        root.mount([MountSpec("tmpfs", "tmpfs", "", ("size=1m", "mode=755"))])
        for path in ("/proc", "/dev", "/sys"):
            root.make_directory(path)
        root.make_stub("/command", directory=False)
        config = bundle.make_spec(
            bundle.ProcessSpec(("/command",)),
            Identity(),
            root=root.path,
            isolation=isolation,
            grantable=engine.grantable,
            seccomp=seccomp,
            cgroup=engine.cgroup_for(name),
        )
        if engine.runtime.space is not None:
            unprivileged.adapt(config, engine.runtime.space)
        with open(f"{directory}/config.json", "w", encoding="utf-8") as file:
            json.dump(config, file)

    launcher.call(prepare)
    said = _call(engine, ["create", "--bundle", directory, name])
    state = f"{launcher.directory}/state/{name}"
    try:
        if not os.path.isdir(state):
            reason = failure_in_log(_log(engine)) or said.strip()
            raise RuntimeUnavailable(f"create a container: {reason or 'no reason given'}")
        if not os.path.exists(f"{state}/seccomp.bpf"):
            return b""
        with open(f"{state}/seccomp.bpf", "rb") as file:
            return file.read()
    finally:
        _call(engine, ["delete", "--force", name])
        launcher.call(root.close)


def _call(engine: Engine, command: list[str]) -> str:
    """What the runtime says to a command. Not by a pipe: what it creates would keep that open."""
    path = f"{engine.launcher.directory}/output"
    with open(path, "w+b") as output, open(os.devnull, "rb") as nothing:
        out, none = output.fileno(), nothing.fileno()
        pid = engine.launcher.call(
            lambda: engine.spawn(command, log=_log(engine), stdin=none, stdout=out, stderr=out)
        )
        engine.launcher.reap(pid)
        output.seek(0)
        return output.read().decode(errors="replace")


def _log(engine: Engine) -> str:
    return f"{engine.launcher.directory}/log"


def _fingerprint(found: dict[str, str], space: UserNamespace | None) -> list[object]:
    """What decides whether a choice is still good; JSON gives it back as it was."""
    files = [[name, path, _version_of_file(path)] for name, path in found.items()]
    ids = [space.uids, space.gids, space.groups] if space is not None else []
    return [tierce.__version__, _version_of_file(TABLE), files, ids]


def _version_of_file(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _remembered(path: str, fingerprint: list[object]) -> Runtime | None:
    try:
        with open(path, "rb") as file:
            known = json.load(file)
        return Runtime(**known["runtime"]) if known["fingerprint"] == fingerprint else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # whatever is wrong with the file, it is written anew


def _remember(path: str, fingerprint: list[object], runtime: Runtime) -> None:
    temporary = f"{path}.{os.getpid()}"
    fields = {name: getattr(runtime, name) for name in runtime._fields if name != "space"}
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump({"fingerprint": fingerprint, "runtime": fields}, file)
    os.rename(temporary, path)
