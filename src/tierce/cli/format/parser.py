"""The grammar of a template: tokens to a tree. Errors have the words and the place of Go's."""

from __future__ import annotations

from tierce.cli.format import nodes
from tierce.cli.format.printing import quoted
from tierce.cli.format.tokens import Token, rune, tokenize, unquote
from tierce.cli.format.values import FormatError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

TERMS = frozenset(
    {"name", "dot", "variable", "field", "bool", "character", "number", "string", "("}
)
LARGEST_INT = 2**63 - 1


class Tree:
    """A parsed template: its nodes, and the templates that are defined in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.nodes: Sequence[nodes.Node] = ()
        self.definitions: dict[str, Sequence[nodes.Node]] = {}


def parse(text: str, functions: Container[str]) -> Tree:
    """The tree of a template that may call those functions; FormatError says why there is none."""
    parser = _Parser(text, functions)
    parser.tree.nodes = parser.top_level()
    return parser.tree


def is_empty(body: Sequence[nodes.Node]) -> bool:
    """Whether there is nothing but space in a template."""
    return all(isinstance(node, nodes.Text) and not node.text.strip() for node in body)


class _Parser:
    def __init__(self, text: str, functions: Container[str]) -> None:
        self.tree = Tree(text)
        self.functions = functions
        self.tokens = tokenize(text)
        self.next_index = 0
        self.variables = ["$"]
        self.range_depth = 0
        self.action_line = 0

    # Tokens

    def next(self) -> Token:
        token = self.tokens[min(self.next_index, len(self.tokens) - 1)]
        self.next_index += 1
        return token

    def peek(self) -> Token:
        return self.tokens[min(self.next_index, len(self.tokens) - 1)]

    def next_after_space(self) -> Token:
        if self.peek().kind == "space":
            self.next_index += 1
        return self.next()

    def peek_after_space(self) -> Token:
        token = self.next_after_space()
        self.next_index -= 1
        return token

    def is_keyword(self, token: Token, *words: str) -> bool:
        return token.kind == "keyword" and token.text in words

    def expect(self, kind: str, context: str) -> Token:
        token = self.next_after_space()
        if token.kind != kind:
            raise self.unexpected(token, context)
        return token

    def line(self, position: int) -> int:
        return self.tree.text.count("\n", 0, position) + 1

    def error(self, message: str) -> FormatError:
        """An error at the token that was read last."""
        last = self.tokens[max(0, min(self.next_index, len(self.tokens)) - 1)]
        return FormatError(f"template: :{self.line(last.position)}: {message}")

    def unexpected(self, token: Token, context: str) -> FormatError:
        if token.kind == "error":
            extra = ""
            if self.action_line and self.action_line != self.line(token.position):
                extra = f" in action started at :{self.action_line}"
                if token.text.endswith(" action"):
                    extra = extra.removeprefix(" in action")
            return self.error(f"{token}{extra}")
        return self.error(f"unexpected {token} in {context}")

    # Text and actions

    def top_level(self) -> Sequence[nodes.Node]:
        found: list[nodes.Node] = []
        while self.peek().kind != "end":
            if self.peek().kind == "{{":
                start = self.next_index
                self.next()
                if self.is_keyword(self.next_after_space(), "define"):
                    self.definition()
                    continue
                self.next_index = start
            node = self.text_or_action()
            if isinstance(node, nodes.End):
                raise self.error(f"unexpected {node}")
            found.append(node)
        return found

    def definition(self) -> None:
        name = self.template_name("define clause")
        self.expect("}}", "define clause")
        self.define(name, "define clause")

    def define(self, name: str, context: str) -> None:
        """Parse the body of a definition up to its end; it sees no variables from outside."""
        outer, self.variables = self.variables, ["$"]
        body, end = self.list()
        if end.keyword != "end":
            raise self.error(f"unexpected {end} in {context}")
        self.variables = outer
        if not is_empty(body):
            if not is_empty(self.tree.definitions.get(name, ())):
                complaint = f"template: multiple definition of template {quoted(name)}"
                raise self.error(complaint)
            self.tree.definitions[name] = body
        self.tree.definitions.setdefault(name, body)

    def list(self) -> tuple[Sequence[nodes.Node], nodes.End]:
        found: list[nodes.Node] = []
        while self.peek_after_space().kind != "end":
            node = self.text_or_action()
            if isinstance(node, nodes.End):
                return found, node
            found.append(node)
        self.next_after_space()
        raise self.error("unexpected EOF")

    def text_or_action(self) -> nodes.Node:
        token = self.next_after_space()
        if token.kind == "text":
            return nodes.Text(token.position, token.text)
        if token.kind != "{{":
            raise self.unexpected(token, "input")
        self.action_line = self.line(token.position)
        node = self.action()
        self.action_line = 0
        return node

    def action(self) -> nodes.Node:
        token = self.next_after_space()
        if token.kind == "keyword" and token.text in {"if", "range", "with"}:
            return self.branch(token)
        if self.is_keyword(token, "end"):
            return nodes.End(self.expect("}}", "end").position, "end")
        if self.is_keyword(token, "else"):
            return self.otherwise()
        if self.is_keyword(token, "break", "continue"):
            return self.jump(token)
        if self.is_keyword(token, "template"):
            return self.invocation()
        if self.is_keyword(token, "block"):
            return self.block()
        self.next_index -= 1
        # Variables that are declared here live until the next end.
        return nodes.Action(token.position, self.pipeline("command", "}}"))

    def otherwise(self) -> nodes.End:
        following = self.peek_after_space()
        if self.is_keyword(following, "if", "with"):
            return nodes.End(following.position, "else", following.text)
        return nodes.End(self.expect("}}", "else").position, "else")

    def jump(self, token: Token) -> nodes.Jump:
        shown = "{{" + token.text + "}}"
        self.expect("}}", shown)
        if not self.range_depth:
            raise self.error(f"{shown} outside {{{{range}}}}")
        return nodes.Jump(token.position, token.text)

    def branch(self, keyword: Token) -> nodes.Branch:
        visible = len(self.variables)
        kind = keyword.text
        pipeline = self.pipeline(kind, "}}")
        self.range_depth += kind == "range"
        body, end = self.list()
        self.range_depth -= kind == "range"
        otherwise: Sequence[nodes.Node] | None = None
        if end.keyword == "else":
            if end.chained and end.chained == kind:
                otherwise = [self.branch(self.next_after_space())]
            else:
                otherwise, end = self.list()
                if end.keyword != "end":
                    raise self.error(f"expected end; found {end}")
        del self.variables[visible:]
        return nodes.Branch(pipeline.position, kind, pipeline, body, otherwise)

    def invocation(self) -> nodes.Invocation:
        position = self.peek_after_space().position
        name = self.template_name("template clause")
        if self.peek_after_space().kind == "}}":
            self.next_after_space()
            return nodes.Invocation(position, name, None)
        return nodes.Invocation(position, name, self.pipeline("template clause", "}}"))

    def block(self) -> nodes.Invocation:
        position = self.peek_after_space().position
        name = self.template_name("block clause")
        pipeline = self.pipeline("block clause", "}}")
        self.define(name, "block clause")
        return nodes.Invocation(position, name, pipeline)

    def template_name(self, context: str) -> str:
        token = self.expect("string", context)
        return self.constant_text(token)

    # Pipelines

    def pipeline(self, context: str, end: str) -> nodes.Pipeline:
        pipeline = nodes.Pipeline(self.peek_after_space().position)
        self.declarations(pipeline, context)
        while True:
            token = self.next_after_space()
            if token.kind == end:
                break
            if token.kind not in TERMS and not self.is_keyword(token, "nil"):
                raise self.unexpected(token, context)
            self.next_index -= 1
            pipeline.calls.append(self.call())
        if not pipeline.calls:
            raise self.error(f"missing value for {context}")
        for stage, call in enumerate(pipeline.calls[1:], 2):
            if isinstance(call.operands[0], nodes.Constant | nodes.Dot | nodes.Nil):
                raise self.error(f"non executable command in pipeline stage {stage}")
        return pipeline

    def declarations(self, pipeline: nodes.Pipeline, context: str) -> None:
        """`$x :=`, `$x =` or, in a range, `$i, $x :=`."""
        while self.peek_after_space().kind == "variable":
            start = self.next_index
            token = self.next_after_space()
            following = self.next_after_space()
            if following.kind in {"=", ":="}:
                pipeline.assigns = following.kind == "="
                self.declare(pipeline, token)
                return
            if following.kind != "char" or following.text != ",":
                self.next_index = start
                return
            self.declare(pipeline, token)
            if context != "range" or len(pipeline.variables) > 1:
                raise self.error(f"too many declarations in {context}")
            if self.peek_after_space().kind not in {"variable", "}}", ")"}:
                raise self.error("range can only initialize variables")

    def declare(self, pipeline: nodes.Pipeline, token: Token) -> None:
        pipeline.variables.append(nodes.Variable(token.position, token.text))
        self.variables.append(token.text)

    def call(self) -> nodes.Call:
        position = self.peek_after_space().position
        operands: list[nodes.Node] = []
        while True:
            self.peek_after_space()
            operand = self.operand()
            if operand is not None:
                operands.append(operand)
            token = self.next()
            if token.kind == "space":
                continue
            if token.kind in {"}}", ")"}:
                self.next_index -= 1
            elif token.kind != "|":
                raise self.unexpected(token, "operand")
            break
        if not operands:
            raise self.error("empty command")
        return nodes.Call(position, operands)

    def operand(self) -> nodes.Node | None:
        """A term and the fields that follow it; None, with nothing read, where there is none."""
        node = self.term()
        if node is None or self.peek().kind != "field":
            return node
        position = self.peek().position
        names = []
        while self.peek().kind == "field":
            names.append(self.next().text[1:])
        if isinstance(node, nodes.Field):
            return nodes.Field(position, [*node.names, *names])
        if isinstance(node, nodes.Variable):
            return nodes.Variable(position, node.name, [*node.names, *names])
        if isinstance(node, nodes.Constant | nodes.Dot | nodes.Nil):
            raise self.error(f"unexpected . after term {quoted(str(node))}")
        return nodes.Chain(position, node, names)

    def term(self) -> nodes.Node | None:
        token = self.next_after_space()
        position, text = token.position, token.text
        if token.kind == "name":
            if text not in self.functions:
                raise self.error(f"function {quoted(text)} not defined")
            return nodes.Function(position, text)
        if token.kind == "dot":
            return nodes.Dot(position)
        if self.is_keyword(token, "nil"):
            return nodes.Nil(position)
        if token.kind == "variable":
            if text not in self.variables:
                raise self.error(f"undefined variable {quoted(text)}")
            return nodes.Variable(position, text)
        if token.kind == "field":
            return nodes.Field(position, [text[1:]])
        if token.kind == "bool":
            return nodes.Constant(position, text, text == "true")
        if token.kind == "(":
            return self.pipeline("parenthesized pipeline", ")")
        if token.kind == "string":
            return nodes.Constant(position, text, self.constant_text(token))
        if token.kind in {"number", "character"}:
            return nodes.Constant(position, text, self.number(token))
        self.next_index -= 1
        return None

    def constant_text(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except FormatError as error:
            raise self.error(error.message) from None

    def number(self, token: Token) -> int | float:
        text = token.text
        if token.kind == "character":
            try:
                return rune(text)
            except FormatError as error:
                raise self.error(error.message) from None
        digits = text.lstrip("+-").lower()
        is_float = "." in digits or ("e" in digits and not digits.startswith("0x"))
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdecimal()
        try:
            number = float(text) if is_float else int(text, 8 if octal else 0)
        except ValueError:
            what = "integer overflow" if octal else "illegal number syntax"
            raise self.error(f"{what}: {quoted(text)}") from None
        if isinstance(number, int) and not -LARGEST_INT - 1 <= number <= LARGEST_INT:
            raise self.error(f"integer overflow: {quoted(text)}")
        return number
