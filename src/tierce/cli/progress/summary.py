"""What is shown when a build has ended: the output of failed steps, and the warnings."""

from __future__ import annotations

from tierce.cli.progress.trace import warning_text
from tierce.errors import StepFailed

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.progress.output import Output
    from tierce.cli.progress.trace import Trace


def write_failures(
    trace: Trace, error: BaseException | None, output: Output, lines: int = 0
) -> None:
    """The output of every step that failed, between rules; at most so many lines (0: all)."""
    log_path = error.log_path if isinstance(error, StepFailed) else ""
    for vertex in trace.vertices.values():
        if not vertex.error or vertex.canceled:
            continue
        text = [f"------\n > {vertex.name}:"]
        if vertex.log is not None:
            shown = vertex.log.lines[-lines:]
            hidden = vertex.log.clipped + len(vertex.log.lines) - len(shown)
            if hidden and log_path:
                text.append(f"({hidden} lines before these are in {log_path})")
            text += shown
        text.append("------\n")
        output.write("\n".join(text))


def write_warnings(trace: Trace, output: Output, colour: str) -> None:
    """How many warnings there were, and each on a line."""
    if not trace.warnings:
        return
    count = len(trace.warnings)
    title = f"{count} warning{'s' if count > 1 else ''} found:"
    if colour:
        title = f"{colour}{title}\x1b[0m"
    lines = [f" - {warning_text(warning)}" for warning in trace.warnings]
    output.write("\n".join([f"\n {title}", *lines, ""]))
