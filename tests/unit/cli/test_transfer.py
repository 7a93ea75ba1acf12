import io
import re

import pytest

from tierce.cli.transfer import TransferLines


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")


def last_frame(text: str) -> list[str]:
    frame = re.split(r"\x1b\[\d+A", text)[-1]
    return frame.replace("\x1b[2K", "").splitlines()


def test_each_transfer_has_its_line_and_ends_full() -> None:
    stream = io.StringIO()
    with TransferLines(stream) as lines:
        lines.show("aaaaaaaaaaaa", "Loading layer", 500_000, 1_000_000)
        lines.show("bbbbbbbbbbbb", "Loading layer", 0, 0)
        lines.show("aaaaaaaaaaaa", "Loading layer", 1_000_000, 1_000_000)
    assert last_frame(stream.getvalue()) == [
        f"aaaaaaaaaaaa: Loading layer [{'=' * 50}>]      1MB/1MB",
        f"bbbbbbbbbbbb: Loading layer [{'=' * 50}>]       0B/0B",
    ]


def test_narrow_terminal_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    with TransferLines(stream) as lines:
        lines.show("aaaaaaaaaaaa", "Loading layer", 1, 2)
    assert "=" not in stream.getvalue()


def test_more_lines_than_the_terminal_has_stay_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "5")
    stream = io.StringIO()
    with TransferLines(stream) as lines:
        for number in range(20):
            lines.show(str(number), "Loading layer", 1, 1)
    assert len(last_frame(stream.getvalue())) == 4


def test_nothing_is_written_without_transfers() -> None:
    stream = io.StringIO()
    with TransferLines(stream):
        pass
    assert stream.getvalue() == ""
