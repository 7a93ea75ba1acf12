"""The keys for leaving a terminal, however they arrive."""

import pytest

from tierce.containers.detaching import DetachKeys, parse_keys
from tierce.errors import UsageError


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("DEL,Z,5", b"\x7fZ5"),
    ],
)
def test_notation_is_dockers(text: str, typed: bytes) -> None:
    assert parse_keys(text) == typed


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-P", "ab", "a,,b", "ctrl-ab", "é"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid detach keys"):
        parse_keys(text)


@pytest.mark.parametrize(
    "pieces", [[b"ab\x10\x11cd"], [b"ab\x10", b"\x11cd"], [b"ab", b"\x10", b"\x11"]]
)
def test_keys_end_it_and_are_not_passed_on(pieces: list[bytes]) -> None:
    keys = DetachKeys()
    passed, detached = b"", False
    for piece in pieces:
        data, detached = keys.filter(piece)
        passed += data
    assert (passed, detached) == (b"ab", True)


def test_beginning_of_the_keys_is_held_back_until_something_else_comes() -> None:
    keys = DetachKeys("ctrl-p,ctrl-q")
    assert keys.filter(b"a\x10") == (b"a", False)
    assert keys.filter(b"b") == (b"\x10b", False)
    assert keys.filter(b"\x10\x10") == (b"\x10", False)
    assert keys.filter(b"\x11") == (b"", True)


def test_single_key_is_enough() -> None:
    assert DetachKeys("q").filter(b"pq") == (b"p", True)
