"""The seam before RUN: what drives containers is loaded by the first step that needs one."""

from __future__ import annotations

import os
import threading

from tierce import runtime, worker

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.graph.ops import Exec
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.worker.credentials import Credentials
    from tierce.worker.exec import ExecRunner
    from tierce.worker.results import FileSystem, Result
    from tierce.worker.secrets import SecretSearch


class Runner:
    """The `ExecRunner` of one build, made when it is first used. Use as a context manager.

    A build that finds all its steps in the cache, which most do, saves a third of its time.
    """

    def __init__(
        self,
        store: Store,
        image_steps: set[str],
        credentials: Credentials | None = None,
        build: str = "",
        search: SecretSearch | None = None,
        isolation: str = "",
    ) -> None:
        """`image_steps` are the digests of vertices whose layers will be part of an image.

        `build` says whose the failed steps are that are kept; see `store.failed_steps`. With
        `search`, the output of steps is searched, and layers wait for whoever searches them.
        """
        self._store = store
        self._search = search
        self._build = build
        self._isolation = isolation
        self._credentials = credentials
        self._image_steps = set() if search else image_steps
        self._runner: ExecRunner | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Runner:
        # What a killed build left goes even if this one finds all its steps in the cache.
        bundles = self._store.paths.bundles
        if os.listdir(bundles):
            runtime.sweep(bundles)
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner is not None:
            self._runner.close()

    def run(self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: Step) -> FileSystem:
        """See `ExecRunner.run`."""
        with self._guard:
            if self._runner is None:
                self._runner = worker.ExecRunner(
                    *(self._store, self._image_steps, self._credentials, self._build),
                    *(self._search, self._isolation),
                )
        return self._runner.run(op, base, inputs, step)
