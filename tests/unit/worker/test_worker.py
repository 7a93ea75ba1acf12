"""The worker with the real solver, on a real store: what is copied, and what is found again."""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.layers import add_snapshot
from tierce.errors import BuildError, Cancelled
from tierce.graph.ops import Bind, Copy, Exec, ImageSource, LocalSource, MakeDirectory, Scratch
from tierce.graph.vertex import Vertex
from tierce.layer.entry import Entry, Item
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.solver.progress import Event, VertexFinished, VertexStarted, VertexStatus
from tierce.solver.scheduler import Solver
from tierce.solver.types import Step
from tierce.store import Store
from tierce.worker import context as context_module
from tierce.worker import files
from tierce.worker.components import decode_components
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.draft import LayerDraft
from tierce.worker.remembered import RememberedLayers, RememberedSelections
from tierce.worker.results import FileSystem, Result
from tierce.worker.worker import BuildWorker, LocalContext
from unit.worker.trees import File, Link, Spec, copy_op, listing, make

COPY_ALL = copy_op(("/",), "/x/")


class Runner:
    """Runs no process: a RUN adds a file that says what it saw."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs: list[tuple[str, ...]] = []
        self.before_reading: Callable[[], object] = lambda: None

    def run(self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: Step) -> FileSystem:
        self.runs.append(op.args)
        self.before_reading()
        for mount in op.mounts:
            assert isinstance(mount, Bind)
            source = inputs[mount.input]
            tree = files.tree_of(self.store, source)
            files.gather(self.store, tree, mount.source)
        parent = self.store.snapshots.get(base.snapshot) if base.snapshot is not None else None
        made = add_snapshot(self.store, parent, {" ".join(op.args): b"ran"})
        return FileSystem(made.id)


class Build:
    """Builds over one context and one store; each `solve` is a build of its own."""

    def __init__(self, directory: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = make(directory / "context", {"a": "A", "dir/b": "B", "link": Link("a")})
        self.store = store
        self.runner = Runner(store)
        self.events: list[Event] = []
        self.tree: LocalTree
        self._directory = directory
        self._monkeypatch = monkeypatch

    def settle(self) -> None:
        """Let nothing be too fresh to be remembered from here on."""
        self._monkeypatch.setattr(context_module, "now_racy_after", lambda: 1 << 62)

    def solve(self, *roots: Vertex, cancelled: threading.Event | None = None) -> dict[str, str]:
        """The files of the first result; `events` are those of this build."""
        self.events = []
        caches = [str(self._directory / name) for name in ("digests", "selections", "layers")]
        self.tree = LocalTree(
            str(self.root), None, DigestCache(caches[0]), RememberedLayers(caches[2])
        )
        context = LocalContext(self.tree, RememberedSelections(caches[1]))
        with self.store.leases.take("build"):
            worker = BuildWorker(self.store, {"context": context}, self.runner)  # type: ignore[arg-type]
            solver = Solver(
                worker, self.store.records, self.store.lock, self.events.append,
                cancelled=cancelled,
            )  # fmt: skip
            try:
                result = solver.solve(roots)[0]
            finally:
                context.save()
            return listing(files.tree_of(self.store, result))

    @property
    def cached(self) -> dict[str, bool]:
        names = {e.vertex: e.name for e in self.events if isinstance(e, VertexStarted)}
        ends = [e for e in self.events if isinstance(e, VertexFinished)]
        return {names[e.vertex]: e.cached for e in ends if not names[e.vertex].startswith("[int")}

    @property
    def transferred(self) -> list[VertexStatus]:
        return [event for event in self.events if isinstance(event, VertexStatus)]


@pytest.fixture
def build(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, store, monkeypatch)


def context() -> Vertex:
    return Vertex(LocalSource("context"), name="[internal] load build context")


def scratch() -> Vertex:
    return Vertex(Scratch())


def copy(op: Copy = COPY_ALL, base: Vertex | None = None, source: Vertex | None = None) -> Vertex:
    return Vertex(op, [base or scratch(), source or context()], name="copy")


def run(text: str, base: Vertex, *inputs: Vertex, mounts: tuple[Bind, ...] = ()) -> Vertex:
    return Vertex(Exec((text,), mounts=mounts), [base, *inputs], name=text)


def image(store: Store, files: dict[str, bytes | Entry]) -> Vertex:
    with store.leases.take("test"):
        snapshot = add_snapshot(store, None, files)
    assert snapshot.diff_id is not None
    op = ImageSource("base", Digest.of(b""), Platform.host(), (snapshot.diff_id,))
    return Vertex(op, name="base")


# COPY


def test_context_is_copied(build: Build) -> None:
    assert build.solve(copy()) == {
        "x": "dir", "x/a": "A", "x/dir": "dir", "x/dir/b": "B", "x/link": "symlink -> a",
    }  # fmt: skip


def test_copy_onto_an_image(build: Build) -> None:
    base = image(build.store, {"etc/passwd": b"app:x:5:6", "x/old": b"old"})
    result = build.solve(copy(copy_op(("/a",), "/x/", owner="app"), base))
    assert result == {
        "etc": "dir", "etc/passwd": "app:x:5:6", "x": "dir", "x/a": "5:6 A", "x/old": "old",
    }  # fmt: skip


def test_copy_out_of_a_stage(build: Build) -> None:
    stage = run("stage", copy())
    assert build.solve(copy(copy_op(("/stage", "/x/dir"), "/y/"), source=stage)) == {
        "y": "dir", "y/b": "B", "y/stage": "ran",
    }  # fmt: skip


def test_copy_of_nothing_is_an_empty_layer(build: Build) -> None:
    assert build.solve(copy(copy_op(("/none*",), "/x/"))) == {}


def test_workdir_makes_directories(build: Build) -> None:
    base = image(build.store, {"etc/passwd": b"app:x:5:6"})
    made = Vertex(MakeDirectory("/work/dir", owner="app"), [base])
    result = build.solve(made)
    assert result == {
        "etc": "dir", "etc/passwd": "app:x:5:6", "work": "dir 5:6", "work/dir": "dir 5:6",
    }  # fmt: skip
    again = Vertex(MakeDirectory("/work", mode=0o777), [made])
    assert build.solve(again) == result


def test_workdir_in_the_way_of_a_file(build: Build) -> None:
    base = image(build.store, {"work": b"file"})
    with pytest.raises(BuildError, match="mkdir /work: not a directory"):
        build.solve(Vertex(MakeDirectory("/work/dir"), [base]))


def test_absent_source_fails_the_step(build: Build) -> None:
    with pytest.raises(BuildError, match='"/absent": not found') as raised:
        build.solve(copy(copy_op(("/absent",), "/x/")))
    assert raised.value.vertex == "copy"


def test_name_of_a_whiteout_cannot_be_copied(build: Build) -> None:
    make(build.root, {".wh.a": ""})
    with pytest.raises(BuildError, match="mean deletion"):
        build.solve(copy())


def test_unknown_context_is_refused(build: Build) -> None:
    with pytest.raises(BuildError, match="the build has none called other"):
        build.solve(copy(source=Vertex(LocalSource("other"), name="other")))


def test_copy_stops_when_cancelled(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    write = files._write

    def cancel(*arguments: object) -> object:
        cancelled.set()
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_write", cancel)
    with pytest.raises(Cancelled):
        build.solve(copy(), cancelled=cancelled)
    assert not os.listdir(build.store.paths.blobs / "sha256")


# What is found again


def test_unchanged_context_is_found_without_reading(build: Build) -> None:
    build.settle()
    build.solve(copy())
    build.solve(copy())
    assert build.cached == {"copy": True}
    assert build.tree.bytes_read == 0


def test_unchanged_context_is_not_even_looked_up_in_the_digests(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all metadata is what it was, a walk tells the key."""
    build.settle()
    build.solve(copy())

    def refuse(cache: DigestCache) -> None:
        raise AssertionError("the cache of digests is read")

    monkeypatch.setattr(DigestCache, "_load", refuse)
    build.solve(copy())
    assert build.cached == {"copy": True}


def test_fresh_context_is_found_by_its_content(build: Build) -> None:
    build.solve(copy())
    build.solve(copy())
    assert build.cached == {"copy": True}
    assert build.tree.bytes_read == 2


@pytest.mark.parametrize("settled", [False, True])
def test_touched_file_keeps_the_cache(build: Build, settled: bool) -> None:
    if settled:
        build.settle()
    build.solve(copy())
    os.utime(build.root / "a")
    build.solve(copy())
    assert build.cached == {"copy": True}
    assert build.tree.bytes_read == (1 if settled else 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("C"),
        lambda root: (root / "a").chmod(0o600),
        lambda root: (root / "new").write_text(""),
        lambda root: (root / "dir/b").unlink(),
        lambda root: (root / "a").rename(root / "c"),
    ],
)
@pytest.mark.parametrize("settled", [False, True])
def test_changed_context_is_copied_again(
    build: Build, change: Callable[[Path], object], settled: bool
) -> None:
    if settled:
        build.settle()
    before = build.solve(copy())
    change(build.root)
    assert build.solve(copy()) != before
    assert build.cached == {"copy": False}


def test_only_what_changed_is_read(build: Build) -> None:
    build.settle()
    build.solve(copy())
    (build.root / "dir/b").write_text("longer")
    build.solve(copy())
    assert build.tree.bytes_read == len("longer")


def test_changed_file_that_is_not_copied_keeps_the_cache(build: Build) -> None:
    op = copy_op(("/dir",), "/x/")
    build.solve(copy(op))
    (build.root / "a").write_text("C")
    build.solve(copy(op))
    assert build.cached == {"copy": True}


def test_renamed_directory_keeps_the_cache(build: Build) -> None:
    build.solve(copy(copy_op(("/dir",), "/x/")))
    (build.root / "dir").rename(build.root / "renamed")
    build.solve(copy(copy_op(("/renamed",), "/x/")))
    assert build.cached == {"copy": True}


def test_another_destination_owner_or_mode_is_another_step(build: Build) -> None:
    for op in (
        copy_op(("/a",), "/x/"),
        copy_op(("/a",), "/y/"),
        copy_op(("/a",), "/x/", owner="5"),
        copy_op(("/a",), "/x/", mode="600"),
        copy_op(("/a",), "/x/", unpack=True),
    ):
        build.solve(copy(op))
        assert build.cached == {"copy": False}


def test_stage_that_ran_again_and_gave_the_same_keeps_what_copies_from_it(build: Build) -> None:
    def root(text: str) -> Vertex:
        stage = run(text, copy(copy_op(("/a",), "/")))
        return copy(copy_op(("/a",), "/x/"), source=stage)

    build.solve(root("make"))
    build.solve(root("make with comments"))
    assert build.cached == {"make with comments": False, "copy": True}


def test_copied_files_stay_the_same_image(build: Build) -> None:
    """The same files give the same layer, whenever and wherever they are copied."""
    base = image(build.store, {"etc/os": b"linux"})
    snapshots = []
    for _ in range(2):
        build.solve(copy(base=base))
        rows = build.store.database.all("SELECT diff_id FROM snapshots ORDER BY id")
        snapshots.append([str(row[0]) for row in rows])
        build.store.database.execute("DELETE FROM records")
    assert len(set(snapshots[1])) == len(snapshots[0]) == 2


# Files that change while a build reads them


def test_file_that_changes_before_it_is_copied_is_not_keyed_as_it_was(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal size, so that nothing but its content tells; too fresh to be remembered."""
    items = LayerDraft.items

    def change(draft: LayerDraft) -> object:
        (build.root / "a").write_text("Z")
        return items(draft)

    monkeypatch.setattr(LayerDraft, "items", change)
    assert build.solve(copy())["x/a"] == "Z"
    monkeypatch.undo()
    assert build.solve(copy())["x/a"] == "Z"
    assert build.cached == {"copy": True}
    (build.root / "a").write_text("A")
    assert build.solve(copy())["x/a"] == "A"
    assert build.cached == {"copy": False}


def test_file_that_changes_after_it_was_copied_is_not_keyed_as_it_is_then(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files._write

    def change(*arguments: object) -> object:
        layer = write(*arguments)  # type: ignore[arg-type]
        (build.root / "a").write_text("Z")
        return layer

    monkeypatch.setattr(files, "_write", change)
    assert build.solve(copy())["x/a"] == "A"
    monkeypatch.undo()
    assert build.solve(copy())["x/a"] == "Z"
    assert build.cached == {"copy": False}


def test_file_that_changes_between_two_copies_of_it(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy is keyed by what it copied, also when its selection was known before."""
    build.settle()
    first = copy(copy_op(("/dir",), "/x/"))
    second = Vertex(copy_op(("/",), "/y/"), [first, context()], name="second")
    build.solve(second)
    (build.root / "a").write_text("C")
    write = files._write
    texts = iter(["1", "2"])

    def change(*arguments: object) -> object:
        (build.root / "dir/b").write_text(next(texts))
        return write(*arguments)  # type: ignore[arg-type]

    make(build.root, {"dir/c": ""})
    monkeypatch.setattr(files, "_write", change)
    result = build.solve(second)
    assert (result["x/b"], result["y/dir/b"]) == ("1", "2")
    monkeypatch.setattr(files, "_write", write)
    result = build.solve(second)
    assert (result["x/b"], result["y/dir/b"]) == ("2", "2")
    assert build.cached == {"copy": False, "second": False}
    assert build.solve(second) == result
    assert build.cached == {"copy": True, "second": True}


def test_known_digest_of_a_large_file_is_not_taken_for_what_it_became(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not computed again, unless the file turns out to have been changed meanwhile."""
    build.settle()
    make(build.root, {"big": "old" * 5000})
    build.solve(copy())
    (build.root / "a").write_text("C")
    write = files._write
    attempts = []

    def change(store: Store, items: list[Item], *arguments: object) -> object:
        attempts.append([entry.path for entry, _ in items if entry.digest])
        (build.root / "big").write_text("new" * 5000)
        return write(store, items, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_write", change)
    assert build.solve(copy())["x/big"] == "new" * 5000
    assert attempts == [["x/big"], []]
    monkeypatch.setattr(files, "_write", write)
    assert digest_of(build, "x/big") == hashlib.sha256(b"new" * 5000).digest()
    assert build.solve(copy())["x/big"] == "new" * 5000
    assert build.cached == {"copy": True}


def test_digests_of_a_stage_are_not_computed_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files._write
    known = []

    def look(store: Store, items: list[Item], *arguments: object) -> object:
        known.append([entry.path for entry, _ in items if entry.digest])
        return write(store, items, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_write", look)
    build.solve(copy(copy_op(("/x/a",), "/y/"), source=copy()))
    assert known == [[], ["y/a"]]
    assert digest_of(build, "y/a") == hashlib.sha256(b"A").digest()


def test_archive_that_changes_while_it_is_unpacked_is_refused(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unit.worker.test_archives import tar_of

    (build.root / "x.tar").write_bytes(tar_of(("f", "file", "one")))
    write = files._write

    def change(*arguments: object) -> object:
        layer = write(*arguments)  # type: ignore[arg-type]
        (build.root / "x.tar").write_bytes(tar_of(("f", "file", "two")))
        return layer

    monkeypatch.setattr(files, "_write", change)
    with pytest.raises(BuildError, match=r"x\.tar changed while the build read it"):
        build.solve(copy(copy_op(("/x.tar",), "/x/", unpack=True)))


def test_archive_is_keyed_by_its_content(build: Build) -> None:
    from unit.worker.test_archives import tar_of

    op = copy_op(("/x.tar",), "/x/", unpack=True)
    results = []
    for text in ("one", "two", "two"):
        (build.root / "x.tar").write_bytes(tar_of(("f", "file", text)))
        results.append((build.solve(copy(op))["x/f"], build.cached["copy"]))
    assert results == [("one", False), ("two", False), ("two", True)]


# Bind mounts


def bound(source: Vertex, path: str = "/", text: str = "make") -> Vertex:
    base = copy(copy_op(("/a",), "/"))
    return run(text, base, source, mounts=(Bind("/src", 1, path),))


def test_step_with_a_bind_mount_is_keyed_by_what_it_sees(build: Build) -> None:
    root = bound(context(), "/dir")
    cached = []
    for change in (
        lambda path: None,
        lambda path: None,
        os.utime,
        lambda path: Path(path).write_text("C"),
    ):
        change(build.root / "dir/b")
        build.solve(root)
        cached.append(build.cached["make"])
    assert cached == [False, True, True, False]


def test_bind_mount_of_a_stage(build: Build) -> None:
    for text in ("stage", "stage again"):
        stage = run(text, copy(copy_op(("/dir",), "/dir/")))
        build.solve(bound(stage, "/dir"))
    assert build.cached == {"copy": True, "stage again": False, "make": True}


def test_context_that_changes_before_it_is_mounted_is_refused(build: Build) -> None:
    build.runner.before_reading = lambda: (build.root / "dir/b").write_text("Z")
    with pytest.raises(BuildError, match="dir/b changed while the build read it"):
        build.solve(bound(context()))
    assert not [name for name in build.store.records.list() if name.name == "make"]


def test_remembered_context_that_changes_before_it_is_mounted_is_refused(build: Build) -> None:
    """Its key came from metadata alone, so that no digest is there to compare with."""
    build.settle()
    build.solve(bound(context()))
    (build.store.paths.root / "digests").unlink(missing_ok=True)
    (build._directory / "digests").unlink()
    build.runner.before_reading = lambda: (build.root / "dir/b").write_text("Z")
    with pytest.raises(BuildError, match="dir/b changed while the build read it"):
        build.solve(bound(context(), text="make again"))


def test_context_is_gathered_once_for_all_steps_that_mount_it(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = []
    copy_files = files.copy

    def count(*arguments: object) -> object:
        copies.append(arguments[1])
        return copy_files(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "copy", count)
    base = copy(copy_op(("/a",), "/"))
    mount = (Bind("/src", 1, "/dir"),)
    build.solve(*[run(text, base, context(), mounts=mount) for text in ("one", "two", "three")])
    assert len(build.runner.runs) == 3
    assert copies.count(copy_op(("/dir",), "/")) == 1


# What is told and kept


def test_loading_the_context_is_told(build: Build) -> None:
    build.solve(copy())
    [status] = build.transferred
    assert status.id == "transferring context:"
    assert status.current > 0
    assert status.finished


def test_only_directories_that_are_used_are_listed(build: Build) -> None:
    make(build.root, {f"big/{number}": "" for number in range(5)})
    build.solve(copy(copy_op(("/dir",), "/x/")))
    assert "big" not in build.tree._directories


def test_absent_source_is_told_by_its_step_not_by_the_context(build: Build) -> None:
    with pytest.raises(BuildError):
        build.solve(copy(copy_op(("/absent",), "/x/")))
    ends = [event for event in build.events if isinstance(event, VertexFinished)]
    assert [bool(end.error) for end in ends] == [False, True]


def test_components_are_kept_with_a_record(build: Build) -> None:
    build.solve(copy(copy_op(("/dir", "/a"), "/x/")))
    [record] = build.store.records.list()
    components = decode_components(build.store.records.components(record.id))
    assert set(components.files) == {"dir/b", "a"}
    assert components.operation[""] == "Copy"
    assert [bool(each.key) for each in components.inputs] == [True, False]


def digest_of(build: Build, path: str) -> bytes:
    """What the index of the newest layer says of a file."""
    [row] = build.store.database.all("SELECT diff_id FROM snapshots ORDER BY id DESC LIMIT 1")
    entry = build.store.layers.index(Digest.parse(row[0])).get(path)
    assert entry is not None
    return entry.digest


def test_digests_of_copied_files_are_in_the_index(build: Build) -> None:
    build.solve(copy())
    assert digest_of(build, "x/a") == hashlib.sha256(b"A").digest()


def test_lost_snapshot_is_copied_again(build: Build) -> None:
    before = build.solve(copy())
    for blob in (build.store.paths.blobs / "sha256").iterdir():
        blob.unlink()
    build.store.snapshots.forget()
    assert build.solve(copy()) == before
    assert build.cached == {"copy": False}


def test_setuid_and_odd_names_survive(build: Build) -> None:
    name = os.fsdecode(b"caf\xe9")
    files: dict[str, Spec] = {name: File("x", 0o6755)}
    make(build.root, files)
    for cached in (False, True):
        assert build.solve(copy())[f"x/{name}"] == "6755 x"
        assert build.cached == {"copy": cached}
