"""Showing what containers wrote: each stream on ours of the same name."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.cli.session import Session
    from tierce.client.containers import LogLine

_MUCH = 1 << 16


def print_logs(session: Session, lines: Iterable[LogLine]) -> None:
    """Print what comes as soon as it comes."""
    session.stdout.flush()
    waiting: list[bytes] = []
    size, stream = 0, 1

    def flush() -> None:
        nonlocal size
        data = b"".join(waiting)
        waiting.clear()
        size = 0
        while data:
            data = data[os.write(stream, data) :]

    for line in lines:
        if waiting and (line.stream != stream or size > _MUCH or not line.text):
            flush()
        if line.text:
            stream = line.stream
            waiting.append(line.text)
            size += len(line.text)
    flush()
