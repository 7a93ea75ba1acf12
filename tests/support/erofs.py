"""Layers mounted from their tars, and what there is to see in a directory."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tierce.layer.entry import Entry
from tierce.layer.erofs import make_image
from tierce.layer.index import LayerIndex
from tierce.linux.mounts import MS_RDONLY, mount, umount2
from tierce.store.snapshots.probe import images_work

WHITEOUT = "whiteout"


def need_images(directory: Path) -> None:
    """Skips the test on a kernel that cannot mount images that are files."""
    if not images_work(directory):
        pytest.skip("the kernel cannot mount EROFS images of files here")


@contextmanager
def mounted(
    tar: bytes | Path,
    index: LayerIndex,
    directory: Path,
    implied: Callable[[str], Entry | None] | None = None,
) -> Iterator[Path]:
    """The layer of a tar (or of a file with it) mounted in the directory."""
    if isinstance(tar, bytes):
        (directory / "tar").write_bytes(tar)
        tar = directory / "tar"
    image = make_image(index, tar.stat().st_size, b"0123456789abcdef", implied)
    assert image is not None
    (directory / "image").write_bytes(image)
    point = directory / "point"
    point.mkdir()
    mount(f"{directory}/image", str(point), "erofs", MS_RDONLY, f"device={tar}")
    try:
        yield point
    finally:
        umount2(str(point))


def everything(root: Path) -> dict[str, object]:
    """All that lstat and its like say of each path, with content; of whiteouts only that.

    Numbers of inodes are replaced by the first name of the file. The time of the root is left out.
    """
    first_names: dict[int, str] = {}
    found: dict[str, object] = {}
    for path in ["", *sorted(_walk(str(root)))]:
        host = f"{root}/{path}" if path else str(root)
        status = os.lstat(host)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            found[path] = WHITEOUT
            continue
        found[path] = (
            stat.filemode(status.st_mode),
            (status.st_uid, status.st_gid, status.st_rdev, status.st_nlink),
            first_names.setdefault(status.st_ino, path),
            status.st_mtime_ns if path else None,
            _content(host, status),
            {name: os.getxattr(host, name, follow_symlinks=False) for name in _xattrs(host)},
        )
    return found


def _walk(root: str, prefix: str = "") -> Iterator[str]:
    with os.scandir(f"{root}/{prefix}") as members:
        for member in members:
            yield prefix + member.name
            if member.is_dir(follow_symlinks=False):
                yield from _walk(root, f"{prefix}{member.name}/")


def _content(host: str, status: os.stat_result) -> object:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(host), status.st_size
    if stat.S_ISREG(status.st_mode):
        data = Path(host).read_bytes()
        return data, status.st_size
    return None


def _xattrs(host: str) -> list[str]:
    return sorted(os.listxattr(host, follow_symlinks=False))
