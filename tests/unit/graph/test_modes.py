"""--chmod by number and by letters."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.graph.modes import parse_mode


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("644", 0o755, 0o644),
        ("0644", 0o4755, 0o644),
        ("1777", 0o600, 0o1777),
        ("0", 0o755, 0),
        ("u+x", 0o644, 0o744),
        ("+x", 0o644, 0o755),
        ("a-w", 0o666, 0o444),
        ("go-rwx,u=rw", 0o755, 0o600),
        ("u=rwX,go=rX", 0o640, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("o=u", 0o640, 0o646),
        ("g=o-r", 0o755, 0o715),
        ("u=", 0o4755, 0o055),
        ("+t", 0o755, 0o1755),
        ("o+t", 0o755, 0o755),
        ("u+s,g+s", 0o755, 0o6755),
        ("o+s", 0o755, 0o755),
        ("-s", 0o6755, 0o755),
        ("=r", 0o777, 0o444),
        ("u+w+x", 0o400, 0o700),
        ("-X", 0o755, 0o644),
        ("g=u", 0o7755, 0o7775),
        ("u=go", 0o641, 0o141),
        ("u=wg", 0o641, 0o441),
        ("u=gw", 0o641, 0o241),
        ("g+uw", 0o501, 0o571),
        ("o-ux", 0o607, 0o600),
        ("+tx", 0o644, 0o1644),
        ("u=Xg", 0o741, 0o441),
    ],
)
def test_letters_change_what_is_there(text: str, before: int, after: int) -> None:
    changed = parse_mode(text).apply(before, is_directory=False)
    assert f"{changed:o}" == f"{after:o}"


def test_big_x_is_for_directories_and_what_is_executable() -> None:
    mode = parse_mode("a+X")
    assert mode.apply(0o644, is_directory=False) == 0o644
    assert mode.apply(0o744, is_directory=False) == 0o755
    assert mode.apply(0o600, is_directory=True) == 0o711


@pytest.mark.parametrize(
    "text", ["999", "17777", "8", "0o644", "u", "u+q", "z+x", "u+x,", "rw", ""]
)
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="invalid chmod parameter"):
        parse_mode(text)


WHO = st.text("ugoa", max_size=3)
# Without X: chmod asks it of the mode as changed so far, setmode(3) and BuildKit of the first one.
WHAT = st.one_of(st.text("rwx", max_size=3), st.sampled_from("ugo"))
ACTION = st.tuples(st.sampled_from("+-="), WHAT).map("".join)
CLAUSE = st.tuples(WHO, st.lists(ACTION, min_size=1, max_size=2).map("".join)).map("".join)


@settings(max_examples=30)
@given(st.lists(CLAUSE, min_size=1, max_size=3).map(",".join), st.integers(0, 0o777))
def test_chmod_of_this_machine_agrees(
    tmp_path_factory: pytest.TempPathFactory, text: str, before: int
) -> None:
    path = Path(tmp_path_factory.getbasetemp(), "chmod")
    path.touch()
    path.chmod(before)
    subprocess.run(["chmod", "--", text, path], check=True, umask=0)
    assert f"{parse_mode(text).apply(before, is_directory=False):o}" == (
        f"{path.stat().st_mode & 0o7777:o}"
    )
