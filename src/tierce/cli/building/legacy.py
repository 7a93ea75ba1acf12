"""`DOCKER_BUILDKIT=0`: a build in docker's classic form."""

from __future__ import annotations

from tierce.cli.progress.legacy import LegacyRenderer
from tierce.client.builds import Legacy
from tierce.dockerfile.gotext import parse_bool
from tierce.errors import InvalidValue, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session
    from tierce.client.builds import BuildRequest

VARIABLE = "DOCKER_BUILDKIT"


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the variable says so. Raises UsageError when it says neither yes nor no."""
    try:
        return not parse_bool(environ[VARIABLE])
    except InvalidValue as error:
        raise UsageError(
            f"{VARIABLE} environment variable expects boolean value: {error.message}"
        ) from None


def make_renderer(session: Session, *, quiet: bool) -> LegacyRenderer:
    """Shows the build on standard output; a quiet one only when it fails, on standard error."""
    return LegacyRenderer(session.stdout, session.stderr if quiet else None)


def legacy_request(
    request: BuildRequest, renderer: LegacyRenderer, options: Parsed
) -> BuildRequest:
    """The same build in the classic form."""
    return request.replace(
        legacy=Legacy(renderer.step, options.flag("rm"), options.flag("force-rm"))
    )
