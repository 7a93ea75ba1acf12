"""The tree of a parsed template. `str()` of a node is what error messages show of it."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence


class Node:
    """`position` counts the characters of the template before the node."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Text(Node):
    __slots__ = ("text",)

    def __init__(self, position: int, text: str) -> None:
        super().__init__(position)
        self.text = text


class Dot(Node):
    __slots__ = ()

    def __str__(self) -> str:
        return "."


class Nil(Node):
    __slots__ = ()

    def __str__(self) -> str:
        return "nil"


class Constant(Node):
    """A string, a number, a character (an int) or a boolean, with its text in the template."""

    __slots__ = ("text", "value")

    def __init__(self, position: int, text: str, value: object) -> None:
        super().__init__(position)
        self.text = text
        self.value = value

    def __str__(self) -> str:
        return self.text


class Function(Node):
    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Field(Node):
    """`.A.B`: fields of dot."""

    __slots__ = ("names",)

    def __init__(self, position: int, names: Sequence[str]) -> None:
        super().__init__(position)
        self.names = names

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class Variable(Node):
    """`$x.A.B`: a variable (its name has the dollar sign), or fields of it."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, name: str, names: Sequence[str] = ()) -> None:
        super().__init__(position)
        self.name = name
        self.names = names

    def __str__(self) -> str:
        return ".".join([self.name, *self.names])


class Chain(Node):
    """`(pipeline).A.B` or `function.A`: fields of another value."""

    __slots__ = ("names", "operand")

    def __init__(self, position: int, operand: Node, names: Sequence[str]) -> None:
        super().__init__(position)
        self.operand = operand
        self.names = names

    def __str__(self) -> str:
        return ".".join([_in_parentheses(self.operand), *self.names])


class Call(Node):
    """One stage of a pipeline: an operand, and arguments if it is a function or a method."""

    __slots__ = ("operands",)

    def __init__(self, position: int, operands: Sequence[Node]) -> None:
        super().__init__(position)
        self.operands = operands

    def __str__(self) -> str:
        return " ".join(_in_parentheses(operand) for operand in self.operands)


class Pipeline(Node):
    """Calls, each of which gets the value of the one before as its last argument.

    The value goes to the `variables`, which are new ones unless `assigns`.
    """

    __slots__ = ("assigns", "calls", "variables")

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.variables: list[Variable] = []
        self.assigns = False
        self.calls: list[Call] = []

    def __str__(self) -> str:
        declared = ", ".join(map(str, self.variables)) + " := " if self.variables else ""
        return declared + " | ".join(map(str, self.calls))


class Action(Node):
    """`{{pipeline}}`, whose value is printed."""

    __slots__ = ("pipeline",)

    def __init__(self, position: int, pipeline: Pipeline) -> None:
        super().__init__(position)
        self.pipeline = pipeline

    def __str__(self) -> str:
        return "{{" + str(self.pipeline) + "}}"


class Branch(Node):
    """`if`, `range` and `with`, told apart by `keyword`."""

    __slots__ = ("body", "keyword", "otherwise", "pipeline")

    def __init__(
        self,
        position: int,
        keyword: str,
        pipeline: Pipeline,
        body: Sequence[Node],
        otherwise: Sequence[Node] | None,
    ) -> None:
        super().__init__(position)
        self.keyword = keyword
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise

    def __str__(self) -> str:
        return "{{" + f"{self.keyword} {self.pipeline}" + "}}"


class Invocation(Node):
    """`{{template "name" pipeline}}`."""

    __slots__ = ("name", "pipeline")

    def __init__(self, position: int, name: str, pipeline: Pipeline | None) -> None:
        super().__init__(position)
        self.name = name
        self.pipeline = pipeline

    def __str__(self) -> str:
        return (
            "{{template " + f'"{self.name}"' + (f" {self.pipeline}" if self.pipeline else "") + "}}"
        )


class Jump(Node):
    """`{{break}}` or `{{continue}}`."""

    __slots__ = ("keyword",)

    def __init__(self, position: int, keyword: str) -> None:
        super().__init__(position)
        self.keyword = keyword

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"


class End(Node):
    """`{{end}}` or `{{else}}`: what ends a list of nodes; never part of a tree.

    `chained` is the keyword of `{{else if …}}` or `{{else with …}}`, still to be parsed.
    """

    __slots__ = ("chained", "keyword")

    def __init__(self, position: int, keyword: str, chained: str = "") -> None:
        super().__init__(position)
        self.keyword = keyword
        self.chained = chained

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"


def _in_parentheses(node: Node) -> str:
    return f"({node})" if isinstance(node, Pipeline) else str(node)
