"""`tierce builder prune`: build cache away that nobody uses."""

from __future__ import annotations

import os

from tierce.cli.cacherows import described, rendered
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.prompt import confirmed
from tierce.client.cache import BuildCache, Limits
from tierce.store.cache_gc import collect_cache

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="builder prune",
    usage="[OPTIONS]",
    short="Remove build cache",
    flags=(
        Flag("all", "a", help="Remove all unused build cache, not just dangling ones"),
        Flag("automatic", hidden=True, help="Remove what the default policy does not keep"),
        Flag("filter", kind="list", shown="filter",
             help='Provide filter values (e.g. "until=24h", "type=exec.cachemount")'),
        Flag("force", "f", help="Do not prompt for confirmation"),
        Flag("keep-storage", kind="bytes", hidden=True,
             help="Amount of disk space to keep for cache"),
        Flag("max-used-space", kind="bytes",
             help="Maximum amount of disk space allowed to keep for cache"),
        Flag("min-free-space", kind="bytes",
             help="Target amount of free disk space after pruning"),
        Flag("reserved-space", kind="bytes",
             help="Amount of disk space always allowed to keep for cache"),
        Flag("verbose", help="Provide a more verbose output"),
    ),
)  # fmt: skip

_LIMITS = ("keep-storage", "max-used-space", "min-free-space", "reserved-space")


def run(options: Parsed, session: Session) -> int:
    if options.flag("automatic"):
        os.nice(10)  # nobody waits for it
        collect_cache(session.store)
        return 0
    what = "all build cache" if options.flag("all") else "all dangling build cache"
    if not options.flag("force") and not confirmed(session, f"WARNING! This will remove {what}."):
        return 0
    limits = None
    if any(options.integer(name) for name in _LIMITS):
        limits = Limits(
            max_used=options.integer("max-used-space"),
            reserved=options.integer("reserved-space") or options.integer("keep-storage"),
            min_free=options.integer("min-free-space"),
        )
    pruned = BuildCache(session.store).prune(
        options.texts("filter"), all=options.flag("all"), limits=limits
    )
    if pruned.items:
        show = described(pruned.items) if options.flag("verbose") else rendered(pruned.items, "")
        session.stdout.write(show)
    session.print(f"Total:\t{human_size(pruned.size)}")
    return 0
