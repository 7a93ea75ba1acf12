"""`inspect`: things in full, as JSON or by a template."""

from __future__ import annotations

from tierce.cli.format.gojson import encode
from tierce.cli.format.values import FormatError, NilPointer, Struct
from tierce.cli.table import load_module
from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tierce.cli.format.template import Template
    from tierce.cli.session import Session


def inspect_all(
    session: Session, names: Sequence[str], form: str, find: Callable[[str], Struct]
) -> int:
    """Print what is found of the names; what is not is reported at the end. The exit status."""
    template: Template | None = None
    if form not in {"", "json"}:
        # One with a mistake is refused before anything is looked for.
        template = load_module("tierce.cli.format.template").Template(form)
    found: list[Struct] = []
    errors: list[TierceError] = []
    for name in names:
        try:
            found.append(find(name))
        except TierceError as error:
            errors.append(error)
    if template is None:
        session.print(encode(found, indent="" if form == "json" else "    "))
    else:
        session.print("\n".join(by_template(template, each) for each in found))
    for failure in errors:
        session.report(failure)
    return 1 if errors else 0


def show_document(session: Session, document: Struct, form: str) -> None:
    """Print one document as JSON on a line ("json") or by a template. Raises FormatError."""
    if form == "json":
        session.print(encode(document))
    else:
        template: Template = load_module("tierce.cli.format.template").Template(form)
        session.print(by_template(template, document))


def by_template(template: Template, value: Struct) -> str:
    """The value by a template, which may use the names in Go or, as docker falls back to, in JSON.

    Raises FormatError.
    """
    try:
        return template.execute(value)
    except FormatError:
        pass
    try:
        return template.execute(plain(value), missing_key_is_error=True)
    except FormatError as error:
        raise FormatError(f"template parsing error: {error.message}") from None


def plain(value: object) -> object:
    """The value as it would be read back from its JSON."""
    if isinstance(value, Struct):
        return {name: plain(field) for name, field in value.visible()}
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, list | tuple):
        return [plain(element) for element in value]
    return None if isinstance(value, NilPointer) else value
