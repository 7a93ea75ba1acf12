"""Heredocs that become files: sources of COPY, and scripts of RUN."""

from __future__ import annotations

from tierce.dockerfile.gotext import quote
from tierce.errors import InvalidValue
from tierce.frontend.paths import absolute
from tierce.graph.ops import MakeFile, Scratch

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from tierce.frontend.context import Context
    from tierce.graph.vertex import Vertex


def document_vertex(context: Context, name: str, text: str, mode: int) -> tuple[Vertex, str]:
    """A file system with nothing but a file of that name, and the path of the file in it.

    Raises InvalidValue for what can be the name of no file in a root directory.
    """
    path = absolute(name)
    if path.count("/") > 1 or path == "/":
        raise InvalidValue(
            f"cannot write a heredoc to {quote(name)}: not the name of a file", value=name
        )
    vertex = context.vertex(
        MakeFile(path, text.encode("utf-8", "surrogateescape"), mode),
        [context.vertex(Scratch())],
        name="[internal] preparing inline document",
    )
    return vertex, path
