"""The answers of `--call` as text and as JSON, in the forms that BuildKit's front end gives them.

In JSON, BuildKit has also the definition of the step that read the Dockerfile; that is left out.
"""

from __future__ import annotations

from binascii import b2a_base64

from tierce.cli.excerpt import marked_lines
from tierce.cli.format.values import Struct
from tierce.dockerfile.gotext import well_formed
from tierce.errors import DockerfileError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.dockerfile.lint import Finding
    from tierce.errors import TierceError
    from tierce.frontend.check import CheckResult
    from tierce.frontend.outline import Outline, OutlinedArgument, OutlinedMount
    from tierce.frontend.targets import TargetList
    from tierce.values import Protocol

    class Answer(Protocol):
        """`error` is what the Dockerfile is refused with, `status` the command's exit status."""

        error: TierceError | None
        status: int

        def text(self, path: str) -> str:
            """For people; `path` is where they find the Dockerfile."""

        def listing(self, path: str) -> str:
            """The part of the text that BuildKit writes itself."""

        def json(self) -> object:
            """For programs."""


DESCRIPTIONS = {
    "outline": "List all parameters current build target supports",
    "targets": "List all targets current build supports",
    "subrequests.describe": "List available subrequest types",
}
VERSION = "1.0.0"
LONGEST_LINE = 2000
"""Characters of a line that are shown, of thousands that a file may have for each finding."""


class CheckAnswer:
    def __init__(self, result: CheckResult) -> None:
        self._result = result
        self.error = result.error
        self.status = 1 if result.findings else 0

    def text(self, path: str) -> str:
        findings = self._result.findings
        if not findings:
            return "" if self.error else "Check complete, no warnings found.\n"
        found = "1 warning has" if len(findings) == 1 else f"{len(findings)} warnings have"
        listing = self.listing(path) + ("\n" if self.error else "")
        return f"Check complete, {found} been found!\n{listing}"

    def listing(self, path: str) -> str:
        source = well_formed(self._result.source.decode("utf-8", "surrogateescape")).split("\n")
        parts = []
        for finding in sorted(self._result.findings, key=_order):
            rule = finding.rule
            link = f" - {rule.url}" if rule.url else ""
            parts.append(f"\nWARNING: {rule.name}{link}\n{finding.message}\n")
            parts.append(excerpt_of(source, path, finding.first_line, finding.last_line))
        return "".join(parts)

    def json(self) -> object:
        result = self._result
        source = {
            "filename": result.file,
            "data": _base64(result.source),
            "language": "Dockerfile",
        }
        fields: dict[str, object] = {
            "warnings": [_finding_fields(each) for each in result.findings] or None,
            "sources": [Struct("", source)],
        }
        if result.error is not None:
            lines = (0, 0)
            if isinstance(result.error, DockerfileError):
                lines = (result.error.line, result.error.end_line)
            error = {"message": result.error.message, "location": _location(*lines)}
            fields["buildError"] = Struct("", error)
        return Struct("", fields)


def _order(finding: Finding) -> tuple[int, str]:
    """By line; what has no place comes first, by its rule."""
    return finding.first_line, "" if finding.first_line else finding.rule.name


def _finding_fields(finding: Finding) -> Struct:
    rule = finding.rule
    return _filled(
        ruleName=rule.name,
        description=rule.description,
        url=rule.url,
        detail=finding.message,
        location=_location(finding.first_line, finding.last_line),
    )


class OutlineAnswer:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self.error: TierceError | None = None
        self.status = 0

    def text(self, path: str) -> str:
        outline = self._outline
        parts = []
        if outline.name or outline.description:
            head = [("TARGET:", outline.name or "(default)")]
            if outline.description:
                head.append(("DESCRIPTION:", outline.description))
            parts.append(aligned(head, 1))
        if outline.arguments:
            rows = [(each.name, each.value, each.description) for each in outline.arguments]
            parts.append(aligned([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows], 3))
        for title, mounts in (("SECRET", outline.secrets), ("SSH", outline.agents)):
            if mounts:
                marks = [(each.name, "true" if each.is_required else "") for each in mounts]
                parts.append(aligned([(title, "REQUIRED"), *marks], 3))
        return "".join([f"{part}\n" for part in parts])

    listing = text

    def json(self) -> object:
        outline = self._outline
        return _filled(
            name=outline.name,
            description=outline.description,
            args=[_argument_fields(each) for each in outline.arguments],
            secrets=[_mount_fields(each) for each in outline.secrets],
            ssh=[_mount_fields(each) for each in outline.agents],
            sources=[_base64(outline.source)],
        )


def _argument_fields(argument: OutlinedArgument) -> Struct:
    return _filled(
        name=argument.name,
        description=argument.description,
        value=argument.value,
        location=_location(argument.first_line, argument.last_line),
    )


def _mount_fields(mount: OutlinedMount) -> Struct:
    return _filled(
        name=mount.name,
        required=mount.is_required,
        location=_location(mount.first_line, mount.last_line),
    )


class TargetsAnswer:
    def __init__(self, found: TargetList) -> None:
        self._targets = found.targets
        self._source = found.source
        self.error: TierceError | None = None
        self.status = 0

    def text(self, path: str) -> str:
        rows = [("TARGET", "DESCRIPTION")]
        for target in self._targets:
            name = target.name
            if target.is_default:
                name = f"{name} (default)".lstrip()
            rows.append((name, target.description))
        return aligned(rows, 1)

    listing = text

    def json(self) -> object:
        targets = [
            _filled(
                name=target.name,
                default=target.is_default,
                description=target.description,
                base=target.base,
                platform=target.platform,
                location=_location(target.first_line, target.last_line),
            )
            for target in self._targets
        ]
        return Struct("", {"targets": targets, "sources": [_base64(self._source)]})


class DescribeAnswer:
    """What can be asked; BuildKit does not mention the check."""

    error: TierceError | None = None
    status = 0

    def text(self, path: str) -> str:
        rows = [(name, VERSION, description) for name, description in DESCRIPTIONS.items()]
        return aligned([("NAME", "VERSION", "DESCRIPTION"), *rows], 1)

    listing = text

    def json(self) -> object:
        target = [Struct("", {"name": "target", "description": "Target build stage"})]
        options: dict[str, object] = {"outline": target, "targets": []}
        metadata = [
            Struct("", {"name": name, "description": ""}) for name in ("result.json", "result.txt")
        ]
        return [
            Struct(
                "",
                {
                    "name": f"frontend.{name}",
                    "version": VERSION,
                    "type": "rpc",
                    "description": description,
                    "opts": options.get(name),
                    "inputs": None,
                    "metadata": metadata,
                    "refs": None,
                },
            )
            for name, description in DESCRIPTIONS.items()
        ]


def metadata(answer: Answer, file: str) -> dict[str, object]:
    """All forms of an answer, as buildx writes them into the file of --metadata-file."""
    forms: dict[str, object] = {
        "result.json": answer.json(),
        "result.txt": answer.listing(file),
        "version": VERSION,
    }
    if isinstance(answer, CheckAnswer):
        forms["result.statuscode"] = "1" if answer.error else str(answer.status)
    return forms


def excerpt_of(source: Sequence[str], path: str, first_line: int, last_line: int) -> str:
    return marked_lines(path, source, first_line, last_line, LONGEST_LINE)


def aligned(rows: Sequence[tuple[str, ...]], padding: int) -> str:
    """The rows as Go's text/tabwriter aligns them: the last column is as long as it is."""
    widths = [max(map(len, column)) + padding for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("".join([*cells[:-1], row[-1], "\n"]))
    return "".join(lines)


def _filled(**fields: object) -> Struct:
    """An object without those of its fields that are empty."""
    return Struct("", {name: value for name, value in fields.items() if value})


def _location(first_line: int, last_line: int) -> Struct:
    """As BuildKit has it: each line is a range of its own."""
    if not first_line:
        return Struct("", {})
    lines = [Struct("", {"line": line}) for line in range(first_line, last_line + 1)]
    return Struct("", {"ranges": [Struct("", {"start": each, "end": each}) for each in lines]})


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()
