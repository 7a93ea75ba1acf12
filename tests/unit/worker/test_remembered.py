"""What is remembered of a directory of the caller, and what happens to the files it is in."""

import os
from pathlib import Path

import pytest

from tierce.oci.digest import Digest
from tierce.worker.remembered import RememberedLayers, RememberedSelections

X, Y, Z = (letter * 64 for letter in "abc")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "selections")


def test_selection_is_remembered_with_its_stamp(path: str) -> None:
    remembered = RememberedSelections(path)
    remembered.put(X, Y, Z)
    remembered.save()
    later = RememberedSelections(path)
    assert later.get(X, Y) == Z
    assert later.get(X, Z) == ""
    assert later.get(Y, Y) == ""
    assert later.get(X, "") == ""


def test_without_a_stamp_nothing_is_remembered(path: str) -> None:
    remembered = RememberedSelections(path)
    remembered.put(X, "", Z)
    remembered.save()
    assert not Path(path).exists()
    assert remembered.get(X, "") == ""


def test_newest_selections_are_kept(path: str) -> None:
    remembered = RememberedSelections(path)
    names = [f"{number:064x}" for number in range(100)]
    for name in names:
        remembered.put(name, Y, Z)
    remembered.put(names[0], X, Z)
    remembered.save()
    later = RememberedSelections(path)
    kept = [name for name in names if later.get(name, Y) or later.get(name, X)]
    assert kept == [names[0], *names[37:]]


def test_nothing_new_writes_nothing(path: str) -> None:
    remembered = RememberedSelections(path)
    remembered.put(X, Y, Z)
    remembered.save()
    before = os.stat(path)
    later = RememberedSelections(path)
    later.put(X, Y, Z)
    later.save()
    assert os.stat(path).st_ino == before.st_ino


def test_damaged_file_is_no_file(path: str) -> None:
    Path(path).write_bytes(f"{X} {Y} {Z}\n{X[:9]} torn\n\n{Y} {Y} {Z}".encode())
    remembered = RememberedSelections(path)
    assert remembered.get(X, Y) == remembered.get(Y, Y) == Z
    Path(path).write_bytes(b"\xff\xfe\0")
    assert RememberedSelections(path).get(X, Y) == ""


def test_saving_where_nothing_can_be_written_is_not_fatal(tmp_path: Path) -> None:
    remembered = RememberedSelections(str(tmp_path / "absent/selections"))
    remembered.put(X, Y, Z)
    remembered.save()


def test_layer_is_remembered_by_name(path: str) -> None:
    remembered = RememberedLayers(path)
    remembered.put(X, Digest.of(b"first"))
    remembered.put(X, Digest.of(b"second"))
    remembered.save()
    later = RememberedLayers(path)
    assert later.get(X) == Digest.of(b"second")
    assert later.get(Y) is None


def test_what_is_no_digest_of_a_layer_is_not_remembered(path: str) -> None:
    Path(path).write_text(f"{X} {'?' * 64}\n{Y} {Z}\n")
    remembered = RememberedLayers(path)
    assert remembered.get(X) is None
    assert remembered.get(Y) == Digest("sha256", Z)
