"""Showing what containers wrote: each stream on ours of the same name."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.cli.session import Session
    from tierce.client.containers import LogLine

_MUCH = 1 << 16


def print_logs(session: Session, lines: Iterable[LogLine], *, times: bool = False) -> None:
    """Print what comes as soon as it comes; with `times`, each line with its time in front."""
    session.stdout.flush()
    begun = {1: False, 2: False}
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
        if not line.text:
            continue
        stream = line.stream
        text = line.text
        if times and not begun[stream]:
            text = line.time.replace(b"+00:00", b"Z") + b" " + text
        begun[stream] = not text.endswith(b"\n")
        waiting.append(text)
        size += len(text)
    flush()
