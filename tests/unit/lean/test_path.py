"""A lean path is a `pathlib.Path` to whoever has one in hand."""

import os
import pathlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.lean.path import Path as LeanPath

PARTS = st.text(alphabet="ab./", max_size=6)


@given(st.lists(PARTS, min_size=1, max_size=3))
def test_joining_gives_the_same_paths(parts: list[str]) -> None:
    expected, lean = pathlib.Path(parts[0]), LeanPath(parts[0])
    for part in parts[1:]:
        expected, lean = expected / part, lean / part
    assert str(lean) == os.fspath(lean) == f"{lean}" == str(expected)
    assert lean.name == expected.name
    assert str(lean.parent) == str(expected.parent)
    assert str(LeanPath(*parts)) == str(pathlib.Path(*parts))
    assert lean == expected
    assert expected == lean
    assert hash(lean) == hash(expected)
    assert {expected, lean} == {lean}
    assert repr(lean) == repr(expected)


@given(PARTS, PARTS)
def test_order_is_the_same(one: str, other: str) -> None:
    leans, paths = (LeanPath(one), LeanPath(other)), (pathlib.Path(one), pathlib.Path(other))
    assert (leans[0] < leans[1]) == (paths[0] < paths[1])
    assert (leans[0] > leans[1]) == (paths[0] > paths[1])
    assert (leans[0] == leans[1]) == (paths[0] == paths[1])


def test_what_it_has_not_itself_is_done_by_the_real_one(tmp_path: Path) -> None:
    lean = LeanPath(tmp_path)
    (lean / "file.txt").write_text("text")
    assert (lean / "file.txt").suffix == ".txt"
    assert [path.name for path in lean.iterdir()] == ["file.txt"]
    assert (lean / "file.txt").relative_to(lean) == pathlib.Path("file.txt")
    assert pathlib.Path("/a") / LeanPath("b") == pathlib.Path("/a/b")
    assert "/a" / LeanPath("b") == pathlib.Path("/a/b")
    with pytest.raises(AttributeError, match="nonsense"):
        lean.nonsense  # type: ignore[attr-defined]  # noqa: B018
    assert pickle.loads(pickle.dumps(lean)) == tmp_path


def test_files_are_made_read_and_removed(tmp_path: Path) -> None:
    lean = LeanPath(tmp_path)
    directory = lean / "directory"
    assert not directory.exists()
    assert not (directory / "file").exists()
    directory.mkdir(mode=0o700)
    directory.mkdir(exist_ok=True)
    assert directory.exists()
    assert directory.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        directory.mkdir()
    with pytest.raises(FileNotFoundError):
        (lean / "a/b").mkdir()
    (lean / "a/b").mkdir(parents=True)
    file = lean / "file"
    (tmp_path / "file").write_text("é", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == "é"
    assert not (file / "inside").exists()
    with pytest.raises(FileExistsError):
        file.mkdir(exist_ok=True)
    file.unlink()
    file.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        file.unlink()


def test_pathlib_is_not_loaded_for_what_is_only_handed_on() -> None:
    program = (
        "import os, sys\n"
        "from tierce.lean.path import Path\n"
        "path = Path('/proc') / 'self'\n"
        "assert os.path.exists(path) and path.exists() and f'{path}' == '/proc/self'\n"
        "assert path == Path('/proc/self') and path.parent.name == 'proc'\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"pathlib", "re"} & set(loaded.stdout.split())
