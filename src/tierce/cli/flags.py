"""The flags of a command and their grammar, which is pflag's because Docker's is.

A long flag takes its value as `--flag=value` or `--flag value`, a short one as `-f value`,
`-fvalue` or `-f=value`; short flags that need no value may be bundled (`-it`). A boolean flag
takes a value only behind `=`. `--` ends the flags. Flags and arguments may be mixed, unless the
command says otherwise (`container run`: what follows the image belongs to the process).
"""

from __future__ import annotations

from tierce.errors import UsageError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
BINARY_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE_LIMIT = 1 << 63

FORMAT_HELP = """\
Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template."""
INSPECT_FORMAT_HELP = """\
Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template."""


class Flag(Value):
    """One flag of a command.

    `kind` is what its value is:

    - "bool": the flag alone says true
    - "string", "int", "float"; when given twice, the last one counts
    - "bytes": an int, given as `96m` with binary units
    - "list": strings, one each time the flag is given
    - "map": pairs, `KEY=VALUE` or, where VALUE is to be taken from elsewhere, `KEY` and None

    `shown` is the name of its type in the help, if not that of the kind. `implied` is the value
    of the flag when it is given without one; such a flag takes a value only behind `=`.
    """

    name: str
    short: str = ""
    kind: str = "bool"
    help: str = ""
    default: object = None
    shown: str = ""
    implied: str | None = None
    hidden: bool = False

    @property
    def spelled(self) -> str:
        """The flag as error messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    @property
    def needs_value(self) -> bool:
        return self.kind != "bool" and self.implied is None


class Command(Value):
    """What a command is called with.

    `name` is its path ("image ls"), `usage` what follows it in the usage line, `short` one line
    on what it does, `details` more paragraphs of help. It takes `minimum` to `maximum` arguments
    (None: any number). `usage_status` is the exit status of a command that is called wrongly.
    """

    name: str
    usage: str
    short: str
    flags: tuple[Flag, ...] = ()
    minimum: int = 0
    maximum: int | None = 0
    interspersed: bool = True
    usage_status: int = 2
    details: str = ""


class Parsed:
    """A command's flags and arguments; a flag that was not given has its default.

    The accessors are named by what they return, and know only flags that the command declares.
    """

    def __init__(
        self,
        command: Command,
        arguments: list[str],
        given: dict[str, object],
        *,
        wants_help: bool = False,
    ) -> None:
        self.command = command
        self.arguments = arguments
        self.wants_help = wants_help
        self._given = given
        self._flags = {flag.name: flag for flag in command.flags}

    def given(self, name: str) -> bool:
        """Whether the flag is on the command line, whatever its value."""
        return name in self._given

    def flag(self, name: str) -> bool:
        return bool(self._value(name, "bool", False))

    def text(self, name: str) -> str:
        return str(self._value(name, "string", ""))

    def integer(self, name: str) -> int:
        value = self._value(name, "int bytes", 0)
        assert isinstance(value, int)
        return value

    def number(self, name: str) -> float:
        value = self._value(name, "float", 0.0)
        assert isinstance(value, int | float)
        return value

    def texts(self, name: str) -> list[str]:
        value = self._value(name, "list", [])
        assert isinstance(value, list | tuple)
        return list(value)

    def pairs(self, name: str) -> list[tuple[str, str | None]]:
        value = self._value(name, "map", [])
        assert isinstance(value, list | tuple)
        return list(value)

    def _value(self, name: str, kinds: str, zero: object) -> object:
        flag = self._flags[name]
        assert flag.kind in kinds.split(), f"{flag.spelled} is a {flag.kind}"
        if name in self._given:
            return self._given[name]
        return zero if flag.default is None else flag.default


def parse(command: Command, words: Sequence[str]) -> Parsed:
    """The words that follow the command's name; the number of arguments is not checked here.

    Raises UsageError for an unknown flag, a missing or an invalid value.
    """
    parser = _Parser(command, words)
    parser.parse()
    return Parsed(command, parser.arguments, parser.given, wants_help=parser.wants_help)


def check_arguments(command: Command, arguments: Sequence[str]) -> None:
    """Raises UsageError unless the command takes that many arguments."""
    least, most = command.minimum, command.maximum
    if least <= len(arguments) and (most is None or len(arguments) <= most):
        return
    name = f'"tierce {command.name}"'
    if most == 0:
        raise UsageError(f"{name} accepts no arguments.")
    if least == most:
        raise UsageError(f"{name} requires exactly {_counted(least)}.")
    if most is None:
        raise UsageError(f"{name} requires at least {_counted(least)}.")
    if least == 0:
        raise UsageError(f"{name} requires at most {_counted(most)}.")
    raise UsageError(f"{name} requires at least {least} and at most {_counted(most)}.")


def converted(kind: str, text: str) -> object:
    """The value that the text has for a flag of that kind; ValueError says why it has none."""
    if kind == "bool":
        if text in TRUE:
            return True
        if text in FALSE:
            return False
        raise ValueError("must be true or false")
    if kind in {"int", "float"}:
        try:
            return int(text, 0) if kind == "int" else float(text)
        except ValueError:
            raise ValueError(f"must be a {'whole ' * (kind == 'int')}number") from None
    if kind == "bytes":
        return parse_size(text)
    if kind == "map":
        key, equals, value = text.partition("=")
        if not key:
            raise ValueError("the name before '=' is missing")
        return key, value if equals else None
    return text


def parse_size(text: str) -> int:
    """Bytes from `96m`, `1.5 GiB`, `512`: units are binary, as for the memory flags of docker.

    Raises ValueError.
    """
    number = text.lower().strip().removesuffix("b").removesuffix("i")
    unit = number[-1:] if number[-1:] in BINARY_UNITS else ""
    digits = number.removesuffix(unit).rstrip(" ") if unit else number
    if not digits.replace(".", "", 1).isdecimal() or not digits.isascii():
        raise ValueError("must be a size such as 96m or 1.5g")
    size = float(digits) * 1024 ** BINARY_UNITS[unit]
    if size >= _SIZE_LIMIT:
        raise ValueError("is more than can be counted")
    return int(size)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty text."""
    best, least = "", len(word) // 3 + 1
    for candidate in sorted(known):
        if len(word) > 1 and candidate.startswith(word):
            return candidate
        distance = edit_distance(word, candidate)
        if distance <= least and (not best or distance < least):
            best, least = candidate, distance
    return best


def edit_distance(left: str, right: str) -> int:
    """How many letters to insert, delete, replace or swap with their neighbour."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


class _Parser:
    """One pass over the words of a command."""

    def __init__(self, command: Command, words: Sequence[str]) -> None:
        self.command = command
        self.flags = {flag.name: flag for flag in command.flags}
        self.short_flags = {flag.short: flag for flag in command.flags if flag.short}
        self.rest = list(reversed(words))
        self.arguments: list[str] = []
        self.given: dict[str, object] = {}
        self.wants_help = False

    def parse(self) -> None:
        while self.rest:
            word = self.rest.pop()
            if len(word) < 2 or word[0] != "-":
                self.arguments.append(word)
                if not self.command.interspersed:
                    break
            elif word == "--":
                break
            elif word[1] == "-":
                self.parse_long(word)
            else:
                self.parse_short(word[1:])
        self.arguments += reversed(self.rest)

    def parse_long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name[0] == "-":
            raise UsageError(f"bad flag syntax: {word}")
        flag = self.flags.get(name)
        if flag is None:
            if name != "help":
                raise self.unknown_flag(f"--{name}")
            self.wants_help = True
            return
        if not equals:
            if not flag.needs_value:
                value = flag.implied or "true"
            elif self.rest:
                value = self.rest.pop()
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        self.set(flag, value)

    def parse_short(self, bundle: str) -> None:
        letters = bundle
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self.short_flags.get(letter)
            if flag is None:
                if letter != "h":
                    raise self.unknown_short(letter, bundle)
                self.wants_help = True
                continue
            # `-f=` alone is, for pflag as for getopt, the flag with the value "=".
            if len(letters) > 1 and letters[0] == "=":
                value, letters = letters[1:], ""
            elif not flag.needs_value:
                value = flag.implied or "true"
            elif letters:
                value, letters = letters, ""
            elif self.rest:
                value = self.rest.pop()
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{bundle}")
            self.set(flag, value)

    def set(self, flag: Flag, text: str) -> None:
        try:
            value = converted(flag.kind, text)
        except ValueError as error:
            complaint = f'invalid argument "{text}" for "{flag.spelled}" flag: {error}'
            raise UsageError(complaint) from None
        if flag.kind in {"list", "map"}:
            collected = self.given.setdefault(flag.name, [])
            assert isinstance(collected, list)
            collected.append(value)
        else:
            self.given[flag.name] = value

    def unknown_flag(self, word: str) -> UsageError:
        known = [f"--{flag.name}" for flag in self.command.flags if not flag.hidden]
        meant = nearest(word, [*known, "--help"])
        return UsageError(f"unknown flag: {word}", hint=f"did you mean {meant}?" if meant else "")

    def unknown_short(self, letter: str, bundle: str) -> UsageError:
        # `-rm` is the usual slip for `--rm`.
        hint = f"did you mean --{bundle}?" if bundle in self.flags else ""
        return UsageError(f"unknown shorthand flag: '{letter}' in -{bundle}", hint=hint)


def _counted(number: int) -> str:
    return f"{number} argument{'' if number == 1 else 's'}"
