"""SSH agents for steps: a socket that a step sees, and the agent of the caller behind it.

Only what is needed to log in somewhere gets through: to ask for the public keys, and to have
something signed. A step cannot add, remove or lock keys, nor use extensions; BuildKit has it so.
See draft-ietf-sshm-ssh-agent for the protocol.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading

from tierce.errors import BuildError, RuntimeUnavailable

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from types import TracebackType

    from tierce.worker.credentials import Agent, Credentials

_REQUEST_IDENTITIES = 11
_SIGN_REQUEST = 13
_FAILURE = b"\0\0\0\x01\x05"
_LENGTH_BYTES = 4
_MESSAGE_LIMIT = 256 << 10
"""Bytes of a message, as in OpenSSH's agent."""

_RUN_AGENT = 'ssh-agent -D -a "$1" >/dev/null & cat >/dev/null; kill $!; wait'
"""An agent that ends when this process does: then the pipe is closed that `cat` reads."""

_MOST_CONNECTIONS = 64
"""Connections of one step at once; a step that makes more waits."""

_READY_SECONDS = 10.0
_POLL_SECONDS = 0.01


class Agents:
    """The agents of one build. Those for keys are started when first wanted, and end with it."""

    def __init__(self, credentials: Credentials, directory: str) -> None:
        """`directory` is where sockets are made; nobody else may look into it."""
        self._credentials = credentials
        self._directory = directory
        self._started: dict[str, KeyAgent] = {}
        self._lock = threading.Lock()
        self._relays = 0

    def close(self) -> None:
        """End the agents that were started. Idempotent."""
        while self._started:
            self._started.popitem()[1].close()

    def relay(self, identity: str, *, mode: int, uid: int, gid: int) -> Relay | None:
        """A socket for a step; None when there is no such agent. Raises BuildError."""
        agent = self._credentials.agent(identity)
        if agent is None:
            return None
        with self._lock:
            self._relays += 1
            path = f"{self._directory}/relay{self._relays}"
            address = agent.socket or self._key_agent(identity, agent)
        return Relay(path, address, mode=mode, uid=uid, gid=gid)

    def _key_agent(self, identity: str, agent: Agent) -> str:
        if identity not in self._started:
            path = f"{self._directory}/agent{len(self._started)}"
            self._started[identity] = KeyAgent(path, agent.keys)
        return self._started[identity].path


class KeyAgent:
    """An ssh-agent of our own that has some keys."""

    def __init__(self, path: str, keys: tuple[bytes, ...]) -> None:
        """Raises BuildError for a key that cannot be used, RuntimeUnavailable without OpenSSH."""
        self.path = path
        if not _is_installed("ssh-agent"):
            raise RuntimeUnavailable(
                "start ssh-agent: it is not installed",
                hint="apt-get install openssh-client, or name the socket of a running agent",
            )
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _RUN_AGENT, "sh", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._await_socket()
            for key in keys:
                self._add(key)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stderr.close()

    def _await_socket(self) -> None:
        """`ssh-agent -D` tells nobody when it listens."""
        waited = 0.0
        while not os.path.exists(self.path):
            if waited > _READY_SECONDS:
                raise RuntimeUnavailable("start ssh-agent: it does not listen")
            threading.Event().wait(_POLL_SECONDS)
            waited += _POLL_SECONDS

    def _add(self, key: bytes) -> None:
        # From standard input: whoever may read a key may use it, whatever its permissions.
        done = subprocess.run(
            ["ssh-add", "-q", "-"],
            input=key,
            capture_output=True,
            env={**os.environ, "SSH_AUTH_SOCK": self.path, "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise BuildError(
                f"add key to SSH agent: {lines[-1] if lines else 'refused'}",
                hint="a key with a passphrase has to be in an agent already",
            )


class Relay:
    """Listens at a socket and passes on what is allowed; a context manager, used by one step."""

    def __init__(self, path: str, agent: str, *, mode: int, uid: int, gid: int) -> None:
        self.path = path
        self._agent = agent
        self._owner = (uid, gid)
        self._mode = mode
        self._listener = socket.socket(socket.AF_UNIX)
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Relay:
        directory, _, name = self.path.rpartition("/")
        # By way of a descriptor: the name of a socket must not be longer than 107 bytes.
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)
        os.chown(self.path, *self._owner)
        os.chmod(self.path, self._mode)
        self._listener.listen()
        threading.Thread(target=self._serve, name="ssh agent", daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        # A thread that waits for a connection is woken by this, and not by closing.
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)
        os.unlink(self.path)

    def _serve(self) -> None:
        with self._listener:
            while True:
                self._free.acquire()
                try:
                    connection, _ = self._listener.accept()
                except OSError:  # shut down
                    return
                threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _relay(self, connection: socket.socket) -> None:
        with connection, socket.socket(socket.AF_UNIX) as agent:
            with self._lock:
                self._open.add(connection)
            try:
                agent.connect(self._agent)
                while (message := _receive(connection)) is not None:
                    connection.sendall(_answer(agent, message))
            except OSError:
                return  # one of the two has gone; the other sees the end of the connection
            finally:
                with self._lock:
                    self._open.discard(connection)
                self._free.release()


def _answer(agent: socket.socket, message: bytes) -> bytes:
    """What the agent answers to a message, both with their length before them."""
    if message[_LENGTH_BYTES] not in (_REQUEST_IDENTITIES, _SIGN_REQUEST):
        return _FAILURE
    agent.sendall(message)
    return _receive(agent) or _FAILURE


def _receive(connection: socket.socket) -> bytes | None:
    """The next message, with its length; None at the end, or when it cannot be one."""
    head = _exactly(connection, _LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or not 0 < length <= _MESSAGE_LIMIT:
        return None
    body = _exactly(connection, length)
    return head + body if len(body) == length else None


def _exactly(connection: socket.socket, count: int) -> bytes:
    """As many bytes as that, or fewer at the end of the connection."""
    received = bytearray()
    while len(received) < count:
        data = connection.recv(count - len(received))
        if not data:
            break
        received += data
    return bytes(received)


def _is_installed(program: str) -> bool:
    return any(
        os.access(f"{directory}/{program}", os.X_OK)
        for directory in os.get_exec_path()
        if directory
    )
