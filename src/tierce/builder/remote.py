"""Build contexts that have to be brought here first: repositories, files of servers, archives.

Loaded by the builds that have one. As in BuildKit, no .dockerignore counts in them.
"""

from __future__ import annotations

from functools import partial

from tierce import frontend
from tierce.builder.definition import MAX_BYTES, Definition, too_large
from tierce.errors import BuildError, InvalidValue
from tierce.graph.ops import BlobSource, Copy, CopyPart, GitSource, HttpSource, Scratch
from tierce.graph.vertex import Vertex
from tierce.layer.compression import BZIP2_MAGIC, GZIP_MAGIC, XZ_MAGIC
from tierce.oci.epoch import EPOCH
from tierce.solver.reporting import reported_step
from tierce.solver.scheduler import Solver
from tierce.solver.step import RunningStep
from tierce.values import Value
from tierce.worker.archives import is_tar_header, newest_time
from tierce.worker.files import tree_of
from tierce.worker.remote import RemoteSources
from tierce.worker.results import FileSystem
from tierce.worker.runner import Runner
from tierce.worker.urls import redacted
from tierce.worker.worker import BuildWorker

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from tierce.builder.request import BuildRequest
    from tierce.solver.progress import Listener
    from tierce.store import Store
    from tierce.worker.credentials import Credentials

_FILE = "context"
_HEAD_BYTES = 1024
_CHUNK = 1 << 20
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_LOADING = "[internal] load remote build context"


class RemoteContext(Value):
    """A build context that is a result: `vertex` makes it, and `result` is what it made.

    `dockerfile` is set when the context is nothing but a Dockerfile: its name there.
    """

    vertex: Vertex
    result: FileSystem
    dockerfile: str = ""


class Fetching:
    """Solves what a build needs before its graph is known.

    `sources` are for the build to use too: what was resolved stays what it is.
    """

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        listener: Listener,
        cancelled: Event,
        credentials: Credentials | None = None,
        sources: RemoteSources | None = None,
    ) -> None:
        """With `sources`, the build has some already."""
        self._store = store
        self._request = request
        self._listener = listener
        self._cancelled = cancelled
        environment = dict(request.environment) or None
        self.sources = sources or RemoteSources(store, environment, credentials)

    def open_context(self) -> RemoteContext:
        """The context of the request. Raises BuildError, Cancelled, RuntimeUnavailable."""
        request = self._request
        if request.context_tar is not None:
            return self._unpacked(self._taken_in())
        try:
            url = frontend.remote.parse_git_url(request.context)
        except InvalidValue as error:
            raise BuildError(
                f"open build context {redacted(request.context)}: {error.message}",
                hint=error.hint,
            ) from None
        if url is None:
            source = HttpSource(request.context, _FILE)
            return self._unpacked(Vertex(source, name=_LOADING))
        keep = self._argument(_KEEP_GIT)
        git = frontend.remote.git_context(
            url, keep_git_directory=keep.lower() in ("1", "t", "true")
        )
        if request.source_date_epoch is not None or self._argument(EPOCH):
            git = git.replace(commit_times=True)
        vertex = Vertex(git, name=f"[internal] load git source {redacted(request.context)}")
        return RemoteContext(vertex, self._solve(vertex))

    def read_definition(self, context: RemoteContext) -> Definition:
        """The Dockerfile in a context. Raises BuildError."""
        name = context.dockerfile or self._request.dockerfile or "Dockerfile"
        names = [name]
        if name.rpartition("/")[2] == "Dockerfile":
            names.append(name[: -len("Dockerfile")] + "dockerfile")
        for each in names:
            text = self._read(context.result, each, MAX_BYTES + 1)
            if text is None:
                continue
            if len(text) > MAX_BYTES:
                raise too_large(each)
            return Definition(name, text, context.vertex.digest)
        raise BuildError(
            f"read Dockerfile: {name}: no such file in "
            + (redacted(self._request.context) or "the archive"),
            hint="name another with --file; paths count from the top of the context",
        )

    def read_url(self, url: str) -> Definition:
        """The Dockerfile at a URL. Raises BuildError."""
        vertex = Vertex(HttpSource(url, "Dockerfile"), name=f"[internal] load {redacted(url)}")
        text = self._read(self._solve(vertex), "Dockerfile", MAX_BYTES + 1) or b""
        if len(text) > MAX_BYTES:
            raise too_large(redacted(url))
        return Definition("Dockerfile", text, vertex.digest)

    def time_of(self, source: Vertex) -> int | None:
        """When what a source brings was made, in seconds since 1970; None where nothing tells.

        That is the time of a commit, what a server says of a file, or else the time of the newest
        file in it. Raises BuildError, Cancelled, RuntimeUnavailable.
        """
        found = list(_remote_sources(source))
        if len(found) != 1:
            return None
        [vertex] = found
        op = vertex.op
        with reported_step(f"[internal] resolve {EPOCH}", self._listener):
            if isinstance(op, GitSource):
                with RunningStep(Vertex(op), self._listener, self._cancelled) as step:
                    return self.sources.commit_time(vertex, step)
            assert isinstance(op, HttpSource | BlobSource)
            tree = tree_of(self._store, self._solve(vertex))
            entry = tree.lookup(op.name)
            assert entry is not None
            # As in BuildKit, nothing is asked of a server where the checksum says it all.
            if entry.mtime_ns and isinstance(op, HttpSource) and not op.checksum:
                return entry.mtime_ns // 10**9
            return newest_time(tree.content(entry))

    def _argument(self, name: str) -> str:
        arguments = dict(self._request.build_args)
        given = arguments.get(name, "")
        return dict(self._request.environment).get(name, "") if given is None else given

    def _taken_in(self) -> Vertex:
        """The archive of the request, as content of the store."""
        stream = self._request.context_tar
        assert stream is not None
        with self._store.blobs.writer() as writer:
            while chunk := stream.read(_CHUNK):
                writer.write(chunk)
            digest = writer.commit()
        return Vertex(BlobSource(digest, _FILE), name=_LOADING)

    def _unpacked(self, vertex: Vertex) -> RemoteContext:
        """What is in an archive, or else a Dockerfile on its own."""
        result = self._solve(vertex)
        head = self._read(result, _FILE, _HEAD_BYTES) or b""
        if not is_archive(head):
            return RemoteContext(vertex, result, _FILE)
        copy = Copy((CopyPart(1, (f"/{_FILE}",), literal=True, unpack=True),), "/")
        unpacked = Vertex(copy, [Vertex(Scratch()), vertex], name=f"copy /{_FILE} /")
        files = self._solve(unpacked)
        if self._read(files, _FILE, _HEAD_BYTES) == head:
            # As with ADD, what cannot be unpacked would be a file like any other.
            raise BuildError("unpack build context: the archive is damaged, or cut short")
        return RemoteContext(unpacked, files)

    def _solve(self, vertex: Vertex) -> FileSystem:
        worker = BuildWorker(
            self._store, {}, Runner(self._store, set()), remote=lambda: self.sources
        )
        locks = partial(self._store.locks.hold_unless, self._cancelled)
        solver = Solver(
            worker, self._store.records, locks, self._listener, cancelled=self._cancelled
        )
        [result] = solver.solve([vertex])
        assert isinstance(result, FileSystem)
        return result

    def _read(self, result: FileSystem, name: str, size: int) -> bytes | None:
        """The beginning of a file; None where there is none."""
        tree = tree_of(self._store, result)
        entry = tree.lookup(tree.resolve(name))
        if entry is None or entry.kind != "file":
            return None
        content = tree.content(entry)
        with open(content.path, "rb") as file:
            file.seek(content.offset)
            return file.read(min(size, content.size))


def _remote_sources(vertex: Vertex) -> Iterator[Vertex]:
    """Those that the files of a vertex come from."""
    if isinstance(vertex.op, GitSource | HttpSource | BlobSource):
        yield vertex
    for each in vertex.inputs:
        yield from _remote_sources(each)


def is_archive(head: bytes) -> bool:
    """Whether what begins so is an archive, and no Dockerfile; as docker tells them apart."""
    return head.startswith((BZIP2_MAGIC, GZIP_MAGIC, XZ_MAGIC)) or is_tar_header(head[:512])
