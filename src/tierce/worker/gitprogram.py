"""Runs the `git` program without anything that the host has set up for it.

It reads no configuration but ours: none of the host, of the user or of a directory, no hooks. It
asks nobody anything, and speaks no protocol but those that BuildKit lets a build speak.
"""

from __future__ import annotations

import os
import signal
import subprocess

from tierce.errors import BuildError, Cancelled, RuntimeUnavailable
from tierce.worker.urls import redacted

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.solver.types import Step

_POLL_SECONDS = 0.05
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_CONFIG = {
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.git.allow": "always",
    # For our own; repositories that name others of this machine as submodules do not get them.
    "protocol.file.allow": "user",
    # It is the store's, whoever that belongs to.
    "safe.directory": "*",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "credential.helper": "",
    "init.defaultBranch": "master",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class Git:
    """Runs git, for one step, without anything that the host has set up for it."""

    def __init__(self, environment: Mapping[str, str], step: Step, remote: str) -> None:
        self._step = step
        self._remote = remote
        self._environment = environment

    def run(self, *arguments: str, directory: str = "", ignore: Sequence[str] = ()) -> str:
        """What a command prints. Raises BuildError, Cancelled, RuntimeUnavailable.

        A failure whose message has one of the texts of `ignore` raises Expected.
        """
        environment = dict(self._environment)
        if directory:
            environment["GIT_DIR"] = directory
        output, errors, status = self._communicate(arguments, environment)
        errors = _discreet(errors, self._remote)
        for line in errors.splitlines(keepends=True):
            self._step.log(2, line)
        text = errors.decode(errors="replace")
        if status == 0:
            return output.decode("utf-8", "surrogateescape")
        if any(each in text for each in ignore):
            raise Expected
        raise BuildError(
            f"fetch repository {redacted(self._remote)}: {_cause(text, status)}",
            hint=_hint(text),
        )

    def works(self, *arguments: str, directory: str) -> bool:
        """Whether a question to a repository is answered with yes."""
        environment = {**self._environment, "GIT_DIR": directory}
        return self._communicate(arguments, environment)[2] == 0

    def commit_time(self, directory: str, id: str) -> int:
        """When a commit was made, in seconds since the epoch."""
        return int(self.run("log", "-1", "--format=%ct", id + "^{commit}", directory=directory))

    def _communicate(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[bytes, bytes, int]:
        try:
            process = subprocess.Popen(
                ["git", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=environment.get("GIT_WORK_TREE", "/"),
                # A group of its own: git's helpers do not end when git is killed.
                start_new_session=True,
                umask=0o022,
            )
        except FileNotFoundError as error:
            raise RuntimeUnavailable(
                f"fetch repository {redacted(self._remote)}: git is not installed",
                hint="install the package git",
            ) from error
        with process:
            while True:
                try:
                    output, errors = process.communicate(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if self._step.cancelled.is_set():
                        os.killpg(process.pid, signal.SIGKILL)
                        process.communicate()
                        shown = redacted(self._remote)
                        raise Cancelled(f"fetch repository {shown}: cancelled") from None
                    continue
                return output, errors, process.returncode

    def within(self, work_tree: str, **variables: str) -> Git:
        """The same git, working on a directory with files."""
        environment = {**self._environment, "GIT_WORK_TREE": work_tree, **variables}
        return Git(environment, self._step, self._remote)


class Expected(Exception):
    """git failed in a way that there is another way for."""


def scrubbed(environment: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """All that git and what it starts see of the environment: paths, proxies, our settings.

    `config` are settings besides those that hold always.
    """
    config = {**_CONFIG, **config}
    result = {
        "PATH": environment.get("PATH") or os.defpath,
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_SSH_COMMAND": f"ssh -F {os.devnull} -o StrictHostKeyChecking=no",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    for number, (name, value) in enumerate(config.items()):
        # Not as arguments, which other users of the machine can read.
        result[f"GIT_CONFIG_KEY_{number}"] = name
        result[f"GIT_CONFIG_VALUE_{number}"] = value
    for proxy in _PROXIES:
        for name in (proxy, proxy.upper()):
            if proxied := environment.get(name):
                result[name] = proxied
    return result


def _discreet(message: bytes, remote: str) -> bytes:
    """A message without who logs in by HTTP: a token may be the name, which git shows."""
    login = remote.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if not login or not remote.lower().startswith("http"):
        return message
    for shown in (login, login.partition(":")[0]):
        message = message.replace(os.fsencode(f"{shown}@"), b"xxxxx@")
    return message


def _cause(text: str, status: int) -> str:
    """The line of git's message that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in ("fatal: remote error: ", "fatal: ", "error: "):
        for number, line in enumerate(lines):
            if line.startswith(mark):
                cause = line.removeprefix(mark)
                # Of each address that was tried, the reason is on a line of its own.
                return (
                    f"{cause} {lines[number + 1]}"
                    if cause.endswith(":") and lines[number + 1 :]
                    else cause
                )
    return lines[-1] if lines else f"git ended with {status}"


def _hint(text: str) -> str:
    if "could not read Username" in text or "Authentication failed" in text:
        return "give a token with --secret id=GIT_AUTH_TOKEN"
    if "Permission denied (publickey" in text or "Host key verification" in text:
        return "give a key with --ssh default"
    if "ssh: not found" in text or "cannot run ssh" in text:
        return "install the package openssh-client"
    return ""
