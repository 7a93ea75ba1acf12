"""Directories of the caller: what is in them, what is remembered of them, what goes wrong."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tierce.errors import BuildError, Cancelled
from tierce.layer.entry import Entry
from tierce.worker import context
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from unit.worker.trees import OLD_NS, File, HardLink, Link, Spec, listing, local_tree, make


class Patterns:
    """Exclusions by sets of paths; `exceptions` are brought back out of excluded directories."""

    def __init__(self, *excluded: str, exceptions: tuple[str, ...] = ()) -> None:
        self.excluded = excluded
        self.exceptions = exceptions
        self.asked: list[str] = []

    def matches(self, path: str, is_directory: bool) -> bool:
        self.asked.append(path)
        if path in self.exceptions or any(path.startswith(f"{each}/") for each in self.exceptions):
            return False
        return any(path == each or path.startswith(f"{each}/") for each in self.excluded)

    def may_hold_exceptions(self, directory: str) -> bool:
        return any(each.startswith(f"{directory}/") for each in self.exceptions)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "context"


def tree_of(root: Path, files: dict[str, Spec], patterns: Patterns | None = None) -> LocalTree:
    make(root, files)
    return LocalTree(str(root), patterns, DigestCache(str(root.parent / "digests")))


def the(entry: Entry | None) -> Entry:
    assert entry is not None
    return entry


def settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> LocalTree:
    """A tree looked at so much later that nothing in it is racy."""
    monkeypatch.setattr(context, "now_racy_after", lambda: 1 << 62)
    return local_tree(root, root.parent / "digests")


# What is there


def test_every_kind_of_file(root: Path) -> None:
    make(root, {"file": File("text", 0o4755), "directory": None, "link": Link("file")})
    os.mkfifo(root / "pipe", 0o600)
    os.mknod(root / "device", 0o600 | 0o020000, os.makedev(1, 3))
    assert listing(local_tree(root)) == {
        "device": "char 600 1:3",
        "directory": "dir",
        "file": "4755 text",
        "link": "symlink -> file",
        "pipe": "fifo 600",
    }


def test_everything_belongs_to_root(root: Path) -> None:
    make(root, {"file": File("text", None, (1000, 1000))})
    assert listing(local_tree(root)) == {"file": "text"}


def test_extended_attributes_stay_behind(root: Path) -> None:
    make(root, {"file": File("text", xattrs=(("user.note", b"x"),))})
    assert listing(local_tree(root)) == {"file": "text"}


def test_sockets_do_not_exist(root: Path) -> None:
    make(root, {"file": "text"})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        tree = local_tree(root)
        assert listing(tree) == {"file": "text"}
        assert tree.lookup("socket") is None


def test_names_that_are_not_text(root: Path) -> None:
    root.mkdir()
    (root / os.fsdecode(b"caf\xe9")).write_text("text")
    (root / "new\nline").write_text("text")
    assert list(listing(local_tree(root))) == [os.fsdecode(b"caf\xe9"), "new\nline"]


def test_walk_is_in_the_order_of_layers(root: Path) -> None:
    """Sorted by components, so that a directory is followed by what is in it."""
    tree = tree_of(root, {"a/b": "", "a.b": "", "a/b.c": "", "B": "", "a-/x": ""})
    assert [entry.path for entry in tree.walk()] == [
        "B", "a", "a/b", "a/b.c", "a-", "a-/x", "a.b",
    ]  # fmt: skip


def test_walk_of_a_part(root: Path) -> None:
    tree = tree_of(root, {"a/b/c": "", "a/d": "", "e": "", "link": Link("a/b")})
    assert [entry.path for entry in tree.walk("a")] == ["a/b", "a/b/c", "a/d"]
    assert [entry.path for entry in tree.walk("link")] == ["a/b/c"]
    assert list(tree.walk("e")) == list(tree.walk("absent")) == []


def test_hard_links_name_what_came_first_in_the_walk(root: Path) -> None:
    tree = tree_of(root, {"b/file": "text", "a": HardLink("b/file"), "c": HardLink("a")})
    assert listing(tree) == {
        "a": "text", "b": "dir", "b/file": "hardlink -> a", "c": "hardlink -> a",
    }  # fmt: skip
    assert listing(tree, "b") == {"b/file": "text"}
    assert the(tree.lookup("c")).kind == "file"


def test_equal_inode_numbers_of_two_file_systems_are_no_hard_link(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, {"a": "one", "b": "two", "c": HardLink("a"), "d": HardLink("b")})
    lstat = os.lstat

    def elsewhere(path: str) -> os.stat_result:
        fields = list(lstat(path))
        fields[1] = 7
        fields[2] = 1 if path.endswith(("a", "c")) else 2
        return os.stat_result(fields)

    monkeypatch.setattr(os, "lstat", elsewhere)
    assert listing(local_tree(root)) == {
        "a": "one", "b": "two", "c": "hardlink -> a", "d": "hardlink -> b",
    }  # fmt: skip


def test_every_directory_is_read_once(root: Path) -> None:
    tree = tree_of(root, {"directory/a": "text"})
    before = listing(tree)
    (root / "directory/b").write_text("text")
    (root / "directory/a").unlink()
    assert [entry.path for entry in tree.walk()] == list(before)
    assert tree.lookup("directory/b") is None


def test_missing_context_says_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such file"):
        local_tree(tmp_path / "absent").lookup("")


# Looking up


@pytest.mark.parametrize("path", ["a/file", "/a/file", "./a//file", "a/../a/./file", "to-a/file"])
def test_lookup_finds_a_path_in_any_form(root: Path, path: str) -> None:
    tree = tree_of(root, {"a/file": "text", "to-a": Link("a")})
    assert the(tree.lookup(path)).path == "a/file"


def test_lookup_does_not_follow_a_last_link(root: Path) -> None:
    tree = tree_of(root, {"a": "text", "link": Link("a")})
    assert the(tree.lookup("link")).kind == "symlink"


@pytest.mark.parametrize("path", ["", "/", ".", "a/..", "..", "../.."])
def test_root_is_a_directory(root: Path, path: str) -> None:
    tree = tree_of(root, {"a": None})
    assert the(tree.lookup(path))[:2] == ("", "dir")


@pytest.mark.parametrize("path", ["absent", "file/below", "directory/absent", "dangling/below"])
def test_lookup_of_what_is_not_there(root: Path, path: str) -> None:
    tree = tree_of(root, {"file": "", "directory": None, "dangling": Link("nowhere")})
    assert tree.lookup(path) is None
    assert tree.children(path) == []


@pytest.mark.parametrize(
    ("target", "resolved"),
    [
        ("a/file", "a/file"),
        ("/a/file", "a/file"),
        ("../../a/file", "a/file"),
        ("/../a/file", "a/file"),
        ("a/absent", "a/absent"),
        ("a/up/file", "file"),
        ("chain", "a/file"),
        ("/etc/passwd", "etc/passwd"),
    ],
)
def test_links_are_followed_inside_the_context(root: Path, target: str, resolved: str) -> None:
    files: dict[str, Spec] = {
        "a/file": "text", "file": "text", "a/up": Link(".."), "chain": Link("a/../link2"),
        "link2": Link("a/file"), "link": Link(target),
    }  # fmt: skip
    tree = tree_of(root, files)
    assert tree.resolve("link") == resolved


def test_link_in_a_directory_counts_from_there(root: Path) -> None:
    tree = tree_of(root, {"a/link": Link("file"), "a/file": "", "to-a": Link("/a/")})
    assert tree.resolve("to-a/link") == "a/file"


def test_links_in_a_circle_are_refused(root: Path) -> None:
    tree = tree_of(root, {"a": Link("b"), "b": Link("a")})
    with pytest.raises(BuildError, match="too many symbolic links"):
        tree.resolve("a/x")


def test_directory_that_became_a_link_does_not_lead_out(root: Path, tmp_path: Path) -> None:
    """Between the listing of its parent and its own."""
    make(tmp_path / "outside", {"secret": "text"})
    tree = tree_of(root, {"directory/file": "text"})
    tree.children("")
    (root / "directory/file").unlink()
    (root / "directory").rmdir()
    (root / "directory").symlink_to(tmp_path / "outside")
    assert tree.lookup("directory/secret") is None
    assert list(tree.walk("directory")) == []


# .dockerignore


def test_excluded_files_do_not_exist(root: Path) -> None:
    tree = tree_of(root, {"a": "", "b": "", "c/d": ""}, Patterns("b", "c"))
    assert list(listing(tree)) == ["a"]
    assert tree.lookup("b") is None
    assert tree.lookup("c/d") is None


def test_excluded_directory_is_not_read(root: Path) -> None:
    patterns = Patterns("big")
    tree = tree_of(root, {"big/file": "", "a": ""}, patterns)
    listing(tree)
    assert patterns.asked == ["a", "big"]


def test_exception_brings_its_directories_back(root: Path) -> None:
    files: dict[str, Spec] = {"a/b/kept": "", "a/b/gone": "", "a/c/gone": "", "a/gone": ""}
    tree = tree_of(root, files, Patterns("a", exceptions=("a/b/kept",)))
    assert list(listing(tree)) == ["a", "a/b", "a/b/kept"]


def test_excluded_directory_without_its_exception_does_not_exist(root: Path) -> None:
    tree = tree_of(root, {"a/b/gone": ""}, Patterns("a", exceptions=("a/b/absent",)))
    assert listing(tree) == {}


# What cannot be read


@pytest.mark.parametrize("function", ["open", "listdir", "stat"])
def test_unreadable_directory_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    make(root, {"closed/file": "", "open": ""})
    tree = local_tree(root)
    tree.rows("")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(BuildError) as raised:
        tree.children("closed")
    assert raised.value.message == "read build context: closed: permission denied"
    assert ".dockerignore" in raised.value.hint


def test_file_that_vanishes_while_its_directory_is_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not exist; what is beside it does."""
    make(root, {"a": "", "b": "", "c": ""})
    stat = os.stat

    def gone(path: str, **options: object) -> os.stat_result:
        if path == "b":
            raise FileNotFoundError
        return stat(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", gone)
    assert list(listing(local_tree(root))) == ["a", "c"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_vanishes_after_it_was_listed_is_named(root: Path, kind: str) -> None:
    tree = tree_of(root, {"file": "text", "link": Link("file")})
    tree.rows("")
    (root / kind).unlink()
    with pytest.raises(BuildError, match=f"read build context: {kind}: no such file"):
        tree.file_digest(the(tree.lookup(kind)))


@pytest.mark.parametrize("text", ["longer", "x"])
def test_file_that_changes_its_size_is_refused(root: Path, text: str) -> None:
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    (root / "file").write_text(text)
    with pytest.raises(BuildError, match="file changed while the build read it"):
        tree.file_digest(entry)


def test_file_that_became_a_fifo_does_not_hang(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    (root / "file").unlink()
    os.mkfifo(root / "file")
    with pytest.raises(BuildError, match="file changed"):
        tree.file_digest(entry)


def test_file_that_became_a_link_is_not_followed(root: Path) -> None:
    tree = tree_of(root, {"file": "text", "other": "text"})
    entry = the(tree.lookup("file"))
    (root / "file").unlink()
    (root / "file").symlink_to("other")
    with pytest.raises(BuildError, match="read build context: file"):
        tree.file_digest(entry)


def test_reading_stops_when_cancelled(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    tree.cancelled = threading.Event()
    tree.cancelled.set()
    with pytest.raises(Cancelled):
        tree.file_digest(the(tree.lookup("file")))


# Digests


def test_digest_is_that_of_the_content(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    assert tree.file_digest(the(tree.lookup("file"))) == hashlib.sha256(b"text").digest()
    assert tree.bytes_read == 4


def test_digest_is_read_once_in_a_build(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    tree.file_digest(entry)
    (root / "file").write_text("else")
    assert tree.file_digest(entry) == hashlib.sha256(b"text").digest()


def test_digest_is_remembered_between_builds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"file": "text"})
    tree = settled(root, monkeypatch)
    digest = tree.file_digest(the(tree.lookup("file")))
    tree.save()
    later = settled(root, monkeypatch)
    entry = the(later.lookup("file"))
    assert entry.digest == digest
    assert later.file_digest(entry) == digest
    assert later.bytes_read == 0


def rewrite(path: Path) -> None:
    path.write_text("else")
    os.utime(path, ns=(OLD_NS, OLD_NS))


def touch(path: Path) -> None:
    os.utime(path)


def swap(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("else")
    os.utime(other, ns=(OLD_NS, OLD_NS))
    other.rename(path)


@pytest.mark.parametrize("change", [rewrite, touch, swap, lambda path: path.chmod(0o600)])
def test_digest_of_a_changed_file_is_forgotten(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    make(root, {"file": "text"})
    tree = settled(root, monkeypatch)
    tree.file_digest(the(tree.lookup("file")))
    tree.save()
    change(root / "file")
    later = settled(root, monkeypatch)
    expected = hashlib.sha256((root / "file").read_bytes()).digest()
    assert later.file_digest(the(later.lookup("file"))) == expected
    assert later.bytes_read == 4


def test_digest_of_a_fresh_file_is_not_remembered(root: Path) -> None:
    """It may be written to again within the same tick of the clock."""
    tree = tree_of(root, {"file": "text"})
    tree.file_digest(the(tree.lookup("file")))
    tree.save()
    later = tree_of(root, {})
    assert later.file_digest(the(later.lookup("file"))) == hashlib.sha256(b"text").digest()
    assert later.bytes_read == 4


def test_what_was_copied_has_the_say(root: Path) -> None:
    """A file may change after its digest was looked up and before it is copied."""
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    tree.file_digest(entry)
    other = hashlib.sha256(b"else").digest()
    assert tree.learn([(entry, other)])
    assert tree.file_digest(entry) == other
    assert not tree.learn([(entry, other)])


def test_what_is_learned_is_remembered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"a": "one", "b/c": "two"})
    tree = settled(root, monkeypatch)
    entries = [entry for entry in tree.walk() if entry.kind == "file"]
    digests = [hashlib.sha256(text).digest() for text in (b"one", b"two")]
    tree.learn(zip(entries, digests))
    tree.save()
    later = settled(root, monkeypatch)
    assert [entry.digest for entry in later.walk() if entry.kind == "file"] == digests


def test_removed_files_are_dropped_from_the_cache(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, {"a": "1", "b": "2", "directory/c": "3", "kept/d": "4"})
    for number in range(2):
        tree = settled(root, monkeypatch)
        for entry in list(tree.walk()) if number == 0 else tree.children(""):
            if entry.kind == "file":
                tree.file_digest(entry)
        if number == 1:
            tree.save()
            break
        tree.save()
        (root / "b").unlink()
        (root / "directory/c").unlink()
        (root / "directory").rmdir()
        (root / "a").write_text("changed")
    data = (root.parent / "digests").read_bytes()
    assert b"kept/d" in data
    assert b"directory/c" not in data
    assert data.split(b"\n")[1].split()[0] == b"2"


def test_confirm_takes_what_is_as_it_was_listed(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    tree.confirm(the(tree.lookup("file")), hashlib.sha256(b"text").digest())


def test_confirm_refuses_another_digest_than_the_known_one(root: Path) -> None:
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    tree.file_digest(entry)
    with pytest.raises(BuildError, match="file changed"):
        tree.confirm(entry, hashlib.sha256(b"else").digest())


@pytest.mark.parametrize("change", [rewrite, touch, swap, Path.unlink])
def test_confirm_refuses_a_file_that_was_changed_since(
    root: Path, change: Callable[[Path], None]
) -> None:
    tree = tree_of(root, {"file": "text"})
    entry = the(tree.lookup("file"))
    change(root / "file")
    with pytest.raises(BuildError, match="read build context: file"):
        tree.confirm(entry, hashlib.sha256(b"text").digest())


def test_files_are_unchanged_until_they_are_changed(root: Path) -> None:
    tree = tree_of(root, {"a/x": "1", "a/y": "2", "b/z": "3", "top": "4"})
    entries = [entry for entry in tree.walk() if entry.kind == "file"]
    assert tree.are_unchanged(entries)
    assert tree.are_unchanged([])
    for path in ("b/z", "top"):
        touch(root / path)
        assert not tree.are_unchanged(entries)
        assert tree.are_unchanged(entries[:2])
    (root / "a/y").unlink()
    assert not tree.are_unchanged(entries[:2])


# Stamps


def stamp(root: Path, monkeypatch: pytest.MonkeyPatch, path: str = "") -> str:
    return settled(root, monkeypatch).stamp_digest(path)


def test_stamp_stays_while_nothing_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"a": "text", "b/c": "text", "link": Link("a")})
    assert stamp(root, monkeypatch) == stamp(root, monkeypatch) != ""


@pytest.mark.parametrize(
    "change",
    [
        lambda root: rewrite(root / "b/c"),
        lambda root: touch(root / "b/c"),
        lambda root: swap(root / "b/c"),
        lambda root: (root / "b/c").chmod(0o600),
        lambda root: os.chown(root / "b/c", 1, 1),
        lambda root: os.setxattr(root / "b/c", "user.note", b"x"),
        lambda root: (root / "b/c").rename(root / "b/d"),
        lambda root: (root / "b/d").write_text(""),
        lambda root: (root / "b/c").unlink(),
        lambda root: (root / "b").chmod(0o700),
        lambda root: os.link(root / "b/c", root / "b/d"),
        lambda root: (root / "b/e").mkdir(),
    ],
)
def test_any_change_changes_the_stamp(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    make(root, {"a": "text", "b/c": "text"})
    before = [stamp(root, monkeypatch, path) for path in ("", "b", "a")]
    change(root)
    after = [stamp(root, monkeypatch, path) for path in ("", "b", "a")]
    assert [old == new for old, new in zip(before, after)] == [False, False, True]


def test_stamp_of_a_file_is_its_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"a": "text", "b": "text"})
    before = stamp(root, monkeypatch, "a")
    touch(root / "b")
    assert stamp(root, monkeypatch, "a") == before
    touch(root / "a")
    assert stamp(root, monkeypatch, "a") != before


def test_stamp_covers_what_is_excluded_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"a": "text", "b": "text"})
    monkeypatch.setattr(context, "now_racy_after", lambda: 1 << 62)
    stamps = set()
    for excluded in ((), ("b",), ("a",)):
        tree = LocalTree(str(root), Patterns(*excluded), DigestCache(str(root.parent / "x")))
        stamps.add(tree.stamp_digest(""))
    assert len(stamps) == 3


@pytest.mark.parametrize("path", ["", "a", "b", "b/c"])
def test_fresh_files_have_no_stamp(root: Path, path: str) -> None:
    tree = tree_of(root, {"a": "text", "b/c": "text"})
    assert tree.stamp_digest(path) == ""


def test_absent_path_has_no_stamp(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"a": "text"})
    assert stamp(root, monkeypatch, "b") == ""
