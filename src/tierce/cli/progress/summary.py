"""What is shown when a build has ended: the output of failed steps, and the warnings."""

from __future__ import annotations

from tierce.cli.progress.trace import warning_text
from tierce.cli.table import load_module
from tierce.errors import StepFailed

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.progress.output import Output
    from tierce.cli.progress.trace import Trace
    from tierce.solver.progress import VertexWarning


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


def write_warnings(trace: Trace, output: Output, colour: str, *, debug: bool) -> None:
    """How many warnings there were, and each on a line; with `debug` also what they are about."""
    warnings = list(dict.fromkeys(trace.warnings))
    if not warnings:
        return
    title = f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''} found"
    title += ":" if debug else " (use tierce --debug to expand):"
    if colour:
        title = f"{colour}{title}\x1b[0m"
    lines = [f"\n {title}\n"]
    for warning in warnings:
        lines.append(f" - {warning_text(warning)}\n")
        if debug:
            lines.append(_explained(warning))
    output.write("".join(lines))


def _explained(warning: VertexWarning) -> str:
    lines = [*warning.detail]
    if warning.url:
        lines.append(f"More info: {warning.url}")
    text = "".join([f"{line}\n" for line in lines])
    place = load_module("tierce.cli.excerpt").marked_lines(
        warning.file, warning.source.split("\n"), warning.line, max(warning.line, warning.end_line)
    )
    return f"{text}{place}\n"
