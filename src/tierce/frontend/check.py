"""Checks a Dockerfile without building it: what rules find, and what a build would fail of."""

from __future__ import annotations

from tierce.dockerfile.lint import BUILD_ARG, Finding, make_linter
from tierce.dockerfile.parser import parse
from tierce.errors import DockerfileError, InvalidValue, TierceError
from tierce.frontend import entitlements
from tierce.frontend.lower import Lowering
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.dockerfile.ignore import Ignore
    from tierce.frontend.options import Options, Resolver


class CheckResult(Value):
    """The findings in the order in which they were made, up to the first mistake.

    `error` is that mistake: what a build would be refused with, or None. `source` is the text
    of `file`.
    """

    findings: tuple[Finding, ...]
    error: TierceError | None
    file: str
    source: bytes


def check(
    text: bytes,
    file: str,
    options: Options,
    resolver: Resolver,
    find_ignore: Callable[[], Ignore | None],
) -> CheckResult:
    """Check a target and what it needs, or all stages when none is named.

    See `lower` for `resolver` and `find_ignore`. As in BuildKit, it is for the platform of this
    machine, whatever the options say, and a RUN may want what a build has to allow. Raises
    DockerfileError only for a build argument with check options that make no sense.
    """
    options = options.replace(platform=None, allow=entitlements.ALL)
    findings: list[Finding] = []
    error: TierceError | None = None
    try:
        linter = make_linter(text, options.build_args, findings.append)
        lowering = Lowering(parse(text, file), options, linter, find_ignore)
        lowering.lower(resolver, all_stages=not options.target)
    except InvalidValue as failure:
        error = DockerfileError(failure.message, file=file, hint=failure.hint)
        if BUILD_ARG in options.build_args:
            raise error from None
    except TierceError as failure:
        error = failure
    return CheckResult(tuple(findings), error, file, text)
