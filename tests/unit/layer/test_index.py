import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import CorruptLayer
from tierce.layer.entry import Entry, sort_key
from tierce.layer.index import LayerIndex

NAMES = st.text("ab.é\udcff-", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
ENTRIES = st.lists(
    st.builds(
        Entry,
        PATHS,
        st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "whiteout", "opaque"]),
        st.integers(0, 0o7777),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 63) - 1),
        st.integers(-(1 << 62), 1 << 62),
        st.sampled_from(["", "target", "\udcfe/é"]),
        st.sampled_from([(0, 0), (1, 3), (4095, (1 << 20) - 1)]),
        st.sampled_from([(), (("user.a", b""), ("user.\udcffb", b"\0x"))]),
        st.sampled_from([b"", b"\0" * 32, b"digest" * 5 + b"!!"]),
        st.sampled_from([-1, 512, 1 << 40]),
    ),
    unique_by=lambda entry: entry.path,
).map(lambda entries: sorted(entries, key=lambda entry: sort_key(entry.path)))


@given(ENTRIES)
def test_any_entries_come_back_from_bytes(entries: list[Entry]) -> None:
    index = LayerIndex.decode(LayerIndex.of(entries).encode())
    assert list(index) == entries
    assert [index.entry(row) for row in range(len(index))] == entries
    assert index.encode() == LayerIndex.of(entries).encode()
    assert index.kinds == {entry.kind for entry in entries}


@given(ENTRIES, PATHS)
def test_questions_about_a_path_are_answered_as_by_looking_at_all(
    entries: list[Entry], path: str
) -> None:
    index = LayerIndex.of(entries)
    assert [index.path(row) for row in index.rows(path)] == [
        entry.path for entry in entries if entry.path == path
    ]
    inside = [entry for entry in entries if entry.path.startswith(f"{path}/")]
    assert list(index.entries(index.inside(path))) == inside
    assert index.has_inside(path) is bool(inside)
    names = {entry.path.removeprefix(f"{path}/").split("/")[0] for entry in inside}
    assert index.names(path) == sorted(names)
    assert index.names("") == sorted({entry.path.split("/")[0] for entry in entries})


def test_an_opaque_mark_follows_its_directory() -> None:
    index = LayerIndex.of([Entry("a", "dir"), Entry("a", "opaque", 0), Entry("a/b", "file")])
    assert index.rows("a") == range(2)
    assert index.inside("a") == range(2, 3)
    assert index.names("a") == ["b"]
    found = index.get("a")
    assert found is not None
    assert found.kind == "dir"


def test_whiteouts_are_not_got() -> None:
    index = LayerIndex.of([Entry("a", "whiteout"), Entry("b", "opaque")])
    assert index.get("a") is None
    assert index.get("b") is None
    assert index.get("c") is None


def test_missing_parents_are_noticed() -> None:
    assert LayerIndex.of([Entry("a", "dir"), Entry("a/b", "file")]).has_all_parents
    assert not LayerIndex.of([Entry("a/b", "file")]).has_all_parents
    assert LayerIndex.of([Entry("", "dir"), Entry("a", "file")]).has_all_parents


def test_an_empty_index_is_an_index() -> None:
    index = LayerIndex.decode(LayerIndex.of([]).encode())
    assert len(index) == 0
    assert list(index) == []
    assert index.names("") == []
    assert not index.has_inside("")


def test_equal_entries_give_equal_bytes_and_few_of_them() -> None:
    entries = [
        Entry(f"dir/file{number:05}", "file", 0o644, size=number, digest=b"d" * 32, offset=512)
        for number in range(1000)
    ]
    encoded = LayerIndex.of(entries).encode()
    assert encoded == LayerIndex.of(list(entries)).encode()
    assert len(encoded) < 1000 * 60


def test_every_damage_to_the_bytes_is_noticed() -> None:
    entries = [Entry("a", "file", xattrs=(("user.x", b"y"),)), Entry("b", "symlink", link="a")]
    encoded = LayerIndex.of(entries).encode()
    for position in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[position] ^= 0x40
        with pytest.raises(CorruptLayer):
            LayerIndex.decode(bytes(damaged))
        with pytest.raises(CorruptLayer):
            LayerIndex.decode(encoded[:position])
    with pytest.raises(CorruptLayer):
        LayerIndex.decode(b"something else")
