"""What is left when something is killed, or the machine goes down: nothing but the truth."""

import os
import random
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from support.containers import (
    SeenContainers,
    inspected,
    nothing_outlives,
    run_file,
    start,
    until,
)
from support.program import BASE, Tierce
from tierce.store import Store

KILLS_EACH = 10
RUNS = 10


class Place(NamedTuple):
    """A store, and the containers that it has had."""

    program: Tierce
    seen: SeenContainers


@pytest.fixture
def place(shared: Tierce) -> Iterator[Place]:
    """No container outlives the test, and nothing of one is left."""
    with nothing_outlives(shared) as seen:
        yield Place(shared, seen)


COMMANDS = {
    "run": (
        *("run", "-d", "--name", "one", "-p", "127.0.0.1::80", "--health-cmd", "true"),
        *(BASE, "sleep", "600"),
    ),
    "run in the foreground": (
        *("run", "--name", "one", "-p", "127.0.0.1::80", "--health-cmd", "true", BASE),
        *("sleep", "0.2"),
    ),
    "stop": ("stop", "-t", "0", "one"),
    "start": ("start", "one"),
    "rm": ("rm", "-f", "one"),
}


NEXT = {
    "": ("run", "run", "run in the foreground"),
    "created": ("start", "rm"),
    "running": ("stop", "rm"),
    "exited": ("start", "rm"),
}
"""The commands for a container of that state."""


@pytest.fixture(scope="module")
def seconds(shared: Tierce) -> Mapping[str, float]:
    """How long each command takes here and now, if nobody kills it."""
    found = {}
    for name in ("run", "stop", "start", "rm", "run in the foreground", "rm"):
        begun = time.monotonic()
        shared.run(*COMMANDS[name])
        found[name] = time.monotonic() - begun
    return found


def owners(program: Tierce) -> set[str]:
    """The ids of containers that run, each with a conmon and a process that are alive."""
    found = set()
    form = ("--no-trunc", "--format", "{{.ID}} {{.State}}")
    for line in program.run("ps", "-a", *form).stdout.splitlines():
        identifier, state = line.split()
        assert state in {"created", "running", "exited"}
        if state == "running":
            found.add(identifier)
            for name in ("monitor", "pid"):
                os.kill(int(run_file(program, identifier, name).read_text()), 0)
    return found


def left(place: Place) -> list[str]:
    """What is there of containers that do not run, once a command has looked after them."""
    try:
        running = owners(place.program)
    except (FileNotFoundError, ProcessLookupError) as error:
        return [f"has just ended, or is left: {error}"]
    with Store.open(place.program.root) as store:
        paths = store.paths
    found = [*os.listdir(paths.detached)]
    endpoints = Path(paths.networks, "endpoints")
    # Those of other stores are on the same bridge.
    found += [name for name in os.listdir(endpoints) if name in place.seen.ids]
    found += place.seen.cgroups() + place.seen.processes()
    return [line for line in found if not any(identifier in line for identifier in running)]


@pytest.mark.parametrize("seed", range(RUNS))
def test_command_killed_at_any_instant_leaves_no_container_without_an_owner(
    place: Place, seconds: Mapping[str, float], seed: int
) -> None:
    """A hundred instants of run -d, stop, start and rm, of containers with a port and a keeper."""
    chance = random.Random(seed)
    program = place.program
    for _ in range(KILLS_EACH):
        known = program.run("ps", "-a", "--format", "{{.State}}").stdout.split()
        name = chance.choice(NEXT[known[0] if known else ""])
        process = program.start(*COMMANDS[name])
        try:
            process.communicate(timeout=chance.uniform(0.0, 1.1 * seconds[name]))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        until(lambda: left(place) == [])


def test_killed_conmon_takes_the_container_its_keeper_and_its_port_along(place: Place) -> None:
    program = place.program
    flags = ("--name", "web", "--health-cmd", "true", "-p", "127.0.0.1::80")
    identifier = start(program, *flags, BASE, "sleep", "600", network="bridge")
    keeper = int(run_file(program, identifier, "keeper").read_text().split()[0])
    processes = [os.pidfd_open(number) for number in (keeper, pid_of(program, "web"))]
    try:
        os.kill(int(run_file(program, identifier, "monitor").read_text()), signal.SIGKILL)
        assert "Exited (137)" in program.run("ps", "-a").stdout
        for process in processes:
            assert select.select([process], [], [], 0)[0]  # it has ended
    finally:
        for process in processes:
            os.close(process)
    assert left(place) == []
    program.run("start", "web")
    assert inspected(program, "web") == "running"


def test_container_held_up_ends_with_conmon_too(place: Place) -> None:
    program = place.program
    identifier = start(program, "--name", "held", BASE, "sleep", "600")
    program.run("pause", "held")
    os.kill(int(run_file(program, identifier, "monitor").read_text()), signal.SIGKILL)
    assert "Exited (137)" in program.run("ps", "-a").stdout
    assert left(place) == []


def pid_of(program: Tierce, name: str) -> int:
    return int(inspected(program, name, "{{.State.Pid}}"))


def in_another_boot(directory: Path) -> tuple[str, ...]:
    """What runs a command that sees the id of another boot of the machine."""
    path = "/proc/sys/kernel/random/boot_id"
    other = directory / "boot_id"
    other.write_text("00000000-0000-4000-8000-000000000000\n")
    script = f'mount --bind {other} {path} && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


@pytest.mark.parametrize("run_directory_is_kept", [True, False])
def test_after_a_reboot_what_ran_has_ended(
    place: Place, tmp_path: Path, *, run_directory_is_kept: bool
) -> None:
    program = place.program
    kept = start(program, "--name", "kept", BASE, "sleep", "600")
    start(program, "--name", "gone", "--rm", "--health-cmd", "true", BASE, "sleep", "600")
    program.run("create", "--name", "made", BASE, "true")
    if not run_directory_is_kept:
        with Store.open(program.root) as store:
            detached = store.paths.detached
        for identifier in os.listdir(detached):
            os.rename(f"{detached}/{identifier}", tmp_path / identifier)
    prefix = in_another_boot(tmp_path)
    found = program.run("ps", "-a", "--format", "{{.Names}} {{.Status}}", prefix=prefix).stdout
    assert re.fullmatch(r"made Created\nkept Exited \(137\) .* ago\n", found)
    assert left(place) == []
    program.run("start", kept)
    assert inspected(program, "kept") == "running"


def test_number_of_a_process_that_another_has_got_is_not_taken_for_conmon(place: Place) -> None:
    program = place.program
    identifier = start(program, "--name", "one", BASE, "sleep", "600")
    with Store.open(program.root) as store:
        row = store.containers.resolve(identifier)
        own = os.getpid()
        monitor = int(run_file(program, identifier, "monitor").read_text())
        assert f'"monitor":[{monitor},' in row.state
        changed = row.state.replace(f'"monitor":[{monitor},', f'"monitor":[{own},')
        store.containers.set_state(identifier, changed, running=True)
    assert "Exited (137)" in program.run("ps", "-a").stdout
    assert left(place) == []


def test_lock_of_a_container_that_is_gone_goes_when_nobody_holds_it(place: Place) -> None:
    with Store.open(place.program.root) as store:
        path = Path(store.paths.lock_files, f"container {'0' * 64}")
        with store.locks.hold(path.name):
            place.program.run("ps")
            assert path.exists()
    path.touch()
    place.program.run("ps")
    assert not path.exists()
