"""Runs the tree of a template over a value. Errors have the words and the place of Go's."""

from __future__ import annotations

from tierce.cli.format import nodes
from tierce.cli.format.functions import CallError, Function
from tierce.cli.format.printing import quoted, shown
from tierce.cli.format.values import (
    MISSING,
    FormatError,
    Headers,
    Method,
    NilPointer,
    StringMap,
    Struct,
    is_true,
    type_name,
)

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tierce.cli.format.parser import Tree

DEEPEST_NESTING = 100
TYPES = {"string": str, "int": int}


class NoValue:
    """The type of NO_FINAL: a call that is the first of its pipeline."""


NO_FINAL = NoValue()


class Jumped(Exception):
    """`{{break}}` or `{{continue}}`, on its way to the range."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class Evaluator:
    """One execution of a template.

    `node` is the place that an error is reported at. With `missing_key_is_error` a map must have
    the keys that are asked for.
    """

    def __init__(
        self, tree: Tree, functions: Mapping[str, Function], *, missing_key_is_error: bool = False
    ) -> None:
        self.tree = tree
        self.functions = functions
        self.missing_key_is_error = missing_key_is_error
        self.output: list[str] = []
        self.variables: list[tuple[str, object]] = []
        self.node: nodes.Node = nodes.Dot(0)
        self.name = ""
        self.depth = 0

    def run(self, value: object) -> str:
        self.variables = [("$", value)]
        self.walk_all(value, self.tree.nodes)
        return "".join(self.output)

    def error(self, message: str) -> FormatError:
        before = self.tree.text[: self.node.position]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        place = f"template: :{line}:{column}: executing {quoted(self.name)}"
        return FormatError(f"{place} at <{self.node}>: {message}")

    # Walking

    def walk_all(self, dot: object, tree: Sequence[nodes.Node]) -> None:
        for node in tree:
            self.walk(dot, node)

    def walk(self, dot: object, node: nodes.Node) -> None:
        self.node = node
        if isinstance(node, nodes.Text):
            self.output.append(node.text)
        elif isinstance(node, nodes.Action):
            value = self.pipeline(dot, node.pipeline)
            if not node.pipeline.variables:
                self.output.append(shown(value))
        elif isinstance(node, nodes.Branch):
            visible = len(self.variables)
            if node.keyword == "range":
                self.walk_range(dot, node)
            else:
                self.walk_condition(dot, node)
            del self.variables[visible:]
        elif isinstance(node, nodes.Invocation):
            self.walk_invocation(dot, node)
        elif isinstance(node, nodes.Jump):
            raise Jumped(node.keyword)

    def walk_condition(self, dot: object, node: nodes.Branch) -> None:
        value = self.pipeline(dot, node.pipeline)
        if is_true(value):
            self.walk_all(value if node.keyword == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk_all(dot, node.otherwise)

    def walk_range(self, dot: object, node: nodes.Branch) -> None:
        value = self.pipeline(dot, node.pipeline)
        # The declaration pushed one or two variables; each turn sets them anew.
        count = len(node.pipeline.variables)
        mark = len(self.variables)
        turns = 0
        try:
            for index, element in self.elements(value):
                turns += 1
                if count:
                    name = self.variables[mark - 1][0]
                    self.variables[mark - 1] = (name, element)
                if count > 1:
                    name = self.variables[mark - 2][0]
                    self.variables[mark - 2] = (name, index)
                try:
                    self.walk_all(element, node.body)
                except Jumped as jump:
                    if jump.keyword == "break":
                        break
                finally:
                    del self.variables[mark:]
        finally:
            del self.variables[mark:]
        if not turns and node.otherwise is not None:
            self.walk_all(dot, node.otherwise)

    def elements(self, value: object) -> Iterator[tuple[object, object]]:
        if isinstance(value, list | tuple):
            yield from enumerate(value)
        elif isinstance(value, dict):
            yield from ((key, value[key]) for key in sorted(value))
        elif value is not MISSING and value is not None:
            raise self.error(f"range can't iterate over {shown(value)}")

    def walk_invocation(self, dot: object, node: nodes.Invocation) -> None:
        if node.name not in self.tree.definitions:
            raise self.error(f"template {quoted(node.name)} not defined")
        if self.depth == DEEPEST_NESTING:
            raise self.error(f"exceeded maximum template depth ({DEEPEST_NESTING})")
        value = self.pipeline(dot, node.pipeline) if node.pipeline is not None else MISSING
        outer, self.variables = self.variables, [("$", value)]
        outer_name, self.name = self.name, node.name
        self.depth += 1
        self.walk_all(value, self.tree.definitions[node.name])
        self.variables, self.name = outer, outer_name
        self.depth -= 1

    # Values

    def pipeline(self, dot: object, pipeline: nodes.Pipeline) -> object:
        self.node = pipeline
        value: object = NO_FINAL
        for call in pipeline.calls:
            value = self.call(dot, call, value)
            if value is None:
                value = MISSING  # what an interface holds counts, and this one holds nothing
        for variable in pipeline.variables:
            if pipeline.assigns:
                self.assign(variable.name, value)
            else:
                self.variables.append((variable.name, value))
        return value

    def assign(self, name: str, value: object) -> None:
        for position in range(len(self.variables) - 1, -1, -1):
            if self.variables[position][0] == name:
                self.variables[position] = (name, value)
                return
        raise self.error(f"undefined variable: {name}")

    def call(self, dot: object, call: nodes.Call, final: object) -> object:
        first = call.operands[0]
        arguments = call.operands[1:]
        if isinstance(first, nodes.Function):
            return self.call_function(dot, first, call, arguments, final)
        if isinstance(first, nodes.Field | nodes.Variable | nodes.Chain):
            has_arguments = bool(arguments) or final is not NO_FINAL
            found = self.operand(dot, first, has_arguments=has_arguments)
            if isinstance(found, Method):
                return self.call_method(dot, found, arguments, final)
            return found
        if not isinstance(first, nodes.Pipeline):
            self.node = first
        if arguments or final is not NO_FINAL:
            raise self.error(f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Nil):
            raise self.error("nil is not a command")
        return self.operand(dot, first)

    def operand(self, dot: object, node: nodes.Node, *, has_arguments: bool = False) -> object:
        """The value of any operand; only fields are told whether arguments follow."""
        if isinstance(node, nodes.Pipeline):
            return self.pipeline(dot, node)
        self.node = node
        if isinstance(node, nodes.Constant):
            return node.value
        if isinstance(node, nodes.Dot):
            return dot
        if isinstance(node, nodes.Nil):
            return None
        if isinstance(node, nodes.Function):
            return self.call_function(dot, node, node, (), NO_FINAL)
        if isinstance(node, nodes.Field):
            return self.fields(dot, node.names, has_arguments=has_arguments)
        if isinstance(node, nodes.Variable):
            value = self.variable(node.name)
            if not node.names and has_arguments:
                raise self.error(f"can't give argument to non-function {node}")
            return self.fields(value, node.names, has_arguments=has_arguments)
        assert isinstance(node, nodes.Chain)
        if isinstance(node.operand, nodes.Nil):
            raise self.error(f"indirection through explicit nil in {node}")
        value = self.operand(dot, node.operand)
        return self.fields(value, node.names, has_arguments=has_arguments)

    def variable(self, name: str) -> object:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.error(f"undefined variable: {name}")

    def fields(self, value: object, names: Sequence[str], *, has_arguments: bool) -> object:
        type_shown = ""
        for position, name in enumerate(names, 1):
            is_last = position == len(names)
            found = self.field(value, name, type_shown, has_arguments=has_arguments and is_last)
            # What is in a map of anything has, for Go, the type of anything.
            is_any = isinstance(value, dict) and not isinstance(value, StringMap)
            type_shown = "interface {}" if is_any else ""
            value = found
        return value

    def field(self, value: object, name: str, type_shown: str, *, has_arguments: bool) -> object:
        if value is MISSING:
            if self.missing_key_is_error:
                raise self.error(f"nil data; no entry for key {quoted(name)}")
            return MISSING
        if value is None:
            raise self.error(f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(value, Struct | Headers) and name in value.methods:
            return Method(name, value.methods[name])
        if isinstance(value, Struct):
            if name in value:
                if has_arguments:
                    complaint = f"{name} has arguments but cannot be invoked as function"
                    raise self.error(complaint)
                return value[name]
        elif isinstance(value, dict):
            if has_arguments:
                raise self.error(f"{name} is not a method but has arguments")
            if name not in value and self.missing_key_is_error:
                raise self.error(f"map has no entry for key {quoted(name)}")
            return value.get(name, MISSING)
        elif isinstance(value, NilPointer):
            raise self.error(f"nil pointer evaluating {type_name(value)}.{name}")
        type_shown = type_shown or type_name(value)
        raise self.error(f"can't evaluate field {name} in type {type_shown}")

    # Functions

    def call_function(
        self,
        dot: object,
        node: nodes.Function,
        call: nodes.Node,
        arguments: Sequence[nodes.Node],
        final: object,
    ) -> object:
        self.node = node
        function = self.functions[node.name]
        given = len(arguments) + (final is not NO_FINAL)
        least = len(function.parameters)
        if function.variadic:
            if given < least:
                got = len(arguments)
                raise self.error(
                    f"wrong number of args for {node.name}: want at least {least} got {got}"
                )
        elif given != least:
            raise self.error(f"wrong number of args for {node.name}: want {least} got {given}")
        if node.name in {"and", "or"}:
            return self.logic(dot, node.name, arguments, final)
        values = [
            self.argument(dot, argument, function.kind_of(position))
            for position, argument in enumerate(arguments)
        ]
        if final is not NO_FINAL:
            values.append(self.checked(final, function.kind_of(len(arguments))))
        try:
            return function.call(*values)
        except CallError as error:
            self.node = call
            raise self.error(f"error calling {node.name}: {error}") from None

    def call_method(
        self, dot: object, method: Method, arguments: Sequence[nodes.Node], final: object
    ) -> object:
        given = len(arguments) + (final is not NO_FINAL)
        if given != 1:
            raise self.error(f"wrong number of args for {method.name}: want 1 got {given}")
        if arguments:
            return method.call(str(self.argument(dot, arguments[0], "string")))
        return method.call(str(self.checked(final, "string")))

    def logic(
        self, dot: object, name: str, arguments: Sequence[nodes.Node], final: object
    ) -> object:
        """`and` and `or`: the first value that decides, or the last; the others are not needed."""
        value: object = MISSING
        for argument in arguments:
            value = self.operand(dot, argument)
            if is_true(value) == (name == "or"):
                return value
        return value if final is NO_FINAL else final

    def argument(self, dot: object, node: nodes.Node, kind: str) -> object:
        self.node = node
        if isinstance(node, nodes.Nil):
            if kind in TYPES:
                raise self.error(f"cannot assign nil to {kind}")
            return None
        if isinstance(node, nodes.Constant) and kind in TYPES:
            right = isinstance(node.value, TYPES[kind]) and not isinstance(node.value, bool)
            if not right:
                expected = "integer" if kind == "int" else kind
                raise self.error(f"expected {expected}; found {node}")
            return node.value
        return self.checked(self.operand(dot, node), kind)

    def checked(self, value: object, kind: str) -> object:
        """The value, if it has the type that a function wants."""
        if kind not in TYPES:
            return value
        if value is MISSING:
            raise self.error(f"invalid value; expected {kind}")
        if not isinstance(value, TYPES[kind]) or isinstance(value, bool):
            raise self.error(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return value
