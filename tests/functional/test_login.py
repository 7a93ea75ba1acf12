"""Logging in to a real registry, and out of it."""

import base64
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Tierce
from support.registries import PASSWORD, USER, Authority, RunningRegistry, running_registry
from support.terminal import Terminal


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[RunningRegistry]:
    """For one user alone, with TLS."""
    directory = tmp_path_factory.mktemp("registry")
    with running_registry(
        directory, password=PASSWORD, certificate=authority.issue("registry")
    ) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it."""
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory / ".config"))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "TIERCE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def program(tmp_path: Path, home: Path) -> Iterator[Tierce]:
    with Tierce(tmp_path / "root") as program:
        yield program


def trust(home: Path, host: str, certificate: Path) -> None:
    directory = home / ".config/docker/certs.d" / host
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(certificate.read_bytes())


def auths(home: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((home / ".docker/config.json").read_text())[
        "auths"
    ]
    return found


def log_in(program: Tierce, registry: RunningRegistry, password: str, status: int = 0) -> str:
    done = program.run(
        *("login", "-u", USER, "--password-stdin", registry.host), text=password, status=status
    )
    return done.stdout + done.stderr


def test_password_from_standard_input_is_checked_and_kept(
    program: Tierce, registry: RunningRegistry, authority: Authority, home: Path
) -> None:
    trust(home, registry.host, authority.certificate)
    shown = log_in(program, registry, PASSWORD + "\n")
    assert "Login Succeeded" in shown
    assert "WARNING! Your credentials are stored unencrypted" in shown
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert auths(home) == {registry.host: {"auth": encoded}}
    assert stat.S_IMODE((home / ".docker/config.json").stat().st_mode) == 0o600


def test_wrong_password_is_refused_and_not_kept(
    program: Tierce, registry: RunningRegistry, authority: Authority, home: Path
) -> None:
    trust(home, registry.host, authority.certificate)
    shown = log_in(program, registry, "wrong", status=1)
    assert "incorrect username or password" in shown
    assert "Login Succeeded" not in shown
    assert not (home / ".docker/config.json").exists()


def test_certificate_that_nobody_trusts_says_where_to_put_its_ca(
    program: Tierce, registry: RunningRegistry, home: Path, tmp_path: Path
) -> None:
    trust(home, registry.host, Authority(tmp_path / "other").certificate)
    before = registry.requests()
    shown = log_in(program, registry, PASSWORD, status=1)
    assert f"certs.d/{registry.host}/ca.crt" in shown
    assert registry.requests() == before, "nothing was said to a server that nobody trusts"


def test_user_and_password_are_asked_for_on_a_terminal(
    program: Tierce, registry: RunningRegistry, authority: Authority, home: Path
) -> None:
    trust(home, registry.host, authority.certificate)
    terminal = Terminal(program, "login", registry.host)
    try:
        terminal.read_until("Username: $")
        terminal.type(f"{USER}\r")
        terminal.read_until("Password: $")
        terminal.type(f"{PASSWORD}\r")
        shown = terminal.read_until("Login Succeeded")
        assert PASSWORD not in shown
        assert terminal.process.wait(60) == 0
        assert terminal.restored()
    finally:
        terminal.close()
    assert registry.host in auths(home)


def test_stored_credentials_are_used_again(
    program: Tierce, registry: RunningRegistry, authority: Authority, home: Path
) -> None:
    trust(home, registry.host, authority.certificate)
    log_in(program, registry, PASSWORD)
    done = program.run("login", registry.host)
    assert "Authenticating with existing credentials" in done.stderr
    assert done.stdout == "Login Succeeded\n"


def test_without_a_terminal_nothing_is_asked(program: Tierce, registry: RunningRegistry) -> None:
    done = program.run("login", registry.host, status=1)
    assert "cannot perform an interactive login from a non-TTY device" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--password-stdin",), "requires --username"),
        (("-u", "x", "-p", "y", "--password-stdin"), "conflicting options"),
        (("-u", "", "-p", "y"), "username is empty"),
        (("-u", "x", "-p", ""), "password is empty"),
        (("-u", "x", "--password-stdin"), "password is empty"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    program: Tierce, words: tuple[str, ...], said: str
) -> None:
    done = program.run("login", *words, "localhost:1", text="", status=1)
    assert said in done.stderr


def test_logout_forgets_every_way_a_registry_was_written(
    program: Tierce, registry: RunningRegistry, home: Path
) -> None:
    file = home / ".docker/config.json"
    file.parent.mkdir()
    entry = {"auth": base64.b64encode(b"u:p").decode()}
    known = {registry.host: entry, f"https://{registry.host}": entry, "other": entry}
    file.write_text(json.dumps({"auths": known}))
    done = program.run("logout", registry.host)
    assert done.stdout == f"Removing login credentials for {registry.host}\n"
    assert list(auths(home)) == ["other"]


def test_logout_means_docker_hub_by_default(program: Tierce, home: Path) -> None:
    done = program.run("logout")
    assert done.stdout == "Removing login credentials for https://index.docker.io/v1/\n"
    assert not (home / ".docker").exists()


def test_client_certificate_is_shown_to_a_registry_that_wants_one(
    program: Tierce, authority: Authority, home: Path, tmp_path: Path
) -> None:
    with running_registry(
        tmp_path / "registry",
        password=PASSWORD,
        certificate=authority.issue("strict"),
        client_ca=authority.certificate,
    ) as strict:
        trust(home, strict.host, authority.certificate)
        refused = log_in(program, strict, PASSWORD, status=1)
        assert "Login Succeeded" not in refused
        directory = home / ".config/docker/certs.d" / strict.host
        for file, name in zip(authority.issue("person"), ("client.cert", "client.key")):
            (directory / name).write_bytes(file.read_bytes())
        assert "Login Succeeded" in log_in(program, strict, PASSWORD)


def test_registry_without_tls_on_this_machine_needs_no_mark(
    program: Tierce, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry", password=PASSWORD) as plain:
        assert "Login Succeeded" in log_in(program, plain, PASSWORD)


def test_malformed_config_is_named_and_untouched(
    program: Tierce, registry: RunningRegistry, authority: Authority, home: Path
) -> None:
    trust(home, registry.host, authority.certificate)
    file = home / ".docker/config.json"
    file.parent.mkdir()
    file.write_text("{ broken")
    shown = log_in(program, registry, PASSWORD, status=1)
    assert str(file) in shown
    assert file.read_text() == "{ broken"


def test_host_that_does_not_exist_is_named(program: Tierce) -> None:
    done = program.run("login", "-u", "u", "-p", "p", "nowhere.invalid", status=1)
    assert "connect to nowhere.invalid: no such host" in done.stderr


@pytest.fixture
def password_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A store of pass(1), with a key that asks for nothing."""
    # The socket of the agent has to have a short path.
    directory = Path(tempfile.mkdtemp(prefix="gpg-"))
    monkeypatch.setenv("GNUPGHOME", str(directory))
    monkeypatch.setenv("PASSWORD_STORE_DIR", str(tmp_path / "passwords"))
    quick = ("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key")
    try:
        subprocess.run(
            [*quick, "test@example.com", "future-default"], check=True, capture_output=True
        )
        subprocess.run(["pass", "init", "test@example.com"], check=True, capture_output=True)
        yield tmp_path / "passwords"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, env=dict(os.environ))
        shutil.rmtree(directory, ignore_errors=True)


def test_helper_keeps_the_password(
    program: Tierce,
    registry: RunningRegistry,
    authority: Authority,
    home: Path,
    password_store: Path,
) -> None:
    """Debian's docker-credential-pass, which no part of tierce knows."""
    trust(home, registry.host, authority.certificate)
    file = home / ".docker/config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"credsStore": "pass"}))
    shown = log_in(program, registry, PASSWORD)
    assert "Login Succeeded" in shown
    assert "stored unencrypted" not in shown
    assert json.loads(file.read_text()) == {"credsStore": "pass", "auths": {registry.host: {}}}
    assert list(password_store.rglob("*.gpg"))
    assert program.run("login", registry.host).stdout == "Login Succeeded\n"
    absent = program.run("pull", f"{registry.host}/absent", status=1)
    assert "not found" in absent.stderr, "whoever pulls is logged in"
    program.run("logout", registry.host)
    assert not list(password_store.rglob("*.gpg"))
    refused = program.run("pull", f"{registry.host}/absent", status=1)
    assert "pull access denied" in refused.stderr
