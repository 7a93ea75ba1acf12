"""What remote sources are asked with: the secrets and the SSH agent that the caller lends a build.

The secrets have the names that BuildKit gives them: GIT_AUTH_TOKEN and GIT_AUTH_HEADER, with
".host" behind for one server only, and HTTP_AUTH_TOKEN_host and HTTP_AUTH_HEADER_host. They go
to the server that they are for, and nowhere else.
"""

from __future__ import annotations

import base64
import tempfile
from contextlib import contextmanager
from urllib.parse import urlsplit

from tierce.errors import BuildError
from tierce.worker.agents import KeyAgent
from tierce.worker.credentials import DEFAULT_AGENT
from tierce.worker.urls import redacted

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tierce.worker.credentials import Credentials

_GITHUB = ("https://github.com/", "https://www.github.com/")


class Access:
    """The credentials of one build, as those who fetch need them."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    def headers(self, host: str) -> Mapping[str, str]:
        """Headers for HTTP requests to a host. Raises BuildError for a secret without sense."""
        token = self._secret(f"HTTP_AUTH_TOKEN_{host}")
        header = f"Bearer {token}" if token else self._secret(f"HTTP_AUTH_HEADER_{host}")
        return {"Authorization": header} if header else {}

    def git_config(self, remote: str) -> Mapping[str, str]:
        """Settings of git for all that goes to a remote."""
        host = urlsplit(remote).netloc.rpartition("@")[2]
        for suffix in (f".{host}", ""):
            header = self._secret(f"GIT_AUTH_HEADER{suffix}")
            token = self._secret(f"GIT_AUTH_TOKEN{suffix}")
            if token and not header:
                encoded = base64.b64encode(f"x-access-token:{token}".encode()).decode()
                header = f"basic {encoded}"
            if header:
                name = f"http.{_scope(remote)}.extraheader"
                return {name: f"Authorization: {header}"}
        return {}

    @contextmanager
    def agent(self, remote: str) -> Iterator[str]:
        """The socket of the agent that an ssh remote is asked with; empty for other remotes.

        Raises BuildError when there is no agent, RuntimeUnavailable without OpenSSH.
        """
        if not _is_ssh(remote):
            yield ""
            return
        agent = self._credentials.agent(DEFAULT_AGENT) if self._credentials else None
        if agent is None:
            raise BuildError(
                f"fetch repository {redacted(remote)}: "
                'no SSH key "default" forwarded from the client',
                hint="give an agent or a key with --ssh default",
            )
        if agent.socket:
            yield agent.socket
            return
        with tempfile.TemporaryDirectory(prefix="tierce-agent-") as directory:
            started = KeyAgent(f"{directory}/agent", agent.keys)
            try:
                yield started.path
            finally:
                started.close()

    def _secret(self, name: str) -> str:
        content = self._credentials.secret(name) if self._credentials else None
        if content is None:
            return ""
        text = content.decode("utf-8", "surrogateescape").rstrip("\r\n")
        if any(ord(each) < 32 for each in text):
            raise BuildError(f"read secret {name}: it has control characters")
        return text


def _scope(remote: str) -> str:
    """Where a token may go: all of GitHub for a repository there, as submodules are; else to it."""
    return next((prefix for prefix in _GITHUB if remote.startswith(prefix)), remote)


def _is_ssh(remote: str) -> bool:
    return remote.startswith("ssh://") or "://" not in remote
