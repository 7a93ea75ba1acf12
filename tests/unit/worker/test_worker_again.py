"""A COPY of many files that is made again: what is taken over of the layer before, and when not."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tierce.graph.ops import Bind
from tierce.layer.writer import LayerResult, write_layer
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.worker import files
from unit.worker.test_worker import Build, context, copy, run, scratch
from unit.worker.trees import HardLink, Spec, copy_op, make

MANY: dict[str, Spec] = {f"many/{number:03}": f"{number}" * 500 for number in range(100)}


@pytest.fixture
def build(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Build:
    build = Build(tmp_path, store, monkeypatch)
    make(build.root, MANY)
    build.settle()
    return build


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """For each layer that is written, the files that are read one by one."""
    layers: list[set[str]] = []

    def note(items: Sequence[Any], *arguments: Any) -> LayerResult:
        layers.append({item[0].path for item in items if len(item) == 2 and item[0].kind == "file"})
        return write_layer(items, *arguments)

    monkeypatch.setattr(files, "write_layer", note)
    return layers


def newest_layer(store: Store) -> Digest:
    row = store.database.one("SELECT diff_id FROM snapshots ORDER BY id DESC LIMIT 1")
    assert row is not None
    return Digest.parse(row[0])


def made_anew(build: Build, directory: Path) -> Digest:
    """The layer of the context as it is, made in a store that has seen nothing before."""
    with Store.open(directory / "other", directory / "other-run") as store:
        other = Build(directory / "nothing", store, build._monkeypatch)
        other.root = build.root
        other.solve(copy())
        return newest_layer(store)


def change(build: Build) -> None:
    (build.root / "many/050").write_text("changed")


@pytest.mark.parametrize(
    ("changes", "is_read"),
    [
        (lambda root: (root / "many/050").write_text("other"), {"many/050"}),
        (lambda root: (root / "many/050").chmod(0o600), {"many/050"}),
        (lambda root: os.utime(root / "many/050", (1, 1)), {"many/050"}),
        (lambda root: (root / "many/050x").write_text("new"), {"many/050x"}),
        (lambda root: (root / "many/050").unlink(), set()),
        (lambda root: (root / "many/050").rename(root / "many/x"), {"many/x"}),
        (lambda root: (root / "many/050x").hardlink_to(root / "many/050"), {"many/050"}),
        (lambda root: (root / "many").rename(root / "more"), {f"more/{n:03}" for n in range(100)}),
        (lambda root: [make(root, {"before/" + name: "x"}) for name in "abc"],
         {f"before/{name}" for name in "abc"} | {"a", "dir/b", *MANY}),
    ],
)  # fmt: skip
def test_layer_is_the_same_as_one_that_is_made_anew(
    build: Build,
    read: list[set[str]],
    tmp_path: Path,
    changes: Callable[[Path], object],
    is_read: set[str],
) -> None:
    build.solve(copy())
    before = newest_layer(build.store)
    changes(build.root)
    build.solve(copy())
    if build.cached["copy"]:
        # Another time is no other content.
        build.store.database.execute("DELETE FROM records")
        build.solve(copy())
    assert read[-1] <= {f"x/{path}" for path in is_read}
    assert newest_layer(build.store) == made_anew(build, tmp_path) != before


def test_files_are_the_changed_ones(build: Build) -> None:
    build.solve(copy())
    change(build)
    expected = {f"x/{name}": text for name, text in MANY.items()}
    expected |= {"x": "dir", "x/many": "dir", "x/a": "A", "x/dir": "dir", "x/dir/b": "B"}
    expected |= {"x/link": "symlink -> a", "x/many/050": "changed"}
    assert build.solve(copy()) == expected


def test_each_layer_is_the_base_of_the_next(build: Build, read: list[set[str]]) -> None:
    for number in range(3):
        (build.root / f"many/{number:03}").write_text("changed")
        build.solve(copy())
    assert read[1:] == [{"x/many/001"}, {"x/many/002"}]


def test_other_owner_or_destination_takes_nothing_over(build: Build, read: list[set[str]]) -> None:
    build.solve(copy())
    change(build)
    for op in (copy_op(("/",), "/x/", owner="5"), copy_op(("/",), "/y/")):
        build.solve(copy(op))
        assert len(read[-1]) == 102


def test_few_files_are_not_remembered(build: Build, read: list[set[str]]) -> None:
    op = copy_op(("/many/00*", "/many/05*"), "/x/")
    build.solve(copy(op))
    change(build)
    build.solve(copy(op))
    assert len(read[-1]) == 20
    assert not (build._directory / "layers").exists()


def test_mounted_context_is_taken_over_as_well(build: Build, read: list[set[str]]) -> None:
    step = run("step", scratch(), context(), mounts=(Bind("/mnt", 1, "/"),))
    for _ in range(2):
        with build.store.leases.take("test"):
            build.solve(step)
            files.gather(build.store, build.tree, "/")
        change(build)
    assert [len(each) for each in read] == [102, 1]


# What is gone or damaged


@pytest.mark.parametrize(
    "lose",
    [
        lambda blob: blob.unlink(),
        lambda blob: os.truncate(blob, 4096),
        lambda blob: (blob.unlink(), blob.mkdir()),
    ],
)
def test_without_the_tar_all_is_read(
    build: Build, read: list[set[str]], tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    build.solve(copy())
    lose(build.store.paths.blob(newest_layer(build.store)))
    build.store.database.execute("DELETE FROM records")
    change(build)
    build.solve(copy())
    assert len(read[-1]) == 102
    assert newest_layer(build.store) == made_anew(build, tmp_path)


def test_tar_that_did_not_survive_a_power_cut_is_not_used(
    build: Build, read: list[set[str]], tmp_path: Path
) -> None:
    build.solve(copy())
    layer = newest_layer(build.store)
    blob = build.store.paths.blob(layer)
    with open(blob, "r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    build.store.database.execute(
        "UPDATE blobs SET boot = 'another' WHERE digest = ?", (str(layer),)
    )
    build.store.database.execute("DELETE FROM records")
    change(build)
    build.solve(copy())
    assert len(read[-1]) == 102
    assert newest_layer(build.store) == made_anew(build, tmp_path)


def test_tar_that_is_pruned_while_it_is_read_does_no_harm(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build.solve(copy())
    blob = build.store.paths.blob(newest_layer(build.store))

    def prune(*arguments: Any) -> LayerResult:
        blob.unlink()
        return write_layer(*arguments)

    change(build)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_layer", prune)
        build.solve(copy())
    assert newest_layer(build.store) == made_anew(build, tmp_path)


def test_tar_that_is_cut_short_while_it_is_read_is_done_without(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build.solve(copy())
    blob = build.store.paths.blob(newest_layer(build.store))
    calls = []

    def cut(*arguments: Any) -> LayerResult:
        calls.append(blob)
        os.truncate(blob, 1024)
        return write_layer(*arguments)

    change(build)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_layer", cut)
        build.solve(copy())
    assert len(calls) == 2
    assert newest_layer(build.store) == made_anew(build, tmp_path)


def test_damaged_index_is_made_again(build: Build, read: list[set[str]]) -> None:
    build.solve(copy())
    build.store.paths.index(newest_layer(build.store)).write_bytes(b"torn")
    with Store.open(build.store.paths.root, build.store.paths.run) as store:
        build.store = store
        change(build)
        build.solve(copy())
    assert read[-1] == {"x/many/050"}


def test_pruned_memory_of_contexts_is_done_without(build: Build, read: list[set[str]]) -> None:
    build.solve(copy())
    (build._directory / "layers").unlink()
    change(build)
    build.solve(copy())
    assert len(read[-1]) == 102


def test_large_file_that_changes_while_it_is_copied_is_read_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest was known: what is read must be compared with what it was taken for."""
    make(build.root, {"large": "old" * 10_000, "many/x": HardLink("a")})
    build.solve(copy())
    os.utime(build.root / "large", (1, 1))
    build.solve(copy())
    change(build)
    build.store.database.execute("DELETE FROM records")
    calls = []

    def meanwhile(items: Sequence[Any], *arguments: Any) -> LayerResult:
        calls.append(len(items))
        (build.root / "large").write_text("new" * 10_000)
        return write_layer(items, *arguments)

    os.unlink(build._directory / "layers")
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_layer", meanwhile)
        result = build.solve(copy())
    assert len(calls) == 2
    assert result["x/large"] == "new" * 10_000
