"""The keys by which somebody leaves a container's terminal without ending what runs there."""

from __future__ import annotations

from tierce.errors import UsageError

DEFAULT_KEYS = "ctrl-p,ctrl-q"
DETACHED = "read escape sequence"
"""Docker's words for who left by the keys."""

_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
"""ctrl with one of these is the byte of its place."""


def parse_keys(text: str) -> bytes:
    """What a terminal sends for keys in docker's notation ("ctrl-p,ctrl-q", "a,DEL").

    Raises UsageError.
    """
    typed = b""
    for key in text.split(","):
        control = key.removeprefix("ctrl-")
        if len(key) == 1 and key.isascii():
            typed += key.encode()
        elif key == "DEL":
            typed += b"\x7f"
        elif control != key and len(control) == 1 and control in _CONTROL:
            typed += bytes([_CONTROL.index(control)])
        else:
            raise UsageError(
                f"invalid detach keys ({text}): unknown character: '{key}'",
                hint="write them as ctrl-p,ctrl-q",
            )
    return typed


class DetachKeys:
    """Looks for the keys in what is typed, however it is cut into pieces."""

    def __init__(self, keys: str = "") -> None:
        """`keys` is as for `parse_keys`, docker's own when empty. Raises UsageError."""
        self._typed = parse_keys(keys or DEFAULT_KEYS)
        self._held = 0

    def filter(self, data: bytes) -> tuple[bytes, bool]:
        """What of this is to be passed on, and whether the keys were typed.

        The beginning of them is held back, until it is known whether the rest follows.
        """
        passed = bytearray()
        for byte in data:
            if byte == self._typed[self._held]:
                self._held += 1
                if self._held == len(self._typed):
                    self._held = 0
                    return bytes(passed), True
                continue
            passed += self._typed[: self._held]
            self._held = 0
            if byte == self._typed[0]:
                self._held = 1
                if len(self._typed) == 1:
                    self._held = 0
                    return bytes(passed), True
            else:
                passed.append(byte)
        return bytes(passed), False
