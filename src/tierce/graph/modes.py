"""What --chmod says: "644", or the letters of chmod(1), "u=rwX,go-w", with an umask of 0."""

from __future__ import annotations

import re

from tierce.errors import InvalidValue
from tierce.values import Value

_ALL = 0o6777
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": _ALL}
_PERMISSIONS = {"r": 0o444, "w": 0o222, "x": 0o111}
_STICKY = 0o1000
_SET_ID = 0o6000
_EXECUTE = 0o111
_COPIES = {"u": 6, "g": 3, "o": 0}
_LIMIT = 0o7777
# Compiled when the first --chmod in letters needs them.
_CLAUSE = r"(?P<who>[ugoa]*)(?P<actions>(?:[-+=][rwxXstugo]*)+)"
_ACTION = r"([-+=])([rwxXstugo]*)"


class Mode(Value):
    """A change of permissions.

    `absolute` is the mode itself, or None; `actions` are else what is done one after the other:
    (letters for whom, operator, letters for what).
    """

    absolute: int | None
    actions: tuple[tuple[str, str, str], ...] = ()

    def apply(self, mode: int, *, is_directory: bool) -> int:
        """What becomes of a file's permission bits."""
        if self.absolute is not None:
            return self.absolute
        # X asks whether the file could be executed before anything changed.
        executable = is_directory or bool(mode & _EXECUTE)
        for who, operator, letters in self.actions:
            mode = _applied(mode, who, operator, letters, executable)
        return mode


def parse_mode(text: str) -> Mode:
    """Raises InvalidValue."""
    if text.isascii() and text[:1].isdigit():
        if text.strip("01234567") or len(text) > 11 or int(text, 8) > _LIMIT:
            raise InvalidValue(
                f"invalid chmod parameter: '{text}'."
                " it should be octal string and between 0 and 07777",
                value=text,
            )
        return Mode(int(text, 8))
    actions: list[tuple[str, str, str]] = []
    for clause in text.split(","):
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            raise InvalidValue(
                f"invalid chmod parameter: '{text}'",
                value=text,
                hint="it is an octal number, as 0644, or letters as chmod takes them, as u=rw,go=r",
            )
        actions += [(match["who"], *action) for action in re.findall(_ACTION, match["actions"])]
    return Mode(None, tuple(actions))


def _applied(mode: int, who: str, operator: str, letters: str, executable: bool) -> int:
    """What one clause does, with the ways of BuildKit's library where letters are combined."""
    affected = 0
    for letter in who:
        affected |= _WHO[letter]
    # The sticky bit is nobody's, and set-id no matter of others.
    of_owner_or_group = not who or bool(affected & ~_WHO["o"])
    bits = execute = 0
    is_set = operator != "="
    for letter in letters:
        if letter in _COPIES:
            # What came before takes effect first, and "=" not again.
            if bits:
                mode = _changed(mode, operator, affected, bits)
            mode |= execute & (affected or _ALL)
            mode = _copied(mode, letter, operator, affected)
            bits = execute = 0
            is_set = True
        elif letter == "X" and operator != "-":
            execute = _EXECUTE if executable else 0
        elif letter == "X":
            bits |= _EXECUTE
        elif letter == "t":
            affected |= _STICKY if of_owner_or_group else 0
            bits |= _STICKY if of_owner_or_group else 0
        elif letter == "s":
            bits |= _SET_ID if of_owner_or_group else 0
        else:
            bits |= _PERMISSIONS[letter]
    if bits or not is_set:
        mode = _changed(mode, operator, affected, bits)
    return mode | execute & (affected or _ALL)


def _changed(mode: int, operator: str, affected: int, bits: int) -> int:
    """Bits set or cleared for those who are affected (0: for all)."""
    if affected:
        bits &= affected
    if operator == "-":
        return mode & ~bits
    return (mode & ~(affected or _ALL) if operator == "=" else mode) | bits


def _copied(mode: int, source: str, operator: str, affected: int) -> int:
    """The permissions of one class for others; their set-id bits stay."""
    value = (mode >> _COPIES[source]) & 0o7
    for letter, shift in _COPIES.items():
        if affected and not affected & (_PERMISSIONS["r"] & _WHO[letter]):
            continue
        if operator != "+":
            mode &= ~((0o7 if operator == "=" else value) << shift)
        if operator != "-":
            mode |= value << shift
    return mode
