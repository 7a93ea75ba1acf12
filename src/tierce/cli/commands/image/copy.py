"""`tierce image copy`: from one registry to another, without unpacking."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.transferring import shown_on
from tierce.client.remoteimages import RemoteImages
from tierce.errors import UsageError
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image copy",
    usage="[OPTIONS] SOURCE TARGET",
    short="Copy an image from one registry to another",
    flags=(Flag("quiet", "q", help="Suppress verbose output"),),
    minimum=2,
    maximum=2,
    details="All platforms are copied, byte for byte. A target without a tag has the source's.",
)


def run(options: Parsed, session: Session) -> int:
    source, target = (Reference.parse(text) for text in options.arguments)
    source = source.with_default_tag()
    if target.digest is not None:
        raise UsageError(f"copy to {target.familiar}: its digest is that of the source")
    if target.tag is None and source.digest is None:
        target = target.with_tag(source.tag)
    quiet = options.flag("quiet")
    with shown_on(session.stdout, quiet=quiet) as shown:
        copied = RemoteImages(session.environ).copy(session.store, source, target, shown.step)
    name = target.tag or target.name
    session.print(
        str(copied.digest) if quiet else f"{name}: digest: {copied.digest} size: {copied.size}"
    )
    return 0
