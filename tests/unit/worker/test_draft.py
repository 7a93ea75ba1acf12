"""Layers while they are put together: what they are on top of their base."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import BuildError
from tierce.layer.entry import Entry
from tierce.worker.draft import LayerDraft
from unit.worker.trees import (
    OLD_NS,
    Directory,
    File,
    HardLink,
    Link,
    Spec,
    directory_tree,
    listing,
    make,
    on_top,
)

TIME_NS = 1_600_000_000_000_000_000


class Drafting:
    """A draft over a base, and what comes of it."""

    def __init__(self, directory: Path, base: dict[str, Spec] | None) -> None:
        self.directory = directory
        self.base = make(directory / "base", base) if base is not None else None
        self.draft = LayerDraft(directory_tree(self.base) if self.base else None, TIME_NS)

    def file(self, path: str, text: str = "new", **fields: object) -> tuple[Entry, bytes]:
        entry = Entry(path, "file", size=len(text))._replace(**fields)  # type: ignore[arg-type]
        return entry, text.encode()

    def layer(self) -> list[str]:
        """The paths of the layer; a "+" after a path is an opaque mark."""
        items = self.draft.items()
        return [entry.path + ("+" if entry.kind == "opaque" else "") for entry, _ in items]

    def result(self) -> dict[str, str]:
        return listing(on_top(self.draft, self.base, self.directory))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def directory_entry(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, "dir", mode)


# Seeing


def test_empty_file_system_has_a_root_alone(directory: Path) -> None:
    draft = Drafting(directory, None).draft
    root = draft.lookup("")
    assert root is not None
    assert root.kind == "dir"
    assert draft.lookup("a") is None
    assert draft.items() == []


def test_what_was_put_is_seen_before_the_base(directory: Path) -> None:
    drafting = Drafting(directory, {"a": "old"})
    drafting.draft.put(*drafting.file("a", mode=0o600))
    seen = drafting.draft.lookup("a")
    assert seen is not None
    assert seen.mode == 0o600


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("link/x", "dir/x"),
        ("absolute/x", "dir/x"),
        ("dir/up/link", "dir"),
        ("absent/x", "absent/x"),
        ("dangling/x", "nowhere/x"),
        ("out", "etc"),
        ("../../dir", "dir"),
        ("absent/../dir", "dir"),
    ],
)
def test_links_are_followed_inside_the_root(directory: Path, path: str, resolved: str) -> None:
    base: dict[str, Spec] = {
        "dir/x": "", "link": Link("dir"), "absolute": Link("/dir"), "dir/up": Link(".."),
        "dangling": Link("/nowhere"), "out": Link("../../etc"),
    }  # fmt: skip
    assert Drafting(directory, base).draft.resolve(path) == resolved


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("absolute/x", "top/dir/x"),
        ("up/x", "top/x"),
        ("../x", "top/x"),
        ("/x", "top/x"),
        ("", "top"),
    ],
)
def test_links_are_followed_inside_another_root(directory: Path, path: str, resolved: str) -> None:
    base: dict[str, Spec] = {"top/absolute": Link("/dir"), "top/up": Link("../../.."), "dir/x": ""}
    assert Drafting(directory, base).draft.resolve(path, "top") == resolved


def test_last_link_can_be_kept(directory: Path) -> None:
    draft = Drafting(directory, {"link": Link("dir"), "dir/link": Link("x")}).draft
    assert draft.resolve("link/link", last=False) == "dir/link"
    assert draft.resolve("link", last=False) == "link"


def test_circles_are_refused(directory: Path) -> None:
    draft = Drafting(directory, {"a": Link("b"), "b": Link("/a")}).draft
    with pytest.raises(BuildError, match="resolve /a/x: too many symbolic links"):
        draft.resolve("a/x")


# Putting


def test_put_says_what_is_new(directory: Path) -> None:
    drafting = Drafting(directory, {"a": "old"})
    assert not drafting.draft.put(*drafting.file("a"))
    assert drafting.draft.put(*drafting.file("b"))
    assert drafting.result() == {"a": "new", "b": "new"}


def test_file_replaces_a_link_not_its_target(directory: Path) -> None:
    drafting = Drafting(directory, {"target": "old", "link": Link("target")})
    drafting.draft.put(*drafting.file("link"))
    assert drafting.result() == {"target": "old", "link": "new"}


def test_directories_merge_with_the_new_mode(directory: Path) -> None:
    drafting = Drafting(
        directory, {"dir": Directory(0o700, (1, 1), (("user.note", b"kept"),)), "dir/old": "old"}
    )
    drafting.draft.put(directory_entry("dir"))
    drafting.draft.put(*drafting.file("dir/new"))
    assert drafting.result() == {
        "dir": "dir user.note=kept", "dir/new": "new", "dir/old": "old",
    }  # fmt: skip


def test_put_keeps_files_and_directories_apart(directory: Path) -> None:
    drafting = Drafting(directory, {"dir": None, "file": "", "link": Link("dir")})
    with pytest.raises(BuildError, match="cannot replace to directory /dir with file"):
        drafting.draft.put(*drafting.file("dir"))
    for path in ("file", "link"):
        with pytest.raises(BuildError, match=f"cannot copy to non-directory: /{path}"):
            drafting.draft.put(directory_entry(path))


def test_directories_are_made_where_they_are_missing(directory: Path) -> None:
    drafting = Drafting(directory, {"a": Directory(0o700, (3, 4))})
    drafting.draft.make_directories("a/b/c", 0o750, (1, 2))
    assert drafting.layer() == ["a", "a/b", "a/b/c"]
    assert drafting.result() == {"a": "dir 700 3:4", "a/b": "dir 750 1:2", "a/b/c": "dir 750 1:2"}
    made = drafting.draft.lookup("a/b")
    assert made is not None
    assert made.mtime_ns == TIME_NS


def test_root_needs_no_making(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.make_directories("", 0o755, (0, 0))
    assert drafting.layer() == []


def test_file_in_the_way_of_a_directory_is_named(directory: Path) -> None:
    draft = Drafting(directory, {"a/b": ""}).draft
    with pytest.raises(BuildError, match="mkdir /a/b: not a directory"):
        draft.make_directories("a/b/c", 0o755, (0, 0))


def test_parents_of_the_base_are_listed_as_they_are(directory: Path) -> None:
    """A layer that is unpacked by itself must not make up their modes."""
    drafting = Drafting(directory, {"a": Directory(0o700, (1, 2)), "a/b": None})
    drafting.draft.put(*drafting.file("a/b/c"))
    items = drafting.draft.items()
    assert [(entry.path, entry.mode, entry.uid) for entry, _ in items] == [
        ("a", 0o700, 1), ("a/b", 0o755, 0), ("a/b/c", 0o644, 0),
    ]  # fmt: skip
    assert items[0][0].mtime_ns == OLD_NS


def test_file_without_a_directory_is_a_mistake_of_the_caller(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.put(*drafting.file("a/b"))
    with pytest.raises(BuildError, match="no directory /a"):
        drafting.layer()


# Replacing, as tar does


def test_file_replaces_a_directory_with_all_in_it(directory: Path) -> None:
    drafting = Drafting(directory, {"a/old": "", "a/b/old": ""})
    drafting.draft.make_directories("a/new", 0o755, (0, 0))
    drafting.draft.put(*drafting.file("a/new/file"))
    drafting.draft.replace(*drafting.file("a"))
    assert drafting.result() == {"a": "new"}
    assert drafting.draft.lookup("a/old") is None
    assert drafting.draft.lookup("a/new/file") is None


def test_directory_replaces_a_file(directory: Path) -> None:
    drafting = Drafting(directory, {"a": "old", "b": Link("/c"), "c/x": ""})
    for path in ("a", "b"):
        drafting.draft.replace(directory_entry(path))
        drafting.draft.replace(*drafting.file(f"{path}/new"))
    assert drafting.result() == {
        "a": "dir", "a/new": "new", "b": "dir", "b/new": "new", "c": "dir", "c/x": "''",
    }  # fmt: skip


def test_directory_that_was_a_file_for_a_moment_has_nothing_old(directory: Path) -> None:
    drafting = Drafting(directory, {"a/old": "", "a/b/old": ""})
    drafting.draft.replace(*drafting.file("a"))
    drafting.draft.replace(directory_entry("a"))
    drafting.draft.replace(directory_entry("a/b"))
    assert drafting.draft.lookup("a/old") is None
    assert drafting.layer()[:2] == ["a", "a+"]
    assert drafting.result() == {"a": "dir", "a/b": "dir"}


def test_file_once_more_needs_no_mark(directory: Path) -> None:
    drafting = Drafting(directory, {"a/old": ""})
    drafting.draft.replace(*drafting.file("a"))
    drafting.draft.replace(directory_entry("a"))
    drafting.draft.replace(*drafting.file("a"))
    assert drafting.layer() == ["a"]
    assert drafting.result() == {"a": "new"}


def test_replaced_directories_merge(directory: Path) -> None:
    drafting = Drafting(directory, {"a": Directory(0o700), "a/old": "old"})
    drafting.draft.replace(directory_entry("a"))
    assert drafting.result() == {"a": "dir", "a/old": "old"}


# Hard links


def test_link_shares_all_with_its_file(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.put(*drafting.file("a", mode=0o600, uid=5))
    drafting.draft.link(Entry("b", "hardlink", 0o777, 9, 9, link="a"))
    drafting.draft.link(Entry("c", "hardlink", link="b"))
    assert drafting.result() == {
        "a": "600 5:0 new", "b": "hardlink -> a", "c": "hardlink -> a",
    }  # fmt: skip


def test_first_name_in_a_layer_is_the_file(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.put(*drafting.file("m"))
    for path in ("z", "a"):
        drafting.draft.link(Entry(path, "hardlink", link="m"))
    assert drafting.result() == {"a": "new", "m": "hardlink -> a", "z": "hardlink -> a"}


def test_names_stay_one_file_when_the_first_is_replaced(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.put(*drafting.file("a", "old"))
    for path in ("b", "c"):
        drafting.draft.link(Entry(path, "hardlink", link="a"))
    drafting.draft.put(*drafting.file("a"))
    assert drafting.result() == {"a": "new", "b": "old", "c": "hardlink -> b"}


def test_replaced_link_leaves_its_file_alone(directory: Path) -> None:
    drafting = Drafting(directory, None)
    drafting.draft.put(*drafting.file("a", "old"))
    drafting.draft.link(Entry("b", "hardlink", link="a"))
    drafting.draft.put(*drafting.file("b"))
    drafting.draft.put(*drafting.file("a", "newer"))
    assert drafting.result() == {"a": "newer", "b": "new"}


def test_file_survives_the_directory_of_its_first_name(directory: Path) -> None:
    drafting = Drafting(directory, {"a": None})
    drafting.draft.put(*drafting.file("a/file", "old"))
    drafting.draft.link(Entry("b", "hardlink", link="a/file"))
    drafting.draft.replace(*drafting.file("a"))
    assert drafting.result() == {"a": "new", "b": "old"}


def test_file_of_the_base_becomes_part_of_the_layer(directory: Path) -> None:
    """As overlayfs copies up what it links to; mode and owner are those the link says."""
    drafting = Drafting(directory, {"dir/file": File("old", 0o600, (1, 1), (("user.a", b"b"),))})
    drafting.draft.link(Entry("link", "hardlink", 0o640, 7, 8, link="dir/file"))
    assert drafting.layer() == ["dir", "dir/file", "link"]
    assert drafting.result() == {
        "dir": "dir", "dir/file": "640 7:8 user.a=b old", "link": "hardlink -> dir/file",
    }  # fmt: skip


def test_link_to_a_further_name_of_the_base(directory: Path) -> None:
    drafting = Drafting(directory, {"a": "old", "b": HardLink("a")})
    drafting.draft.link(Entry("c", "hardlink", link="b"))
    assert drafting.result() == {"a": "old", "b": "old", "c": "hardlink -> b"}


def test_link_to_a_symlink_is_another_one(directory: Path) -> None:
    drafting = Drafting(directory, {"a": Link("x")})
    drafting.draft.link(Entry("b", "hardlink", link="a"))
    assert drafting.result() == {"a": "symlink -> x", "b": "symlink -> x"}


@pytest.mark.parametrize(
    ("target", "cause"),
    [("absent", "no such file"), ("dir", "not a file"), ("b", "no such file"), ("b/x", "no such")],
)
def test_link_to_no_file_is_refused(directory: Path, target: str, cause: str) -> None:
    drafting = Drafting(directory, {"dir": None})
    with pytest.raises(BuildError, match=cause):
        drafting.draft.link(Entry("b", "hardlink", link=target))


def test_link_to_itself_is_refused(directory: Path) -> None:
    drafting = Drafting(directory, {"a": "old"})
    with pytest.raises(BuildError, match="not a file"):
        drafting.draft.link(Entry("a", "hardlink", link="a"))


def test_link_to_what_a_new_directory_hides_is_refused(directory: Path) -> None:
    drafting = Drafting(directory, {"a/file": ""})
    drafting.draft.replace(*drafting.file("a"))
    drafting.draft.replace(directory_entry("a"))
    with pytest.raises(BuildError, match="no such file"):
        drafting.draft.link(Entry("b", "hardlink", link="a/file"))


def test_directory_in_the_way_of_a_link(directory: Path) -> None:
    drafting = Drafting(directory, {"a/old": "", "file": "old"})
    with pytest.raises(BuildError, match="cannot replace to directory /a with file"):
        drafting.draft.link(Entry("a", "hardlink", link="file"))
    drafting.draft.link(Entry("a", "hardlink", link="file"), replace=True)
    assert drafting.result() == {"a": "old", "file": "hardlink -> a"}


# All of it together, against a model that does it on a dictionary

NAMES = ["a", "b", "a/x", "a/y", "b/x", "a/x/p", "a/x/q"]
STEPS = st.lists(
    st.tuples(st.sampled_from(["file", "dir", "symlink", "link"]), st.sampled_from(NAMES),
              st.sampled_from(NAMES)),
    max_size=12,
)  # fmt: skip


class Model:
    """What tar does, on a dictionary of paths; a file is a list, which its names share."""

    def __init__(self) -> None:
        self.files: dict[str, object] = {"a": "dir", "a/x": "dir", "a/x/p": ["old"], "b": ["old"]}

    def step(self, number: int, kind: str, path: str, target: str) -> bool:
        parent = path.rpartition("/")[0]
        if parent and self.files.get(parent) != "dir":
            return False
        made: object = {"file": [f"new {number}"], "dir": "dir", "symlink": "-> x"}.get(kind)
        if kind == "link":
            made = self.files.get(target, "dir")
            if made == "dir" or path == target or target.startswith(path + "/"):
                return False
        if not (kind == "dir" and self.files.get(path) == "dir"):
            self.files = {
                each: what for each, what in self.files.items()
                if each != path and not each.startswith(path + "/")
            }  # fmt: skip
        self.files[path] = made
        return True

    def listing(self) -> dict[str, str]:
        seen: dict[int, str] = {}
        lines = {}
        for path in sorted(self.files, key=lambda each: each.replace("/", "\0")):
            what = self.files[path]
            if isinstance(what, list):
                first = seen.setdefault(id(what), path)
                lines[path] = f"'{what[0]}'" if first == path else f"hardlink -> {first}"
            else:
                lines[path] = "dir" if what == "dir" else "symlink -> x"
        return lines


@given(STEPS)
def test_replacing_is_what_tar_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("draft")
    drafting = Drafting(directory, {"a/x/p": "old", "b": "old"})
    model = Model()
    for number, (kind, path, target) in enumerate(steps):
        if not model.step(number, kind, path, target):
            continue
        if kind == "link":
            drafting.draft.link(Entry(path, "hardlink", link=target), replace=True)
        elif kind == "file":
            drafting.draft.replace(*drafting.file(path, f"new {number}"))
        else:
            link = "x" if kind == "symlink" else ""
            mode = 0o777 if link else 0o755
            drafting.draft.replace(Entry(path, kind, mode, link=link))
    lines = {path: line.strip("'") for path, line in drafting.result().items()}
    assert lines == {path: line.strip("'") for path, line in model.listing().items()}
