"""What a caller lends to the steps of a build and keeps out of its result: secrets and agents."""

from __future__ import annotations

import os
import stat
import threading

from tierce.errors import BuildError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECRET_LIMIT = 500 << 10
"""Bytes of a secret, as in BuildKit."""

_KEY_LIMIT = 100 << 10
DEFAULT_AGENT = "default"
_AGENT_VARIABLE = "SSH_AUTH_SOCK"


class SecretSource(Value):
    """Where the secret called `id` is: in the file `path`, or in the variable `env`.

    Or it is given here, as `content`. When nothing is said, it is in the variable or, failing
    that, in the file that is called like the secret. The content is never shown.
    """

    id: str
    path: str = ""
    env: str = ""
    content: bytes | None = None

    def __repr__(self) -> str:
        return f"SecretSource({self.id!r}, path={self.path!r}, env={self.env!r})"


class SshSource(Value):
    """The agent called `id`: the one that listens at the socket in `paths`.

    Or `paths` are private keys, for which there will be an agent. By default it is the agent
    that SSH_AUTH_SOCK names.
    """

    id: str = DEFAULT_AGENT
    paths: tuple[str, ...] = ()


class Agent(Value):
    """An agent's `socket`, or the private `keys` (PEM) that one is to be started for."""

    socket: str = ""
    keys: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Agent({self.socket!r}, {len(self.keys)} keys)"


class Credentials:
    """The secrets and agents of one build. Usable from all threads."""

    def __init__(
        self,
        secrets: Sequence[SecretSource] = (),
        agents: Sequence[SshSource] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Raises BuildError for what is seen to be missing, used or not, as BuildKit does."""
        self._environment = environment or {}
        self._sources = {source.id: self._checked(source) for source in secrets}
        self._agents = {source.id: self._agent(source) for source in agents}
        self._read: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def secret(self, identity: str) -> bytes | None:
        """What a secret is, or None when it is not given. It is read once. Raises BuildError."""
        source = self._sources.get(identity)
        if source is None:
            return None
        with self._lock:
            if identity not in self._read:
                self._read[identity] = self._content(source)
            return self._read[identity]

    def given(self) -> Mapping[str, bytes]:
        """All secrets that are given, used or not, by id. Raises BuildError."""
        found = {identity: self.secret(identity) for identity in self._sources}
        return {identity: value for identity, value in found.items() if value is not None}

    @property
    def known(self) -> Mapping[str, bytes]:
        """The secrets that steps have been given, by id."""
        with self._lock:
            return dict(self._read)

    def agent(self, identity: str) -> Agent | None:
        """The agent, or None when it is not given."""
        return self._agents.get(identity)

    # Secrets

    def _checked(self, source: SecretSource) -> SecretSource:
        if not source.id:
            raise BuildError("read secret: secret missing ID")
        if source.content is None and not source.env and not source.path:
            in_environment = source.id in self._environment
            source = source.replace(**{"env" if in_environment else "path": source.id})
        if source.path:
            try:
                size = os.stat(source.path).st_size
            except OSError as error:
                raise _unreadable(source, error) from error
            _check_size(source, size)
        return source

    def _content(self, source: SecretSource) -> bytes:
        if source.content is not None:
            content = source.content
        elif source.env:
            content = os.fsencode(self._environment.get(source.env, ""))
        else:
            try:
                with open(source.path, "rb") as file:
                    content = file.read(SECRET_LIMIT + 1)
            except OSError as error:
                raise _unreadable(source, error) from error
        _check_size(source, len(content))
        return content

    # Agents

    def _agent(self, source: SshSource) -> Agent:
        paths = [path for path in source.paths if path]
        if not paths:
            paths = [self._environment.get(_AGENT_VARIABLE, "")]
        if not paths[0]:
            raise BuildError(
                f"forward SSH agent {source.id}: invalid empty ssh agent socket: "
                f"make sure {_AGENT_VARIABLE} is set"
            )
        sockets: list[str] = []
        keys: list[bytes] = []
        for path in paths:
            try:
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    sockets.append(path)
                else:
                    keys.append(_key(path))
            except OSError as error:
                raise BuildError(
                    f"forward SSH agent {source.id}: {path}: {error.strerror}"
                ) from error
        if len(sockets) > 1:
            raise BuildError(f"forward SSH agent {source.id}: only single socket allowed")
        if sockets and keys:
            raise BuildError(
                f"forward SSH agent {source.id}: invalid combination of keys and sockets"
            )
        return Agent("".join(sockets), tuple(keys))


def _key(path: str) -> bytes:
    with open(path, "rb") as file:
        text = file.read(_KEY_LIMIT)
    if b"-----BEGIN " not in text or b"PRIVATE KEY-----" not in text:
        raise BuildError(f"read SSH key {path}: no key found")
    return text


def _check_size(source: SecretSource, size: int) -> None:
    if size > SECRET_LIMIT:
        raise BuildError(f"read secret {source.id}: too big, the limit is {SECRET_LIMIT >> 10} KiB")


def _unreadable(source: SecretSource, error: OSError) -> BuildError:
    return BuildError(f"read secret {source.id}: {source.path}: {error.strerror}")
