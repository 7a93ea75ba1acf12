"""Which snapshotter works here: tried, not guessed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tierce.errors import StoreError
from tierce.linux.mounts import mount_spec, umount2
from tierce.linux.namespaces import CLONE_NEWNS, make_private, unshare
from tierce.linux.process import effective_capabilities
from tierce.store.snapshots.copy import CopySnapshotter
from tierce.store.snapshots.overlay import OverlaySnapshotter
from tierce.store.trash import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tierce.store.paths import Paths
    from tierce.store.snapshots.base import Snapshotter

BACKEND_VARIABLE = "TIERCE_SNAPSHOTTER"
"""Chooses a snapshotter by name, without trying whether it works."""


def snapshotters(paths: Paths) -> dict[str, Snapshotter]:
    """All that there are, by name."""
    empty = paths.snapshots / "empty"
    return {
        OverlaySnapshotter.name: OverlaySnapshotter(empty, unprivileged=not _in_first_user_ns()),
        CopySnapshotter.name: CopySnapshotter(empty),
    }


def choose_snapshotter(paths: Paths) -> Snapshotter:
    """Overlay where it can be mounted, else copy; found out once per boot and set of privileges.

    Raises StoreError when TIERCE_SNAPSHOTTER names none.
    """
    known = snapshotters(paths)
    wanted = os.environ.get(BACKEND_VARIABLE)
    if wanted:
        if wanted not in known:
            raise StoreError(
                f"choose snapshotter {wanted}: there is none of this name",
                hint=f"{BACKEND_VARIABLE} may be {' or '.join(known)}",
            )
        return known[wanted]
    # The run directory is gone after a reboot, and so is what this kernel was found to do.
    remembered = paths.run / f"snapshotter-{_privileges()}"
    try:
        name = remembered.read_text()
    except OSError:
        name = ""
    if name not in known:
        works = overlay_works(paths.snapshots)
        name = OverlaySnapshotter.name if works else CopySnapshotter.name
        try:
            remembered.write_text(name)
        except OSError:
            pass  # found out again the next time
    return known[name]


def overlay_works(directory: Path) -> bool:
    """Whether an overlay with upper layer can be mounted on this file system, by trying it."""
    works: list[bool] = []
    scratch = f"{directory}/.probe-{os.getpid()}-{threading.get_ident()}"
    try:
        os.mkdir(scratch, 0o700)
    except OSError:
        return False
    try:
        # A thread may have a mount namespace of its own, and takes it along when it ends.
        thread = threading.Thread(target=_try_overlay, args=(scratch, works))
        thread.start()
        thread.join()
    finally:
        remove_tree(Path(scratch))
    return bool(works)


def _try_overlay(scratch: str, works: list[bool]) -> None:
    for name in ("empty", "target"):
        os.mkdir(f"{scratch}/{name}")
    directory = Path(scratch, "layer")
    snapshotter = OverlaySnapshotter(Path(scratch, "empty"), unprivileged=not _in_first_user_ns())
    try:
        unshare(CLONE_NEWNS)
        make_private()
        snapshotter.prepare(directory, [])
        for spec in snapshotter.mounts(directory, [], read_only=False):
            mount_spec(spec, f"{scratch}/target")
        umount2(f"{scratch}/target")
    except OSError:
        return
    works.append(True)


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
