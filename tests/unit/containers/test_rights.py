"""Rights of containers: as they are kept, and which capabilities they come to."""

import os
import stat
from pathlib import Path

import pytest

from tierce.containers import devices
from tierce.containers.rights import Rights
from tierce.containers.state import ContainerState
from tierce.errors import ContainerError, UsageError
from tierce.linux.resources import Resources
from tierce.runtime import capabilities


@pytest.mark.parametrize(
    "rights",
    [
        Rights(),
        Rights(added=("CAP_KILL",), seccomp="", limits=Resources(memory=1 << 30, pids=-1)),
        Rights(
            devices=(("/dev/a", "/dev/b", "rw"),),
            sysctls=(("net.x", "1"),),
            ulimits=(("nofile", 1, 2),),
            limits=Resources(device_rates=(("read_bps", 8, 0, 1),), oom_killer=False),
            device_limits=(("read_bps", "/dev/sda", 1),),
        ),
    ],
)
def test_rights_are_kept_in_the_state(rights: Rights) -> None:
    state = ContainerState.decode(ContainerState(rights=rights.encode()).encode())
    assert Rights.decode(state.rights) == rights


def test_rights_of_a_newer_version_are_left_out() -> None:
    pairs = (("future", 1), ("pid", "host"), ("limits", (("future", 2), ("pids", 3))))
    assert Rights.decode(pairs) == Rights(pid="host", limits=Resources(pids=3))


def test_usual_container_keeps_nothing() -> None:
    assert Rights().encode() == ()
    assert "rights" not in ContainerState(rights=Rights().encode()).encode()


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (Rights(), capabilities.DEFAULT),
        (Rights(dropped=("ALL",)), ()),
        (Rights(added=("CAP_KILL",), dropped=("ALL",)), ("CAP_KILL",)),
        (Rights(added=("ALL",)), capabilities.ALL),
        (Rights(added=("CAP_KILL",)), capabilities.DEFAULT),
    ],
)
def test_capabilities(rights: Rights, expected: tuple[str, ...]) -> None:
    assert set(rights.granted(privileged=False)) == set(expected)
    assert rights.granted(privileged=True) == capabilities.ALL


def test_usual_set_of_capabilities_has_its_usual_order() -> None:
    """By that it is known, and its compiled filter taken."""
    assert Rights(pid="host").granted(privileged=False) == capabilities.DEFAULT


def test_directory_of_devices_is_searched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "pts").mkdir()
    for name in ("a", "in/b", "pts/0", "console"):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o640, os.makedev(1, 3))
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    found = devices.find(str(tmp_path), "/dev/there/", "r")
    assert {(node.path, node.mode) for node in found} == {
        ("/dev/there/a", 0o640), ("/dev/there/in/b", 0o640)
    }  # fmt: skip
    nodes, rules = devices.find_all([(str(tmp_path), "/dev/there", "r")])
    assert rules == ("c 1:3 r",)
    assert len(nodes) == 2


def test_link_to_a_device_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    [node] = devices.find(str(tmp_path / "link"), "/dev/mine", "rw")
    assert (node.path, node.kind, node.major, node.minor) == ("/dev/mine", "c", 1, 3)


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_what_is_no_device_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContainerError, match="error gathering device information"):
        devices.find(str(tmp_path / name), "/dev/x", "r")


def test_only_block_devices_are_limited(tmp_path: Path) -> None:
    for path in ("/dev/null", str(tmp_path / "nothing")):
        with pytest.raises(UsageError):
            devices.number_of(path)
