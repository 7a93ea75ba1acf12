"""What a snapshot is, and the contract of those who keep its files.

A snapshot is one layer upon a parent snapshot, and with it the file system that all of them make.
The layer's files may be in a tar among the blobs, in a directory, or in both:

- `<n>/fs`, form LAYER: the layer's own files, whiteouts in overlayfs's form;
- `<n>/tree`, form TREE: the files of the layer and of everything beneath it.

A layer that is a tar can also be mounted from it: `<n>/erofs` is an image with all but the bytes
of files (`layer.erofs`). It can be made again at any time, so no row knows of it.
"""

from __future__ import annotations

from tierce.oci.digest import Digest
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO, Protocol

    from tierce.layer.entry import Entry, Item
    from tierce.layer.view import MergedView
    from tierce.linux.mounts import MountSpec
else:
    Protocol = object

LAYER = 1
TREE = 2

FS_NAME = "fs"
TREE_NAME = "tree"
WORK_NAME = "work"
MERGED_NAME = "merged"
IMAGE_NAME = "erofs"
POINT_NAME = "lower"


class Snapshot(Value):
    """A committed snapshot.

    `diff_id` is None until it is computed (`Snapshots.finish`), `chain_id` also while an ancestor
    has none. `unpacked`: there is a directory with its files. `size`: bytes of the files of its
    own layer, `tar_size` of the layer's tar; both are 0 while `diff_id` is None. `created` is in
    seconds since the epoch.
    """

    id: int
    parent: int | None
    diff_id: Digest | None
    chain_id: Digest | None
    unpacked: bool
    size: int
    tar_size: int
    created: float


class Active(Value):
    """A writable layer upon `parent`: becomes a snapshot by `commit`, nothing by `discard`."""

    id: int
    parent: int | None


class Measured(Value):
    """A layer that was read: its diff id, the bytes of its tar, the bytes of its files."""

    diff_id: Digest
    tar_size: int
    size: int


class LayerImage(Value):
    """A layer as an EROFS image: a `file`, the plain `tar`, an empty directory to mount it at."""

    file: Path
    tar: Path
    point: Path


class Place(Value):
    """Where a layer can be mounted from: its `directory` (`snapshots/<n>`), or an image."""

    directory: Path
    image: LayerImage | None = None


class LayerDirectories(Value):
    """Where the files of a snapshot are, all existing; `lower` has the topmost layer first.

    `merged` is an empty directory, to mount the snapshot at.
    """

    merged: Path
    upper: Path
    work: Path
    lower: tuple[Path, ...]


class Snapshotter(Protocol):
    """Keeps the files of snapshots in directories of one form.

    `directory` is `snapshots/<n>`, `parents` those of the ancestors, the nearest first.
    Errors are OSError, LayerError from the layer's content.
    """

    name: str
    """ "overlay", "copy"."""
    form: int
    """LAYER or TREE."""
    takes_images: bool
    """Whether a `Place` may be an image."""

    def prepare(self, directory: Path, parent: Place | None) -> None:
        """Make `directory` a writable layer upon the nearest ancestor (None: upon nothing)."""

    def unpack(
        self,
        directory: Path,
        base: Path | None,
        tars: Iterable[BinaryIO],
        below: Callable[[str], Entry | None] | None,
    ) -> None:
        """Make `directory` hold what `base` holds, with the layers in `tars` upon it.

        LAYER gets no base and one tar; `below` tells it what the ancestors (None: there are none)
        have at a path, for directories that the layer has no entry of its own for; "" is the root.
        TREE gets the tree of the nearest ancestor that has one, and the tars of all layers between.
        """

    def commit(self, directory: Path, below: Callable[[], MergedView] | None) -> None:
        """Nobody writes to `directory` any more; `below` is what it was prepared upon."""

    def reopen(self, directory: Path) -> None:
        """Have a prepared directory mounted again that was mounted, and is so no more."""

    def mounts(self, top: Place, parents: Sequence[Place], *, read_only: bool) -> list[MountSpec]:
        """What to mount, in this order, to see the file system; targets are left empty.

        Writing (not `read_only`) is for prepared, uncommitted directories.
        """

    def changes(self, directory: Path, parents: Sequence[Path]) -> Iterator[Item]:
        """The layer's content, sorted: the same items each time while nobody writes."""

    def directories(self, directory: Path, parents: Sequence[Path]) -> LayerDirectories:
        """Where the files are, for people and their tools."""
