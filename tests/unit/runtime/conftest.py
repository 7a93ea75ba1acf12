"""A small root file system, and runners of steps on it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tierce.linux.mounts import MountSpec
from tierce.runtime import probe
from tierce.runtime.bundle import BindMount, ProcessSpec, TmpfsMount
from tierce.runtime.runtimes import Runtime
from tierce.runtime.steps import StepEnd, StepRunner, StepSpec
from tierce.store.paths import Paths

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
PATH = "PATH=/usr/local/bin:/bin"


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a tiny image: a static shell, two users. Not to be changed."""
    root = tmp_path_factory.mktemp("busybox")
    for directory in ("bin", "etc", "tmp", "usr/local/bin"):
        (root / directory).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:app\napp:x:1000:\n")
    return root


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    base = tmp_path_factory.mktemp("runtime")
    paths = Paths(base / "root", base / "run")
    paths.create()
    paths.create_run()
    return paths


@pytest.fixture(scope="session", params=probe.CANDIDATES)
def runtime(request: pytest.FixtureRequest, paths: Paths) -> Runtime:
    """Each runtime that is installed; at least one is."""
    programs = probe._programs(os.environ["PATH"])
    if request.param not in programs:
        pytest.skip(f"{request.param} is not installed")
    return probe._try(request.param, programs[request.param], paths.bundles)


class Steps:
    """Runs commands on an overlay over the small root; keeps the upper directory and the output."""

    def __init__(self, runner: StepRunner, lower: Path, directory: Path) -> None:
        self.runner = runner
        self.upper = directory / "upper"
        self.output = {1: b"", 2: b""}
        self.end = StepEnd(-1)
        self._work = directory / "work"
        self._lower = lower
        self.upper.mkdir()
        self._work.mkdir()

    @property
    def root(self) -> list[MountSpec]:
        layers = (f"lowerdir={self._lower}", f"upperdir={self.upper}", f"workdir={self._work}")
        return [MountSpec("overlay", "overlay", "", layers)]

    def run(
        self,
        *args: str,
        user: str = "",
        cwd: str = "/",
        env: tuple[str, ...] = (PATH,),
        cancel: threading.Event | None = None,
        log: Callable[[int, bytes], None] | None = None,
        binds: Sequence[BindMount | TmpfsMount] = (),
        ulimits: tuple[tuple[str, int, int], ...] = (),
        **more: Any,
    ) -> int:
        """The exit status; `more` is as in StepSpec."""
        self.output = {1: b"", 2: b""}

        def keep(stream: int, data: bytes) -> None:
            self.output[stream] += data

        process = ProcessSpec(args, env, cwd, user, ulimits=ulimits)
        step = StepSpec(tuple(self.root), process, tuple(binds), **more)
        self.end = self.runner.run(step, log=log or keep, cancel=cancel or threading.Event())
        return self.end.status

    def shell(self, script: str, **more: Any) -> str:
        """What a script prints; it must succeed."""
        status = self.run("sh", "-c", script, **more)
        assert status == 0, self.output
        return self.output[1].decode()


@pytest.fixture(scope="module")
def runner(paths: Paths, runtime: Runtime) -> Iterator[StepRunner]:
    with StepRunner(paths.bundles, runtime) as runner:
        runner._launcher.call(lambda: None)  # so that its process 1 is there before each test
        yield runner


@pytest.fixture
def steps(runner: StepRunner, busybox: Path, tmp_path: Path) -> Steps:
    return Steps(runner, busybox, tmp_path)
