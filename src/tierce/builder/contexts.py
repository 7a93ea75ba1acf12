"""Opens the directories that a build copies from."""

from __future__ import annotations

import os

from tierce.dockerfile.ignore import read_ignore_file
from tierce.solver.reporting import reported_step
from tierce.worker.content import RememberedSelections
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.worker import LocalContext

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder.request import BuildRequest
    from tierce.solver.progress import Listener
    from tierce.store import Store


def open_context(store: Store, request: BuildRequest, listener: Listener) -> LocalContext:
    """The directory of a build, without what its .dockerignore excludes. Raises BuildError."""
    root = os.path.realpath(request.context)
    with reported_step("[internal] load .dockerignore", listener) as step:
        ignore, size = read_ignore_file(root, request.dockerfile)
        step.done("transferring context:", size)
    status = os.stat(root)
    cache = store.paths.context_cache(f"{status.st_dev:x}-{status.st_ino:x}")
    tree = LocalTree(root, ignore, DigestCache(cache + ".digests"))
    return LocalContext(tree, RememberedSelections(cache + ".selections"))
