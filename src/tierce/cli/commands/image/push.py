"""`tierce image push`: an image into a registry."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.transferring import shown_on
from tierce.client.pushes import Pushed, Pushes, Step
from tierce.errors import UsageError
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.cli.session import Session

COMMAND = Command(
    name="image push",
    usage="[OPTIONS] NAME[:TAG]",
    short="Upload an image to a registry",
    flags=(
        Flag("all-tags", "a", help="Push all tags of an image to the repository"),
        Flag("bandwidth", kind="bytes", help="Most bytes to send in a second (default no limit)"),
        Flag("disable-content-trust", hidden=True),
        Flag("offline", help="Reach no registry, and so fail"),
        Flag("platform", kind="string",
             help="Push one platform of an image for several, as an image of its own"),
        Flag("quiet", "q", help="Suppress verbose output"),
    ),
    minimum=1,
    maximum=1,
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Push; the last line has the digest or, when quiet, the name."""
    reference = Reference.parse(options.arguments[0])
    quiet, every = options.flag("quiet"), options.flag("all-tags")
    named = reference.tag is not None or reference.digest is not None
    if every and named:
        raise UsageError("tag can't be used with --all-tags/-a")
    if not every and not named:
        reference = reference.with_default_tag()
        if not quiet:
            session.print(f"Using default tag: {reference.tag}")
    text = options.text("platform")
    platform = Platform.parse(text) if text else None
    pushes = Pushes(
        session.store,
        session.environ,
        offline=options.flag("offline"),
        bandwidth=options.integer("bandwidth"),
    )
    done: Sequence[Pushed]
    with shown_on(session.stdout, quiet=quiet) as shown:
        shown.step(Step(f"The push refers to repository [{reference.name}]"))
        if every:
            done = pushes.push_all(reference, platform, shown.step)
        else:
            done = [pushes.push(reference, platform, shown.step)]
    for each in done:
        if each.instead is not None:
            session.warn(
                "Not all multiplatform-content is present and only the available single-platform"
                f" image was pushed\n{each.instead} -> {each.digest}"
            )
    if quiet:
        session.print(str(reference))
    return 0
