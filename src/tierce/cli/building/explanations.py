"""What `tierce build --explain` prints: of each step that was not cached, what differed."""

from __future__ import annotations

from tierce.cli.format.units import ago
from tierce.solver.progress import StepExplained

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.cli.session import Session
    from tierce.solver.explain import Difference, Explanation
    from tierce.solver.progress import Event, Listener

_MOST_FILES = 20
"""Lines for the files of one step; `--progress=rawjson` has them all."""

_LONGEST_VALUE = 200


class Explanations:
    """A listener that keeps the explanations and passes everything on."""

    def __init__(self, listener: Listener) -> None:
        self.found: list[Explanation] = []
        self._listener = listener

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepExplained):
            self.found.append(event.explanation)
        self._listener(event)

    def write(self, session: Session, mode: str, error: BaseException | None) -> None:
        """Print what was found to standard error, unless the progress has it as events.

        After an `error`, the steps that were missed until then.
        """
        if mode in ("", "auto"):
            mode = session.environ.get("BUILDKIT_PROGRESS", "")
        if mode != "rawjson" and (self.found or error is None):
            session.stderr.write(shown(self.found))


def shown(explanations: Sequence[Explanation]) -> str:
    """The explanations as text for people, one paragraph for each step."""
    if not explanations:
        return "\nEvery step was cached.\n"
    count = len(explanations)
    steps = "step was" if count == 1 else "steps were"
    lines = ["", f"{count} {steps} not cached:"]
    for each in explanations:
        lines += ["", f" {_title(each)}", *[f"   {line}" for line in _reason(each)]]
    return "\n".join([*lines, ""])


def _title(explanation: Explanation) -> str:
    place = f"  ({explanation.file}:{explanation.line})" if explanation.line else ""
    return f"{_clipped(explanation.name or 'a step without a name')}{place}"


def _reason(explanation: Explanation) -> Iterator[str]:
    reason, differences = explanation.reason, explanation.differences
    if reason == "ignored":
        yield "the cache was not asked (--no-cache, or --no-cache-filter)"
    elif reason == "new":
        yield "no step like it is known"
    elif reason == "lost":
        yield f"it is the same as {_compared(explanation)}, whose result is gone"
    elif reason == "input":
        for each in differences:
            yield f"it follows from: {_clipped(each.new)}"
    else:
        yield f"compared with {_compared(explanation)}:"
        yield from _table(differences)


def _compared(explanation: Explanation) -> str:
    when = ago(explanation.compared_time)
    when = when[:1].lower() + when[1:]
    same = _without_place(explanation.compared) == _without_place(explanation.name)
    name = "the step" if same else _clipped(explanation.compared)
    return f"{name} of {when}"


def _table(differences: Sequence[Difference]) -> Iterator[str]:
    others = [_row(each) for each in differences if each.kind not in ("file", "files")]
    files = [_row(each) for each in differences if each.kind in ("file", "files")]
    hidden = len(files) - _MOST_FILES if len(files) > _MOST_FILES + 1 else 0
    rows = [*others, *(files[:_MOST_FILES] if hidden else files)]
    first = max((len(what) for what, _, _ in rows), default=0)
    # What says all in one go needs no column of its own.
    second = max((len(subject) for _, subject, change in rows if change), default=0)
    for what, subject, change in rows:
        yield f"{what:<{first}}  {subject:<{second if change else 0}}  {change}".rstrip()
    if hidden:
        yield f"… and {hidden} more files (--progress=rawjson has them all)"


def _row(each: Difference) -> tuple[str, str, str]:
    """What kind of thing, which, and from what to what."""
    arrow = f"{_clipped(each.old)} → {_clipped(each.new)}"
    if each.kind == "file":
        if each.change == "added":
            return "new file", each.subject, _digest(each.new)
        if each.change == "removed":
            return "removed file", each.subject, _digest(each.old)
        if each.change == "changed":
            change = f"{_digest(each.old)} → {_digest(each.new)}"
            return "changed file", each.subject, change
        if each.change == "attributes":
            return "changed file", each.subject, "extended attributes, or device"
        return f"{each.change} of file", each.subject, arrow
    if each.kind == "files":
        if each.change == "more":
            return "files", "", f"and {each.new} more"
        return "files", "", f"{_digest(each.old)} → {_digest(each.new)}"
    if each.kind == "variable":
        if each.change == "added":
            return "ARG or ENV", each.subject, f"new: {_quoted(each.new)}"
        if each.change == "removed":
            return "ARG or ENV", each.subject, f"removed, was {_quoted(each.old)}"
        return "ARG or ENV", each.subject, f"{_quoted(each.old)} → {_quoted(each.new)}"
    if each.kind == "base":
        return "base image", f"{each.subject} {each.old} → {each.new}", ""
    if each.kind == "input":
        return "result of", f"{_clipped(each.new)} is another one", ""
    if each.kind == "instruction":
        return "instruction", arrow, ""
    return "option", each.subject, f"{_quoted(each.old)} → {_quoted(each.new)}"


def _digest(text: str) -> str:
    return f"sha256:{text}…" if text else ""


def _quoted(text: str) -> str:
    return f'"{_clipped(text)}"'


def _clipped(text: str) -> str:
    """Text that fits into a line: control characters away, and not too long."""
    line = " ".join(text.split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 1] + "…"


def _without_place(name: str) -> str:
    return name.partition("] ")[2] if name.startswith("[") else name
