"""`tierce system prune`: what nobody uses away: containers, volumes, images, build cache."""

from __future__ import annotations

from tierce.cli.commands.container.prune import STOPPED, deleted_containers
from tierce.cli.commands.image.prune import ALL, DANGLING, deleted_images
from tierce.cli.commands.volume.prune import ANONYMOUS, deleted_volumes
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.images import Pruned
from tierce.client.system import System, SystemPruned
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="system prune",
    usage="[OPTIONS]",
    short="Remove unused data",
    flags=(
        Flag("all", "a", help="Remove all unused images not just dangling ones"),
        Flag(
            "filter",
            kind="list",
            shown="filter",
            help='Provide filter values (e.g. "label=<key>=<value>")',
        ),
        Flag("force", "f", help="Do not prompt for confirmation"),
        Flag("volumes", help="Prune anonymous volumes"),
    ),
)


def run(options: Parsed, session: Session) -> int:
    everything, filters = options.flag("all"), options.texts("filter")
    volumes = options.flag("volumes")
    if volumes and any(text.strip().lower().startswith("until=") for text in filters):
        raise UsageError('ERROR: The "until" filter is not supported with "--volumes"')
    warning = [
        "WARNING! This will remove:",
        f"  - {STOPPED}",
        *([f"  - {ANONYMOUS}"] if volumes else []),
        f"  - {ALL if everything else DANGLING}",
        f"  - {'all build cache' if everything else 'unused build cache'}",
    ]
    if filters:
        warning += ["", "  Items to be pruned will be filtered with:"]
        warning += [f"  - {text}" for text in sorted(filters)]
    warning.append("")
    if not options.flag("force") and not confirmed(session, "\n".join(warning)):
        return 0
    pruned = System(session.store).prune(filters, all=everything, volumes=volumes)
    session.stdout.write(deleted_containers(pruned.containers) + deleted_volumes(pruned.volumes))
    session.stdout.write(deleted_images(Pruned(pruned.images, 0)) + deleted_cache(pruned))
    session.print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def deleted_cache(pruned: SystemPruned) -> str:
    lines = [f"{record.id} {record.name}".rstrip() for record in pruned.records]
    lines += [f"cache mount {mount.name}" for mount in pruned.cache_mounts]
    return "\n".join(["Deleted build cache objects:", *lines, "", ""]) if lines else ""
