"""The file that holds what a container wrote."""

from pathlib import Path

import pytest

from tierce.containers.logs import STDERR, STDOUT, LogOptions, LogWriter, parse_time, read_log


def no_more() -> bool:
    return False


def texts(path: Path, options: LogOptions | None = None) -> list[bytes]:
    return [line.text for line in read_log(str(path), options or LogOptions(), no_more)]


def test_what_was_written_comes_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(str(path)) as log:
        log.stdout(b"one\ntwo\npar")
        log.stderr(b"odd \xff\x00 bytes\n")
        log.stdout(b"t\n")
    found = [(line.stream, line.text) for line in read_log(str(path), LogOptions(), no_more)]
    assert found == [
        (STDOUT, b"one\n"),
        (STDOUT, b"two\n"),
        (STDOUT, b"par"),
        (STDERR, b"odd \xff\x00 bytes\n"),
        (STDOUT, b"t\n"),
    ]


def test_parts_belong_to_the_line_that_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(str(path)) as log:
        log.stdout(b"one\n")
        log.stdout(b"t")
        log.stdout(b"wo\n")
    assert texts(path, LogOptions(tail=1)) == [b"t", b"wo\n"]
    assert texts(path, LogOptions(tail=2)) == [b"one\n", b"t", b"wo\n"]
    assert texts(path, LogOptions(tail=0)) == []


def test_nothing_written_is_no_log(tmp_path: Path) -> None:
    assert texts(tmp_path / "log") == []
    assert texts(tmp_path / "log", LogOptions(follow=True)) == []


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\0\0\0\n2026-01-01T00:00:00.0+00:00 stdout F fine\nTIME other F x\ncut of")
    assert texts(path) == [b"fine\n"]


def test_followed_log_is_read_to_what_came_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(str(path)) as log:
        log.stdout(b"first\n")
        answers = iter([True, False])

        def wait() -> bool:
            answer = next(answers)
            log.stdout(b"more\n" if answer else b"last\n")
            return answer

        found = [line.text for line in read_log(str(path), LogOptions(follow=True), wait)]
    assert [text for text in found if text] == [b"first\n", b"more\n", b"last\n"]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"1970-01-01T00:00:01.000000002+00:00", 1_000_000_002),
        (b"1970-01-01T01:00:00.5+01:00", 500_000_000),
        (b"1969-12-31T23:00:00-01:00", 0),
        (b"1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_exact(text: bytes, nanoseconds: int) -> None:
    assert parse_time(text) == nanoseconds
