"""`tierce image bootstrap`: a base image from a distribution's packages."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.bootstrap import VARIANTS, BootstrapRequest, bootstrap
from tierce.oci.epoch import EPOCH, parse_epoch

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image bootstrap",
    usage="[OPTIONS] debian:SUITE | ubuntu:SUITE",
    short="Make a Debian or Ubuntu base image from its package archive",
    flags=(
        Flag("arch", kind="string", help="Another architecture, by Debian's name for it"),
        Flag("include", kind="list", help="More packages, separated by commas"),
        Flag("mirror", kind="string", help="Package archive to use (default: as this machine)"),
        Flag("quiet", "q", help="Only print the image ID"),
        Flag("variant", kind="string", default="minbase",
             help=f"Which packages: {', '.join(VARIANTS)}"),
    ),
    minimum=1,
    maximum=1,
    details="""\
No registry is needed: mmdebstrap (or debootstrap) installs the packages. The image gets the apt
sources of this machine, where it has any for that release, and their settings. "-slim" after the
suite leaves documentation and translations out. SOURCE_DATE_EPOCH makes the image reproducible.""",
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Make the image; its ID goes to standard output, progress to standard error."""
    packages = [name for given in options.texts("include") for name in given.split(",") if name]
    epoch = session.environ.get(EPOCH, "")
    request = BootstrapRequest(
        options.arguments[0],
        variant=options.text("variant"),
        include=tuple(packages),
        architecture=options.text("arch"),
        mirror=options.text("mirror"),
        epoch=parse_epoch(epoch) if epoch else None,
    )
    quiet = options.flag("quiet")
    image = bootstrap(session.store, request, (lambda line: None) if quiet else session.warn)
    session.print(str(image.id))
    return 0
