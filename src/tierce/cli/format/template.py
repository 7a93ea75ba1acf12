"""A Go text/template with docker's functions.

    Template("{{.Name | upper}}: {{range .Tags}}{{.}} {{end}}").execute(value)

All of the language is there: pipelines, variables, if, range, with, define, template, block,
break and continue, trim markers, comments. What values may be is in `tierce.cli.format.values`.
"""

from __future__ import annotations

from tierce.cli.format.evaluate import Evaluator
from tierce.cli.format.functions import FUNCTIONS, HEADER_FUNCTIONS
from tierce.cli.format.parser import parse
from tierce.cli.format.values import FormatError


class Template:
    """Raises FormatError, with Go's message, if the text is no template."""

    def __init__(self, text: str) -> None:
        try:
            self._tree = parse(text, FUNCTIONS)
        except RecursionError:
            raise FormatError("template: too deeply nested") from None

    def execute(self, value: object, *, missing_key_is_error: bool = False) -> str:
        """The text for a value. Raises FormatError, with Go's message, if there is none."""
        evaluator = Evaluator(self._tree, FUNCTIONS, missing_key_is_error=missing_key_is_error)
        try:
            return evaluator.run(value)
        except RecursionError:
            raise FormatError("template: too deeply nested") from None

    def headline(self, headers: dict[str, object]) -> str:
        """The text for the headers of a table, which no function changes but padding."""
        return Evaluator(self._tree, HEADER_FUNCTIONS).run(headers)
