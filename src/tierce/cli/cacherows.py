"""Items of the build cache as docker's buildx shows them: `builder du`, `builder prune`."""

from __future__ import annotations

from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import ago, go_time, human_size
from tierce.cli.format.values import Struct
from tierce.cli.progress.rawjson import timestamp

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.client.cache import CacheItem, CacheUsage

HEADERS = {
    "ID": "ID",
    "Parents": "PARENTS",
    "CreatedAt": "CREATED AT",
    "Mutable": "MUTABLE",
    "Reclaimable": "RECLAIMABLE",
    "Shared": "SHARED",
    "Size": "SIZE",
    "Description": "DESCRIPTION",
    "UsageCount": "USAGE COUNT",
    "LastUsedAt": "LAST ACCESSED",
    "Type": "TYPE",
}
COLUMNS = ("ID", "Reclaimable", "Size", "LastUsedAt")

_LABEL_WIDTH = 14


def rendered(items: Sequence[CacheItem], form: str) -> str:
    """The items as the value of `--format` says. Raises FormatError."""
    is_json = form == "json"
    is_table = form in ("", "table") or form.startswith("table")
    rows = [_json_row(each) if is_json else _row(each, marked=is_table) for each in items]
    return render_rows(form, rows, headers=HEADERS, columns=COLUMNS)


def described(items: Sequence[CacheItem]) -> str:
    """The items in full, one paragraph each."""
    return "".join(f"{_paragraph(each)}\n" for each in items)


def summary(usage: CacheUsage) -> str:
    """The sums, in columns made with tabs."""
    lines = []
    if usage.shared:
        lines += [f"Shared:\t\t{human_size(usage.shared)}"]
        lines += [f"Private:\t{human_size(usage.private)}"]
    lines += [f"Reclaimable:\t{human_size(usage.reclaimable)}"]
    lines += [f"Total:\t\t{human_size(usage.total)}"]
    return "\n".join([*lines, ""])


def _row(item: CacheItem, *, marked: bool) -> Struct:
    mark = {True: "*"}
    return Struct(
        "commands.diskusageContext",
        {
            "CreatedAt": go_time(item.created),
            "Description": item.description,
            "ID": item.id + mark.get(marked and item.mutable, ""),
            "LastUsedAt": ago(item.last_used) if item.last_used else "",
            "Mutable": item.mutable,
            "Parents": list(item.parents),
            "Reclaimable": "false" if item.in_use else "true",
            "Shared": item.shared,
            "Size": human_size(item.size) + mark.get(marked and item.shared, ""),
            "Type": item.type,
            "UsageCount": item.uses,
        },
    )


def _json_row(item: CacheItem) -> Struct:
    return Struct(
        "commands.diskusageContext",
        {
            "CreatedAt": timestamp(item.created),
            "Description": item.description,
            "ID": item.id,
            "LastUsedAt": timestamp(item.last_used) if item.last_used else "",
            "Mutable": item.mutable,
            "Parents": list(item.parents),
            "Reclaimable": not item.in_use,
            "Shared": item.shared,
            "Size": str(item.size),
            "Type": item.type,
            "UsageCount": item.uses,
        },
    )


def _paragraph(item: CacheItem) -> str:
    lines = [_line("ID", item.id)]
    if item.parents:
        lines += ["Parents:", *[f" - {each}" for each in item.parents]]
    lines += [
        _line("Created at", go_time(item.created)),
        _line("Mutable", str(item.mutable).lower()),
        _line("Reclaimable", str(not item.in_use).lower()),
        _line("Shared", str(item.shared).lower()),
        _line("Size", human_size(item.size)),
        _line("Description", item.description),
        _line("Usage count", str(item.uses)),
    ]
    if item.last_used:
        lines.append(_line("Last used", ago(item.last_used)))
    return "\n".join([*lines, _line("Type", item.type), ""])


def _line(label: str, text: str) -> str:
    return f"{label + ':':<{_LABEL_WIDTH}}{text}"
