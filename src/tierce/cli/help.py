"""`--help`: the layout of docker's, from the table and the flags of a command."""

from __future__ import annotations

import os

from tierce.cli import table

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.cli.flags import Command, Flag

DEFAULT_WIDTH = 80
NARROWEST_COLUMN = 24
NARROWEST_NAMES = 11
SLOP = 5


def command_help(command: Command, width: int = 0) -> str:
    """The help of one command, wrapped to a terminal of that width (0: find out)."""
    parts = [f"Usage:  tierce {command.name} {command.usage}".rstrip(), command.short]
    if command.details:
        parts.append(command.details.strip("\n"))
    names = table.aliases(command.name)
    if names:
        parts.append(
            "Aliases:\n  " + ", ".join(f"tierce {name}" for name in [command.name, *names])
        )
    if any(not flag.hidden for flag in command.flags):
        parts.append("Options:\n" + flag_lines(command.flags, width or terminal_width()))
    return "\n\n".join(parts) + "\n"


def group_help(group: str) -> str:
    return "\n\n".join(
        [
            f"Usage:  tierce {group} COMMAND",
            table.GROUPS[group],
            "Commands:\n" + _columns(table.subcommands(group)),
            f"Run 'tierce {group} COMMAND --help' for more information on a command.\n",
        ]
    )


def root_help(flags: Sequence[Flag], width: int = 0) -> str:
    top = table.top_level()
    common = {name: top[name] for name in table.COMMON}
    others = {name: top[name] for name in sorted(top.keys() - common.keys() - table.GROUPS.keys())}
    padding = max(NARROWEST_NAMES, *map(len, top))
    return "\n\n".join(
        [
            "Usage:  tierce [OPTIONS] COMMAND",
            table.SUMMARY,
            "Common Commands:\n" + _columns(common, padding),
            "Management Commands:\n" + _columns(table.GROUPS, padding),
            "Commands:\n" + _columns(others, padding),
            "Global Options:\n" + flag_lines(flags, width or terminal_width()),
            "Run 'tierce COMMAND --help' for more information on a command.\n",
        ]
    )


def flag_lines(flags: Sequence[Flag], width: int) -> str:
    """One paragraph for each flag that is not hidden, in alphabetical order."""
    shown = sorted((flag for flag in flags if not flag.hidden), key=lambda flag: flag.name)
    left = {flag.name: _left(flag) for flag in shown}
    column = max(map(len, left.values())) + 3
    lines = []
    for flag in shown:
        text = wrapped(_right(flag), column, width - 1)
        lines.append(f"{left[flag.name]:<{column}}{text}".rstrip())
    return "\n".join(lines)


def wrapped(text: str, indent: int, width: int) -> str:
    """The text in the column that begins at `indent` (its first line is not indented).

    The last line may be a little longer rather than leave one short word alone.
    """
    room = width - indent
    margin = "\n" + " " * indent
    start = ""
    if room < NARROWEST_COLUMN:
        # Too narrow a column: the text goes on the line below the flag.
        indent, room = 16, width - 16
        margin = start = "\n" + " " * indent
    if room < NARROWEST_COLUMN:
        return text.replace("\n", margin)
    lines = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while len(rest) > room:
            cut = rest.rfind(" ", 0, room - SLOP)
            if cut <= 0:
                break
            lines.append(rest[:cut])
            rest = rest[cut + 1 :]
        lines.append(rest)
    return start + margin.join(lines)


def terminal_width() -> int:
    """Columns of the terminal that the help is printed on."""
    try:
        return os.get_terminal_size(1).columns or DEFAULT_WIDTH
    except OSError:
        return DEFAULT_WIDTH


def _left(flag: Flag) -> str:
    dashes = f"  -{flag.short}, --" if flag.short else "      --"
    shown = flag.shown or ("" if flag.kind == "bool" else flag.kind)
    implied = f'[="{flag.implied}"]' if flag.implied is not None else ""
    return f"{dashes}{flag.name} {shown}".rstrip() + implied


def _right(flag: Flag) -> str:
    if flag.default in (None, False, 0, "", ()):
        return flag.help
    default = flag.default
    if flag.kind == "bool":
        default = str(default).lower()
    elif flag.kind == "string":
        default = f'"{default}"'
    return f"{flag.help} (default {default})"


def _columns(rows: dict[str, str], padding: int = 0) -> str:
    padding = padding or max(NARROWEST_NAMES, *map(len, rows))
    return "\n".join(f"  {name:<{padding}} {short}" for name, short in rows.items())
