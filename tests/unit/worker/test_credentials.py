"""Secrets and agents that a caller lends: where they are, how large, how often they are read."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.errors import BuildError
from tierce.worker.credentials import SECRET_LIMIT, Agent, Credentials, SecretSource, SshSource


@pytest.fixture
def agent_socket(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        yield path


def test_secret_of_a_file_a_variable_or_the_caller(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0binary\n")
    sources = [
        SecretSource("file", str(tmp_path / "file")),
        SecretSource("variable", env="V"),
        SecretSource("unset", env="NOT_SET"),
        SecretSource("given", content=b"given"),
    ]
    credentials = Credentials(sources, environment={"V": "näive"})
    assert credentials.secret("file") == b"\0binary\n"
    assert credentials.secret("variable") == "näive".encode()
    assert credentials.secret("unset") == b""
    assert credentials.secret("given") == b"given"
    assert credentials.secret("other") is None


def test_secret_without_a_place_is_a_variable_or_a_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("from file")
    source = [SecretSource("token")]
    assert Credentials(source).secret("token") == b"from file"
    assert Credentials(source, environment={"token": "from env"}).secret("token") == b"from env"


def test_secret_is_read_once_and_only_when_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("first")
    credentials = Credentials([SecretSource("a", str(path)), SecretSource("b", str(path))])
    assert credentials.known == {}
    assert credentials.secret("a") == b"first"
    path.write_text("second")
    assert credentials.secret("a") == b"first"
    assert credentials.known == {"a": b"first"}
    assert credentials.secret("b") == b"second"


def test_pipe_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"piped")
    os.close(writer)
    try:
        credentials = Credentials([SecretSource("a", f"/dev/fd/{reader}")])
        assert credentials.secret("a") == b"piped"
    finally:
        os.close(reader)


def test_missing_file_is_an_error_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"read secret a: .*/none: No such file"):
        Credentials([SecretSource("a", str(tmp_path / "none"))])
    with pytest.raises(BuildError, match="secret missing ID"):
        Credentials([SecretSource("", str(tmp_path))])


def test_directory_is_an_error_when_it_is_wanted(tmp_path: Path) -> None:
    credentials = Credentials([SecretSource("a", str(tmp_path))])
    with pytest.raises(BuildError, match=r"read secret a: .*Is a directory"):
        credentials.secret("a")


def test_size_is_limited_wherever_a_secret_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * SECRET_LIMIT)
    assert len(Credentials([SecretSource("a", str(path))]).secret("a") or b"") == SECRET_LIMIT
    path.write_bytes(b"x" * (SECRET_LIMIT + 1))
    with pytest.raises(BuildError, match="read secret a: too big, the limit is 500 KiB"):
        Credentials([SecretSource("a", str(path))])
    with pytest.raises(BuildError, match="too big"):
        Credentials([SecretSource("a", content=path.read_bytes())]).secret("a")
    with pytest.raises(BuildError, match="too big"):
        Credentials([SecretSource("a", "/dev/zero")]).secret("a")


def test_later_source_of_one_id_wins() -> None:
    sources = [SecretSource("a", content=b"1"), SecretSource("a", content=b"2")]
    assert Credentials(sources).secret("a") == b"2"


def test_content_is_never_shown() -> None:
    assert "s3cret" not in repr(SecretSource("a", content=b"s3cret"))
    assert "s3cret" not in repr(Agent(keys=(b"s3cret",)))


def test_agent_of_the_environment_or_of_a_path(agent_socket: str) -> None:
    sources = [SshSource(), SshSource("other", (agent_socket,)), SshSource("empty", ("",))]
    credentials = Credentials((), sources, {"SSH_AUTH_SOCK": agent_socket})
    for identity in ("default", "other", "empty"):
        assert credentials.agent(identity) == Agent(agent_socket)
    assert credentials.agent("none") is None


def test_keys(tmp_path: Path) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"
    (tmp_path / "key").write_text(key)
    credentials = Credentials((), [SshSource("a", (str(tmp_path / "key"),) * 2)])
    assert credentials.agent("a") == Agent("", (key.encode(), key.encode()))


def test_agents_that_make_no_sense(tmp_path: Path, agent_socket: str) -> None:
    (tmp_path / "public").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "key").write_text("-----BEGIN PRIVATE KEY-----\n")
    for paths, message in (
        ((), "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"),
        ((agent_socket, agent_socket), "only single socket allowed"),
        ((agent_socket, str(tmp_path / "key")), "invalid combination of keys and sockets"),
        ((str(tmp_path / "none"),), "none: No such file or directory"),
        ((str(tmp_path / "public"),), "no key found"),
    ):
        with pytest.raises(BuildError, match=message):
            Credentials((), [SshSource("a", paths)], {})
