"""What the sources of a COPY name: paths and wildcards, looked up in a tree."""

from __future__ import annotations

import os

from tierce import worker
from tierce.errors import BuildError
from tierce.values import NamedTuple
from tierce.worker.context import LocalTree
from tierce.worker.patterns import compile_pattern, has_wildcards, split_wildcards

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.graph.ops import Copy, CopyPart
    from tierce.layer.entry import Entry
    from tierce.layer.view import Tree


class Source:
    """One thing that a COPY takes: `path` in the tree, links followed, under its own `name`."""

    __slots__ = ("entry", "name", "path")

    def __init__(self, path: str, name: str, entry: Entry) -> None:
        self.path = path
        self.name = name
        self.entry = entry


class Wanted(NamedTuple):
    """What a step reads of a tree; the fields are those of `CopyPart` and `Copy`."""

    sources: tuple[str, ...]
    literal: bool = False
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


def wanted_of(op: Copy, part: CopyPart) -> Wanted:
    """What one part of a COPY reads."""
    return Wanted(part.sources, part.literal, part.includes, op.excludes)


def find_sources(tree: Tree, wanted: Wanted) -> Iterator[Source]:
    """What is wanted of a tree, in order.

    A pattern that matches nothing gives nothing. Raises BuildError for a path that is absent,
    and for a malformed pattern.
    """
    for pattern in wanted.sources:
        if wanted.literal:
            yield _source(tree, clean(pattern), clean(pattern))
            continue
        fixed, wild = split_wildcards(clean(pattern))
        if wanted.includes and not wild:
            _require(tree, fixed, wanted)
        if wild:
            yield from _matches(tree, fixed, wild)
        else:
            yield _followed(tree, fixed)


def _require(tree: Tree, top: str, wanted: Wanted) -> None:
    """Raise BuildError when something that --parents names in full is not taken of a directory."""
    for include in wanted.includes:
        if has_wildcards(include):
            continue
        # As in BuildKit, the directory that the kept ones are in cannot be a link.
        there = tree.lookup(top)
        is_directory = there is not None and there.kind == "dir"
        selected = worker.selection.Filter((include,), wanted.excludes)
        if not is_directory or not any(True for _ in selected.walk(tree, top)):
            raise _absent(tree, clean(f"{top}/{include}"))


def clean(path: str) -> str:
    """An absolute path without dots, relative to the root: "/a/./b/../c/" gives "a/c"."""
    return os.path.normpath("/" + path).lstrip("/")


def _matches(tree: Tree, fixed: str, wild: str) -> Iterator[Source]:
    """The paths below `fixed` that match; a directory that matches is not searched further."""
    top = _followed(tree, fixed).path
    expression = compile_pattern(wild)
    # Other wildcards match no slash. A class like [^a] does, so that the depth is anything.
    depth = None if "[" in wild else wild.count("/")
    prefix = f"{top}/" if top else ""
    stack = [iter(tree.children(top))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        relative = entry.path[len(prefix) :]
        if expression.fullmatch(relative):
            yield _followed(tree, entry.path)
        elif entry.kind == "dir" and (depth is None or relative.count("/") < depth):
            stack.append(iter(tree.children(entry.path)))


def _followed(tree: Tree, path: str) -> Source:
    return _source(tree, path, tree.resolve(path))


def _source(tree: Tree, path: str, resolved: str) -> Source:
    entry = tree.lookup(resolved)
    if entry is None:
        raise _absent(tree, path, resolved)
    return Source(resolved, os.path.basename(path), entry)


def _absent(tree: Tree, path: str, resolved: str = "") -> BuildError:
    hint = _hint(tree, resolved or path) if isinstance(tree, LocalTree) else ""
    return BuildError(f'copy /{path}: "/{path}": not found', hint=hint)


def _hint(context: LocalTree, path: str) -> str:
    if os.path.lexists(f"{context.root}/{path}"):
        return "the build context has it, but .dockerignore excludes it"
    return f"sources are below the build context, {context.root}; no .. leads out of it"
