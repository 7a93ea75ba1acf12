"""`tierce image rm`: names and images away."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.table import load_module
from tierce.client.images import Images
from tierce.errors import NotFound, TierceError
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session
    from tierce.client.remoteimages import RemoteImages

COMMAND = Command(
    name="image rm",
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Remove one or more images",
    flags=(
        Flag("force", "f", help="Force removal of the image"),
        Flag("no-prune", help="Do not delete untagged parents"),
        Flag("remote", help="Remove the images from their registries, and not from here"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    """Remove what can be; one that cannot be does not keep the others. Those are reported."""
    if options.flag("remote"):
        return _remove_remote(options, session)
    images = Images(session.store)
    force = options.flag("force")
    status = 0
    for name in options.arguments:
        try:
            removed = images.remove(name, force=force, prune_parents=not options.flag("no-prune"))
        except TierceError as error:
            session.report(error)
            if not (force and isinstance(error, NotFound)):
                status = 1
            continue
        for reference in removed.untagged:
            session.print(f"Untagged: {reference.familiar}")
        for image_id in removed.deleted:
            session.print(f"Deleted: {image_id}")
    return status


def _remove_remote(options: Parsed, session: Session) -> int:
    kind: type[RemoteImages] = load_module("tierce.client.remoteimages").RemoteImages
    images = kind(session.environ)
    status = 0
    for text in options.arguments:
        name = Reference.parse(text).with_default_tag()
        try:
            digest = images.remove(name)
        except TierceError as error:
            session.report(error)
            if not (options.flag("force") and isinstance(error, NotFound)):
                status = 1
        else:
            session.print(f"Deleted: {name.familiar_name}@{digest}")
    return status
