"""Ordinary users for tests, and the program as one of them runs it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from support.program import PROGRAM, STORE, Outcome, outcome_of

REPOSITORY = Path(__file__).parents[2]
_DROP = Path(__file__).with_name("drop_privileges.py")


class User(NamedTuple):
    """A user of this machine."""

    name: str
    uid: int
    gid: int


@contextmanager
def made_user(*, subordinate: bool = True) -> Iterator[User]:
    """A new user, with or without subordinate ids, and without files."""
    name = f"tierce-{os.getpid()}-{'many' if subordinate else 'one'}"
    count = "65536" if subordinate else "0"
    limits = ["-K", f"SUB_UID_COUNT={count}", "-K", f"SUB_GID_COUNT={count}"]
    subprocess.run(["useradd", "-M", "-s", "/bin/sh", *limits, name], check=True)
    try:
        fields = _entry(name)
        yield User(name, int(fields[2]), int(fields[3]))
    finally:
        subprocess.run(["userdel", name], check=True)


def has_subordinate_ids() -> bool:
    """Whether this machine has what gives users more than one id."""
    return shutil.which("newuidmap") is not None and shutil.which("useradd") is not None


class Rootless:
    """Runs `tierce` as an ordinary user with a home of its own; a context manager.

    Its store is where it is by default. At the end all its containers are removed, and its files.
    """

    def __init__(self, user: User) -> None:
        self.user = user
        self.home = Path(tempfile.mkdtemp(prefix="tierce-home-"))
        os.chown(self.home, user.uid, user.gid)
        self.runtime = self.home / "run"
        self.runtime.mkdir(0o700)
        os.chown(self.runtime, user.uid, user.gid)
        self.root = self.home / ".local/share/tierce"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            names = self.run("ps", "-aq").stdout.split()
            if names:
                self.run("rm", "-f", *names)
        finally:
            shutil.rmtree(self.home)

    def start(
        self, *words: str, environment: Mapping[str, str] | None = None, program: str = ""
    ) -> "subprocess.Popen[str]":
        """Start a command of tierce, or another `program`; its output is to be read from pipes."""
        first = [program] if program else [str(PROGRAM)]
        environ = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            STORE: str(self.home),
            **(environment or {}),
        }
        for name in ("XDG_DATA_HOME", "TIERCE_ROOT"):
            if name not in (environment or {}):
                environ.pop(name, None)
        shown = [sys.base_prefix, str(REPOSITORY)]
        return subprocess.Popen(
            [sys.executable, str(_DROP), self.user.name, ":".join(shown), *first, *words],
            cwd=self.home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def run(
        self,
        *words: str,
        status: int = 0,
        environment: Mapping[str, str] | None = None,
        program: str = "",
    ) -> Outcome:
        """Run a command to its end, which must be with this status."""
        with self.start(*words, environment=environment, program=program) as process:
            outcome = outcome_of(process)
        assert outcome.status == status, f"{' '.join(words)}: {outcome}"
        assert "Traceback" not in outcome.stderr
        assert "internal error" not in outcome.stderr
        return outcome

    def give(self, path: Path, name: str) -> Path:
        """A copy of a file or directory in the user's home, and its own."""
        target = self.home / name
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copy(path, target)
        for each in [target, *target.rglob("*")]:
            os.chown(each, self.user.uid, self.user.gid, follow_symlinks=False)
        return target


def _entry(name: str) -> list[str]:
    """The line of a user in /etc/passwd; the database of this process may be older."""
    for line in Path("/etc/passwd").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":")
    raise AssertionError(f"no user {name}")
