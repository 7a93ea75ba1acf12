"""mount(2) and the table of mounts, on a real kernel."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tierce.linux import mounts, namespaces


def in_private_namespace(work: Callable[[], None]) -> None:
    """Runs `work` in a thread with mounts of its own, which end with the thread."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            namespaces.make_private()
            work()
        except BaseException as error:  # handed to the test's own thread
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def test_mounts_of_a_private_namespace_are_not_seen_outside(tmp_path: Path) -> None:
    def work() -> None:
        mounts.mount("tmpfs", str(tmp_path), "tmpfs", mounts.MS_NODEV, "size=1m")
        assert mounts.mount_table("/proc/thread-self/mountinfo")[-1].target == str(tmp_path)

    in_private_namespace(work)
    assert str(tmp_path) not in [info.target for info in mounts.mount_table()]


def test_table_undoes_escapes(tmp_path: Path) -> None:
    target = tmp_path / "a b\\c\td"
    target.mkdir()

    def work() -> None:
        mounts.mount("tmpfs", str(target), "tmpfs")
        info = mounts.mount_table("/proc/thread-self/mountinfo")[-1]
        assert (info.target, info.type) == (str(target), "tmpfs")

    in_private_namespace(work)


def test_read_only_bind_refuses_writes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()

    def work() -> None:
        mounts.mount_spec(mounts.MountSpec("bind", str(source), str(target), ("rbind", "ro")))
        with pytest.raises(OSError) as raised:
            (target / "file").touch()
        assert raised.value.errno == errno.EROFS
        (source / "file").touch()

    in_private_namespace(work)


def test_overlay_with_127_long_layer_paths_mounts(tmp_path: Path) -> None:
    layers = [tmp_path / f"{number:03}-{'long' * 20}" for number in range(127)]
    for layer in layers:
        layer.mkdir()
        (layer / layer.name[:3]).touch()
    upper, work_directory, target = (tmp_path / name for name in ("upper", "work", "target"))
    for directory in (upper, work_directory, target):
        directory.mkdir()
    lowerdir = ":".join(str(layer) for layer in reversed(layers))
    options = (f"lowerdir={lowerdir}", f"upperdir={upper}", f"workdir={work_directory}")

    def work() -> None:
        mounts.mount_spec(mounts.MountSpec("overlay", "overlay", "", options), str(target))
        assert len(os.listdir(target)) == 127
        (target / "new").touch()
        assert (upper / "new").exists()

    in_private_namespace(work)


@pytest.mark.parametrize("lacking", ["fsconfig_set_string", "fsopen"])
def test_overlay_with_127_layers_mounts_on_old_kernels(
    tmp_path: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        code = errno.ENOSYS if lacking == "fsopen" else errno.EINVAL
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(mounts, lacking, refuse)
    layers = [tmp_path / f"{number}/fs" for number in range(127)]
    for number, layer in enumerate(layers):
        layer.mkdir(parents=True)
        (layer / str(number)).touch()
    target = tmp_path / "target"
    target.mkdir()
    options = (f"lowerdir={':'.join(str(layer) for layer in layers)}",)
    assert len(options[0]) > 4096

    def work() -> None:
        mounts.mount_spec(mounts.MountSpec("overlay", "overlay", "", options), str(target))
        assert len(os.listdir(target)) == 127

    in_private_namespace(work)


def test_options_longer_than_a_page_are_refused_not_cut(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="longer than a page") as raised:
        mounts.mount("none", str(tmp_path), "overlay", 0, "x" * 4096)
    assert raised.value.errno == errno.E2BIG


def test_failure_names_the_target(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as raised:
        mounts.mount("tmpfs", missing, "tmpfs")
    assert raised.value.filename == missing


def test_options_split_into_flags_propagation_and_data() -> None:
    flags, propagation, data = mounts.parse_options(
        ["rbind", "ro", "rw", "nosuid", "rslave", "size=1m", "defaults"]
    )
    assert flags == mounts.MS_BIND | mounts.MS_REC | mounts.MS_NOSUID
    assert propagation == [mounts.MS_SLAVE | mounts.MS_REC]
    assert data == ["size=1m"]


def test_detached_tree_can_be_moved_into_place(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").touch()

    def work() -> None:
        flags = mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC
        tree = mounts.open_tree(mounts.AT_FDCWD, str(source), flags)
        mounts.move_mount(tree, "", mounts.AT_FDCWD, str(target), mounts.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(tree)
        assert os.listdir(target) == ["file"]

    in_private_namespace(work)
