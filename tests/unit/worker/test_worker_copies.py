"""Copies out of several file systems, of parts of directories, and laid over others."""

import hashlib
import os
from pathlib import Path

import pytest

from tierce.errors import BuildError
from tierce.graph.ops import Bind, Copy, CopyPart, MakeFile, Merge
from tierce.graph.vertex import Vertex
from tierce.store import Store
from tierce.worker import files
from tierce.worker.components import decode_components
from unit.worker.test_archives import tar_of
from unit.worker.test_worker import Build, context, copy, image, run, scratch
from unit.worker.trees import Link, copy_op, make


@pytest.fixture
def build(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, store, monkeypatch)


def document(name: str, text: str, base: Vertex | None = None) -> Vertex:
    op = MakeFile(f"/{name}", text.encode())
    return Vertex(op, [base or scratch()], name=f"document {name}")


def linked(base: Vertex, op: Copy, source: Vertex | None = None) -> Vertex:
    return Vertex(Merge(), [base, copy(op, source=source)], name="merge")


# Files out of nothing


def test_file_is_made_with_its_parents(build: Build) -> None:
    made = Vertex(MakeFile("/x/y/z", b"text", 0o755), [scratch()])
    assert build.solve(made) == {"x": "dir", "x/y": "dir", "x/y/z": "755 text"}


def test_file_is_made_where_links_lead(build: Build) -> None:
    base = image(build.store, {"real/old": b"old"})
    make(build.root, {"links/to": Link("/real")})
    stage = copy(copy_op(("/links",), "/"), base)
    made = Vertex(MakeFile("/to/old", b"new"), [stage])
    assert build.solve(made)["real/old"] == "new"


def test_content_of_a_file_is_a_part_of_its_key(build: Build) -> None:
    for text, is_cached in (("one", False), ("two", False), ("one", True)):
        assert build.solve(document("x", text)) == {"x": text}
        assert build.cached == {"document x": is_cached}


def test_file_of_megabytes_is_made(build: Build) -> None:
    text = "0123456789abcdef" * (4 << 16)
    assert build.solve(document("x", text)) == {"x": text}


def test_file_of_no_bytes_is_made(build: Build) -> None:
    assert build.solve(document("x", "")) == {"x": "''"}


# Several sources


def test_copy_takes_from_several_file_systems(build: Build) -> None:
    parts = (
        CopyPart(1, ("/dir", "/a")),
        CopyPart(2, ("/[x]",), literal=True),
        CopyPart(1, ("/link",)),
        CopyPart(3, ("/a",), literal=True),
    )
    inputs = [scratch(), context(), document("[x]", "X"), document("a", "documented")]
    result = build.solve(Vertex(Copy(parts, "/x/"), inputs, name="copy"))
    assert result == {"x": "dir", "x/[x]": "X", "x/a": "documented", "x/b": "B", "x/link": "A"}


def test_each_file_system_has_its_part_in_the_key(build: Build) -> None:
    parts = (CopyPart(1, ("/dir",)), CopyPart(2, ("/x",), literal=True))

    def copied(text: str) -> Vertex:
        return Vertex(Copy(parts, "/x/"), [scratch(), context(), document("x", text)], name="copy")

    seen = []
    for text, content in (("1", "B"), ("1", "B"), ("2", "B"), ("2", "C"), ("1", "B")):
        (build.root / "dir/b").write_text(content)
        build.solve(copied(text))
        seen.append(build.cached["copy"])
    assert seen == [False, True, False, False, True]


def test_directory_that_is_copied_as_one_brings_mode_and_owner(build: Build) -> None:
    """As a repository does; the contents of a source's directory do not."""
    stage = run("stage", copy(copy_op(("/dir",), "/", owner="5", mode="700")))
    whole = CopyPart(1, ("/",), literal=True)
    made = Vertex(Copy((whole,), "/new/deep"), [scratch(), stage], name="copy")
    assert build.solve(made)["new/deep/b"] == "700 5:5 B"
    base = image(build.store, {"old/x": b"x"})
    there = Vertex(Copy((whole,), "/old"), [base, stage], name="copy")
    assert build.solve(there)["old"] == "dir"


def test_file_in_the_place_of_another_source_is_not_taken_for_it(build: Build) -> None:
    """The digest of what an archive puts there is no digest of the file that was there first."""
    (build.root / "x.tar").write_bytes(tar_of(("a", "file", "archived")))
    op = copy_op(("/a", "/x.tar"), "/x/", unpack=True)
    assert build.solve(copy(op))["x/a"] == "archived"
    entry = build.tree.lookup("a")
    assert entry is not None
    assert build.tree.file_digest(entry) == hashlib.sha256(b"A").digest()
    assert build.solve(copy(copy_op(("/a",), "/y/"))) == {"y": "dir", "y/a": "A"}


def test_document_in_the_place_of_a_file_is_not_taken_for_it(build: Build) -> None:
    parts = (CopyPart(1, ("/a",)), CopyPart(2, ("/a",), literal=True))
    inputs = [scratch(), context(), document("a", "documented")]
    assert build.solve(Vertex(Copy(parts, "/x/"), inputs, name="copy"))["x/a"] == "documented"
    entry = build.tree.lookup("a")
    assert entry is not None
    assert build.tree.file_digest(entry) == hashlib.sha256(b"A").digest()


# --exclude and --parents


def test_changed_file_that_is_excluded_keeps_the_cache(build: Build) -> None:
    op = copy_op(("/",), "/x/", excludes=("dir", "*.log"))
    build.solve(copy(op))
    for name in ("dir/b", "dir/new", "x.log"):
        (build.root / name).write_text("changed")
        assert build.solve(copy(op)) == {"x": "dir", "x/a": "A", "x/link": "symlink -> a"}
        assert build.cached == {"copy": True}, name
    (build.root / "a").write_text("changed")
    build.solve(copy(op))
    assert build.cached == {"copy": False}


def test_changed_file_of_a_stage_that_is_excluded_keeps_the_cache(build: Build) -> None:
    def root() -> Vertex:
        stage = run("stage", copy(), context(), mounts=(Bind("/m", 1),))
        return copy(copy_op(("/x",), "/y/", excludes=("dir",)), source=stage)

    build.solve(root())
    (build.root / "dir/b").write_text("changed")
    build.solve(root())
    assert build.cached == {"copy": True, "stage": False}


def test_changed_file_that_has_no_part_in_parents_keeps_the_cache(build: Build) -> None:
    op = copy_op(("/",), "/x/", includes=("dir/*",))
    assert build.solve(copy(op)) == {"x": "dir", "x/dir": "dir", "x/dir/b": "B"}
    (build.root / "a").write_text("changed")
    build.solve(copy(op))
    assert build.cached == {"copy": True}
    (build.root / "dir").chmod(0o700)
    build.solve(copy(op))
    assert build.cached == {"copy": False}, "its mode comes along"


def test_other_patterns_are_another_step(build: Build) -> None:
    build.settle()
    seen = []
    for op in (
        copy_op(("/",), "/x/"),
        copy_op(("/",), "/x/", excludes=("dir",)),
        copy_op(("/",), "/x/", excludes=("a",)),
        copy_op(("/",), "/x/", includes=("a",)),
        copy_op(("/",), "/x/", includes=("dir",)),
    ):
        seen.append(sorted(build.solve(copy(op))))
        assert build.cached == {"copy": False}
        assert sorted(build.solve(copy(op))) == seen[-1]
        assert build.cached == {"copy": True}
    assert seen == [
        ["x", "x/a", "x/dir", "x/dir/b", "x/link"],
        ["x", "x/a", "x/link"],
        ["x", "x/dir", "x/dir/b", "x/link"],
        ["x", "x/a"],
        ["x", "x/dir", "x/dir/b"],
    ]


def test_what_parents_name_has_to_be_there(build: Build) -> None:
    for op in (
        copy_op(("/",), "/x/", includes=("dir/nothing",)),
        copy_op(("/dir",), "/x/", includes=("nothing",)),
        copy_op(("/",), "/x/", includes=("dir",), excludes=("dir",)),
        copy_op(("/link",), "/x/", includes=("a",)),
        copy_op(("/a",), "/x/", includes=("a",)),
    ):
        with pytest.raises(BuildError, match="not found"):
            build.solve(copy(op))
    assert build.solve(copy(copy_op(("/",), "/x/", includes=("no*",)))) == {"x": "dir"}


# --link


def test_linked_copy_stays_cached_when_its_base_changes(build: Build) -> None:
    op = copy_op(("/a",), "/x/")
    for number in range(3):
        base = image(build.store, {"base": b"%d" % number})
        result = build.solve(linked(base, op))
        assert result == {"base": str(number), "x": "dir", "x/a": "A"}
        assert build.cached["copy"] == (number > 0)
        assert not build.cached["merge"]


def test_merge_is_found_again(build: Build) -> None:
    base = image(build.store, {"base": b"base"})
    for is_cached in (False, True):
        build.solve(linked(base, copy_op(("/a",), "/x/")))
        assert build.cached["copy"] == build.cached["merge"] == is_cached


def test_merge_writes_no_layer(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = files._write

    def count(*arguments: object) -> object:
        written.append(arguments)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_write", count)
    base = image(build.store, {"base": b"base"})
    build.solve(linked(linked(base, copy_op(("/a",), "/x/")), copy_op(("/dir",), "/y/")))
    assert len(written) == 2
    result = build.store.database.all("SELECT diff_id FROM snapshots")
    assert len({row[0] for row in result}) == 3


def test_linked_copy_does_not_follow_links_of_its_base(build: Build) -> None:
    make(build.root, {"base/to": Link("/elsewhere")})
    base = copy(copy_op(("/base",), "/"))
    result = build.solve(linked(base, copy_op(("/a",), "/to/")))
    assert result == {"to": "dir", "to/a": "A"}


def test_steps_go_on_from_a_merge(build: Build) -> None:
    base = image(build.store, {"base": b"base"})
    made = run("next", linked(base, copy_op(("/a",), "/x/")))
    assert build.solve(made) == {"base": "base", "next": "ran", "x": "dir", "x/a": "A"}


def test_nothing_over_nothing_is_nothing(build: Build) -> None:
    base = image(build.store, {"base": b"base"})
    assert build.solve(Vertex(Merge(), [base, scratch()])) == {"base": "base"}


def test_merge_is_told_by_the_name_of_its_copy(build: Build) -> None:
    """It has none of its own, as both are shown as one step."""
    merged = Vertex(Merge(), [scratch(), copy(copy_op(("/a",), "/x/"))])
    build.solve(run("next", merged))
    records = {record.name: record.id for record in build.store.records.list()}
    components = decode_components(build.store.records.components(records["next"]))
    assert [each.label for each in components.inputs] == ["copy"]


def test_names_that_are_no_text_are_matched_by_patterns(build: Build) -> None:
    for name in (b"x\xff.o", b"x\xff.c", b"\n.o"):
        Path(os.fsdecode(bytes(build.root) + b"/" + name)).write_text("odd")
    op = copy_op(("/",), "/x/", excludes=("*.o", "dir", "a", "link"))
    assert list(build.solve(copy(op))) == ["x", "x/x\udcff.c"]
    op = copy_op(("/",), "/x/", includes=("x?.o",))
    assert list(build.solve(copy(op))) == ["x", "x/x\udcff.o"]
