"""Opens the directories that a build copies from."""

from __future__ import annotations

import os

from tierce import builder
from tierce.builder.definition import Definition, read_definition, usual_dockerfile
from tierce.dockerfile.ignore import read_ignore_file
from tierce.frontend.paths import is_git, is_url
from tierce.graph.vertex import Vertex
from tierce.solver.reporting import reported_step
from tierce.values import Value
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.remembered import RememberedLayers, RememberedSelections
from tierce.worker.worker import LocalContext

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from threading import Event

    from tierce.builder.request import BuildRequest
    from tierce.solver.progress import Listener
    from tierce.store import Store
    from tierce.worker.credentials import Credentials
    from tierce.worker.remote import RemoteSources


class Opened(Value):
    """The Dockerfile of a build, and what had to be brought here to read it.

    `context` makes the build context, and is None for a directory. `sources` know what remote
    sources stand for, for all of the build.
    """

    definition: Definition
    context: Vertex | None = None
    sources: RemoteSources | None = None


def open_definition(
    store: Store,
    request: BuildRequest,
    listener: Listener,
    cancelled: Event,
    credentials: Credentials | None = None,
) -> Opened:
    """Read the Dockerfile of a request, wherever it is; bring a remote context here.

    Raises BuildError, NotFound for a context that is not there, Cancelled, RuntimeUnavailable.
    """
    remote, by_url = is_remote(request), is_url(request.dockerfile)
    if not remote and not by_url:
        return Opened(read_definition(request, listener))
    fetching = builder.remote.Fetching(store, request, listener, cancelled, credentials)
    context = fetching.open_context() if remote else None
    if by_url:
        definition = fetching.read_url(request.dockerfile)
    elif context is None or request.dockerfile_text is not None or request.dockerfile[:1] == "/":
        definition = read_definition(request, listener, is_remote=remote)
    else:
        definition = fetching.read_definition(context)
    return Opened(definition, context.vertex if context is not None else None, fetching.sources)


def is_remote(request: BuildRequest) -> bool:
    """Whether the context has to be brought here. What is a directory is no address."""
    context = request.context
    if request.context_tar is not None:
        return True
    if not context or os.path.isdir(context):
        return False
    return is_git(context) or is_url(context) or context.startswith("github.com/")


def dockerfile_of(request: BuildRequest) -> str | None:
    """The path beside which an ignore file may be; None when the Dockerfile is in no file."""
    if request.dockerfile_text is not None or is_url(request.dockerfile):
        return None
    return request.dockerfile or usual_dockerfile(request.context)


def open_context(store: Store, request: BuildRequest, listener: Listener) -> LocalContext:
    """The directory of a build, without what its .dockerignore excludes. Raises BuildError."""
    dockerfile = dockerfile_of(request)
    shown = "[internal] load .dockerignore"
    return open_directory(store, request.context, dockerfile, listener, shown)


def open_directory(
    store: Store, path: str, dockerfile: str | None, listener: Listener, shown: str
) -> LocalContext:
    """A directory, without what is ignored in it; `shown` is the step that looks for that."""
    root = os.path.realpath(path)
    with reported_step(shown, listener) as step:
        ignore, size = read_ignore_file(root, dockerfile)
        step.done("transferring context:", size)
    status = os.stat(root)
    cache = store.paths.context_cache(f"{status.st_dev:x}-{status.st_ino:x}")
    digests, layers = DigestCache(cache + ".digests"), RememberedLayers(cache + ".layers")
    tree = LocalTree(root, ignore, digests, layers)
    return LocalContext(tree, RememberedSelections(cache + ".selections"))
