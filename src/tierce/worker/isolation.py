"""What RUN steps are kept apart by: containers or, where there can be none, chroot alone."""

from __future__ import annotations

from tierce.errors import RuntimeUnavailable
from tierce.runtime import chroot
from tierce.runtime.chroot import ChrootRunner
from tierce.runtime.probe import choose_runtime
from tierce.runtime.steps import StepRunner
from tierce.store.snapshots.base import TREE
from tierce.worker.isolations import CHROOT

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.store import Store

    Steps = StepRunner | ChrootRunner


def step_runner(store: Store, isolation: str, warn: Callable[[str], None]) -> Steps:
    """What runs the steps of a build; `isolation` is one of `isolations`.

    `warn` is told, in a line, what is not isolated, unless that is what was asked for. Raises
    RuntimeUnavailable.
    """
    paths = store.paths
    if isolation == CHROOT or (not isolation and chroot.is_called_for()):
        if store.parts.snapshotter.form != TREE:
            raise RuntimeUnavailable(
                "isolate by chroot: snapshots of this store are mounted, which needs CAP_SYS_ADMIN",
                hint="have them copied: TIERCE_SNAPSHOTTER=copy",
            )
        runner = ChrootRunner(str(paths.trash))
        if isolation != CHROOT:
            warn(chroot.NOT_ISOLATED)
        return runner
    return StepRunner(paths.bundles, choose_runtime(paths))
