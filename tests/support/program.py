"""The real program, in processes of its own, on a store of the test's own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tierce.runtime import launcher
from tierce.store import Store

PROGRAM = Path(sys.executable).with_name("tierce")
BASE = "golden-base"
"""The image that tests build on: a busybox (see `support.golden.base`)."""

STORE = "TIERCE_TEST_STORE"
"""Environment variable by which what works on a store is found (see `leftovers.still_running`)."""


class Outcome(NamedTuple):
    """What a run of the program ended with."""

    status: int
    stdout: str
    stderr: str


class Tierce:
    """Runs `tierce --root ROOT …`. As a context manager: what it left under /run is removed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if (self.root / "tierce.db").exists():
            with Store.open(self.root) as store:
                run_directory = store.paths.run
                # What a killed command left, the next one would clear away, but there is none.
                launcher.sweep(store.paths.bundles)
            shutil.rmtree(run_directory)

    def start(
        self,
        *words: str,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        prefix: Sequence[str] = (),
    ) -> "subprocess.Popen[str]":
        """Start a command; its output is to be read from pipes. `prefix` is what runs it."""
        return subprocess.Popen(
            [*prefix, str(PROGRAM), "--root", str(self.root), *words],
            cwd=cwd,
            env={**os.environ, STORE: str(self.root), **(environment or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """A command that runs during the block, and no longer when that raises."""
        with self.start(*words) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def run(
        self,
        *words: str,
        status: int = 0,
        text: str | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Outcome:
        """Run a command to its end, which must be with this status; `text` is its input."""
        stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
        with self.start(
            *words, cwd=cwd, environment=environment, stdin=stdin, prefix=prefix
        ) as process:
            outcome = outcome_of(process, text)
        assert outcome.status == status, f"{' '.join(words)}: {outcome}"
        assert "Traceback" not in outcome.stderr
        assert "internal error" not in outcome.stderr
        return outcome

    def build(
        self,
        context: Path,
        *flags: str,
        status: int = 0,
        text: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """`tierce build` with plain progress."""
        return self.run(
            *("build", "--progress", "plain", *flags, str(context)),
            status=status,
            text=text,
            environment=environment,
        )

    def image_id(
        self, context: Path, *flags: str, environment: Mapping[str, str] | None = None
    ) -> str:
        """The ID of the image that a build makes."""
        return self.run("build", "-q", *flags, str(context), environment=environment).stdout.strip()

    def output(self, image: str, *command: str) -> str:
        """What a command writes in a container of an image, without a network."""
        return self.run("container", "run", "--rm", "--network", "none", image, *command).stdout


def outcome_of(process: "subprocess.Popen[str]", text: str | None = None) -> Outcome:
    """Wait for the end of a started command; one that never ends is killed and fails the test."""
    try:
        stdout, stderr = process.communicate(text, timeout=300)
    except BaseException:
        process.send_signal(signal.SIGKILL)
        raise
    return Outcome(process.returncode, stdout, stderr)


def write_context(directory: Path, dockerfile: str, files: Mapping[str, str] | None = None) -> Path:
    """A build context with a Dockerfile and files, by path."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in {"Dockerfile": dockerfile, **(files or {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory
