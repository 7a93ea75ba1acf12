"""Lists of things as tables, as JSON or by a template: what `--format` of a list means."""

from __future__ import annotations

from tierce.cli.format.values import FormatError, Headers, Struct
from tierce.cli.format.width import display_width
from tierce.cli.table import load_module

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NARROWEST_COLUMN, PADDING = 10, 3


def render_rows(
    form: str,
    rows: Iterable[Struct],
    *,
    headers: Mapping[str, str],
    columns: Sequence[str],
) -> str:
    """The rows as the value of `--format` says: "table" (or nothing), "json", "table TEMPLATE"
    or a template.

    `headers` gives the header of every field, `columns` the fields of the usual table. Raises
    FormatError for a template that cannot be used.
    """
    if form in {"", "table"}:
        # The usual case does without the template engine.
        lines = [[headers[name] for name in columns]]
        lines += [[str(row[name]) for name in columns] for row in rows]
        return aligned(lines)
    if form == "json":
        encode: Callable[[Struct], str] = load_module("tierce.cli.format.gojson").encode
        return "".join(f"{encode(row)}\n" for row in rows)
    is_table = form.startswith("table")
    text = form.removeprefix("table") if is_table else form
    text = text.strip(" ").replace(r"\t", "\t").replace(r"\n", "\n")
    try:
        template = load_module("tierce.cli.format.template").Template(text)
        parts = [template.execute(row) for row in rows]
        if not is_table:
            return "".join(f"{part}\n" for part in parts)
        headline = template.headline(Headers(headers))
    except FormatError as error:
        raise FormatError(f"template parsing error: {error.message}") from None
    everything = "\n".join([headline, *parts])
    return aligned([line.split("\t") for line in everything.split("\n")])


def aligned(lines: Sequence[Sequence[str]], *, narrowest: int = NARROWEST_COLUMN) -> str:
    """Cells as columns. The last cell of a line belongs to none, and has no space after it.

    A column is as wide as the widest cell in lines that follow each other, and three spaces, or
    as the `narrowest`.
    """
    texts = [""] * len(lines)
    for column in range(max(map(len, lines), default=0)):
        start = 0
        while start < len(lines):
            end = start
            while end < len(lines) and len(lines[end]) > column + 1:
                end += 1
            width = max((display_width(line[column]) for line in lines[start:end]), default=0)
            width = max(width + PADDING, narrowest)
            for number in range(start, end):
                cell = lines[number][column]
                texts[number] += cell + " " * (width - display_width(cell))
            if end < len(lines) and len(lines[end]) == column + 1:
                texts[end] += lines[end][column]
            start = end + 1
    return "".join(f"{text}\n" for text in texts)
