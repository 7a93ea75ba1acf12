"""Snapshots as layers of overlayfs (kernel, Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import os

from tierce import layer
from tierce.linux.mounts import MountSpec
from tierce.store.snapshots.base import (
    FS_NAME,
    LAYER,
    MERGED_NAME,
    WORK_NAME,
    LayerDirectories,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tierce.layer.entry import Entry, Item
    from tierce.layer.view import MergedView
    from tierce.store.snapshots.base import LayerImage, Place

# What an upper directory records must be plain: a copied-up file with its content (metacopy), a
# renamed directory as files (redirect_dir), so that it can be read without overlayfs and means
# the same upon other mounts. Distributions compile other defaults in.
_PLAIN = ("index=off", "metacopy=off", "redirect_dir=off")
# The kernel takes no other word beside userxattr for not following redirects.
_PLAIN_FOR_USERS = ("index=off", "metacopy=off", "redirect_dir=nofollow", "userxattr")
# Unmounting would otherwise write back everything that is dirty on the whole device, and fsync
# in the container reach the disk (overlayfs.rst, "Volatile mount"). After a power cut nothing of
# it is trusted unverified: see `durability`.
_VOLATILE = "volatile"
_VOLATILE_MARK = "work/incompat/volatile/dirty"
# Else distributions have files of other file systems get inode numbers of more than 32 bits,
# which 32-bit programs cannot read.
_OWN_NUMBERS = "xino=off"


class OverlaySnapshotter:
    """Implements `Snapshotter`: each layer alone in a directory, with overlayfs's whiteouts."""

    name = "overlay"
    form = LAYER

    def __init__(
        self, empty: Path, *, unprivileged: bool = False, takes_images: bool = False
    ) -> None:
        """`empty` is an empty directory. `unprivileged`: marks are user.overlay attributes.

        `takes_images`: the kernel can mount layers from their tars, and use them as its own.
        """
        self.takes_images = takes_images
        self._empty = empty
        self._options = _PLAIN_FOR_USERS if unprivileged else _PLAIN

    def prepare(self, directory: Path, parent: Place | None) -> None:
        _make_directories(directory)
        # The root of the mount has the attributes of the upper directory.
        if parent is None:
            return
        if parent.image is not None:
            give_root_attributes(layer.read_root(parent.image.file), directory / FS_NAME)
        else:
            copy_root_attributes(parent.directory / FS_NAME, directory / FS_NAME)

    def unpack(
        self,
        directory: Path,
        base: Path | None,
        tars: Iterable[BinaryIO],
        below: Callable[[str], Entry | None] | None,
    ) -> None:
        assert base is None
        _make_directories(directory)
        for tar in tars:
            layer.apply_layer(tar, str(directory / FS_NAME), whiteouts="overlay", implied=below)

    def commit(self, directory: Path, below: Callable[[], MergedView] | None) -> None:
        self.reopen(directory)
        if below is not None:
            layer.drop_unchanged(str(directory / FS_NAME), below())

    def reopen(self, directory: Path) -> None:
        # The marks of a volatile mount: the kernel would refuse to use the directory again.
        try:
            os.unlink(directory / WORK_NAME / _VOLATILE_MARK)
        except OSError:
            return  # it was not mounted, or not so
        for name in ("work/incompat/volatile", "work/incompat", "work"):
            try:
                os.rmdir(directory / WORK_NAME / name)
            except OSError:
                pass  # a killed process left more in it

    def mounts(self, top: Place, parents: Sequence[Place], *, read_only: bool) -> list[MountSpec]:
        layers = [top, *parents] if read_only else parents
        lower = [_path(layer) for layer in layers]
        images = tuple([_image_mount(layer.image) for layer in layers if layer.image is not None])
        options: tuple[str, ...] = self._options
        if images:
            options += (_OWN_NUMBERS,)
        if read_only:
            # The kernel wants two layers at least.
            lower += [str(self._empty)] * (2 - len(lower))
            options += ("ro",)
        else:
            lower = lower or [str(self._empty)]
            options += (
                f"upperdir={top.directory / FS_NAME}",
                f"workdir={top.directory / WORK_NAME}",
                _VOLATILE,
            )
        options = (f"lowerdir={':'.join(lower)}", *options)
        return [MountSpec("overlay", "overlay", "", options, images)]

    def changes(self, directory: Path, parents: Sequence[Path]) -> Iterator[Item]:
        return layer.overlay_changes(str(directory / FS_NAME))

    def directories(self, directory: Path, parents: Sequence[Path]) -> LayerDirectories:
        return LayerDirectories(
            directory / MERGED_NAME,
            directory / FS_NAME,
            directory / WORK_NAME,
            tuple(parent / FS_NAME for parent in parents),
        )


def give_root_attributes(entry: Entry, target: Path) -> None:
    """Give a root directory owner, permissions, time and attributes of an entry. Raises OSError."""
    os.chown(target, entry.uid, entry.gid)
    os.chmod(target, entry.mode)
    for name, value in entry.xattrs:
        if layer.keeps_xattr(name):
            os.setxattr(target, name, value)
    os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))


def copy_root_attributes(source: Path, target: Path) -> None:
    """Give a root directory owner, permissions, times and attributes of another. Raises OSError."""
    status = os.stat(source)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        if layer.keeps_xattr(name):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _path(layer: Place) -> str:
    return str(layer.directory / FS_NAME if layer.image is None else layer.image.point)


def _image_mount(image: LayerImage) -> MountSpec:
    options = ("ro", f"device={image.tar}")
    return MountSpec("erofs", str(image.file), str(image.point), options)


def _make_directories(directory: Path) -> None:
    # Another snapshotter may have its files there already.
    for path in (directory, directory / WORK_NAME, directory / MERGED_NAME):
        path.mkdir(mode=0o700, exist_ok=True)
    os.mkdir(directory / FS_NAME)
    os.chmod(directory / FS_NAME, 0o755)  # whatever the umask is
