"""A writable layer that somebody may be writing to, upon layers of each snapshotter."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.erofs import need_images
from support.layers import add_snapshot
from tierce.layer.changes import changed_items, live_changes
from tierce.layer.entry import Entry
from tierce.layer.writer import write_layer
from tierce.store import Store
from tierce.store.snapshots import Active, Snapshot, images

FILES = {
    "kept": b"kept",
    "etc/passwd": b"root",
    "etc/group": b"group",
    "gone/a": b"1",
    "gone/b": b"2",
    "new/old": b"old",
    "new/same": b"same",
}


@pytest.fixture(params=["overlay", "erofs", "copy"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    monkeypatch.setenv("TIERCE_SNAPSHOTTER", request.param)
    if request.param == "erofs":
        need_images(tmp_path)
        monkeypatch.setattr(images, "FEWEST_ENTRIES", 0)
    with Store.open(tmp_path / "store", tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def base(store: Store) -> Snapshot:
    return add_snapshot(store, None, FILES)


def write(store: Store, base: Snapshot, target: Path, script: str) -> Active:
    """A writable layer in which a script has run."""
    active = store.snapshots.prepare(base.id)
    target.mkdir()
    with store.snapshots.mounted(active, target):
        assert os.system(f"cd {target} && {script}") == 0
    return active


def told(store: Store, active: Active, hidden: tuple[str, ...] = ()) -> list[str]:
    with store.snapshots.live(active, hidden=hidden) as live:
        below = store.snapshots.view(active.parent)
        return [f"{change.kind} {change.path}" for change in live_changes(live, below)]


def test_changes_are_what_was_added_changed_and_deleted(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    script = (
        "echo more >> etc/passwd; rm -r gone; mkdir -p a/b; echo x > a/b/c; ln -s kept link; "
        "rm -r new; mkdir new; echo old2 > new/old; chmod 700 etc"
    )
    active = write(store, base, tmp_path / "m", script)
    assert told(store, active) == [
        "A a",
        "A a/b",
        "A a/b/c",
        "C etc",
        "C etc/passwd",
        "D gone",
        "A link",
        "C new",
        "C new/old",
        "D new/same",
    ]


def test_what_was_copied_up_and_is_the_same_is_no_change(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    script = "chmod 600 etc/group; chmod 644 etc/group; touch etc/t; rm etc/t; touch gone"
    active = write(store, base, tmp_path / "m", script)
    assert told(store, active) == []


def test_file_with_the_same_look_and_another_content_has_changed(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    script = "cp -p kept /tmp/$$; echo -n tpek > kept; touch -r /tmp/$$ kept; rm /tmp/$$"
    active = write(store, base, tmp_path / "m", script)
    assert told(store, active) == ["C kept"]


def test_directory_in_the_place_of_a_file_and_the_other_way_round(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    active = write(store, base, tmp_path / "m", "rm kept; mkdir kept; touch kept/in; "
                   "rm -r gone; touch gone")  # fmt: skip
    assert told(store, active) == ["C gone", "C kept", "A kept/in"]


def test_hidden_paths_are_not_there(store: Store, base: Snapshot, tmp_path: Path) -> None:
    active = write(store, base, tmp_path / "m", "mkdir place; touch etc/stub etc/own")
    assert told(store, active, hidden=("place", "etc/stub")) == ["C etc", "A etc/own"]


def test_changes_as_a_layer_give_the_same_files(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    script = (
        "rm -r gone new; mkdir new; echo x > new/f; ln new/f linked; rm kept; mkdir kept; "
        "mkfifo pipe; chmod 4711 etc/group; ln -s f new/l"
    )
    active = write(store, base, tmp_path / "m", script)
    with store.snapshots.live(active) as live:
        below = store.snapshots.view(active.parent)
        written = store.layers.write(changed_items(live, below))
        merged = store.snapshots.view(active.parent, upon=live)
        expected = {entry.path: entry for entry in merged.walk()}
    made = store.snapshots.add_layer(
        base.id, written.diff_id, size=written.size, tar_size=written.tar_size
    )
    found = {entry.path: entry for entry in store.snapshots.view(made.id).walk()}
    assert found.keys() == expected.keys()
    for path, entry in found.items():
        for name in ("kind", "mode", "uid", "gid", "size", "link"):
            assert getattr(entry, name) == getattr(expected[path], name), path


def test_entries_beneath_are_there_where_the_layers_have_none(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    active = write(store, base, tmp_path / "m", "true")
    beneath = [Entry("etc", "dir", 0o700), Entry("etc/hosts", "file"), Entry("kept", "dir", 0o700)]
    with store.snapshots.live(active) as live:
        tree = store.snapshots.view(active.parent, upon=live, beneath=beneath)
        assert [entry.path for entry in tree.children("etc")] == [
            "etc/group",
            "etc/hosts",
            "etc/passwd",
        ]
        found = tree.lookup("kept")
        assert found is not None
        assert found.kind == "file"


def test_link_in_the_place_of_a_directory_leads_nowhere(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    """As it would be in the middle of a walk: the path was a directory when it was listed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    active = write(store, base, tmp_path / "m", f"ln -s {tmp_path}/outside d; ln -s ../../.. up")
    with store.snapshots.live(active) as live:
        for path in ("d/secret", "up/outside/secret"):
            assert live.find(path) is None
            assert live.open(path) == -1
        assert live.names("d") == []


def test_file_that_shrinks_or_goes_while_it_is_read_does_no_harm(
    store: Store, base: Snapshot, tmp_path: Path
) -> None:
    active = write(store, base, tmp_path / "m", "echo 12345 > one; echo 12345 > two")
    upper = Path(store.snapshots.writable(active))
    tar = io.BytesIO()
    with store.snapshots.live(active) as live:
        items = changed_items(live, store.snapshots.view(active.parent))

        def spoiled() -> Iterator[object]:
            for entry, content in items:
                if entry.path == "one":
                    (upper / "one").write_text("12")
                    (upper / "two").unlink()
                yield entry, content

        write_layer(spoiled(), tar.write, hash_files=False)  # type: ignore[arg-type]
    tar.seek(0)
    with tarfile.open(fileobj=tar) as opened:
        assert opened.getnames() == ["one"]
        file = opened.extractfile("one")
        assert file is not None
        assert file.read() == b"12\0\0\0\0"
