"""What `tierce info` says of the parts that are not tierce's."""

from pathlib import Path

import pytest

from tierce.client import parts


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which there are programs."""
    monkeypatch.setattr(parts, "_PROGRAM_DIRECTORIES", "")
    monkeypatch.setattr(parts, "_SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("crun version 1.8.1\ncommit: 123.4", "1.8.1"),
        ("iptables v1.8.9 (nf_tables)", "1.8.9"),
        ("runc version 1.1.5+ds1\nspec: 1.0.2-dev", "1.1.5+ds1"),
        ("pasta unknown version\nCopyright 2020.1", ""),
        ("CNI bridge plugin version unknown\nprotocol: 0.1.0, 0.2.0", ""),
    ],
)
def test_version_is_what_a_program_says(programs: Path, said: str, version: str) -> None:
    write(programs / "crun", f"echo '{said}'")
    [part] = parts.programs(["crun"])
    assert (part.here, part.version, part.path) == (True, version, f"{programs}/crun")


def test_missing_program_says_what_that_costs_and_what_to_install(programs: Path) -> None:
    [part] = parts.programs(["conmon"])
    assert not part.here
    assert part.without == "no containers in the background (apt-get install conmon)"


def test_program_that_cannot_be_run_has_no_version(programs: Path) -> None:
    (programs / "git").write_bytes(b"\x7fELF broken")
    (programs / "git").chmod(0o755)
    [part] = parts.programs(["git"])
    assert part.here
    assert part.version == ""


def test_plugin_is_found_where_cni_path_says(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(programs / "bridge", "echo 'CNI bridge plugin v1.4.0'")
    monkeypatch.setenv("CNI_PATH", str(programs))
    [bridge, *_] = parts.plugins()
    assert (bridge.name, bridge.version, bridge.path) == (
        "CNI bridge",
        "1.4.0",
        f"{programs}/bridge",
    )
