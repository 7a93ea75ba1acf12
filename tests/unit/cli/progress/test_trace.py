"""What is kept of the output of running steps."""

from tierce.cli.progress.trace import LARGEST_LOG, Log


def test_line_without_an_end_is_not_kept_whole() -> None:
    log = Log()
    for _ in range(200):
        log.add(1, b"x" * 65536, 0.1)
    log.add(1, b"end", 0.1)
    assert len(log.lines) == 1
    assert len(log.lines[0]) <= LARGEST_LOG
    assert log.lines[0].endswith("xend")
    assert log.is_open


def test_old_lines_go_and_are_counted() -> None:
    log = Log()
    for number in range(200_000):
        log.add(1, b"line %d\n" % number, 0.1)
    assert log.lines[-1] == "0.100 line 199999"
    assert log.clipped + len(log.lines) == 200_000
    assert sum(map(len, log.lines)) <= LARGEST_LOG
