import random
from collections.abc import Iterable

import pytest

from support.tars import entry, file
from tierce.errors import CorruptLayer
from tierce.layer.entry import Entry, Item, sort_key
from tierce.layer.index import LayerIndex
from tierce.layer.merge import merge_layers
from tierce.layer.sources import IndexLayer
from tierce.layer.view import MergedView
from tierce.layer.writer import write_layer

NOTHING = MergedView([])
DIRECTORY = entry("d", "dir", 0o755)


def gone(path: str) -> Item:
    return Entry(path, "whiteout", 0), None


def opaque(path: str) -> Item:
    return Entry(path, "opaque", 0), None


def view_of(*layers: Iterable[Item]) -> MergedView:
    """What layers make together; nobody reads their files."""
    return MergedView(
        [IndexLayer(LayerIndex.of([each for each, _ in items]), "/no/such/tar") for items in layers]
    )


def merged(*layers: list[Item], below: MergedView = NOTHING) -> list[tuple[str, str]]:
    """The kinds and paths of what layers are as one."""
    items = list(merge_layers(layers, below))
    write_layer(items, None)  # sorted, with every link after its file
    return [(each.kind, each.path) for each, _ in items]


def test_what_a_later_layer_removes_is_gone_entirely() -> None:
    assert merged([DIRECTORY, file("d/a", b"a"), file("d/b", b"b")], [DIRECTORY, gone("d/a")]) == [
        ("dir", "d"),
        ("file", "d/b"),
    ]
    assert merged([DIRECTORY, file("d/a", b"a")], [gone("d")]) == []


def test_what_is_removed_of_the_layers_beneath_keeps_its_whiteout() -> None:
    below = view_of([DIRECTORY, file("d/a", b"a")])
    assert merged([DIRECTORY, gone("d/a")], below=below) == [("dir", "d"), ("whiteout", "d/a")]
    assert merged([DIRECTORY, file("d/a", b"new")], [DIRECTORY, gone("d/a")], below=below) == [
        ("dir", "d"),
        ("whiteout", "d/a"),
    ]
    assert merged([gone("d")], [gone("e")], below=below) == [("whiteout", "d")]


def test_file_comes_back_after_it_was_removed() -> None:
    below = view_of([file("a", b"a")])
    assert merged([gone("a")], [file("a", b"new")], below=below) == [("file", "a")]


def test_directory_that_comes_back_does_not_show_what_was_in_it() -> None:
    below = view_of([DIRECTORY, file("d/old", b"old")])
    layers = [gone("d")], [DIRECTORY, file("d/new", b"new")]
    assert merged(*layers, below=below) == [("dir", "d"), ("opaque", "d"), ("file", "d/new")]
    # Nothing beneath, nothing to hide.
    assert merged(*layers) == [("dir", "d"), ("file", "d/new")]


def test_directory_where_a_file_was_in_between_hides_what_is_beneath() -> None:
    below = view_of([DIRECTORY, file("d/old", b"old")])
    assert merged([file("d", b"file")], [DIRECTORY], below=below) == [
        ("dir", "d"),
        ("opaque", "d"),
    ]


def test_opaque_directory_forgets_what_lower_layers_added() -> None:
    added = [DIRECTORY, file("d/a", b"a")]
    emptied = [DIRECTORY, opaque("d"), file("d/b", b"b")]
    assert merged(added, emptied) == [("dir", "d"), ("file", "d/b")]
    assert merged(added, emptied, below=view_of([DIRECTORY, file("d/x", b"x")])) == [
        ("dir", "d"),
        ("opaque", "d"),
        ("file", "d/b"),
    ]


def test_what_is_under_an_opaque_directory_needs_no_whiteout() -> None:
    below = view_of([DIRECTORY, file("d/x", b"x")])
    assert merged([DIRECTORY, opaque("d")], [DIRECTORY, gone("d/x")], below=below) == [
        ("dir", "d"),
        ("opaque", "d"),
    ]


def test_whiteout_behind_a_symbolic_link_of_the_base_hides_nothing() -> None:
    """The link is a file of the base: what a layer has at `l` takes its place."""
    below = view_of([DIRECTORY, file("d/x", b"x"), entry("l", "symlink", link="d")])
    layer = [entry("l", "dir", 0o755), gone("l/x")]
    assert merged(layer, below=below) == [("dir", "l")]


def test_directory_gets_the_attributes_of_the_last_layer() -> None:
    [(last, _)] = merge_layers([[DIRECTORY], [entry("d", "dir", 0o700, uid=7)]], NOTHING)
    assert (last.mode, last.uid) == (0o700, 7)


def test_hard_link_whose_first_name_is_gone_becomes_the_file() -> None:
    link = entry("b", "hardlink", link="a")
    third = entry("c", "hardlink", link="a")
    items = list(merge_layers([[file("a", b"data"), link, third], [gone("a")]], NOTHING))
    assert [(each.kind, each.path, each.link) for each, _ in items] == [
        ("file", "b", ""),
        ("hardlink", "c", "b"),
    ]
    assert items[0][1] == b"data"
    assert items[0][0].size == 4


def test_hard_link_that_was_written_over_is_a_file_of_its_own() -> None:
    link = entry("b", "hardlink", link="a")
    items = list(merge_layers([[file("a", b"old"), link], [file("a", b"new!")]], NOTHING))
    assert [(each.kind, content) for each, content in items] == [
        ("file", b"new!"),
        ("file", b"old"),
    ]


def test_hard_link_to_what_its_layer_does_not_have_is_refused() -> None:
    link = entry("b", "hardlink", link="a")
    with pytest.raises(CorruptLayer, match="b: no file a to link to"):
        list(merge_layers([[link]], NOTHING))
    with pytest.raises(CorruptLayer, match="b: no file a to link to"):
        list(merge_layers([[file("a", b"")], [link]], NOTHING))


def test_directories_of_any_depth_are_merged() -> None:
    deep = "/".join("d" * 3000)
    items: list[Item] = [entry(deep[: 2 * depth + 1], "dir", 0o755) for depth in range(3000)]
    assert len(list(merge_layers([items, [gone(deep)]], NOTHING))) == 2999


class Stack:
    """Layers made at random by what one does to files, each as overlayfs would have it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.layers: list[list[Item]] = []

    def add_layer(self) -> None:
        seen = view_of(*self.layers)
        made: dict[str, Entry] = {}
        opaques: set[str] = set()
        for _ in range(self.random.randrange(1, 12)):
            self.change(seen, made, opaques)
        items: list[Item] = []
        for path in sorted(made, key=sort_key):
            items.append((made[path], None))
            if path in opaques:
                items.append(opaque(path))
        self.layers.append(items)

    def change(self, seen: MergedView, made: dict[str, Entry], opaques: set[str]) -> None:
        def kind(path: str) -> str:
            if path in made:
                return made[path].kind
            parents = path.split("/")[:-1]
            above = ["/".join(parents[: depth + 1]) for depth in range(len(parents))]
            if any(each in opaques or made.get(each, DIRECTORY[0]).kind != "dir" for each in above):
                return ""
            found = seen.lookup(path)
            return found.kind if found is not None and found.path == path else ""

        def drop(path: str) -> None:
            for each in [each for each in made if each == path or each.startswith(path + "/")]:
                del made[each]
            opaques.difference_update(
                [each for each in opaques if (each + "/").startswith(path + "/")]
            )

        path = "/".join(self.random.choices("ab", k=self.random.randrange(1, 4)))
        parents = path.split("/")[:-1]
        for depth in range(len(parents)):
            above = "/".join(parents[: depth + 1])
            if kind(above) != "dir":
                return
            made.setdefault(above, Entry(above, "dir", 0o755, mtime_ns=0))
        before = kind(path)
        hidden = before == "whiteout" or (path in made and seen.lookup(path) is not None)
        action = self.random.choice(("file", "dir", "dir", "remove", "symlink"))
        if action == "remove":
            drop(path)
            if kind(path):
                made[path] = Entry(path, "whiteout", 0)
        elif action == "dir":
            if before == "dir":
                made.setdefault(path, Entry(path, "dir", 0o755))
                return
            drop(path)
            made[path] = Entry(path, "dir", self.random.choice((0o755, 0o700)))
            if hidden:
                opaques.add(path)
        else:
            drop(path)
            made[path] = Entry(path, action, 0o777, mtime_ns=self.random.randrange(9) * 10**9,
                               link="x" if action == "symlink" else "")  # fmt: skip


@pytest.mark.parametrize("seed", range(400))
def test_merged_layers_show_the_same_files_and_hide_no_more_than_they_must(seed: int) -> None:
    stack = Stack(seed)
    for _ in range(stack.random.randrange(2, 7)):
        stack.add_layer()
    base = stack.random.randrange(len(stack.layers))
    below = view_of(*stack.layers[:base])
    one = list(merge_layers(stack.layers[base:], below))
    write_layer(one, None)
    assert list(view_of(*stack.layers[:base], one).walk()) == list(view_of(*stack.layers).walk())
    for each, _ in one:
        if each.kind == "whiteout":
            assert below.lookup(each.path) is not None
        elif each.kind == "opaque":
            assert below.children(each.path)
