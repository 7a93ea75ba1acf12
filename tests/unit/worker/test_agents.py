"""Forwarding agents: what gets through, and what does not."""

import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.errors import BuildError, RuntimeUnavailable
from tierce.worker import agents as agents_module
from tierce.worker.agents import Agents, Relay
from tierce.worker.credentials import Credentials, SshSource

FAILURE = b"\0\0\0\x01\x05"
ANSWER = b"\0\0\0\x05\x0c\0\0\0\0"
HAS_OPENSSH = all(shutil.which(name) for name in ("ssh-agent", "ssh-add", "ssh-keygen"))


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


class FakeAgent:
    """Keeps what it is told, and answers each message alike."""

    def __init__(self, path: str, answer: bytes = ANSWER) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while (said := agents_module._receive(connection)) is not None:
                self.heard.append(said)
                connection.sendall(self._answer)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(str(tmp_path / "agent"))
    yield agent
    agent.close()


def relay_to(tmp_path: Path) -> Relay:
    return Relay(str(tmp_path / "relay"), str(tmp_path / "agent"), mode=0o600, uid=0, gid=0)


def ask(path: str, *messages: bytes) -> list[bytes]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        answers = []
        for each in messages:
            connection.sendall(each)
            try:
                answers.append(agents_module._receive(connection) or b"")
            except ConnectionResetError:  # closed while there was more to read
                answers.append(b"")
        return answers


def test_keys_are_listed_and_used(tmp_path: Path, fake: FakeAgent) -> None:
    wanted = [message(11), message(13, b"sign this")]
    with relay_to(tmp_path) as relay:
        assert ask(relay.path, *wanted) == [ANSWER, ANSWER]
    assert fake.heard == wanted


@pytest.mark.parametrize("kind", [17, 18, 19, 20, 22, 23, 25, 26, 27, 0, 255])
def test_everything_else_is_refused_and_not_passed_on(
    tmp_path: Path, fake: FakeAgent, kind: int
) -> None:
    with relay_to(tmp_path) as relay:
        assert ask(relay.path, message(kind, b"x"), message(11)) == [FAILURE, ANSWER]
    assert fake.heard == [message(11)]


@pytest.mark.parametrize(
    "said", [b"\0\0\0\0", b"\xff\xff\xff\xff\x0b", struct.pack(">IB", 1 << 20, 11)]
)
def test_message_of_an_impossible_length_ends_the_connection(
    tmp_path: Path, fake: FakeAgent, said: bytes
) -> None:
    with relay_to(tmp_path) as relay:
        assert ask(relay.path, said) == [b""]
    assert fake.heard == []


def test_socket_has_its_mode_and_owner_and_is_gone_afterwards(
    tmp_path: Path, fake: FakeAgent
) -> None:
    with Relay(str(tmp_path / "r"), str(tmp_path / "agent"), mode=0o620, uid=7, gid=8) as relay:
        status = os.stat(relay.path)
        assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o620, 7, 8)
    assert not os.path.exists(tmp_path / "r")


def test_name_longer_than_a_socket_may_have(tmp_path: Path, fake: FakeAgent) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    with Relay(f"{directory}/relay", str(tmp_path / "agent"), mode=0o600, uid=0, gid=0):
        assert (directory / "relay").is_socket()


def test_open_connections_end_with_the_step(tmp_path: Path, fake: FakeAgent) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        with relay_to(tmp_path) as relay:
            connection.connect(relay.path)
            connection.sendall(message(11))
            assert agents_module._receive(connection) == ANSWER
        assert connection.recv(1) == b""


def test_agent_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    with relay_to(tmp_path) as relay, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(relay.path)
        assert connection.recv(1) == b""


def test_more_connections_than_are_served_at_once_wait(tmp_path: Path, fake: FakeAgent) -> None:
    with relay_to(tmp_path) as relay:
        for _ in range(3):
            many = [socket.socket(socket.AF_UNIX) for _ in range(40)]
            for connection in many:
                connection.connect(relay.path)
                connection.close()
        assert ask(relay.path, message(11)) == [ANSWER]


def test_agent_that_is_not_given(tmp_path: Path) -> None:
    assert Agents(Credentials(), str(tmp_path)).relay("x", mode=0o600, uid=0, gid=0) is None


@pytest.mark.skipif(not HAS_OPENSSH, reason="no OpenSSH")
def test_keys_are_given_to_an_agent_that_ends_with_the_build(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of a test", "-f", key], check=True
    )
    key.chmod(0o644)  # ssh-add would refuse it by its name
    directory = tmp_path / "sockets"
    directory.mkdir()
    agents = Agents(Credentials((), [SshSource("a", (str(key),))]), str(directory))
    try:
        for _ in range(2):
            relay = agents.relay("a", mode=0o600, uid=0, gid=0)
            assert relay is not None
            with relay:
                listed = subprocess.run(
                    ["ssh-add", "-l"],
                    env={**os.environ, "SSH_AUTH_SOCK": relay.path},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                assert "of a test" in listed.stdout
                removed = subprocess.run(
                    ["ssh-add", "-D"], env={**os.environ, "SSH_AUTH_SOCK": relay.path},
                    capture_output=True, check=False,
                )  # fmt: skip
                assert removed.returncode != 0
        assert len([name for name in os.listdir(directory) if name.startswith("agent")]) == 1
    finally:
        agents.close()
    assert os.listdir(directory) == []


@pytest.mark.skipif(not HAS_OPENSSH, reason="no OpenSSH")
def test_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "long enough", "-f", key], check=True
    )
    agents = Agents(Credentials((), [SshSource("a", (str(key),))]), str(tmp_path))
    with pytest.raises(BuildError, match="add key to SSH agent") as caught:
        agents.relay("a", mode=0o600, uid=0, gid=0)
    assert "passphrase" in caught.value.hint
    agents.close()


def test_machine_without_openssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeUnavailable, match="start ssh-agent: it is not installed"):
        agents_module.KeyAgent(str(tmp_path / "agent"), ())
