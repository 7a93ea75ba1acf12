"""Calling plugins, which are scripts here."""

import json
import os
from pathlib import Path

import pytest

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.runtime.cni import PluginCall, Process, find_plugin


def plugin(directory: Path, script: str) -> dict[str, str]:
    """A plugin named "test"; the environment in which it is found."""
    path = directory / "test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"CNI_PATH": str(directory), "PATH": os.defpath}


def call(environ: dict[str, str], lock: int = -1) -> PluginCall:
    config = {"name": "net", "type": "test"}
    return PluginCall("ADD", config, identifier="c1", namespace="/ns", environ=environ, lock=lock)


def test_plugin_gets_its_config_and_the_parameters_of_the_specification(tmp_path: Path) -> None:
    names = "CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME"
    echo = " ".join(f'\\"{name}\\":\\"${name}\\",' for name in names.split())
    environ = plugin(tmp_path, f'echo "{{{echo} \\"config\\":$(cat)}}"')
    assert call(environ).wait() == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/ns",
        "CNI_IFNAME": "eth0",
        "config": {"cniVersion": "0.4.0", "name": "net", "type": "test"},
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('echo \'{"code":7,"msg":"no","details":"way"}\'; exit 1', "no: way"),
        ("echo words; exit 1", "words"),
        ("echo lost >&2; exit 3", "lost"),
        ("exit 3", "status 3"),
        ("kill -9 $$", "status -9"),
        ("echo '[1]'; exit 1", "status 1"),
    ],
)
def test_failure_is_told_in_the_plugins_words(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(ContainerError) as raised:
        call(plugin(tmp_path, script)).wait()
    assert raised.value.message == f"set up network: test ADD: {reason}"


def test_output_of_any_size_holds_up_nobody(tmp_path: Path) -> None:
    environ = plugin(tmp_path, "head -c 1000000 /dev/zero | tr '\\0' ' '; echo '{\"a\":1}'")
    assert call(environ).wait() == {"a": 1}


def test_plugin_holds_the_lock_and_no_other_descriptor(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    environ = plugin(tmp_path, f"ls /proc/$$/fd > {tmp_path}/open")
    try:
        call(environ, lock=write_end).wait()
    finally:
        os.close(read_end)
        os.close(write_end)
    found = (tmp_path / "open").read_text().split()
    # 10 and above are the shell's own, for the script.
    assert [number for number in found if int(number) < 10] == ["0", "1", "2", "3"]


def test_plugins_are_found_by_the_path_and_only_absolute_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, "true")
    monkeypatch.chdir(tmp_path)
    assert find_plugin("test", {"CNI_PATH": str(tmp_path)}) == str(tmp_path / "test")
    assert find_plugin("test", {"CNI_PATH": "."}) == ""
    assert find_plugin("test", {}) == ""
    with pytest.raises(RuntimeUnavailable, match="find CNI plugin test"):
        call({"CNI_PATH": "/nowhere"})


def test_program_that_cannot_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    with pytest.raises(RuntimeUnavailable, match="broken"):
        Process(str(path), [], {})


def test_config_is_json_with_the_version(tmp_path: Path) -> None:
    environ = plugin(tmp_path, f"cat > {tmp_path}/given")
    assert call(environ).wait() == {}
    assert json.loads((tmp_path / "given").read_text())["cniVersion"] == "0.4.0"
