"""Sources that have to be brought here: by HTTP, with git, or out of the store's own blobs.

Each is known by what it stands for now: a file by its content, a tree by its commit. Where it
comes from is how the last result is found again, to ask whether it is still the same.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce import worker
from tierce.errors import BuildError, StoreError
from tierce.graph.ops import BlobSource, GitSource, HttpSource
from tierce.layer.entry import Content, Entry
from tierce.oci.digest import Digest, new_hash
from tierce.solver.cache import Keys, key_of
from tierce.values import Value
from tierce.worker.access import Access
from tierce.worker.components import decode_components, encode_components
from tierce.worker.results import FileSystem

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tierce.graph.vertex import Vertex
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.worker.credentials import Credentials
    from tierce.worker.git import Commit, GitFetcher
    from tierce.worker.http import Answer, HttpClient


class _Known(Value):
    """What is known of a source: its keys, and what they are made of, to be kept with it."""

    keys: Keys
    facts: Mapping[str, str] = {}
    commit: Commit | None = None


class RemoteSources:
    """Resolves and fetches the remote sources of one build. May be used from several threads."""

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """`environment` says which proxies there are; by default it is the process's own."""
        self._store = store
        self._environment = os.environ if environment is None else environment
        self._access = Access(credentials)
        self._known: dict[str, _Known] = {}

    def resolve(self, vertex: Vertex, step: Step) -> FileSystem | None:
        """See `tierce.solver.types`; what is resolved stays what it is for all of the build."""
        if vertex.op_digest in self._known:
            return None
        op = vertex.op
        result = None
        if isinstance(op, BlobSource):
            known = _Known(_keys(op, ["blob", str(op.digest), op.name, f"{op.mode:o}"]))
        elif isinstance(op, HttpSource):
            known, result = self._resolve_http(op, step)
        else:
            assert isinstance(op, GitSource)
            commit = self._git.resolve(op, step)
            known = _Known(_keys(op, ["git", *commit.key]), {"commit": commit.id}, commit)
        self._known[vertex.op_digest] = known
        return result

    def keys(self, vertex: Vertex) -> Keys:
        """The keys of a source that is resolved."""
        return self._known[vertex.op_digest].keys

    def run(self, vertex: Vertex, step: Step) -> FileSystem:
        """Fetch a source that is resolved. Raises BuildError, Cancelled."""
        op = vertex.op
        if isinstance(op, BlobSource):
            path = str(self._store.blobs.path(op.digest))
            size = self._store.blobs.size(op.digest)
            return self._file(op, "", Content(path, 0, size))
        if isinstance(op, HttpSource):
            with self._fetched(op, step) as (answer, digest, content):
                if str(digest) != self._known[vertex.op_digest].facts["content"]:
                    shown = worker.urls.redacted(op.url)
                    raise BuildError(f"fetch {shown}: the content changed while the build went on")
                return self._file(op, answer.modified, content)
        assert isinstance(op, GitSource)
        commit = self._known[vertex.op_digest].commit
        assert commit is not None
        return self._git.fetch(op, commit, step)

    def commit_time(self, vertex: Vertex, step: Step) -> int:
        """When the commit of a git source was made, in seconds since 1970. Raises as `run`."""
        op = vertex.op
        assert isinstance(op, GitSource)
        self.resolve(vertex, step)
        commit = self._known[vertex.op_digest].commit
        assert commit is not None
        return self._git.commit_time(op, commit, step)

    def components(self, vertex: Vertex, secrets: Sequence[str] = ()) -> bytes:
        """What is kept with the record of a source that was fetched, without secret values."""
        facts = dict(self._known[vertex.op_digest].facts)
        if isinstance(vertex.op, HttpSource):
            facts["url"] = worker.urls.redacted(vertex.op.url)
        elif isinstance(vertex.op, GitSource):
            facts["remote"] = worker.urls.redacted(vertex.op.remote)
        return encode_components(vertex, [], [], secrets, facts)

    # HTTP

    def _resolve_http(self, op: HttpSource, step: Step) -> tuple[_Known, FileSystem | None]:
        """Nothing is asked when the checksum says it all, and little when the server says so."""
        if op.checksum:
            return _known_file(op, op.checksum), None
        last = self._last_answer(op)
        if last is not None:
            validators, known_as = last
            if self._http.is_unchanged(op.url, validators, step.cancelled):
                return _known_file(op, known_as, validators), None
        with self._fetched(op, step) as (answer, digest, content):
            known = _known_file(op, str(digest), answer)
            # What was sent again, but is the same, has its record; unless there is something
            # new to be remembered with it.
            tells_nothing = not answer.etag and not answer.dated
            if tells_nothing and self._store.records.find([known.keys.definition]) is not None:
                return known, None
            return known, self._file(op, answer.modified, content)

    def _last_answer(self, op: HttpSource) -> tuple[Answer, str] | None:
        """What came with the content that this source had, and the digest of that."""
        record = self._store.records.find([_near(op)])
        if record is None:
            return None
        try:
            facts = decode_components(self._store.records.components(record.id)).operation
        except StoreError:
            return None  # of another version; it is fetched again
        named = {name: str(facts.get(name) or "") for name in ("etag", "modified", "content")}
        if not named["content"] or not (named["etag"] or facts.get("dated")):
            return None
        answer = worker.http.Answer(named["etag"], named["modified"], bool(facts.get("dated")))
        return answer, named["content"]

    @contextmanager
    def _fetched(self, op: HttpSource, step: Step) -> Iterator[tuple[Answer, Digest, Content]]:
        """The content of a file, for as long as the block runs.

        Raises BuildError when it is not what the checksum says.
        """
        expected = Digest.parse(op.checksum) if op.checksum else None
        digester = new_hash(expected.algorithm if expected is not None else "sha256")
        with self._store.blobs.writer() as writer:

            def write(chunk: bytes) -> None:
                digester.update(chunk)
                writer.write_unhashed(chunk)

            def progress(current: int, total: int) -> None:
                step.status(f"downloading {op.name}:", current, total)

            answer = self._http.fetch(op.url, write, step.cancelled, progress)
            step.status(f"downloading {op.name}:", writer.size, finished=True)
            digest = Digest.from_hash(digester)
            if expected is not None and digest != expected:
                shown = worker.urls.redacted(op.url)
                raise BuildError(
                    f"digest mismatch for {shown}: {digest} (expected: {expected})",
                    hint="what the server sends is not what the checksum was made of",
                )
            yield answer, digest, Content(writer.path, 0, writer.size)

    def _file(self, op: BlobSource | HttpSource, modified: str, content: Content) -> FileSystem:
        """A file system with one file, of the time that a server has told."""
        seconds = worker.http.http_time(modified) or 0 if modified else 0
        entry = Entry(op.name, "file", op.mode, 0, 0, content.size, seconds * 10**9)
        return worker.files.file_system(self._store, [(entry, content)])

    @property
    def _http(self) -> HttpClient:
        return worker.http.HttpClient(self._environment, self._access.headers)

    @property
    def _git(self) -> GitFetcher:
        return worker.git.GitFetcher(self._store, self._environment, self._access)


def _near(op: BlobSource | HttpSource | GitSource) -> str:
    """Where a source is: what all versions of it have in common."""
    if isinstance(op, BlobSource):
        return ""
    if isinstance(op, HttpSource):
        return key_of("http-source", [op.url, op.name, f"{op.mode:o}"])
    return key_of("git-source", [op.remote, op.reference, op.subdirectory])


def _keys(op: BlobSource | HttpSource | GitSource, parts: Sequence[str]) -> Keys:
    return Keys(key_of("remote", parts), _near(op))


def _known_file(op: HttpSource, digest: str, answer: Answer | None = None) -> _Known:
    """A file is its content; as with BuildKit, its time counts too, which it has in a layer."""
    modified = "" if answer is None else answer.modified
    keys = _keys(op, ["http", digest, op.name, f"{op.mode:o}", modified])
    facts = {"content": digest}
    if answer is not None:
        dated = "yes" if answer.dated else ""
        facts |= {"etag": answer.etag, "modified": answer.modified, "dated": dated}
    return _Known(keys, facts)
