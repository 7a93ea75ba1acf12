"""`tierce builder du`: what the build cache takes how much space for."""

from __future__ import annotations

from tierce.cli.cacherows import described, rendered, summary
from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.client.cache import BuildCache
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="builder du",
    usage="[OPTIONS]",
    short="Show the disk usage of the build cache",
    flags=(
        Flag("filter", kind="list", shown="filter",
             help='Provide filter values (e.g. "type=exec.cachemount", "until=24h")'),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("verbose", help='Shorthand for "--format=pretty"'),
    ),
)  # fmt: skip

PRETTY = "pretty"


def run(options: Parsed, session: Session) -> int:
    form, filters = options.text("format"), options.texts("filter")
    if form and options.flag("verbose"):
        raise UsageError("--format and --verbose cannot be used together")
    if options.flag("verbose"):
        form = PRETTY
    usage = BuildCache(session.store).usage(filters)
    if form == PRETTY:
        session.stdout.write(described(usage.items))
    else:
        session.stdout.write(rendered(usage.items, form))
    if form in ("", "table", PRETTY) and not filters:
        session.stdout.write(summary(usage))
    return 0
