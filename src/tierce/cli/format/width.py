"""How many columns a text takes on a terminal, and texts that take so many."""

from __future__ import annotations


def display_width(text: str) -> int:
    """Columns: two for wide (East Asian) characters, none for those that join the one before."""
    if text.isascii():
        return len(text)
    import unicodedata  # only where it is needed: it takes a megabyte

    width = 0
    for character in text:
        if not unicodedata.combining(character):
            width += 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
    return width


def cut(text: str, width: int) -> str:
    """As much of the beginning as fits in so many columns."""
    if text.isascii():
        return text[: max(width, 0)]
    used = 0
    for position, character in enumerate(text):
        used += display_width(character)
        if used > width:
            return text[:position]
    return text


def pad(text: str, width: int) -> str:
    """The text with spaces after it, so that it takes at least so many columns."""
    return text + " " * (width - display_width(text))


def shorten(text: str, width: int) -> str:
    """The text or, if it is wider than that, its beginning and an ellipsis, as docker cuts."""
    if display_width(text) <= width:
        return text
    return cut(text, width - 1) + "…"
