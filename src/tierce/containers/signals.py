"""Signals by the names that people give them."""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.lean import signal


def parse_signal(text: str) -> int:
    """The number of "TERM", "SIGTERM", "sigterm" or "15". Raises InvalidValue."""
    word = text.upper()
    if word.isascii() and word.isdigit() and 0 < int(word) < signal.NSIG:
        return int(word)
    name = word if word.startswith("SIG") else f"SIG{word}"
    first = {"SIGRTMIN": int(signal.SIGRTMIN), "SIGRTMAX": int(signal.SIGRTMAX)}
    for base, number in first.items():
        rest = name.removeprefix(base)
        if rest != name and rest.lstrip("+-").isdigit():
            number += int(rest)
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    found = None if name.startswith("SIG_") else getattr(signal, name, None)
    if found is None:
        raise InvalidValue(f"invalid signal: {text}", value=text)
    return int(found)
