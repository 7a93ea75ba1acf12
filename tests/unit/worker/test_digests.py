"""What is remembered of files between builds, and when it is not trusted."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.worker.digests import TICK_NS, DigestCache, Stamp, now_racy_after

DIGEST = bytes(range(32))
OTHER = bytes(32)
STAMP: Stamp = (7, 100, 1_000_000_000, 2_000_000_000)
LATER = 3_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def saved(path: str, entries: dict[str, tuple[Stamp, bytes]]) -> None:
    cache = DigestCache(path)
    for name, (stamp, digest) in entries.items():
        cache.put(name, stamp, digest, LATER)
    cache.save()


def test_digest_survives_between_builds(path: str) -> None:
    saved(path, {"a/b": (STAMP, DIGEST)})
    assert DigestCache(path).get("a/b", STAMP) == DIGEST


def test_digest_is_known_at_once(path: str) -> None:
    cache = DigestCache(path)
    cache.put("a", STAMP, DIGEST, LATER)
    assert cache.get("a", STAMP) == DIGEST


@pytest.mark.parametrize("field", range(4))
def test_any_change_of_the_stamp_forgets(path: str, field: int) -> None:
    saved(path, {"a": (STAMP, DIGEST)})
    changed = list(STAMP)
    changed[field] += 1
    cache = DigestCache(path)
    assert cache.get("a", (changed[0], changed[1], changed[2], changed[3])) == b""
    cache.put("b", STAMP, DIGEST, LATER)
    assert cache.get("b", (changed[0], changed[1], changed[2], changed[3])) == b""


def test_other_paths_are_not_known(path: str) -> None:
    saved(path, {"a": (STAMP, DIGEST)})
    assert DigestCache(path).get("b", STAMP) == b""


def test_no_cache_file_knows_nothing(path: str) -> None:
    assert DigestCache(path).get("a", STAMP) == b""


@pytest.mark.parametrize("ctime", [LATER, LATER + 1])
def test_racy_file_is_remembered_for_this_build_only(path: str, ctime: int) -> None:
    """Whatever was changed within a tick of the look may change again under the same stamp."""
    cache = DigestCache(path)
    stamp = (1, 2, 3, ctime)
    cache.put("racy", stamp, DIGEST, LATER)
    cache.put("old", STAMP, OTHER, LATER)
    assert cache.get("racy", stamp) == DIGEST
    cache.save()
    later = DigestCache(path)
    assert later.get("racy", stamp) == b""
    assert later.get("old", STAMP) == OTHER


def test_racy_file_replaces_what_was_known_before(path: str) -> None:
    saved(path, {"a": (STAMP, DIGEST), "b": (STAMP, DIGEST)})
    cache = DigestCache(path)
    cache.put("a", (*STAMP[:3], LATER), OTHER, LATER)
    cache.put("c", STAMP, OTHER, LATER)
    cache.save()
    assert DigestCache(path).get("a", STAMP) == b""
    assert DigestCache(path).get("b", STAMP) == DIGEST


def test_modification_time_in_the_future_is_no_race(path: str) -> None:
    """Anybody may set it, and sets the ctime to now by that."""
    stamp = (1, 2, LATER + 1, LATER - 1)
    saved(path, {"a": (stamp, DIGEST)})
    assert DigestCache(path).get("a", stamp) == DIGEST


def test_racy_limit_leaves_out_the_last_tick() -> None:
    import time

    before = time.time_ns()
    assert before - TICK_NS <= now_racy_after() <= time.time_ns() - TICK_NS


def test_saving_keeps_what_was_not_looked_at(path: str) -> None:
    saved(path, {"a": (STAMP, DIGEST), "b": (STAMP, DIGEST)})
    saved(path, {"b": (STAMP, OTHER), "c": (STAMP, OTHER)})
    cache = DigestCache(path)
    assert [cache.get(name, STAMP) for name in "abc"] == [DIGEST, OTHER, OTHER]


def test_saving_drops_what_is_gone(path: str) -> None:
    saved(path, {"kept": (STAMP, DIGEST), "gone": (STAMP, DIGEST)})
    cache = DigestCache(path)
    cache.put("new", STAMP, DIGEST, LATER)
    cache.save(is_gone=lambda name: name == "gone")
    later = DigestCache(path)
    assert [bool(later.get(name, STAMP)) for name in ("kept", "gone", "new")] == [
        True, False, True,
    ]  # fmt: skip


def test_nothing_new_does_not_touch_the_file(path: str) -> None:
    saved(path, {"a": (STAMP, DIGEST)})
    before = Path(path).stat()
    cache = DigestCache(path)
    cache.get("a", STAMP)
    cache.save()
    after = Path(path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_saving_where_nothing_can_be_written_is_not_fatal(tmp_path: Path) -> None:
    saved(str(tmp_path / "no such directory/cache"), {"a": (STAMP, DIGEST)})


def test_failed_saving_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    target.mkdir()
    saved(str(target), {"a": (STAMP, DIGEST)})
    assert list(tmp_path.iterdir()) == [target]


def test_names_that_are_not_text_and_numbers_of_any_size(path: str) -> None:
    """Inode numbers of overlayfs use all 64 bits; times may be before 1970."""
    entries = {
        "caf\udce9": ((2**64 - 1, 2**40, -1, -(10**18)), DIGEST),
        "new\nline": ((0, 0, 0, 0), OTHER),
        "雪": (STAMP, DIGEST),
    }
    saved(path, entries)
    cache = DigestCache(path)
    for name, (stamp, digest) in entries.items():
        assert cache.get(name, stamp) == digest


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:-70] + bytes([data[-70] ^ 1]) + data[-69:],
        lambda data: b"something else\n" + data,
        lambda data: data.replace(b"2 3 ", b"x y ", 1),
        lambda data: data.replace(b"2 3 ", b"-2 3 ", 1),
        lambda data: data.replace(b"2 3 ", b"2 3 3 ", 1),
        lambda data: data.replace(b"tierce-digests-", b"tierce-digests-9"),
    ],
)
def test_damaged_cache_is_no_cache(path: str, damage: Damage) -> None:
    saved(path, {"a": (STAMP, DIGEST), "b": (STAMP, OTHER)})
    data = Path(path).read_bytes()
    assert damage(data) != data
    Path(path).write_bytes(damage(data))
    cache = DigestCache(path)
    assert cache.get("a", STAMP) == b""
    cache.put("a", STAMP, DIGEST, LATER)
    cache.save()
    assert DigestCache(path).get("a", STAMP) == DIGEST


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1).filter(
    lambda name: name == name.encode("utf-8", "surrogatepass").decode("utf-8", "ignore")
)
STAMPS = st.tuples(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


@given(st.dictionaries(NAMES, st.tuples(STAMPS, st.binary(min_size=32, max_size=32))))
def test_what_is_saved_is_read(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, tuple[Stamp, bytes]]
) -> None:
    path = str(tmp_path_factory.mktemp("digests") / "cache")
    cache = DigestCache(path)
    for name, (stamp, digest) in entries.items():
        cache.put(name, stamp, digest, 2**63)
    cache.save()
    later = DigestCache(path)
    for name, (stamp, digest) in entries.items():
        assert later.get(name, stamp) == digest


NAMES = st.sampled_from(["a", "b", "c", "d/e", "d/f", "\udcff"])
STAMPS = st.tuples(*[st.integers(0, 3)] * 4)
Known = dict[str, tuple[Stamp, bytes]]
KNOWN = st.dictionaries(NAMES, st.tuples(STAMPS, st.binary(min_size=32, max_size=32)))


@given(KNOWN, KNOWN, st.sets(NAMES), st.sets(NAMES))
def test_file_has_what_was_known_less_what_is_gone_and_what_is_too_fresh(
    old: Known, new: Known, gone: set[str], racy: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/cache"
        saved(path, old)
        cache = DigestCache(path)
        for name, (stamp, digest) in new.items():
            cache.put(name, stamp, digest, 0 if name in racy else LATER)
        cache.save(old.keys() - gone, gone.__contains__)
        kept = {name: known for name, known in old.items() if name not in gone | new.keys()}
        kept |= {name: known for name, known in new.items() if name not in racy}
        expected = kept if new.keys() - racy else old
        later = DigestCache(path)
        for name, (stamp, _) in [*old.items(), *new.items()]:
            known_stamp, digest = expected.get(name, (None, b""))
            assert later.get(name, stamp) == (digest if stamp == known_stamp else b"")
