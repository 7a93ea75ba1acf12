"""`tierce image pull`: an image out of a registry."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.transferring import shown_on
from tierce.client.pulls import Pulled, Pulls, Step
from tierce.errors import UsageError
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session
    from tierce.cli.transferring import Shown

COMMAND = Command(
    name="image pull",
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    short="Download an image from a registry",
    flags=(
        Flag("all-tags", "a", help="Download all tagged images in the repository"),
        Flag("bandwidth", kind="bytes", help="Most bytes to fetch in a second (default no limit)"),
        Flag("disable-content-trust", hidden=True),
        Flag("offline", help="Reach no registry: fail unless the image is here"),
        Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
        Flag("quiet", "q", help="Suppress verbose output"),
    ),
    minimum=1,
    maximum=1,
)


def run(options: Parsed, session: Session) -> int:
    """Pull; what was pulled is named in the last line."""
    reference = Reference.parse(options.arguments[0])
    quiet, every = options.flag("quiet"), options.flag("all-tags")
    named = reference.tag is not None or reference.digest is not None
    if every and named:
        raise UsageError("tag can't be used with --all-tags/-a")
    if not every and not named:
        reference = reference.with_default_tag()
        if not quiet:
            session.print(f"Using default tag: {reference.tag}")
    text = options.text("platform") or session.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    platform = Platform.parse(text) if text else None
    pulls = Pulls(
        session.store,
        session.environ,
        offline=options.flag("offline"),
        bandwidth=options.integer("bandwidth"),
    )
    with shown_on(session.stdout, quiet=quiet) as shown:
        if every:
            pulls.pull_all(
                reference, platform, shown.step, lambda name, done: _conclude(shown, name, done)
            )
        else:
            _conclude(shown, reference, pulls.pull(reference, platform, shown.step))
    session.print(str(reference))
    return 0


def _conclude(shown: Shown, reference: Reference, pulled: Pulled) -> None:
    status = "Downloaded newer image" if pulled.is_new else "Image is up to date"
    shown.step(Step(f"Digest: {pulled.digest}"))
    shown.step(Step(f"Status: {status} for {reference.familiar}"))


def pull_for_container(
    text: str, platform_text: str, session: Session, *, quiet: bool, missing: bool
) -> None:
    """Pull the image of a container; steps are shown on standard error.

    `missing` says that this is done because the image is not here.
    """
    reference = Reference.parse(text).with_default_tag()
    if missing:
        session.warn(f"Unable to find image '{reference.familiar}' locally")
    platform = Platform.parse(platform_text) if platform_text else None
    pulls = Pulls(session.store, session.environ)
    with shown_on(session.stderr, quiet=quiet) as shown:
        _conclude(shown, reference, pulls.pull(reference, platform, shown.step))
