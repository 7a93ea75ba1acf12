"""The colours of the displays: BuildKit's, changed by NO_COLOR and BUILDKIT_COLORS."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

RESET = "\x1b[0m"
FAINT = "\x1b[2m"
NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


class Colours(Value):
    """The escape sequences that begin each colour, empty without colours."""

    run: str = ""
    cancel: str = ""
    error: str = ""
    warning: str = ""
    faint: str = ""
    problems: tuple[str, ...] = ()


def colours_of(environ: Mapping[str, str]) -> Colours:
    """What the environment asks for; `problems` tells what of it makes no sense."""
    if environ.get("NO_COLOR"):
        return Colours()
    codes = {name: f"\x1b[{30 + number}m" for number, name in enumerate(NAMES)}
    codes |= {f"light-{name}": f"\x1b[{90 + number}m" for number, name in enumerate(NAMES)}
    codes["default"] = "\x1b[39m"
    chosen = {"run": "blue", "cancel": "yellow", "warning": "yellow", "error": "red"}
    chosen = {key: codes[name] for key, name in chosen.items()}
    problems = []
    for entry in filter(None, environ.get("BUILDKIT_COLORS", "").split(":")):
        key, _, colour = entry.lower().partition("=")
        code = codes.get(colour) or _rgb(colour.strip('"'))
        if key not in chosen:
            problems.append(f"BUILDKIT_COLORS: unknown key {key}: run, cancel, error or warning")
        elif not code:
            problems.append(f"BUILDKIT_COLORS: {key}: {colour} is no colour, nor R,G,B up to 255")
        else:
            chosen[key] = code
    return Colours(**chosen, faint=FAINT, problems=tuple(problems))


def _rgb(text: str) -> str:
    """The sequence for `R,G,B`; terminals with 256 colours have six steps of each."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        return ""
    values = [int(part) for part in parts]
    if max(values) > 255:
        return ""
    red, green, blue = (value // 43 for value in values)
    return f"\x1b[38;5;{16 + 36 * red + 6 * green + blue}m"
