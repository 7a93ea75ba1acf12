"""Showing what containers wrote: each stream on ours of the same name."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tierce.cli.session import Session
    from tierce.client.containers import LogLine

_MUCH = 1 << 16


def print_logs(
    session: Session, lines: Iterable[LogLine], *, times: bool = False, details: str | None = None
) -> None:
    """Print what comes as soon as it comes; with its time (`times`) and `details` in front.

    Lines that are joined can have neither.
    """
    prefix = b"" if details is None else f"{details} ".encode()
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
        if not begun[stream]:
            text = prefix + text
            if times:
                text = line.stamp + b" " + text
        begun[stream] = not text.endswith(b"\n")
        waiting.append(text)
        size += len(text)
    flush()
