"""config.json and helpers: what is read, what is kept, and what is refused."""

import base64
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tierce.distribution.credentials import HUB, Credential, CredentialFile, hostname, key_of
from tierce.distribution.helpers import CredentialHelper
from tierce.errors import CredentialsError


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def opened(path: Path, environment: Mapping[str, str] | None = None) -> CredentialFile:
    return CredentialFile.of({"DOCKER_CONFIG": str(path.parent), **(environment or {})})


def write(path: Path, document: object) -> CredentialFile:
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return opened(path)


def helper(directory: Path, name: str, script: str) -> dict[str, str]:
    directory.mkdir(exist_ok=True)
    program = directory / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def test_stored_credentials_are_found_again_and_private(path: Path) -> None:
    assert opened(path).store("r.example.com", Credential("user", "pass:word"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert opened(path).find("r.example.com") == Credential("user", "pass:word")
    assert not opened(path).find("other.example.com")


def test_other_fields_stay_in_their_order(path: Path) -> None:
    document = {"z": [1], "auths": {"a": {"auth": encoded("u:p")}}, "psFormat": "table", "a": {}}
    write(path, document).store("b", Credential("x", "y"))
    text = path.read_text()
    found = json.loads(text)
    assert list(found) == ["z", "auths", "psFormat", "a"]
    assert found["auths"] == {"a": {"auth": encoded("u:p")}, "b": {"auth": encoded("x:y")}}
    assert '\n\t"psFormat"' in text


def test_mode_of_a_file_that_others_could_read_becomes_private(path: Path) -> None:
    write(path, {})
    path.chmod(0o644)
    opened(path).store("a", Credential("x", "y"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("{}")
    path.parent.mkdir()
    path.symlink_to(real)
    opened(path).store("a", Credential("x", "y"))
    assert path.is_symlink()
    assert "auths" in json.loads(real.read_text())


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    opened(path).store("a", Credential("x", "y"))
    opened(path).erase("a")
    assert [each.name for each in path.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": []}', '{"auths": {"a": {"auth": "%%"}}}', '{"auths": {"a": 1}}']
)
def test_malformed_file_is_named_and_untouched(path: Path, text: str) -> None:
    with pytest.raises(CredentialsError, match=str(path)):
        write(path, text).find("a")
    assert path.read_text() == text


def test_auth_without_a_user_is_refused(path: Path) -> None:
    with pytest.raises(CredentialsError, match="user:password"):
        write(path, {"auths": {"a": {"auth": encoded("nothing")}}}).find("a")


def test_malformed_file_is_not_written_over(path: Path) -> None:
    with pytest.raises(CredentialsError):
        write(path, "{").store("a", Credential("x", "y"))
    assert path.read_text() == "{"


def test_urls_of_older_versions_are_found_by_host(path: Path) -> None:
    file = write(path, {"auths": {"https://r.example.com/v1/": {"auth": encoded("u:p")}}})
    assert file.find("r.example.com").username == "u"


def test_identity_token_is_kept_without_the_password(path: Path) -> None:
    assert not opened(path).store("a", Credential("u", "secret", identity_token="token"))
    assert "secret" not in path.read_text()
    assert encoded("u:secret") not in path.read_text()
    assert opened(path).find("a").identity_token == "token"


def test_docker_io_has_the_key_of_the_hub(path: Path) -> None:
    opened(path).store(HUB, Credential("u", "p"))
    assert opened(path).find_for("docker.io", "library/alpine").username == "u"
    assert key_of("") == key_of("docker.io") == HUB
    assert key_of("https://r.example.com:5000/v2/") == "r.example.com:5000"
    assert hostname("r.example.com") == "r.example.com"


def test_podmans_file_has_credentials_of_parts_of_a_registry(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    auths = {"r.io": {"auth": encoded("all:p")}, "r.io/team": {"auth": encoded("team:p")}}
    file.write_text(json.dumps({"auths": auths}))
    found = CredentialFile.of({"REGISTRY_AUTH_FILE": str(file)})
    assert found.find_for("r.io", "team/app").username == "team"
    assert found.find_for("r.io", "other/app").username == "all"


def test_without_home_the_place_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(CredentialsError, match="HOME"):
        CredentialFile.of({})


def test_erasing_what_is_not_there_changes_nothing(path: Path) -> None:
    file = write(path, {"auths": {}})
    before = path.stat().st_mtime_ns
    assert not file.erase("a")
    assert path.stat().st_mtime_ns == before


# Helpers


def test_helper_of_a_registry_goes_before_the_store_for_all(path: Path, tmp_path: Path) -> None:
    environment = helper(
        tmp_path / "bin",
        "one",
        'read -r host; echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"s\\"}"',
    )
    write(path, {"credsStore": "absent", "credHelpers": {"r.io": "one"}})
    assert opened(path, environment).find("r.io") == Credential("r.io", "s")


def test_helper_gives_identity_tokens(path: Path, tmp_path: Path) -> None:
    environment = helper(
        tmp_path / "bin", "one", """cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'"""
    )
    write(path, {"credsStore": "one"})
    assert opened(path, environment).find("r.io") == Credential(identity_token="t")


def test_helper_that_knows_nothing_is_no_error(path: Path, tmp_path: Path) -> None:
    environment = helper(
        tmp_path / "bin",
        "one",
        "cat >/dev/null; echo credentials not found in native keychain; exit 1",
    )
    write(path, {"credsStore": "one"})
    assert not opened(path, environment).find("r.io")


def test_secret_goes_to_the_helper_and_not_into_the_file(path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    environment = helper(tmp_path / "bin", "one", f'echo "$1" >>{kept}; cat >>{kept}')
    write(path, {"credsStore": "one"})
    assert not opened(path, environment).store("r.io", Credential("u", "hush"))
    assert "hush" not in path.read_text()
    assert json.loads(path.read_text())["auths"] == {"r.io": {}}
    assert '"Secret": "hush"' in kept.read_text()
    assert opened(path, environment).erase("r.io")
    assert kept.read_text().endswith("erase\nr.io")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat >/dev/null; echo locked; exit 3", "locked"),
        ("cat >/dev/null; exit 3", "exit status 3"),
        ("cat >/dev/null; echo nonsense", "not valid JSON"),
    ],
)
def test_helper_that_fails_is_named(path: Path, tmp_path: Path, script: str, said: str) -> None:
    environment = helper(tmp_path / "bin", "one", script)
    write(path, {"credsStore": "one"})
    with pytest.raises(CredentialsError, match=f"docker-credential-one.*{said}"):
        opened(path, environment).find("r.io")


def test_helper_that_hangs_is_given_up(tmp_path: Path) -> None:
    environment = helper(tmp_path / "bin", "one", "exec cat /dev/zero >/dev/null")
    with pytest.raises(CredentialsError, match="no answer within"):
        CredentialHelper("one", environment, seconds=0.1).get("r.io")


def test_helper_that_is_not_there_is_named(path: Path) -> None:
    file = write(path, {"credsStore": "absent"})
    with pytest.raises(CredentialsError, match="docker-credential-absent: no such program"):
        file.find("r.io")


def test_helper_cannot_be_a_path(path: Path) -> None:
    file = write(path, {"credsStore": "/../../bin/sh"})
    with pytest.raises(CredentialsError, match="no name"):
        file.find("r.io")
