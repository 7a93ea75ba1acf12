import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tierce.linux import rootfs

Opener = Callable[..., int]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    inside = tmp_path / "root"
    (inside / "dir/sub").mkdir(parents=True)
    (inside / "dir/file").write_bytes(b"inside")
    (inside / "secret").write_bytes(b"inside secret")
    (inside / "up").symlink_to("../../../..")
    (inside / "absolute").symlink_to("/dir")
    (inside / "dir/loop").symlink_to("loop")
    (inside / "dangling").symlink_to("missing/file")
    (inside / "to-file").symlink_to("dir/sub/../file")
    (tmp_path / "secret").write_bytes(b"outside")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=[rootfs.open_in_root, rootfs.walk_in_root], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    chosen: Opener = request.param
    return chosen


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dir/file", b"inside"),
        ("/dir/file", b"inside"),
        ("./dir//./file", b"inside"),
        ("dir/sub/../file", b"inside"),
        ("absolute/file", b"inside"),
        ("to-file", b"inside"),
        ("../../secret", b"inside secret"),
        ("up/secret", b"inside secret"),
        ("up/up/../secret", b"inside secret"),
        ("absolute/../secret", b"inside secret"),
    ],
)
def test_paths_resolve_inside(root: int, opener: Opener, path: str, expected: bytes) -> None:
    assert content(opener(root, path, os.O_RDONLY)) == expected


@pytest.mark.parametrize(
    ("path", "flags", "number"),
    [
        ("missing", os.O_RDONLY, errno.ENOENT),
        ("dangling", os.O_RDONLY, errno.ENOENT),
        ("dir/file/more", os.O_RDONLY, errno.ENOTDIR),
        ("dir/file", os.O_RDONLY | os.O_DIRECTORY, errno.ENOTDIR),
        ("dir/loop", os.O_RDONLY, errno.ELOOP),
        ("dir/loop/more", os.O_RDONLY, errno.ELOOP),
        ("absolute", os.O_RDONLY | os.O_NOFOLLOW, errno.ELOOP),
        ("dangling", os.O_WRONLY | os.O_CREAT | os.O_EXCL, errno.EEXIST),
    ],
)
def test_failures_are_those_of_open(
    root: int, opener: Opener, path: str, flags: int, number: int
) -> None:
    with pytest.raises(OSError) as error:
        opener(root, path, flags)
    assert error.value.errno == number


def test_a_symlink_can_be_opened_itself(root: int, opener: Opener) -> None:
    descriptor = opener(root, "absolute", os.O_PATH | os.O_NOFOLLOW)
    try:
        assert os.readlink("", dir_fd=descriptor) == "/dir"
    finally:
        os.close(descriptor)


def test_a_file_is_made_where_a_dangling_symlink_points_to(
    root: int, opener: Opener, tmp_path: Path
) -> None:
    (tmp_path / "root/new").symlink_to("/../../dir/made")
    os.close(opener(root, "new", os.O_WRONLY | os.O_CREAT, 0o600))
    assert (tmp_path / "root/dir/made").stat().st_mode & 0o777 == 0o600


def test_the_root_itself_can_be_opened(root: int, opener: Opener, tmp_path: Path) -> None:
    for path in ("", "/", ".", "..", "up"):
        descriptor = opener(root, path, os.O_PATH)
        assert os.fstat(descriptor).st_ino == (tmp_path / "root").stat().st_ino
        os.close(descriptor)


def test_magic_links_lead_nowhere(root: int, opener: Opener, tmp_path: Path) -> None:
    (tmp_path / "root/proc").mkdir()
    (tmp_path / "root/magic").symlink_to("/proc/self/root")
    with pytest.raises(FileNotFoundError):
        opener(root, "magic/etc/passwd", os.O_RDONLY)


def test_descriptors_are_closed_on_exec_and_none_is_left(root: int, opener: Opener) -> None:
    before = set(os.listdir("/proc/self/fd"))
    descriptor = opener(root, "dir/sub/../sub/../file", os.O_RDONLY)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    with pytest.raises(FileNotFoundError):
        opener(root, "dir/sub/missing", os.O_RDONLY)
    assert set(os.listdir("/proc/self/fd")) == before


def test_where_the_kernel_lacks_openat2_the_path_is_walked(
    root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (errno.ENOSYS, errno.EPERM):

        def refuse(*_: object, number: int = number) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(rootfs, "openat2", refuse)
        assert content(rootfs.open_in_root(root, "up/absolute/file", os.O_RDONLY)) == b"inside"


def test_a_tree_is_removed_with_its_links_and_without_their_targets(
    root: int, tmp_path: Path
) -> None:
    (tmp_path / "root/dir/sub/out").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "root/dir/sub/pipe")
    rootfs.remove_in_directory(root, "dir")
    assert not (tmp_path / "root/dir").exists()
    assert (tmp_path / "secret").exists()


def test_files_and_symlinks_are_removed_alone(root: int, tmp_path: Path) -> None:
    rootfs.remove_in_directory(root, "absolute")
    rootfs.remove_in_directory(root, "secret")
    assert (tmp_path / "root/dir/file").exists()
    with pytest.raises(FileNotFoundError):
        rootfs.remove_in_directory(root, "secret")


def test_a_tree_deeper_than_any_stack_or_table_of_descriptors_is_removed(
    root: int, tmp_path: Path
) -> None:
    current = os.dup(root)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=current)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=current))
        deeper = os.open("deep", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = deeper
    os.close(current)
    before = set(os.listdir("/proc/self/fd"))
    rootfs.remove_in_directory(root, "deep")
    assert not (tmp_path / "root/deep").exists()
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("dir/file", "/dir/file"),
        ("/absolute/file", "/dir/file"),
        ("up/secret", "/secret"),
        ("up/../../up/dir/./sub/..", "/dir"),
        ("to-file", "/dir/file"),
        ("dangling", "/missing/file"),
        ("dangling/more", "/missing/file/more"),
        ("none/../dir", "/dir"),
    ],
)
def test_path_is_resolved_inside(root: int, path: str, expected: str) -> None:
    assert rootfs.resolve_in_root(root, path) == expected


def test_loop_of_links_is_no_path(root: int) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        rootfs.resolve_in_root(root, "dir/loop")
