"""`tierce system check`: whether everything in the store is what it should be."""

from __future__ import annotations

from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.units import human_size
from tierce.cli.format.values import Struct
from tierce.cli.inspecting import show_document
from tierce.client.system import System

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session
    from tierce.store.check import Finding, Report

COMMAND = Command(
    name="system check",
    usage="[OPTIONS]",
    short="Verify the store, and repair what can be repaired",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("repair", default=True, help="Repair what can be repaired"),
    ),
    details=(
        "Every blob is hashed, every layer compared with its digest, every row followed to what\n"
        "it refers to. The exit status is 1 if something is broken and could not be repaired."
    ),
)


def run(options: Parsed, session: Session) -> int:
    report = System(session.store).check(repair=options.flag("repair"))
    form = options.text("format")
    if form:
        show_document(session, document(report), form)
    else:
        session.stdout.write(text_of(report))
    return 0 if report.sound else 1


def text_of(report: Report) -> str:
    """What was found, a line each, then what was looked at."""
    lines = [f"{each.kind} {each.name} {each.problem}: {outcome(each)}" for each in report.findings]
    counts = [
        counted(report.blobs, "blob"),
        counted(report.snapshots, "snapshot"),
        counted(report.images, "image"),
        counted(report.records, "cache record"),
    ]
    lines.append(f"checked {', '.join(counts)}; read {human_size(report.size)}")
    broken = sum(not each.repaired for each in report.findings)
    if broken:
        lines.append(f"the store is broken: {counted(broken, 'finding')} not repaired")
    else:
        lines.append("the store is sound")
    return "\n".join([*lines, ""])


def outcome(finding: Finding) -> str:
    if finding.repaired:
        return "repaired"
    return "can be repaired" if finding.repairable else "lost"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def document(report: Report) -> Struct:
    return Struct(
        "system.CheckReport",
        {
            "Sound": report.sound,
            "Blobs": report.blobs,
            "Snapshots": report.snapshots,
            "Images": report.images,
            "CacheRecords": report.records,
            "BytesRead": report.size,
            "Findings": [
                Struct(
                    "system.CheckFinding",
                    {
                        "Kind": each.kind,
                        "Name": each.name,
                        "Problem": each.problem,
                        "Repaired": each.repaired,
                        "Repairable": each.repairable,
                    },
                )
                for each in report.findings
            ],
        },
    )
