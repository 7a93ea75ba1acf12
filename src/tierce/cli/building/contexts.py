"""Contexts that are no directory of the caller's: standard input, and those with names."""

from __future__ import annotations

import io

from tierce.builder.remote import is_archive
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

_HEAD_BYTES = 1024


def from_stdin(stream: BinaryIO, dockerfile: str) -> tuple[bytes | None, BinaryIO | None]:
    """(Dockerfile, None) or (None, archive): what the context "-" is, by how it begins.

    Raises UsageError when there would be two Dockerfiles.
    """
    if dockerfile == "-":
        raise UsageError("invalid argument: can't use stdin for both build context and dockerfile")
    head = b""
    while len(head) < _HEAD_BYTES and (more := stream.read(_HEAD_BYTES - len(head))):
        head += more
    if is_archive(head):
        return None, io.BufferedReader(_Rejoined(head, stream))
    if dockerfile:
        raise UsageError(
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
            hint="leave --file out, or give a directory as the context",
        )
    return head + stream.read(), None


def named_contexts(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(name, value) of each "name=value". Raises UsageError."""
    found = []
    for value in values:
        if not value:
            continue
        name, separator, rest = value.partition("=")
        if not separator:
            raise UsageError(f"invalid context value: {value}, expected key=value")
        found.append((name, rest))
    return tuple(found)


class _Rejoined(io.RawIOBase):
    """A stream, with what was read of it before put back to its beginning."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)
