"""The files that hold what a container wrote."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.containers.logfiles import LogFiles, LogLimits, LogMark
from tierce.containers.logs import STDERR, STDOUT, LogLine, LogOptions, parse_time, read_log
from tierce.containers.logwriter import LogWriter

UNBOUNDED = LogLimits()


def no_more() -> bool:
    return False


def lines_of(directory: Path, options: LogOptions | None = None) -> list[LogLine]:
    return list(read_log(LogFiles(str(directory)), options or LogOptions(), no_more))


def texts(directory: Path, options: LogOptions | None = None) -> list[bytes]:
    return [line.text for line in lines_of(directory, options)]


def followed(directory: Path, wait: Callable[[], bool]) -> list[bytes]:
    """The pieces of a followed log, those alone that are not empty."""
    lines = read_log(LogFiles(str(directory)), LogOptions(follow=True), wait)
    return [line.text for line in lines if line.text]


def test_what_was_written_comes_back_in_order(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), UNBOUNDED) as log:
        log.stdout(b"one\ntwo\npar")
        log.stderr(b"odd \xff\x00 bytes\n")
        log.stdout(b"t\n")
    found = [(line.stream, line.text) for line in lines_of(tmp_path)]
    assert found == [
        (STDOUT, b"one\n"),
        (STDOUT, b"two\n"),
        (STDOUT, b"par"),
        (STDERR, b"odd \xff\x00 bytes\n"),
        (STDOUT, b"t\n"),
    ]


def test_parts_belong_to_the_line_that_they_are_of(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), UNBOUNDED) as log:
        log.stdout(b"one\n")
        log.stdout(b"t")
        log.stdout(b"wo\n")
    assert texts(tmp_path, LogOptions(tail=1)) == [b"t", b"wo\n"]
    assert texts(tmp_path, LogOptions(tail=2)) == [b"one\n", b"t", b"wo\n"]
    assert texts(tmp_path, LogOptions(tail=0)) == []


def test_nothing_written_is_no_log(tmp_path: Path) -> None:
    assert texts(tmp_path) == []
    assert set(texts(tmp_path, LogOptions(follow=True))) == {b""}


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\0\0\0\n2026-01-01T00:00:00.0+00:00 stdout F fine\nTIME other F x\ncut of")
    assert texts(tmp_path) == [b"fine\n"]


def test_followed_log_is_read_to_what_came_before_the_end(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), UNBOUNDED) as log:
        log.stdout(b"first\n")
        answers = iter([True, False])

        def wait() -> bool:
            answer = next(answers)
            log.stdout(b"more\n" if answer else b"last\n")
            return answer

        found = followed(tmp_path, wait)
    assert found == [b"first\n", b"more\n", b"last\n"]


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


def test_bounded_log_keeps_the_newest_files_and_reads_over_all(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), LogLimits(200, 3)) as log:
        for number in range(100):
            log.stdout(b"line %d\n" % number)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert max((tmp_path / name).stat().st_size for name in os.listdir(tmp_path)) <= 260
    found = texts(tmp_path)
    assert found == [b"line %d\n" % number for number in range(100 - len(found), 100)]
    assert len(found) >= 9
    for count in range(len(found) + 1):
        assert texts(tmp_path, LogOptions(tail=count)) == found[len(found) - count :]


def test_log_of_one_file_begins_anew_when_it_is_full(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), LogLimits(120, 1)) as log:
        for number in range(10):
            log.stdout(b"line %d\n" % number)
    assert os.listdir(tmp_path) == ["log"]
    assert texts(tmp_path)[-1] == b"line 9\n"
    assert len(texts(tmp_path)) <= 3


def test_follower_reads_on_over_files_that_come_and_go(tmp_path: Path) -> None:
    lines = [b"line %d\n" % number for number in range(300)]
    ahead = iter(lines)
    with LogWriter(str(tmp_path), LogLimits(150, 4)) as log:

        def wait() -> bool:
            for _ in range(8):  # two to three files: fewer than there are
                line = next(ahead, None)
                if line is None:
                    return False
                log.stdout(line)
            return True

        assert followed(tmp_path, wait) == lines


def test_follower_misses_nothing_that_is_written_while_the_log_moves_on(tmp_path: Path) -> None:
    """As conmon: it writes on to the file that has lost its name, until it makes another one."""
    path = tmp_path / "log"
    head = b"2026-01-01T00:00:00.000000000+00:00 stdout F "
    with path.open("ab", buffering=0) as old:
        old.write(head + b"one\n")
        steps = iter(range(4))

        def wait() -> bool:
            step = next(steps)
            if step == 0:
                path.rename(tmp_path / "log.1")
            elif step == 1:
                old.write(head + b"two\n")
            elif step == 2:
                old.write(head + b"three\n")
                path.write_bytes(head + b"four\n")
            return step < 3

        assert followed(tmp_path, wait) == [b"one\n", b"two\n", b"three\n", b"four\n"]


def test_rotation_that_was_cut_short_is_made_good_by_the_next(tmp_path: Path) -> None:
    for name, text in (("log", "new"), ("log.2", "old"), ("log.3", "oldest")):
        (tmp_path / name).write_text(text)
    LogFiles(str(tmp_path)).move_on(LogLimits(1, 4))
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"log.1": "new", "log.2": "old", "log.3": "oldest"}


def test_unfinished_line_is_the_last_of_the_tail(tmp_path: Path) -> None:
    with LogWriter(str(tmp_path), UNBOUNDED) as log:
        log.stdout(b"one\ntwo\nprompt> ")
    assert texts(tmp_path, LogOptions(tail=1)) == [b"prompt> "]
    assert texts(tmp_path, LogOptions(tail=2)) == [b"two\n", b"prompt> "]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=12)), max_size=20))
def test_joined_lines_are_the_same_bytes_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bool, bytes]]
) -> None:
    directory = tmp_path_factory.mktemp("log")
    with LogWriter(str(directory), UNBOUNDED) as log:
        for error, text in pieces:
            (log.stderr if error else log.stdout)(text)

    def runs(options: LogOptions) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for line in lines_of(directory, options):
            if found and found[-1][0] == line.stream:
                found[-1] = (line.stream, found[-1][1] + line.text)
            else:
                found.append((line.stream, line.text))
        return found

    assert runs(LogOptions(joined=True)) == runs(LogOptions())
    stdout = b"".join(text for error, text in pieces if not error)
    assert b"".join(text for stream, text in runs(LogOptions()) if stream == STDOUT) == stdout


def test_times_are_shown_in_utc() -> None:
    assert LogLine(b"2026-01-01T01:00:00.000000005+01:00", 1, b"x").stamp == (
        b"2026-01-01T00:00:00.000000005Z"
    )
    assert LogLine(b"2026-01-01T01:00:00.5+00:00", 1, b"x").stamp == b"2026-01-01T01:00:00.5Z"


def test_follower_stops_where_another_run_has_begun(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path))
    with LogWriter(str(tmp_path), UNBOUNDED) as log:
        log.stdout(b"begun\n")

        def wait() -> bool:
            log.stdout(b"ended\n")
            ends.append(files.mark())
            log.stdout(b"begun again\n")
            return False

        ends: list[LogMark] = []
        lines = read_log(files, LogOptions(follow=True), wait, end=lambda: ends[0])
        assert [line.text for line in lines if line.text] == [b"begun\n", b"ended\n"]


@given(
    st.lists(st.tuples(st.booleans(), st.text("ab\n ", max_size=6)), max_size=20),
    st.booleans(),
    st.sampled_from([b"", b"tier=front "]),
)
def test_heads_of_joined_lines_are_those_of_single_ones(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[tuple[bool, str]],
    times: bool,
    prefix: bytes,
) -> None:
    directory = tmp_path_factory.mktemp("log")
    with LogWriter(str(directory), UNBOUNDED) as log:
        for error, text in pieces:
            (log.stderr if error else log.stdout)(text.encode())
    for stream in (STDOUT, STDERR):
        options = LogOptions(times=times, prefix=prefix)
        single, joined = (
            b"".join(line.text for line in lines_of(directory, each) if line.stream == stream)
            for each in (options, options.replace(joined=True))
        )
        assert joined == single
        written = "".join(text for error, text in pieces if error == (stream == STDERR)).encode()
        shown = single.splitlines(keepends=True)
        bare = [line[31:] if times else line for line in shown]
        assert b"".join(line.removeprefix(prefix) for line in bare) == written
        assert all(line.startswith(prefix) for line in bare)


STAMPED = b"2026-01-01T00:00:%02d.000000000%s stdout F %d\n"


@pytest.mark.parametrize("zone", [b"+00:00", b"+01:00"])
@pytest.mark.parametrize("joined", [False, True])
def test_bounds_are_kept_in_any_zone(tmp_path: Path, zone: bytes, joined: bool) -> None:
    (tmp_path / "log").write_bytes(b"".join(STAMPED % (n, zone, n) for n in range(10)))

    def found(since: int | None, until: int | None) -> bytes:
        first = parse_time(b"2026-01-01T00:00:00" + zone)
        bounds = [None if each is None else first + each * 10**9 for each in (since, until)]
        options = LogOptions(since=bounds[0], until=bounds[1], joined=joined)
        return b"".join(texts(tmp_path, options)).replace(b"\n", b"")

    assert found(None, None) == b"0123456789"
    assert found(3, None) == b"3456789"
    assert found(None, 3) == b"0123"
    assert found(3, 5) == b"345"
    assert found(20, None) == b""
    assert found(10**12, None) == b""
    assert found(None, 10**12) == b"0123456789"
