"""Why a step was not cached: what differs between it and the nearest step that is remembered.

Steps are compared by their components: the operation, what it works on, and the files that it
reads. What that is in an operation is not known here, but that some fields are lists of pairs.
"""

from __future__ import annotations

from tierce.values import NamedTuple, Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from tierce.solver.cache import Outcome

MOST_FILES = 1000
"""Differences of files that are told of one step; of the rest, how many there are."""

LEAST_LIKENESS = 0.45
"""What is less like a step than that has nothing to do with it."""

SAME_PLACE = 0.2
"""How much more alike two steps are when they stand at the same place of a stage."""

_TEXT_COUNTS = 0.6
_SHELL_FORM = 2

_INSTRUCTION = frozenset({"args", "content", "destination", "parts", "path"})
"""Fields of operations that the text of the instruction shows."""


class Fact(NamedTuple):
    """A file: `attributes` are "type mode uid gid" and, rarely, more; `content` begins its digest.

    `content` is empty for what has none.
    """

    attributes: str
    content: str


class Input(Value):
    """What a step works on or reads: `key` is empty where the files in it count instead.

    `label` says what it is. For an image, `digest` is that of its manifest.
    """

    key: str
    label: str
    digest: str = ""


class Components(Value):
    """What the key of a step is made of.

    `operation` has the fields of the operation by name, and its type under the empty name;
    `selections` are digests of all that was selected, one for each part of the step that reads
    files, `files` what is known of them by path: nothing where they were not listed.
    """

    operation: Mapping[str, Any]
    inputs: tuple[Input, ...] = ()
    selections: tuple[str, ...] = ()
    files: Mapping[str, Fact] = {}


class Difference(Value):
    """One thing that differs; `kind` says what.

    "file": `subject` is a path, `change` "changed", "added", "removed", "mode", "owner", "type" or
    "attributes"; "files": files that are not listed, "more" of them or just "changed";
    "variable": the name of an ARG or ENV; "base": the image it is built from; "input": the step
    whose result it uses; "instruction": the text of the step; "option": a field of the operation.
    `old` and `new` are empty where there is none.
    """

    kind: str
    subject: str
    change: str = "changed"
    old: str = ""
    new: str = ""


class Candidate(Value):
    """A step that is known; `time` is that of its last use, in seconds since 1970."""

    name: str
    time: float
    components: Components


class Explanation(Value):
    """Why one step was not cached; `vertex` is its digest, `name` what it is shown as.

    `reason` is "differs" (from the step that `compared` names, last used at `compared_time`),
    "input" (only what it works on is another), "new" (no step like it is known), "ignored" (the
    cache was not asked) or "lost" (it is known, but its result is gone).
    """

    vertex: str
    name: str
    reason: str
    differences: tuple[Difference, ...] = ()
    compared: str = ""
    compared_time: float = 0.0
    file: str = ""
    line: int = 0


def explain(
    outcome: Outcome, name: str, new: Components, candidates: Iterable[Candidate]
) -> Explanation:
    """Compare a step that ran, shown as `name`, with the candidate that is most like it.

    Of those that are as much alike, the first.
    """
    vertex = outcome.vertex
    explanation = Explanation(vertex.digest, name, "new")
    if vertex.source is not None:
        source = vertex.source
        explanation = explanation.replace(file=source.file, line=source.first_line)
    if outcome.ignored_cache:
        return explanation.replace(reason="ignored")
    best, most = None, LEAST_LIKENESS
    for candidate in candidates:
        alike = likeness(candidate.components, new)
        if _place_of(name) and _place_of(name) == _place_of(candidate.name):
            alike += SAME_PLACE
        if alike > most:
            best, most = candidate, alike
    if best is None:
        return explanation
    differences = compare(best.components, new, best.name, name)
    reason = "differs" if differences else "lost"
    if differences and all(each.kind == "input" for each in differences):
        reason = "input"
    return explanation.replace(
        reason=reason,
        differences=tuple(differences),
        compared=best.name,
        compared_time=best.time,
    )


def compare(
    old: Components, new: Components, old_name: str = "", new_name: str = ""
) -> list[Difference]:
    """What differs, from what a step works on to the files that it reads.

    `old_name` and `new_name` are what the steps are shown as.
    """
    return [
        *_inputs(old, new),
        *_operations(old.operation, new.operation, _text_of(old_name), _text_of(new_name)),
        *_files(old, new),
    ]


def likeness(old: Components, new: Components) -> float:
    """How much alike two steps are: 0 for those that have nothing to do with each other, to 1.

    The text of the instruction counts most, then the files, then what it is done with and upon.
    """
    if old.operation.get("") != new.operation.get(""):
        return 0.0
    text = _alike(_words(old), _words(new))
    if old.files and new.files:
        text = (text + _alike(set(old.files), set(new.files))) / 2
    return _TEXT_COUNTS * text + (1 - _TEXT_COUNTS) * _alike(_traits(old), _traits(new))


def _alike(left: set[str], right: set[str]) -> float:
    together = left | right
    return len(left & right) / len(together) if together else 1.0


def _words(components: Components) -> set[str]:
    """The words of an instruction, less the shell that runs them."""
    words = set()
    for name, value in components.operation.items():
        if name in _INSTRUCTION:
            texts = list(_texts(value))
            if name == "args" and len(texts) > _SHELL_FORM and texts[1] == "-c":
                texts = texts[_SHELL_FORM:]
            words |= {word for text in texts for word in text.split()}
    return words


def _traits(components: Components) -> set[str]:
    """What is compared by being there: names and values of variables, options, inputs."""
    traits = set()
    for name, value in components.operation.items():
        if name not in _INSTRUCTION:
            traits |= {f"{name} {text}" for text in _texts(value)}
    for place, each in enumerate(components.inputs):
        traits |= {f"input {place} {each.key}", f"input {place} {each.label}"}
    return traits


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif value not in ("", None, False):
        yield str(value)


def _inputs(old: Components, new: Components) -> Iterator[Difference]:
    for before, after in zip(old.inputs, new.inputs):
        if before.key == after.key:
            continue
        if after.digest and before.digest:
            if before.label == after.label:
                yield Difference("base", after.label, "changed", before.digest, after.digest)
            else:
                yield Difference(
                    "base",
                    after.label,
                    "changed",
                    f"{before.label} {before.digest}",
                    f"{after.label} {after.digest}",
                )
        elif not after.key or not before.key:
            continue  # its files say it
        elif before.label == after.label or not after.digest:
            yield Difference("input", after.label, "changed", before.label, after.label)
        else:
            yield Difference("base", after.label, "changed", before.label, after.digest)


def _operations(
    old: Mapping[str, Any], new: Mapping[str, Any], old_text: str, new_text: str
) -> Iterator[Difference]:
    told = False
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name == "env":
            yield from _variables(before or [], after or [])
        elif name not in _INSTRUCTION:
            yield Difference("option", name, "changed", _shown(before), _shown(after))
        elif old_text != new_text:
            if not told:
                yield Difference("instruction", "", "changed", old_text, new_text)
            told = True
        else:
            # A here-document: its text is no part of what is shown.
            yield Difference("instruction", name, "changed", _shown(before), _shown(after))


def _place_of(name: str) -> str:
    """The place of a step: "build 2/4" of "[build 2/4] RUN make"."""
    return name[1:].partition("] ")[0] if name.startswith("[") else ""


def _text_of(name: str) -> str:
    """The name of a step without its place: "RUN make" of "[build 2/4] RUN make"."""
    return name.partition("] ")[2] if name.startswith("[") else name


def _variables(old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
    before, after = ({each[0]: each[1] for each in pairs} for pairs in (old, new))
    for name in dict.fromkeys([*after, *before]):
        if name not in before:
            yield Difference("variable", name, "added", "", after[name])
        elif name not in after:
            yield Difference("variable", name, "removed", before[name], "")
        elif before[name] != after[name]:
            yield Difference("variable", name, "changed", before[name], after[name])
    if before == after:
        yield Difference("option", "env", "order")


def _files(old: Components, new: Components) -> Iterator[Difference]:
    if old.selections == new.selections or not new.selections:
        return
    if not old.files or not new.files:
        for before, after in zip(old.selections, new.selections):
            if before != after:
                yield Difference("files", "", "changed", before[:12], after[:12])
        return
    count = 0
    for difference in _each_file(old.files, new.files):
        count += 1
        if count <= MOST_FILES:
            yield difference
    if count > MOST_FILES:
        yield Difference("files", "", "more", "", str(count - MOST_FILES))


def _each_file(old: Mapping[str, Fact], new: Mapping[str, Fact]) -> Iterator[Difference]:
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before is None:
            assert after is not None
            yield Difference("file", path, "added", "", after.content)
        elif after is None:
            yield Difference("file", path, "removed", before.content, "")
        else:
            yield from _one_file(path, before, after)


def _one_file(path: str, before: Fact, after: Fact) -> Iterator[Difference]:
    left, right = before.attributes.split(" ", 4), after.attributes.split(" ", 4)
    left, right = ([*each, "", "", "", "", ""][:5] for each in (left, right))
    if left[0] != right[0]:
        yield Difference("file", path, "type", left[0], right[0])
        return
    if before.content != after.content:
        yield Difference("file", path, "changed", before.content, after.content)
    if left[1] != right[1]:
        yield Difference("file", path, "mode", f"{left[1]:0>4}", f"{right[1]:0>4}")
    if left[2:4] != right[2:4]:
        yield Difference("file", path, "owner", ":".join(left[2:4]), ":".join(right[2:4]))
    if left[4] != right[4]:
        yield Difference("file", path, "attributes")


def _shown(value: Any) -> str:
    """A field of an operation as text."""
    if isinstance(value, list | tuple):
        return " ".join(_shown(each) for each in value)
    return "" if value is None else str(value)
