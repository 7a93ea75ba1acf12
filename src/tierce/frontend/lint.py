"""The checks for which stages, variables, images or the build context have to be known."""

from __future__ import annotations

import posixpath
import re

from tierce.dockerfile import lint, words
from tierce.dockerfile.instructions import Copy, From
from tierce.dockerfile.secret_names import is_secret_name
from tierce.dockerfile.suggest import nearest
from tierce.errors import InvalidValue
from tierce.frontend.arguments import NOT_IN_ENVIRONMENT
from tierce.frontend.paths import is_git, is_url
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tierce.dockerfile.ignore import Ignore
    from tierce.dockerfile.lint import Linter, Rule
    from tierce.dockerfile.parser import Instruction
    from tierce.dockerfile.ports import PortWord
    from tierce.dockerfile.words import Rules

    Reporter = Callable[..., None]
    """Called with a rule and its words, for the instruction that is looked at."""


def report_at(linter: Linter, place: Instruction) -> Reporter:
    """Reports what is found in one instruction, under what the comments above it say."""
    here = linter.under(place.comments) if place.comments else linter

    def report(rule: Rule, *found: str) -> None:
        here.report(rule, place.first_line, place.last_line, *found)

    return report


# FROM


def check_defaults(
    stages: Iterable[From],
    arguments: Mapping[str, str],
    rules: Rules,
    linter: Linter,
) -> None:
    """Whether the names of base images are names if nobody gives build arguments.

    `arguments` are those of global scope then.
    """
    for stage in stages:
        try:
            name = words.expand(stage.base, arguments, rules)
        except InvalidValue:
            return  # to be refused in a moment
        try:
            Reference.parse(name)
        except InvalidValue:
            place = stage.source
            linter.report(
                lint.INVALID_DEFAULT_ARG_IN_FROM, place.first_line, place.last_line, stage.base
            )


def check_arguments(
    references: words.References, arguments: Mapping[str, str], known: set[str], report: Reporter
) -> None:
    """Whether what FROM asks for is declared, with a value or without."""
    for name in references.missing:
        if name not in known:
            near = nearest(name, [*arguments, *known])
            report(lint.UNDEFINED_ARG_IN_FROM, name, f" (did you mean {near}?)" if near else "")


def check_platform(
    stage: From,
    expanded: str,
    references: words.References,
    arguments: Mapping[str, str],
    report: Reporter,
) -> None:
    """Whether `--platform` says what is so anyway, or always the same."""
    if list(references.found) == ["TARGETPLATFORM"] and not references.missing:
        if expanded == arguments["TARGETPLATFORM"]:
            report(lint.REDUNDANT_TARGET_PLATFORM, stage.platform)
    elif not references.found and not references.missing:
        try:
            platform = Platform.parse(expanded)
        except InvalidValue:
            return  # to be refused in a moment
        if platform.os not in stage.name and platform.architecture not in stage.name:
            report(lint.FROM_PLATFORM_FLAG_CONST_DISALLOWED, expanded)


def check_image(
    name: str, expected: Platform, actual: Platform, lines: tuple[int, int], linter: Linter
) -> None:
    """Whether an image is for the platform that it was asked for."""
    if (expected.os, expected.architecture) != (actual.os, actual.architecture):
        linter.report(
            lint.INVALID_BASE_IMAGE_PLATFORM,
            *lines,
            name,
            str(expected.normalized()),
            str(actual.normalized()),
        )


# The steps of stages


def check_variables(
    missing: Iterable[str],
    declared: Iterable[str],
    environment: Iterable[str],
    report: Reporter,
) -> None:
    """`missing` are the variables that an instruction asks for and nobody has set.

    Those that are `declared` by an ARG may be without a value.
    """
    for name in missing:
        if name not in declared and name not in NOT_IN_ENVIRONMENT:
            near = nearest(name, environment)
            report(lint.UNDEFINED_VAR, name, f" (did you mean ${near}?)" if near else "")


def check_secret(keyword: str, name: str, report: Reporter) -> None:
    if is_secret_name(name):
        report(lint.SECRETS_USED_IN_ARG_OR_ENV, keyword, name)


def check_port(word: PortWord, report: Reporter) -> None:
    if word.protocol != word.protocol.lower():
        report(lint.EXPOSE_PROTO_CASING, word.text)
    if word.address or word.host:
        report(lint.EXPOSE_INVALID_FORMAT, word.text)


def check_sources(
    command: Copy, sources: Iterable[str], ignore: Ignore | None, report: Reporter
) -> None:
    """Whether files that COPY names are left out of the build context.

    Where an ignore file has exceptions, nobody can tell without looking.
    """
    if ignore is None or ignore.has_exceptions:
        return
    for source in sources:
        if is_git(source) or is_url(source):
            continue
        path = re.sub("^//", "/", posixpath.normpath(source))
        if path in (".", "/") and not ignore.excludes_everything:
            continue
        if ignore.matches(path):
            report(lint.COPY_IGNORED_FILE, "Add" if command.is_add else "Copy", path)
