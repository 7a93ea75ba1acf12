"""Which cgroups the machine has, read from tables; groups of our own, on this machine."""

import os
import threading
from pathlib import Path

import pytest

from tierce.linux import cgroups

V1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" + "".join(
    f"{40 + number} 31 0:{40 + number} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{options}\n"
    for number, (name, options) in enumerate(
        [("cpu,cpuacct", "cpu,cpuacct"), ("devices", "devices"), ("systemd", "xattr,name=systemd")]
    )
)
V2 = "30 23 0:26 / {path} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def setup_from(tmp_path: Path, table: str) -> cgroups.CgroupSetup:
    path = tmp_path / "mountinfo"
    path.write_text(table)
    return cgroups.detect(str(path))


def test_version_2_alone_is_unified(tmp_path: Path) -> None:
    setup = setup_from(tmp_path, V2.format(path="/sys/fs/cgroup"))
    assert setup.mode == "unified"
    assert setup.unified_in_conflict == ""


def test_version_1_alone_is_legacy_with_its_controllers(tmp_path: Path) -> None:
    setup = setup_from(tmp_path, V1)
    assert setup.mode == "legacy"
    assert [mount.controllers for mount in setup.mounts] == [
        ("cpu", "cpuacct"),
        ("devices",),
        ("name=systemd",),
    ]


@pytest.mark.parametrize(("controllers", "conflict"), [("hugetlb\n", True), ("", False)])
def test_hybrid_conflicts_only_with_a_controller_in_version_2(
    tmp_path: Path, controllers: str, conflict: bool
) -> None:
    unified = tmp_path / "unified"
    unified.mkdir()
    (unified / "cgroup.controllers").write_text(controllers)
    setup = setup_from(tmp_path, V1 + V2.format(path=unified))
    assert setup.mode == "hybrid"
    assert setup.unified_in_conflict == (str(unified) if conflict else "")


def test_machine_without_cgroups_has_mode_none(tmp_path: Path) -> None:
    assert setup_from(tmp_path, "") == cgroups.CgroupSetup("none", ())


@pytest.mark.skipif(
    cgroups.detect().mode not in {"legacy", "hybrid"}, reason="no cgroups of version 1"
)
def test_thread_in_a_group_is_held_to_its_device_rules() -> None:
    name = f"tierce-test-{os.getpid()}"
    group = cgroups.create(cgroups.legacy_group(cgroups.legacy_parents(cgroups.detect()), name))
    assert group.directories
    errors: list[OSError] = []

    def work() -> None:
        assert cgroups.allow_devices(group, ["c 1:3 rwm"])
        cgroups.enter_with_thread(group)
        Path("/dev/null").read_bytes()
        try:
            open("/dev/zero", "rb").close()
        except OSError as error:
            errors.append(error)

    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        left = cgroups.remove(group)
        while left.directories:  # the kernel may still be ending the thread
            left = cgroups.remove(left)
    assert [type(error) for error in errors] == [PermissionError]
    open("/dev/zero", "rb").close()
    assert not any(os.path.exists(directory) for directory in group.directories)


def test_version_2_alone_is_known_by_its_root(tmp_path: Path) -> None:
    assert not cgroups.is_unified(str(tmp_path))
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.is_unified(str(tmp_path))
    assert cgroups.is_unified() == (cgroups.detect().mode == "unified")
