"""--env-file and names, as docker reads them."""

import re
from pathlib import Path

import pytest

from tierce.containers import environment
from tierce.containers.names import random_name
from tierce.errors import UsageError


def test_env_file_is_read_by_dockers_rules(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes(
        b"\xef\xbb\xbf# comment\n\n  A=1\nB= spaced # kept \nC=\nD=a=b\r\nOURS\nABSENT\n"
    )
    assert environment.read_env_file(str(file), {"OURS": "mine"}) == [
        ("A", "1"),
        ("B", " spaced # kept "),
        ("C", ""),
        ("D", "a=b"),
        ("OURS", "mine"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A B=1\n", "variable 'A B' contains whitespaces"),
        (b"=1\n", "no variable name on line '=1'"),
        (b"A=\xff\n", "not utf-8"),
    ],
)
def test_env_file_with_a_mistake_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)):
        environment.read_env_file(str(file), {})


def test_later_variables_replace_earlier_ones_in_their_place() -> None:
    changes = [("B", "3"), ("C", "4"), ("A", None), ("C", None), ("D", "=")]
    assert environment.merge(["A=1", "B=2", "E"], changes) == ("B=3", "E=", "D==")


def test_random_names_have_dockers_form() -> None:
    assert all(re.fullmatch("[a-z]+_[a-z]+", random_name()) for _ in range(50))
