"""`tierce container update`: other limits for containers, also while they run."""

from __future__ import annotations

from tierce.cli.each import do_each
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.limitflags import LIMIT_FLAGS
from tierce.cli.running.rights import changes_of
from tierce.client.rights import Limits
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

_OF_THE_START = frozenset({"cgroup-parent", "shm-size", "ulimit"})

COMMAND = Command(
    name="container update",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Update configuration of one or more containers",
    flags=(
        *(flag for flag in LIMIT_FLAGS if flag.name not in _OF_THE_START),
        Flag(
            "blkio-weight",
            kind="int",
            help="Block IO (relative weight), between 10 and 1000, or 0 to disable",
        ),
        Flag("memory-reservation", kind="bytes", help="Memory soft limit"),
        Flag("pids-limit", kind="int", help="Tune container pids limit (set -1 for unlimited)"),
        Flag("restart", kind="string", help="Restart policy to apply when a container exits"),
    ),
    minimum=1,
    maximum=None,
)


def run(options: Parsed, session: Session) -> int:
    if not any(options.given(flag.name) for flag in COMMAND.flags):
        raise UsageError("you must provide one or more flags when using this command")
    if options.text("restart") not in ("", "no"):
        raise UsageError(
            f"restart policy {options.text('restart')}: not supported",
            hint="nothing watches over containers that have ended",
        )
    changes, cpus = changes_of(options)
    limits = Limits(session.store)
    told: list[str] = []

    def update(name: str) -> None:
        told.extend(limits.update(name, changes, cpus=cpus))

    status = do_each(session, options.arguments, update)
    for warning in dict.fromkeys(told):
        session.warn(warning)
    return status
