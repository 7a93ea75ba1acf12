"""The errors of the registry API (OCI distribution-spec, "Error Codes"), and reading them."""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.oci.document import load_object
from tierce.values import Value

BODY_LIMIT = 64 << 10
"""Bytes of an answer that says what went wrong; what comes behind is not read."""

_MESSAGE_LIMIT = 500


class CodedError(Value):
    """One error of an answer: its code in capitals, and what the registry says."""

    code: str
    message: str

    def __str__(self) -> str:
        """As docker writes it: "manifest unknown: manifest tagged by "x" is not found"."""
        shown = self.code.lower().replace("_", " ")
        return f"{shown}: {self.message}" if self.message else shown


def parse_errors(body: bytes) -> tuple[CodedError, ...]:
    """The errors in the body of an answer; none where there is something else in it."""
    try:
        found = []
        for each in load_object(body, "errors", size_limit=BODY_LIMIT).objects("errors"):
            code = each.text("code").upper()
            found.append(CodedError(_line(code), _line(each.text("message"))))
    except InvalidValue:
        return ()
    return tuple(each for each in found if each.code)


def described(status: int, reason: str, content_type: str, body: bytes) -> str:
    """One line on an answer that is an error: its codes, or what else can be said of it."""
    errors = parse_errors(body)
    if errors:
        return "; ".join(dict.fromkeys(str(each) for each in errors))
    shown = f"{status} {reason}".strip()
    kind = content_type.partition(";")[0].strip().lower()
    if kind in {"text/html", "application/xhtml+xml"}:
        return f"{shown}, with a web page: this may be no registry"
    text = _line(body[:_MESSAGE_LIMIT].decode("utf-8", "replace"))
    return f"{shown}: {text}" if text and kind.startswith("text/") else shown


def _line(text: str) -> str:
    """For one line of a message: no control characters, and not too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MESSAGE_LIMIT else shown[:_MESSAGE_LIMIT] + "…"
