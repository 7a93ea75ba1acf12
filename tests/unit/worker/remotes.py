"""Remote sources solved with the real worker, on a real store."""

import os
import threading
from collections.abc import Mapping

from tierce.graph.ops import BlobSource, GitSource, HttpSource
from tierce.graph.vertex import Vertex
from tierce.solver.progress import Event, VertexLog, VertexStarted
from tierce.solver.scheduler import Solver
from tierce.store import Store
from tierce.worker import files
from tierce.worker.credentials import Credentials
from tierce.worker.remote import RemoteSources
from tierce.worker.results import FileSystem
from tierce.worker.runner import Runner
from tierce.worker.worker import BuildWorker
from unit.worker.trees import listing


class Remotes:
    """Each `solve` is a build of its own; `events` are those of the last."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.events: list[Event] = []
        self.cancelled = threading.Event()
        self.credentials: Credentials | None = None
        self.environment: Mapping[str, str] = {"PATH": os.environ["PATH"]}

    def solve(self, op: BlobSource | GitSource | HttpSource) -> FileSystem:
        self.events = []
        if self.cancelled.is_set():
            self.cancelled = threading.Event()
        sources = RemoteSources(self.store, self.environment, self.credentials)
        worker = BuildWorker(self.store, {}, Runner(self.store, set()), remote=lambda: sources)
        with self.store.leases.take("build"):
            solver = Solver(
                worker,
                self.store.records,
                self.store.lock,
                self.events.append,
                cancelled=self.cancelled,
            )
            [result] = solver.solve([Vertex(op, name="source")])
        assert isinstance(result, FileSystem)
        return result

    def files(self, op: BlobSource | GitSource | HttpSource) -> dict[str, str]:
        """What the source has, by path."""
        return listing(files.tree_of(self.store, self.solve(op)))

    def log(self) -> str:
        """What git said in the last build."""
        return b"".join(e.data for e in self.events if isinstance(e, VertexLog)).decode()

    @property
    def starts(self) -> int:
        """How many times something was done for the source in the last build."""
        return sum(isinstance(event, VertexStarted) for event in self.events)
