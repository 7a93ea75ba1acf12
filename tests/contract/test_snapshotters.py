"""What every snapshotter must do, run on each: the same file system, the same layers."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.erofs import need_images
from support.layers import MTIME_NS, add_snapshot, put_layer
from tierce.errors import LayerError, NotFound, StoreError
from tierce.layer.entry import Entry
from tierce.oci.config import chain_ids
from tierce.oci.digest import Digest
from tierce.store import Store
from tierce.store.snapshots import Active, Snapshot, images

EROFS = "erofs"
"""Layers that are tars are mounted, however small they are."""


@pytest.fixture(params=["overlay", EROFS, "copy"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a snapshotter, chosen for stores that are opened from now on."""
    monkeypatch.setenv("TIERCE_SNAPSHOTTER", request.param)
    if request.param == EROFS:
        need_images(tmp_path)
        monkeypatch.setattr(images, "FEWEST_ENTRIES", 0)
    return str(request.param)


@pytest.fixture
def store(backend: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", tmp_path / "run") as opened:
        assert opened.parts.snapshotter.name == ("copy" if backend == "copy" else "overlay")
        assert opened.parts.snapshotter.takes_images is (backend == EROFS)
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def run(store: Store, parent: Snapshot | None, target: Path, *commands: str) -> Snapshot:
    """A snapshot of what shell commands do in the mounted file system."""
    active = store.snapshots.prepare(None if parent is None else parent.id)
    with store.snapshots.mounted(active, target):
        for command in commands:
            assert os.system(f"cd {target} && {command}") == 0
    return store.snapshots.commit(active)


def tree(root: Path) -> dict[str, str]:
    """What is at each path: a file's content, or what else it is."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = Path(directory, name)
            relative = str(path.relative_to(root))
            if path.is_symlink():
                found[relative] = f"-> {os.readlink(path)}"
            elif path.is_dir():
                found[relative] = "/"
            elif path.is_file():
                found[relative] = path.read_text()
            else:
                found[relative] = stat.filemode(path.stat().st_mode)[0]
    return found


def seen(store: Store, snapshot: Snapshot, target: Path) -> dict[str, str]:
    with store.snapshots.mounted(snapshot.id, target, read_only=True):
        return tree(target)


def finished(store: Store, snapshot: Snapshot) -> Snapshot:
    store.snapshots.finish([snapshot.id])
    return store.snapshots.get(snapshot.id)


def tar(store: Store, diff_id: Digest | None) -> bytes:
    assert diff_id is not None
    with store.layers.open_tar(diff_id) as stream:
        return stream.read()


# Layers


def test_layers_are_seen_upon_each_other(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "d/c": b"3"})
    top = add_snapshot(store, base, {"a": b"new", "e": b"4"})
    assert seen(store, base, target) == {"a": "1", "d": "/", "d/b": "2", "d/c": "3"}
    assert seen(store, top, target) == {"a": "new", "d": "/", "d/b": "2", "d/c": "3", "e": "4"}


def test_whiteouts_and_opaque_directories_hide(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "d/c": b"3", "e/f": b"4"})
    top = add_snapshot(
        store,
        base,
        {
            "a": Entry("a", "whiteout"),
            "d": Entry("d", "dir", 0o755, mtime_ns=MTIME_NS),
            "d/b": Entry("d/b", "whiteout"),
            "e/g": b"5",
        },
    )
    assert seen(store, top, target) == {"d": "/", "d/c": "3", "e": "/", "e/f": "4", "e/g": "5"}


def test_nothing_is_unpacked_before_somebody_looks(
    store: Store, target: Path, backend: str
) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    top = add_snapshot(store, base, {"b": b"2"})
    assert not top.unpacked
    assert store.snapshots.view(top.id).lookup("a") is not None
    assert sorted(os.listdir(store.paths.snapshots)) == ["empty"]
    seen(store, top, target)
    assert store.snapshots.get(top.id).unpacked is (backend != EROFS)


def test_adding_the_same_layer_to_the_same_parent_is_the_same_snapshot(store: Store) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    assert add_snapshot(store, None, {"a": b"1"}) == base
    top = add_snapshot(store, base, {"a": b"1"})
    assert top.id != base.id
    assert (base.diff_id, base.parent, top.parent) == (top.diff_id, None, base.id)
    assert [base.chain_id, top.chain_id] == chain_ids([base.diff_id, top.diff_id])  # type: ignore[list-item]


def test_layers_of_an_image_are_one_snapshot_and_none_is_none(store: Store) -> None:
    one, two = (put_layer(store, {name: b"x"}).diff_id for name in ("one", "two"))
    assert store.snapshots.for_layers([]) is None
    top = store.snapshots.for_layers([one, two])
    assert top is not None
    assert [each.diff_id for each in store.snapshots.chain(top.id)] == [one, two]
    assert store.snapshots.for_layers([one, two]) == top
    base = store.snapshots.for_layers([one])
    assert base is not None
    assert base.id == top.parent
    with pytest.raises(NotFound, match="no such layer"):
        store.snapshots.for_layers([one, Digest.of(b"absent")])


# Writing


def test_writes_become_the_layer_of_the_new_snapshot(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "d/c": b"3"})
    top = run(
        store, base, target, "echo -n new > e", "rm a", "rm -r d", "mkdir d", "echo -n x > d/y"
    )
    assert seen(store, top, target) == {"d": "/", "d/y": "x", "e": "new"}
    assert seen(store, base, target) == {"a": "1", "d": "/", "d/b": "2", "d/c": "3"}
    assert (top.diff_id, top.chain_id, top.unpacked) == (None, None, True)


def test_snapshot_without_a_parent_begins_empty(store: Store, target: Path) -> None:
    first = run(store, None, target, 'test -z "$(ls -A)"', "echo -n 1 > a")
    assert seen(store, first, target) == {"a": "1"}


def test_diff_id_says_what_changed_and_comes_out_the_same_again(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "k/keep": b"3"})
    top = run(
        store,
        base,
        target,
        "rm a",
        "rm -r d",
        "echo -n content > new",
        "ln new also",
        "ln -s new link",
        "mkfifo -m 600 pipe",
        "mknod null c 1 3",
        "chmod 4755 new",
        "chown 12:34 k/keep",
        "touch -d @1600000000 . k k/keep new link pipe null",
    )
    top = finished(store, top)
    assert top.size == len("content") + len("3")
    again = tar(store, top.diff_id)
    assert Digest.of(again) == top.diff_id
    assert len(again) == top.tar_size
    assert tar(store, top.diff_id) == again
    assert top.diff_id is not None
    index = store.layers.index(top.diff_id)
    kinds = {entry.path: entry.kind for entry in index if entry.path}
    k = {"k": "dir", "k/keep": "file"}
    assert kinds == k | {
        "a": "whiteout",
        "also": "file",
        "d": "whiteout",
        "link": "symlink",
        "new": "hardlink",
        "null": "char",
        "pipe": "fifo",
    }


def test_all_backends_make_the_same_layer(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_images(tmp_path)
    monkeypatch.setattr(images, "FEWEST_ENTRIES", 0)
    diff_ids = set()
    for name in ("overlay", EROFS, "copy"):
        monkeypatch.setenv("TIERCE_SNAPSHOTTER", name)
        with Store.open(tmp_path / name, tmp_path / "run") as store:
            base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "d/c": b"3", "e/f": b"4"})
            top = run(
                store,
                base,
                target,
                "echo -n 2 > a",
                "rm d/b",
                "mkdir n",
                "echo -n 3 > n/x",
                "rm -r e",
                "touch -d @1600000000 a d n n/x .",
            )
            diff_ids.add(finished(store, top).diff_id)
    assert len(diff_ids) == 1


def test_changes_upon_mounted_layers_are_those_upon_unpacked_ones(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_images(tmp_path)
    monkeypatch.setattr(images, "FEWEST_ENTRIES", 0)
    xattrs = (("security.capability", b"\x01\0\0\x02\0\x20" + bytes(14)), ("user.a", b"1"))
    lower: dict[str, bytes | Entry] = {
        "a": b"1",
        "c": Entry("c", "file", 0o755, mtime_ns=MTIME_NS, xattrs=xattrs),
        "d": Entry("d", "dir", 0o1755, 1, 2, mtime_ns=MTIME_NS, xattrs=xattrs[1:]),
        "d/b": b"2",
        "d/c": b"3",
        "e/f": b"4",
        "hard": b"5",
        "hard2": Entry("hard2", "hardlink", link="hard", mtime_ns=MTIME_NS),
        "m/n/o": b"6",
        "p/q": b"7",
        "r": Entry("r", "symlink", 0o777, link="a", mtime_ns=MTIME_NS),
    }
    layers = []
    for name in ("overlay", EROFS):
        monkeypatch.setenv("TIERCE_SNAPSHOTTER", name)
        with Store.open(tmp_path / name, tmp_path / "run") as store:
            base = add_snapshot(store, None, lower)
            top = run(
                store,
                add_snapshot(store, base, {"d/late": b"8", "s/t": b"9"}),
                target,
                "echo -n 2 >> a",
                "rm d/b",
                "rm -r e",
                "chmod 700 c",
                "ln c also",
                "echo -n 5 >> hard2",
                "mv m moved",
                "rm -r p && mkdir p && echo -n new > p/q",
                "ln r linked",
                "mv s/t t",
                "chown -h 3:4 d r",
                "touch -h -d @1600000000 a c hard2 moved moved/n p p/q s t .",
            )
            top = finished(store, top)
            assert top.diff_id is not None
            layers.append(list(store.layers.index(top.diff_id)))
            assert store.snapshots.get(base.id).unpacked is (name != EROFS)
    assert layers[0] == layers[1]


def test_snapshot_that_another_backend_made_can_be_used(
    store: Store, target: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    middle = finished(store, run(store, base, target, "rm a", "echo -n 2 > b"))
    other = "copy" if backend == "overlay" else "overlay"
    monkeypatch.setenv("TIERCE_SNAPSHOTTER", other)
    with Store.open(store.paths.root, store.paths.run) as second:
        assert seen(second, middle, target) == {"b": "2"}
        top = run(second, middle, target, "echo -n 3 > c")
        assert seen(second, top, target) == {"b": "2", "c": "3"}
        again = tar(second, middle.diff_id)
        assert Digest.of(again) == middle.diff_id


def test_finishing_completes_what_stands_on_it(store: Store, target: Path) -> None:
    first = run(store, None, target, "echo 1 > a")
    second = run(store, first, target, "echo 2 > b")
    third = add_snapshot(store, second, {"c": b"3"})
    assert third.chain_id is None
    store.snapshots.finish([second.id])
    chain = store.snapshots.chain(third.id)
    diff_ids = [each.diff_id for each in chain if each.diff_id is not None]
    assert len(diff_ids) == 3
    assert [each.chain_id for each in chain] == chain_ids(diff_ids)
    assert store.snapshots.for_layers(diff_ids) == chain[-1]
    store.snapshots.finish([third.id])


def test_discarded_writes_are_gone(store: Store, target: Path) -> None:
    active = store.snapshots.prepare(None)
    with store.snapshots.mounted(active, target):
        (target / "file").write_text("")
    store.snapshots.discard(active)
    store.snapshots.discard(active)
    assert sorted(os.listdir(store.paths.snapshots)) == ["empty"]
    with pytest.raises(NotFound):
        store.snapshots.commit(active)
    with pytest.raises(NotFound):
        store.snapshots.mounts(active)


def test_committed_snapshot_cannot_be_written_to(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1"})
    with pytest.raises(StoreError, match="only an active one"):
        store.snapshots.mounts(snapshot.id)
    with store.snapshots.mounted(snapshot.id, target, read_only=True), pytest.raises(OSError):
        (target / "b").write_text("")


def test_active_snapshot_is_no_snapshot(store: Store) -> None:
    active = store.snapshots.prepare(None)
    with pytest.raises(NotFound):
        store.snapshots.get(active.id)
    with pytest.raises(NotFound):
        store.snapshots.chain(active.id)
    assert not store.snapshots.exists(active.id)
    assert store.snapshots.list() == []
    with pytest.raises(NotFound):
        store.snapshots.prepare(999)
    with pytest.raises(NotFound):
        store.snapshots.get_active(999)
    assert store.snapshots.get_active(active.id) == Active(active.id, None)


# Looking


def test_view_is_what_is_mounted(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {"a": b"1", "d/b": b"2", "d/c": b"3", "l": b"x"})
    middle = run(store, base, target, "rm a", "rm -r d", "mkdir d", "echo -n 4 > d/e", "ln l m")
    top = add_snapshot(store, middle, {"f": b"5", "d/e": b"6"})
    mounted = seen(store, top, target)
    view = store.snapshots.view(top.id)
    assert {entry.path for entry in view.walk()} == set(mounted)
    entry = view.lookup("d/e")
    assert entry is not None
    where = view.content(entry)
    assert Path(where.path).read_bytes()[where.offset :][: where.size] == b"6"
    assert list(store.snapshots.view(None).walk()) == []
    with pytest.raises(NotFound):
        store.snapshots.view(999)


def test_directories_exist_and_hold_the_layers(store: Store, backend: str) -> None:
    base = add_snapshot(store, None, {"a": b"1"})
    top = add_snapshot(store, base, {"b": b"2"})
    directories = store.snapshots.directories(top.id)
    for path in (directories.merged, directories.upper, directories.work, *directories.lower):
        assert path.is_dir()
    below = [tree(path) for path in directories.lower]
    if backend == "copy":
        assert (tree(directories.upper), below) == ({"a": "1", "b": "2"}, [])
    else:
        assert (tree(directories.upper), below) == ({"b": "2"}, [{"a": "1"}])


def test_127_layers_can_be_mounted_and_written_upon(store: Store, target: Path) -> None:
    snapshot: Snapshot | None = None
    for number in range(127):
        snapshot = add_snapshot(store, snapshot, {f"file{number}": b"%d" % number})
    assert snapshot is not None
    assert len(seen(store, snapshot, target)) == 127
    top = run(store, snapshot, target, "echo -n x > file0")
    assert seen(store, top, target)["file0"] == "x"


def test_root_of_the_file_system_keeps_its_attributes(store: Store, target: Path) -> None:
    root = Entry("", "dir", 0o1750, 5, 6, mtime_ns=MTIME_NS)
    base = add_snapshot(store, None, {"": root, "a": b"1"})
    active = store.snapshots.prepare(base.id)
    with store.snapshots.mounted(active, target):
        status = target.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o1750, 5, 6)


# At the same time


def test_layer_is_unpacked_once_however_many_need_it(store: Store, target: Path) -> None:
    base = add_snapshot(store, None, {f"d/{number}": b"x" for number in range(200)})
    top = add_snapshot(store, base, {"a": b"1"})
    barrier = threading.Barrier(6)
    actives: list[Active] = []

    def prepare() -> None:
        barrier.wait()
        with Store.open(store.paths.root, store.paths.run) as own:
            active = own.snapshots.prepare(top.id)
            actives.append(active)
            own.containers.add(
                f"{active.id}", f"{active.id}", image="", snapshot=active.id, state=""
            )

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({active.id for active in actives}) == 6
    numbers = {str(base.id), str(top.id)} | {str(active.id) for active in actives}
    kept = numbers if store.parts.snapshotter.name == "overlay" else numbers - {str(base.id)}
    assert set(os.listdir(store.paths.snapshots)) == kept | {"empty"}
    assert os.listdir(store.paths.trash) == []


def test_half_unpacked_layer_of_a_killed_process_is_done_again(store: Store, target: Path) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1", "b": b"2"})
    half = store.paths.snapshot(snapshot.id)
    (half / "fs").mkdir(parents=True)
    (half / "fs" / "a").write_text("hal")
    assert seen(store, snapshot, target) == {"a": "1", "b": "2"}


def test_layer_that_is_no_tar_is_not_unpacked(store: Store) -> None:
    snapshot = add_snapshot(store, None, {"a": b"1" * 5000})
    assert snapshot.diff_id is not None
    path = store.paths.blob(snapshot.diff_id)
    path.write_bytes(os.urandom(path.stat().st_size))
    store.paths.index(snapshot.diff_id).unlink()
    before = os.listdir(store.paths.snapshots)
    active = None
    with Store.open(store.paths.root, store.paths.run) as second:
        with pytest.raises(LayerError):
            active = second.snapshots.prepare(snapshot.id)
        assert active is None
        assert os.listdir(store.paths.snapshots) == before
