"""Which snapshotter works here: tried, not guessed."""

from __future__ import annotations

import os
import threading

from tierce import layer
from tierce.errors import StoreError
from tierce.lean.path import Path
from tierce.linux.mounts import mount_spec, umount2
from tierce.linux.namespaces import CLONE_NEWNS, make_private, unshare
from tierce.linux.process import effective_capabilities
from tierce.store.snapshots.base import LayerImage, Place
from tierce.store.snapshots.copy import CopySnapshotter
from tierce.store.snapshots.overlay import OverlaySnapshotter
from tierce.store.trash import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.store.paths import Paths
    from tierce.store.snapshots.base import Snapshotter

_EROFS = "erofs"
BACKEND_VARIABLE = "TIERCE_SNAPSHOTTER"
"""Chooses a snapshotter by name, without trying whether it works."""


def snapshotters(paths: Paths) -> dict[str, Snapshotter]:
    """All that there are, by name; "erofs" is an overlay that takes images of layers."""
    empty = paths.snapshots / "empty"
    unprivileged = not _in_first_user_ns()
    return {
        _EROFS: OverlaySnapshotter(empty, unprivileged=unprivileged, takes_images=True),
        OverlaySnapshotter.name: OverlaySnapshotter(empty, unprivileged=unprivileged),
        CopySnapshotter.name: CopySnapshotter(empty),
    }


def choose_snapshotter(paths: Paths) -> Snapshotter:
    """Overlay where it can be mounted, with images of layers where these can be; else copy.

    Found out once per boot and set of privileges. Raises StoreError when TIERCE_SNAPSHOTTER names
    none.
    """
    known = snapshotters(paths)
    wanted = os.environ.get(BACKEND_VARIABLE)
    if wanted:
        if wanted not in known:
            raise StoreError(
                f"choose snapshotter {wanted}: there is none of this name",
                hint=f"{BACKEND_VARIABLE} may be one of {', '.join(known)}",
            )
        return known[wanted]
    # The run directory is gone after a reboot, and so is what this kernel was found to do.
    remembered = paths.run / f"layers-{_privileges()}"
    try:
        name = remembered.read_text()
    except OSError:
        name = ""
    if name not in known:
        name = CopySnapshotter.name
        if overlay_works(paths.snapshots):
            works = images_work(paths.snapshots)
            name = _EROFS if works else OverlaySnapshotter.name
        try:
            remembered.write_text(name)
        except OSError:
            pass  # found out again the next time
    return known[name]


def overlay_works(directory: Path) -> bool:
    """Whether an overlay with upper layer can be mounted on this file system, by trying it."""
    return _works(directory, _try_overlay)


def images_work(directory: Path) -> bool:
    """Whether the kernel shows a file that is in a tar through an image and an overlay.

    EROFS in files is in Linux since 6.12, for root; distributions may leave it out.
    """
    return _works(directory, _try_image)


def _works(directory: Path, attempt: Callable[[str], bool]) -> bool:
    """Whether an attempt in an empty directory succeeds, made in mount namespaces of its own."""
    works: list[bool] = []
    scratch = f"{directory}/.probe-{os.getpid()}-{threading.get_ident()}"
    try:
        os.mkdir(scratch, 0o700)
    except OSError:
        return False
    try:
        # A thread may have a mount namespace of its own, and takes it along when it ends.
        thread = threading.Thread(target=lambda: works.append(_attempted(attempt, scratch)))
        thread.start()
        thread.join()
    finally:
        remove_tree(Path(scratch))
    return works == [True]


def _attempted(attempt: Callable[[str], bool], scratch: str) -> bool:
    try:
        unshare(CLONE_NEWNS)
        make_private()
        return attempt(scratch)
    except OSError:
        return False


def _try_overlay(scratch: str) -> bool:
    _mount(scratch, [])
    umount2(f"{scratch}/target")
    return True


def _try_image(scratch: str) -> bool:
    # One in a block, the other in many pages, which begin nowhere near where the kernel's do.
    contents = {"large": bytes(range(251)) * 100, "small": b"content"}
    image = LayerImage(*(Path(scratch, name) for name in ("image", "tar", "point")))
    image.point.mkdir()
    tar = bytearray(b"header".ljust(512))
    entries = []
    for name, content in contents.items():
        entries.append(layer.Entry(name, "file", size=len(content), offset=len(tar)))
        tar += content + bytes(-len(content) % 512) + b"header".ljust(512)
    image.tar.write_bytes(tar)
    data = layer.make_image(layer.LayerIndex.of(entries), len(tar), os.urandom(16))
    image.file.write_bytes(data or b"")
    _mount(scratch, [Place(Path(scratch), image)])
    try:
        found = {name: Path(scratch, "target", name).read_bytes() for name in contents}
    finally:
        umount2(f"{scratch}/target")
    return found == contents


def _mount(scratch: str, parents: Sequence[Place]) -> None:
    for name in ("empty", "target"):
        os.mkdir(f"{scratch}/{name}")
    directory = Path(scratch, "layer")
    snapshotter = OverlaySnapshotter(Path(scratch, "empty"), unprivileged=not _in_first_user_ns())
    snapshotter.prepare(directory, parents[0] if parents else None)
    for spec in snapshotter.mounts(Place(directory), parents, read_only=False):
        mount_spec(spec, f"{scratch}/target")


def _privileges() -> str:
    """A short name for what this process may do."""
    capable = "CAP_SYS_ADMIN" in effective_capabilities()
    return f"{os.geteuid()}-{'admin' if capable else 'plain'}"


def _in_first_user_ns() -> bool:
    """Whether this is the initial user namespace; trusted.* attributes exist only there."""
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as file:
            return file.read().split() == ["0", "0", "4294967295"]
    except OSError:
        return True
