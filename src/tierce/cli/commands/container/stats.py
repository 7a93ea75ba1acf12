"""`tierce container stats`: what containers use of the machine, once or as it changes."""

from __future__ import annotations

import time

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import bytes_size, human_size
from tierce.cli.format.values import Struct
from tierce.client.stats import Sample, Stats
from tierce.errors import NotFound

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container stats",
    usage="[OPTIONS] [CONTAINER...]",
    short="Display a live stream of container(s) resource usage statistics",
    flags=(
        Flag("all", "a", help="Show all containers (default shows just running)"),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("no-stream", help="Disable streaming stats and only pull the first result"),
        Flag("no-trunc", help="Do not truncate output"),
    ),
    maximum=None,
)

HEADERS = {
    "Container": "CONTAINER",
    "Name": "NAME",
    "ID": "CONTAINER ID",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
SHORT_ID = 12
NONE = "--"

FIRST_SECONDS, NEXT_SECONDS = 0.5, 1.0
"""Between two looks: the share of a processor is seen from the difference."""

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"
_CLEAR = "\033[2J"


def run(options: Parsed, session: Session) -> int:
    stats = Stats(session.store)
    names = tuple(options.arguments)
    streams = not options.flag("no-stream")
    earlier = _look(stats, options, names)
    # A template that cannot be used is told of at once.
    _rendered(options, earlier, earlier)
    if streams:
        session.stdout.write(_CLEAR)
    seconds = FIRST_SECONDS
    while True:
        time.sleep(seconds)
        seconds = NEXT_SECONDS
        try:
            now = _look(stats, options, names)
        except NotFound:
            if not streams:
                raise
            return 0  # all that was asked for is gone
        text = _rendered(options, earlier, now)
        if not streams:
            session.stdout.write(text)
            return 0
        lines = "".join(f"{line}{_CLEAR_LINE}\n" for line in text.splitlines())
        session.stdout.write(f"{_HOME}{lines}{_CLEAR_BELOW}")
        session.stdout.flush()
        if not now and not options.flag("all"):
            return 0
        earlier = now


def _look(stats: Stats, options: Parsed, names: tuple[str, ...]) -> list[Sample]:
    return stats.samples(names, all=options.flag("all"))


def _rendered(options: Parsed, earlier: list[Sample], now: list[Sample]) -> str:
    before = {sample.id: sample for sample in earlier}
    asked = options.arguments
    rows = [
        row(
            sample,
            before.get(sample.id, sample),
            asked[number] if asked else sample.id,
            truncate=not options.flag("no-trunc"),
        )
        for number, sample in enumerate(now)
    ]
    return render_rows(options.text("format"), rows, headers=HEADERS, columns=COLUMNS)


def row(sample: Sample, earlier: Sample, asked: str, *, truncate: bool) -> Struct:
    """One container, `asked` for by this name; its load is that since the earlier sample."""
    usage = sample.usage
    values = {
        "CPUPerc": f"{sample.load_since(earlier):.2f}%",
        "MemUsage": f"{bytes_size(usage.memory)} / {bytes_size(usage.memory_limit)}",
        "MemPerc": f"{sample.memory_share:.2f}%",
        "NetIO": f"{human_size(sample.received, 3)} / {human_size(sample.sent, 3)}",
        "BlockIO": f"{human_size(usage.read, 3)} / {human_size(usage.written, 3)}",
        "PIDs": str(usage.processes),
    }
    if not sample.measured:
        values = dict.fromkeys(values, NONE) | {"MemUsage": f"{NONE} / {NONE}"}
        values["NetIO"] = f"{human_size(sample.received, 3)} / {human_size(sample.sent, 3)}"
    return Struct(
        "container.statsContext",
        {
            "BlockIO": values["BlockIO"],
            "CPUPerc": values["CPUPerc"],
            "Container": asked,
            "ID": sample.id[:SHORT_ID] if truncate else sample.id,
            "MemPerc": values["MemPerc"],
            "MemUsage": values["MemUsage"],
            "Name": sample.name,
            "NetIO": values["NetIO"],
            "PIDs": values["PIDs"],
        },
    )
