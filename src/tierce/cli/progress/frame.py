"""One picture of the tty display: a headline and a line for each step and part, with its time.

[+] Building 4.2s (5/7)
 => [internal] load build definition from Dockerfile                    0.0s
 => => transferring dockerfile: 312B                                    0.0s
 => CACHED [1/4] FROM docker.io/library/debian:bookworm                 0.0s
 => [2/4] RUN apt-get update                                            4.1s
 => => # Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]
"""

from __future__ import annotations

from tierce.cli.format.width import cut, pad
from tierce.cli.progress.colours import RESET, Colours
from tierce.cli.progress.trace import amount_text, warning_text

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tierce.cli.progress.screen import Screen
    from tierce.cli.progress.trace import Trace, Vertex

FEWEST_WINDOW_LINES = 6
MARGIN_OF_A_WINDOW = 10
# A name that leaves no room for so many letters is not worth a line.
NARROWEST_NAME = 12
SHORTEST_TIME = 0.05
CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


class Job:
    """A line of the display: a step, a part of one or a warning.

    `screen` has the output of a step; `is_open` says that a window shows its end.
    """

    __slots__ = ("amount", "colour", "is_finished", "is_open", "name", "screen", "seconds")

    def __init__(self, name: str, seconds: float, is_finished: bool, colour: str) -> None:
        self.name = name
        self.seconds = 0.0 if seconds < SHORTEST_TIME else seconds
        self.is_finished = is_finished
        self.colour = colour
        self.amount = ""
        self.screen: Screen | None = None
        self.is_open = False


def frame(
    trace: Trace,
    screens: Mapping[str, Screen],
    colours: Colours,
    *,
    now: float,
    width: int,
    height: int,
    window_lines: int = FEWEST_WINDOW_LINES,
    is_final: bool = False,
) -> list[str]:
    """The lines of the display at that time, for a terminal of that size; all, if it is final.

    `screens` have the output of steps, by digest. No line is wider than the terminal.
    """
    vertices = list(trace.vertices.values())
    jobs: Sequence[Job]
    jobs = [job for vertex in vertices for job in jobs_of(vertex, screens, colours, now)]
    text = [headline(trace, vertices, now, width, is_final=is_final)]
    hidden = 0
    if not is_final:
        hidden = open_windows(jobs, width, height, window_lines)
        jobs = visible(jobs, height - 2 - hidden)
    for job in jobs:
        line = job_line(job, width)
        if not line:
            continue
        text.append(f"{job.colour}{line}{RESET}" if job.colour else line)
        if job.is_open and job.screen is not None:
            rows = [
                cut(f" => => # {row.translate(CONTROLS)}", width - 1) for row in job.screen.rows()
            ]
            text += [f"{colours.faint}{row}{RESET}" if colours.faint else row for row in rows]
    return text


def headline(
    trace: Trace, vertices: Sequence[Vertex], now: float, width: int, *, is_final: bool
) -> str:
    finished = sum(vertex.is_finished for vertex in vertices)
    is_done = is_final and vertices and finished == len(vertices)
    seconds = max(0.0, now - trace.began) if trace.began else 0.0
    text = f"[+] Building {seconds:.1f}s ({finished}/{len(vertices)})"
    return cut(pad(f"{text} FINISHED" if is_done else text, width - 1), width - 1)


def jobs_of(
    vertex: Vertex, screens: Mapping[str, Screen], colours: Colours, now: float
) -> Iterator[Job]:
    """The line of a step, then those of its parts and warnings."""
    name, colour = vertex.name, colours.run
    if vertex.canceled:
        name, colour = f"CANCELED {name}", colours.cancel
    elif vertex.error:
        name, colour = f"ERROR {name}", colours.error
    elif vertex.cached:
        name = f"CACHED {name}"
    finished = vertex.is_finished
    job = Job(name, vertex.seconds(now), finished, colour if finished else "")
    job.screen = screens.get(vertex.digest)
    yield job
    for part in vertex.parts.values():
        over = part.finished > 0
        seconds = (part.finished or now) - part.started
        job = Job(f"=> {part.id}", seconds, over, colours.run if over else "")
        job.amount = amount_text(part)
        yield job
    for warning in vertex.warnings:
        yield Job(f"WARN: {warning_text(warning)}", 0.0, True, colours.warning)


def open_windows(jobs: Sequence[Job], width: int, height: int, window_lines: int) -> int:
    """Choose the running steps whose output is shown; return the lines that it takes.

    Those that write most come first, as long as the lines of all running steps still fit.
    """
    lines = max(FEWEST_WINDOW_LINES, min(window_lines, height - FEWEST_WINDOW_LINES - 1))
    free = height - 2 - sum(not job.is_finished for job in jobs)
    used = 0
    talkative = [job for job in jobs if job.screen is not None and not job.is_finished]
    talkative.sort(key=lambda job: job.screen.written if job.screen else 0, reverse=True)
    for job in talkative:
        if free <= lines + 3 or job.screen is None:
            break
        job.is_open = True
        job.screen.resize(lines, width - MARGIN_OF_A_WINDOW)
        used += len(job.screen.rows())
        free -= lines + 3
    return used


def visible(jobs: Sequence[Job], limit: int) -> Sequence[Job]:
    """The last jobs that fit; where running ones would be cut off, they replace finished ones."""
    if len(jobs) <= limit:
        return jobs
    if limit <= 0:
        return ()
    kept = list(jobs[-limit:])
    hidden = [job for job in jobs[:-limit] if not job.is_finished][-limit:]
    surplus = len(hidden)
    remaining = []
    for job in kept:
        if job.is_finished and surplus:
            surplus -= 1
        else:
            remaining.append(job)
    return [*hidden[surplus:], *remaining]


def job_line(job: Job, width: int) -> str:
    """The line of a job, with its time at the right end; empty if the terminal is too narrow.

    The last column stays free: terminals differ in where the cursor is when it is used.
    """
    timer = f" {job.seconds:3.1f}s"
    prefix = " => "
    left = width - len(prefix) - len(timer) - 2
    amount = job.amount if job.amount and left + len(job.amount) > 20 else ""
    if amount:
        left -= len(amount) + 1
    if left < NARROWEST_NAME:
        return ""
    text = prefix + cut(job.name.translate(CONTROLS), left)
    if amount:
        text += f" {amount}"
    return pad(text, width - 1 - len(timer)) + timer
