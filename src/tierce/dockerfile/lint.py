"""The rules of BuildKit's build checks, and what decides which of them are reported.

A rule says nothing about how it is found: that is in `checks` where the text of instructions is
enough, and in `tierce.frontend.lint` where stages, variables and images have to be known.
"""

from __future__ import annotations

import re

from tierce.dockerfile.gotext import parse_bool, quote
from tierce.errors import InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BUILD_ARG = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands in place of the directive `check`."""

FINDINGS_LIMIT = 10_000
"""Lines that all findings of a file may be about. Who reads so many? A file that is made for it
could have a hundred thousand findings in an instruction of as many lines, each to be shown."""

_URL = "https://docs.docker.com/go/dockerfile/rule"
# Compiled when a comment is first asked whether it is a directive.
_DIRECTIVE = r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*"
_DIRECTIVES = ("syntax", "escape", "check")


class Rule(Value):
    """One thing that should not be in a Dockerfile.

    `description` says what it is, `message` what was found: a template in which `{0}` stands for
    the first word of the finding, and `{0:q}` for it in quotes. `page` explains it, or is empty.
    An experimental rule is reported only where it is asked for.
    """

    name: str
    description: str
    message: str
    page: str = ""
    is_experimental: bool = False

    @property
    def url(self) -> str:
        return f"{_URL}/{self.page}/" if self.page else ""


class Finding(Value):
    """What a rule has found, and the lines it is about (0: there is no place)."""

    rule: Rule
    message: str
    first_line: int = 0
    last_line: int = 0


STAGE_NAME_CASING = Rule(
    "StageNameCasing",
    "Stage names should be lowercase",
    "Stage name '{0}' should be lowercase",
    "stage-name-casing",
)
FROM_AS_CASING = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "'{1}' and '{0}' keywords' casing do not match",
    "from-as-casing",
)
NO_EMPTY_CONTINUATION = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "Empty continuation line",
    "no-empty-continuation",
)
CONSISTENT_INSTRUCTION_CASING = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "Command '{0}' should match the case of the command majority ({1})",
    "consistent-instruction-casing",
)
DUPLICATE_STAGE_NAME = Rule(
    "DuplicateStageName",
    "Stage names should be unique",
    "Duplicate stage name {0:q}, stage names should be unique",
    "duplicate-stage-name",
)
RESERVED_STAGE_NAME = Rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "Stage name should not use the same name as reserved stage {0:q}",
    "reserved-stage-name",
)
JSON_ARGS_RECOMMENDED = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD"
    " to prevent unintended behavior related to OS signals",
    "JSON arguments recommended for {0} to prevent unintended behavior related to OS signals",
    "json-args-recommended",
)
MAINTAINER_DEPRECATED = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "Maintainer instruction is deprecated in favor of using label",
    "maintainer-deprecated",
)
UNDEFINED_ARG_IN_FROM = Rule(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    "FROM argument '{0}' is not declared{1}",
    "undefined-arg-in-from",
)
WORKDIR_RELATIVE_PATH = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build"
    " can have unexpected results if the base image changes",
    "Relative workdir {0:q} can have unexpected results if the base image changes",
    "workdir-relative-path",
)
UNDEFINED_VAR = Rule(
    "UndefinedVar",
    "Variables should be defined before their use",
    "Usage of undefined variable '${0}'{1}",
    "undefined-var",
)
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "Multiple {0} instructions should not be used in the same stage"
    " because only the last one will be used",
    "multiple-instructions-disallowed",
)
LEGACY_KEY_VALUE_FORMAT = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    '"{0} key=value" should be used instead of legacy "{0} key value" format',
    "legacy-key-value-format",
)
INVALID_BASE_IMAGE_PLATFORM = Rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    "Base image {0} was pulled with platform {2:q}, expected {1:q} for current build",
)
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant"
    " as this is the default behavior",
    "Setting platform to predefined {0} in FROM is redundant as this is the default behavior",
    "redundant-target-platform",
)
SECRETS_USED_IN_ARG_OR_ENV = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "Do not use ARG or ENV instructions for sensitive data ({0} {1:q})",
    "secrets-used-in-arg-or-env",
)
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "Default value for ARG {0} results in empty or invalid base image name",
    "invalid-default-arg-in-from",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "FROM --platform flag should not use constant value {0:q}",
    "from-platform-flag-const-disallowed",
)
COPY_IGNORED_FILE = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "Attempting to {0} file {1:q} that is excluded by .dockerignore",
    "copy-ignored-file",
)
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format:"
    " `# <arg/stage name> <description>`. If this is not intended to be a description comment,"
    " add an empty line or comment between the instruction and the comment.",
    "Comment for {0} should follow the format: `# {1} <description>`",
    "invalid-definition-description",
    is_experimental=True,
)
EXPOSE_PROTO_CASING = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "Defined protocol '{0}' in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
)
EXPOSE_INVALID_FORMAT = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction."
    " This will become an error in a future release",
    "EXPOSE instruction should not define an IP address or host-port mapping, found '{0}'",
    "expose-invalid-format",
)


class CheckOptions(Value):
    """What `check=skip=A,B;experimental=C;error=true` says; `parse_check_options` reads it."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    is_error: bool = False

    def reports(self, rule: Rule) -> bool:
        if rule.is_experimental:
            return self.experimental_all or rule.name in self.experimental
        return not (self.skip_all or rule.name in self.skip)

    def with_more(self, other: CheckOptions) -> CheckOptions:
        """These and others, which cannot make an error of what was none."""
        return CheckOptions(
            self.skip | other.skip,
            self.skip_all or other.skip_all,
            self.experimental | other.experimental,
            self.experimental_all or other.experimental_all,
            self.is_error,
        )


class _Tally:
    """What has been found so far: the rules, and how many lines they were about."""

    def __init__(self) -> None:
        self.violated: dict[str, None] = {}
        self.lines = 0


class Linter:
    """Reports what rules find, unless the options say otherwise.

    `report` is called for each finding, at once, but for no more than FINDINGS_LIMIT.
    """

    def __init__(
        self,
        options: CheckOptions,
        report: Callable[[Finding], None],
        tally: _Tally | None = None,
    ) -> None:
        self._options = options
        self._report = report
        self._tally = tally or _Tally()

    def report(self, rule: Rule, first_line: int, last_line: int, *words: str) -> None:
        """A rule has found something in these lines (0: nowhere in the file)."""
        if not self._options.reports(rule):
            return
        tally = self._tally
        tally.violated[rule.name] = None
        if tally.lines < FINDINGS_LIMIT:
            tally.lines += 1 + last_line - first_line
            message = rule.message.format(*[_Word(word) for word in words])
            self._report(Finding(rule, message, first_line, last_line))

    def heeds(self, rule: Rule) -> bool:
        """Whether the options want to hear of a rule."""
        return self._options.reports(rule)

    def under(self, comments: Iterable[str]) -> Linter:
        """The linter for an instruction, with what a `check=…` in the comments above it says."""
        for comment in comments:
            if "=" not in comment:
                continue
            name, value = _directive(comment)
            if name == "check":
                try:
                    options = parse_check_options(_first_word(value))
                except InvalidValue:
                    return self  # as in BuildKit; a mistake in the file's own directive is none
                return Linter(self._options.with_more(options), self._report, self._tally)
        return self

    def failure(self) -> str:
        """Why the build is to fail, after all has been checked; empty when it is not."""
        violated = self._tally.violated
        if not self._options.is_error or not violated:
            return ""
        return f"lint violation found for rules: {', '.join(violated)}"


class _Word(str):
    """A word in a message: `{:q}` is the word as Go quotes it."""

    def __format__(self, how: str) -> str:
        return quote(self) if how == "q" else str(self)


def silent_linter() -> Linter:
    """A linter that nobody listens to."""
    return Linter(CheckOptions(), lambda finding: None)


def make_linter(
    text: bytes | str, build_args: Mapping[str, str], report: Callable[[Finding], None]
) -> Linter:
    """The linter for a Dockerfile, with the options that a build argument or it itself gives.

    Raises InvalidValue when these make no sense.
    """
    given = build_args.get(BUILD_ARG)
    try:
        options = parse_check_options(check_directive(text) if given is None else given)
    except InvalidValue as error:
        what = "check options" if given is None else f"build-arg:{BUILD_ARG}"
        raise InvalidValue(f"failed to parse {what}: {error.message}", value=error.value) from None
    return Linter(options, report)


def check_directive(text: bytes | str) -> str:
    """The value of `# check=…` among the first lines of a Dockerfile, up to a space; or ""."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if text.startswith(b"#!"):
        text = text.partition(b"\n")[2]
    while text.startswith(b"#"):
        line, _, text = text.partition(b"\n")
        name, value = _directive(line[1:].decode("utf-8", "replace").lstrip().rstrip("\r"))
        if name == "check":
            return _first_word(value)
        if not name:
            break
    return ""


def _directive(comment: str) -> tuple[str, str]:
    """(name, value) of a comment that is a directive, or ("", "")."""
    match = re.fullmatch(_DIRECTIVE, comment)
    name = match[1].lower() if match else ""
    return (name, match[2]) if match and name in _DIRECTIVES else ("", "")


def _first_word(value: str) -> str:
    return value.partition(" ")[0]


def parse_check_options(text: str) -> CheckOptions:
    """`skip=all`, `skip=A,B;error=true`, … Raises InvalidValue in BuildKit's words.

    Names that no rule has mean nothing.
    """
    text = text.strip()
    found = CheckOptions()
    for part in text.split(";", 2) if text else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidValue(f"invalid check option {quote(part)}", value=part)
        key, value = key.strip(), value.strip()
        if key in ("skip", "experimental"):
            is_all = value == "all"
            rules = frozenset() if is_all else frozenset(each.strip() for each in value.split(","))
            found = found.replace(**{key: rules, f"{key}_all": is_all})
        elif key == "error":
            try:
                found = found.replace(is_error=parse_bool(value))
            except InvalidValue:
                raise InvalidValue(
                    f"failed to parse check option {quote(part)}:"
                    f" strconv.ParseBool: parsing {quote(value)}: invalid syntax",
                    value=part,
                ) from None
        else:
            raise InvalidValue(f"invalid check option {quote(key)}", value=part)
    return found
