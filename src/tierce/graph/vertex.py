"""A vertex: one operation, applied to the results of other vertices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tierce.graph.digest import op_digest
from tierce.graph.ops import Op
from tierce.oci.digest import sha256_hex
from tierce.values import Value


class SourceRange(Value):
    """The lines of a Dockerfile, counted from 1, that a vertex comes from."""

    file: str
    first_line: int
    last_line: int


class Vertex:
    """One node of the build graph; immutable.

    `digest` covers the operation and, recursively, the inputs: vertices with the same digest are
    the same work and run once. `name` ("[2/8] RUN make"), `source` and `ignore_cache` say how it
    is shown and treated, and change no result; a vertex without a name is not shown.
    """

    __slots__ = ("digest", "ignore_cache", "inputs", "name", "op", "op_digest", "source")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Vertex] = (),
        *,
        name: str = "",
        source: SourceRange | None = None,
        ignore_cache: bool = False,
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.name = name
        self.source = source
        self.ignore_cache = ignore_cache
        self.op_digest = op_digest(op)
        together = [self.op_digest, *[vertex.digest for vertex in self.inputs]]
        self.digest: str = "sha256:" + sha256_hex("\n".join(together).encode())

    def __repr__(self) -> str:
        return f"<Vertex {self.name or type(self.op).__name__} {self.digest[7:19]}>"


def sorted_vertices(roots: Sequence[Vertex]) -> Iterator[Vertex]:
    """Every vertex that the roots need, each once (by digest), inputs before their users."""
    seen: set[str] = set()
    stack: list[tuple[Vertex, int]] = [(root, 0) for root in reversed(roots)]
    while stack:
        vertex, next_input = stack.pop()
        if vertex.digest in seen:
            continue
        if next_input < len(vertex.inputs):
            stack.append((vertex, next_input + 1))
            stack.append((vertex.inputs[next_input], 0))
        else:
            seen.add(vertex.digest)
            yield vertex
