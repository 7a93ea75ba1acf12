"""Cuts a Dockerfile into instructions: directives, comments, continuation lines, heredocs.

What an instruction means is not known here (see `instructions`); a keyword that does not exist
is not an error yet.
"""

from __future__ import annotations

from tierce.dockerfile import lexer
from tierce.dockerfile.gotext import SPACES, well_formed
from tierce.dockerfile.lexer import Heredoc
from tierce.errors import DockerfileError, InvalidValue
from tierce.values import Value

SIZE_LIMIT = 4 << 20
"""Bytes of a Dockerfile; a hundred times the longest that people write."""

LINE_LIMIT = 65535
"""Bytes of one line, as in BuildKit."""

_DIRECTIVES = frozenset(["syntax", "escape", "check"])
_ESCAPES = ("\\", "`")
_DEFAULT_ESCAPE = "\\"
_HEREDOC_KEYWORDS = frozenset(["add", "copy", "run"])


class Instruction(Value):
    """One instruction as it is written.

    `keyword` has the case it was written in; `flags` (`--from=build`) are without quotes and
    escapes; `arguments` is the rest of the line. `original` is the logical line: continuation
    lines joined, comments between them gone. Lines count from 1; heredocs belong to the last.
    `comments` are the lines of comment right above.
    """

    keyword: str
    flags: tuple[str, ...]
    arguments: str
    original: str
    first_line: int
    last_line: int
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The keyword in lower case."""
        return self.keyword.lower()

    @property
    def code(self) -> str:
        """The logical line without white space around it: how the step is shown."""
        return self.original.strip(SPACES)


class Directive(Value):
    """`# name=value` at the top of the file; the name in lower case."""

    name: str
    value: str
    line: int


class Dockerfile(Value):
    """A parsed file; `source` is its text, `file` its name for errors.

    `empty_continuations` are the last lines of instructions that go on over an empty line.
    """

    file: str
    source: str
    instructions: tuple[Instruction, ...]
    directives: tuple[Directive, ...] = ()
    escape: str = _DEFAULT_ESCAPE
    empty_continuations: tuple[int, ...] = ()

    def directive(self, name: str) -> str:
        """The value of a directive ("syntax", "check"), or ""."""
        return next((each.value for each in self.directives if each.name == name), "")

    def error(
        self, message: str, first_line: int = 0, last_line: int = 0, *, hint: str = ""
    ) -> DockerfileError:
        """An error with its place in this file."""
        return DockerfileError(
            message.replace("\n", "\\n"),  # of a value, from a build argument
            file=self.file,
            line=first_line,
            end_line=last_line,
            source=self.source,
            hint=hint,
        )


def parse(text: bytes | str, file: str = "Dockerfile") -> Dockerfile:
    """Parse the text of a Dockerfile; `file` is its name for errors.

    Bytes are UTF-8; one that is not becomes U+FFFD, as it would in an image config in the end.
    Raises DockerfileError with the place of the mistake.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    source = well_formed(text).removeprefix("\ufeff")
    if not source:
        raise DockerfileError(f"the Dockerfile ({file}) cannot be empty", file=file)
    if len(source) > SIZE_LIMIT:
        raise DockerfileError(f"read {file}: larger than {SIZE_LIMIT >> 20} MiB", file=file)
    return _Parser(source, file).parse()


def parse_trigger(text: str, dockerfile: Dockerfile, first_line: int, last_line: int) -> Dockerfile:
    """Parse one ONBUILD trigger of a base image; it is placed on the FROM that brings it."""
    trigger = _Parser(text, dockerfile.file, _Place(dockerfile.source, first_line, last_line))
    parsed = trigger.parse()
    if len(parsed.instructions) != 1:
        raise dockerfile.error(
            "onbuild trigger should be a single expression", first_line, last_line
        )
    placed = parsed.instructions[0].replace(first_line=first_line, last_line=last_line)
    return parsed.replace(source=dockerfile.source, instructions=(placed,))


class _Place(Value):
    """Where all errors are placed, when the text that is parsed is not the file itself."""

    source: str
    first_line: int
    last_line: int


class _Parser:
    """Parses one file, line by line."""

    def __init__(self, source: str, file: str, place: _Place | None = None) -> None:
        self._source = source
        self._file = file
        self._place = place
        self._lines = source.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()
        self._next = 0  # index of the next line
        self._escape = _DEFAULT_ESCAPE
        self._directives: list[Directive] = []
        self._directives_end = False
        self._comments: list[str] = []
        self._empty_continuations: list[int] = []
        self._instructions: list[Instruction] = []

    def parse(self) -> Dockerfile:
        while self._next < len(self._lines):
            self._read_instruction()
        if not self._instructions:
            raise self._error("file with no instructions", self._next)
        return Dockerfile(
            self._file,
            self._source,
            tuple(self._instructions),
            tuple(self._directives),
            self._escape,
            tuple(self._empty_continuations),
        )

    def _read_line(self) -> str:
        """The next physical line, without what ends it."""
        line = self._lines[self._next]
        self._next += 1
        if len(line) > LINE_LIMIT or (
            len(line) > LINE_LIMIT // 4 and len(line.encode()) > LINE_LIMIT
        ):
            raise self._error(
                f"dockerfile line greater than max allowed size of {LINE_LIMIT}", self._next
            )
        return line

    def _read_instruction(self) -> None:
        raw = self._read_line().rstrip("\r")
        line = raw.lstrip(SPACES)
        if line.startswith("#"):
            self._read_comment(line, raw)
            return
        self._directives_end = True
        first_line = self._next
        line, ends = self._without_continuation(line)
        if ends and not line:
            return
        parts = [line]
        has_empty_line = False
        while not ends and self._next < len(self._lines):
            line = self._read_line().rstrip("\r")
            stripped = line.lstrip(SPACES)
            if not stripped:
                has_empty_line = True
            elif not stripped.startswith("#"):
                line, ends = self._without_continuation(line)
                parts.append(line)
        self._add("".join(parts), first_line, has_empty_line)

    def _read_comment(self, line: str, raw: str) -> None:
        if not self._directives_end and self._read_directive(line[1:]):
            return
        # As in BuildKit, a comment that is indented keeps its "#".
        if comment := raw[1:].strip(SPACES):
            self._comments.append(comment)
        else:
            self._comments = []

    def _read_directive(self, comment: str) -> bool:
        """Directives come before everything else; the first line that is none ends them."""
        name, equals, value = comment.partition("=")
        name = name.strip(SPACES).lower()
        value = value.strip(SPACES)
        if not equals or not value or name not in _DIRECTIVES:
            self._directives_end = True
            return False
        if any(each.name == name for each in self._directives):
            raise self._error(f"only one {name} parser directive can be used", self._next)
        if name == "escape":
            if value not in _ESCAPES:
                raise self._error(
                    f"invalid escape token '{value}' does not match ` or \\", self._next
                )
            self._escape = value
        self._directives.append(Directive(name, value, self._next))
        return True

    def _without_continuation(self, line: str) -> tuple[str, bool]:
        """(line without its continuation character, whether the instruction ends with it)."""
        stripped = line.rstrip(" \t")
        escape = self._escape
        if not stripped.endswith(escape) or stripped[-2:-1] == escape:
            return line, True
        return stripped[:-1], False

    def _add(self, line: str, first_line: int, has_empty_line: bool) -> None:
        last_line = self._next
        if has_empty_line:
            self._empty_continuations.append(last_line)
        if not line.strip(SPACES):
            return  # nothing but continuation characters up to the end of the file
        if "\0" in line:
            raise self._error(
                "NUL byte in an instruction",
                first_line,
                last_line,
                hint="is the file UTF-16? a Dockerfile is UTF-8",
            )
        keyword, flags, arguments = lexer.split_line(line, self._escape)
        try:
            announced = self._announced_heredocs(keyword, arguments, line)
        except InvalidValue as error:
            raise self._error(error.message, first_line, last_line) from None
        heredocs = tuple([self._read_heredoc(each, first_line) for each in announced])
        instruction = Instruction(
            keyword,
            flags,
            arguments,
            line,
            first_line,
            self._next,
            heredocs,
            tuple(self._comments),
        )
        self._comments = []
        self._instructions.append(instruction)

    def _announced_heredocs(self, keyword: str, arguments: str, line: str) -> list[Heredoc]:
        if "<<" not in line:
            return []
        keyword = keyword.lower()
        if keyword == "onbuild":
            keyword, _, arguments = lexer.split_line(arguments, self._escape)
            keyword = keyword.lower()
        if keyword not in _HEREDOC_KEYWORDS or lexer.string_list(arguments) is not None:
            return []
        return lexer.heredocs(line)

    def _read_heredoc(self, announced: Heredoc, first_line: int) -> Heredoc:
        """The lines up to the one that is the name of the heredoc."""
        content: list[str] = []
        while self._next < len(self._lines):
            line = self._read_line()
            end = line.rstrip("\r")
            if announced.chomp:
                end = end.lstrip("\t")
            if end == announced.name:
                return announced.replace(content="".join(content))
            content.append(line + "\n")
        raise self._error(
            "unterminated heredoc",
            first_line,
            self._next,
            hint=f"end it with a line that holds only {announced.name}",
        )

    def _error(
        self, message: str, first_line: int, last_line: int = 0, *, hint: str = ""
    ) -> DockerfileError:
        place = self._place or _Place(self._source, first_line, last_line)
        return DockerfileError(
            message,
            file=self._file,
            line=place.first_line,
            end_line=place.last_line,
            source=place.source,
            hint=hint,
        )
