"""What a mount is made on leaves no trace, and cannot be used to reach out of the root."""

import os
from pathlib import Path

import pytest

from tierce.runtime import stubs
from tierce.runtime.bundle import TmpfsMount
from tierce.runtime.stubs import Stub
from unit.runtime.conftest import Steps

DEEP = TmpfsMount("/usr/local/bin/deep/mount")


def test_parents_of_a_deep_stub_are_not_in_the_layer(steps: Steps) -> None:
    steps.shell("touch /usr/local/bin/deep/mount/x", binds=[DEEP])
    assert not (steps.upper / "usr").exists()


def test_parents_of_a_deep_stub_that_a_step_changed_are_in_the_layer(
    steps: Steps, busybox: Path
) -> None:
    steps.shell("chmod 700 /usr/local; echo > /usr/new", binds=[DEEP])
    assert sorted(os.listdir(steps.upper / "usr")) == ["local", "new"]
    assert os.listdir(steps.upper / "usr/local") == []
    assert (steps.upper / "usr/local").stat().st_mode & 0o777 == 0o700
    # It was brought there, and emptied again, without getting another time.
    lower = (busybox / "usr/local").stat()
    assert (steps.upper / "usr/local").stat().st_mtime_ns == lower.st_mtime_ns


def test_directory_made_anew_with_the_same_look_stays(steps: Steps) -> None:
    steps.shell(
        "cp -a /usr/local /tmp/copy; rmdir /tmp/copy/bin/deep/mount /tmp/copy/bin/deep;"
        " mv /usr/local /gone; cp -a /tmp/copy /usr/local;"
        " touch -r /gone/bin /usr/local/bin; touch -r /gone /usr/local",
        binds=[DEEP],
    )
    assert (steps.upper / "usr/local/bin").is_dir()


@pytest.mark.parametrize("directory", [True, False])
def test_link_at_the_place_of_a_parent_does_not_lead_the_removal_out_of_the_root(
    steps: Steps, tmp_path: Path, directory: bool
) -> None:
    outside = tmp_path / "outside"
    (outside / "inner/stub").mkdir(parents=True) if directory else (outside / "inner").mkdir(
        parents=True
    )
    if not directory:
        (outside / "inner/stub").touch()
    before = (outside / "inner").stat().st_mtime_ns
    steps.shell(
        f"mv /a /moved; ln -s {outside} /a",
        binds=[TmpfsMount("/a/inner/stub")],
    )
    assert (outside / "inner/stub").exists()
    assert (outside / "inner").stat().st_mtime_ns == before


def test_link_in_the_upper_layer_does_not_lead_the_removal_out_of_it(
    steps: Steps, tmp_path: Path, busybox: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    lower = (busybox / "usr/local/bin").stat()
    os.utime(outside / "bin", ns=(lower.st_atime_ns, lower.st_mtime_ns))
    (outside / "bin").chmod(lower.st_mode & 0o7777)
    steps.shell(f"mv /usr/local /moved 2>/dev/null || rm -r /usr/local; ln -s {outside} /usr/local",
                binds=[TmpfsMount("/usr/local/bin/stub")])  # fmt: skip
    assert (outside / "bin").is_dir()


def test_mode_of_what_a_tmpfs_hides_is_its_own(steps: Steps) -> None:
    (steps.upper / "hidden").mkdir(mode=0o710)
    script = "stat -c '%a %u' /hidden /new; grep -c ' /hidden tmpfs rw,nosuid' /proc/mounts"
    mounts = [TmpfsMount("/hidden", 1 << 20), TmpfsMount("/new")]
    assert steps.shell(script, binds=mounts) == "710 0\n1777 0\n1\n"


class Written:
    """Stubs in a writable layer, written down as for a container in the background."""

    def __init__(self, upper: Path, record: Path) -> None:
        self.upper = upper
        self.record = record

    def note(self, *made: Stub) -> None:
        stubs.write(str(self.record), made, {})

    @property
    def hidden(self) -> tuple[set[str], set[str]]:
        return stubs.hidden_in(str(self.upper), stubs.read(str(self.record)))

    def remove(self) -> None:
        stubs.remove_written(str(self.upper), str(self.record))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    (tmp_path / "upper").mkdir()
    return Written(tmp_path / "upper", tmp_path / "record")


def stub(path: str, *, directory: bool = True, whiteout: bool = False) -> Stub:
    return Stub(path, directory, 1, 2, 3, whiteout)


def test_written_stubs_are_hidden_and_removed(written: Written) -> None:
    (written.upper / "a/b").mkdir(parents=True)
    (written.upper / "a/file").touch()
    written.note(stub("a"), stub("a/b"), stub("a/file", directory=False))
    assert written.hidden == ({"a", "a/b", "a/file"}, set())
    written.remove()
    assert list(written.upper.iterdir()) == []
    assert not written.record.exists()
    written.remove()


def test_written_stub_that_is_none_any_more_stays(written: Written) -> None:
    (written.upper / "a/own").mkdir(parents=True)
    (written.upper / "file").write_text("content")
    (written.upper / "link").symlink_to("a")
    written.note(stub("a"), stub("file", directory=False), stub("link"), stub("gone"))
    assert written.hidden == (set(), set())
    written.remove()
    assert sorted(path.name for path in written.upper.iterdir()) == ["a", "file", "link"]


def test_whiteout_that_a_stub_replaced_comes_back(written: Written) -> None:
    (written.upper / "was").mkdir()
    written.note(stub("was", whiteout=True))
    assert written.hidden == (set(), {"was"})
    written.remove()
    assert stubs.is_whiteout(str(written.upper / "was"))


def test_link_among_the_parents_does_not_lead_the_removal_of_written_stubs_outside(
    written: Written, tmp_path: Path
) -> None:
    (tmp_path / "outside/stub").mkdir(parents=True)
    (written.upper / "a").symlink_to(tmp_path / "outside")
    written.note(stub("a/stub"))
    assert written.hidden == (set(), set())
    written.remove()
    assert (tmp_path / "outside/stub").is_dir()


def test_record_that_was_cut_short_says_nothing(written: Written) -> None:
    written.record.write_text('{"stubs": [["a", tr')
    assert written.hidden == (set(), set())
    written.remove()
