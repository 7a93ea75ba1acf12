"""The golden cases of checks, outlines and targets.

tests/golden/lint/<group>.toml holds cases: a Dockerfile, perhaps with an `ignore` file, and options
(`target`, `build_args`, `platform`); `ask` is "check" unless it says otherwise. <group>.json
beside it holds what BuildKit answers, recorded by tools/record-lint: `json` without the source,
`text` as lines, and the exit `status`. Images are those of `support.frontend`. `own` says where we
mean to differ in a mistake: in its `message`, or in the `line` that it is in.
"""

import json
from pathlib import Path
from typing import Any

from support.frontend import BUILD_PLATFORM, Case, Resolver
from tierce.cli.building import answers
from tierce.cli.format.gojson import encode
from tierce.dockerfile.ignore import parse_ignore_file
from tierce.dockerfile.lint import silent_linter
from tierce.dockerfile.parser import parse
from tierce.frontend.check import check
from tierce.frontend.options import Options
from tierce.frontend.outline import outline
from tierce.frontend.targets import TargetList, list_targets
from tierce.graph.patterns import Patterns, compile_patterns
from tierce.oci.platform import Platform

GOLDEN = Path(__file__).parents[1] / "golden/lint"
FILE = "Dockerfile"


def question(case: Case) -> str:
    asked = case.table.get("ask", "check")
    assert asked in ("check", "outline", "targets")
    return str(asked)


def without_sources(text: str) -> Any:
    """The answer in JSON without the Dockerfile, and without how BuildKit read it."""
    answer = json.loads(text)
    answer.pop("sources")
    return answer


def answer(case: Case) -> dict[str, Any]:
    """What tierce answers, in the form that is recorded of BuildKit."""
    given = _answer(case)
    return {
        "json": without_sources(encode(given.json(), indent="  ", escape_html=True)),
        "text": given.text(FILE).split("\n"),
        "status": 1 if given.error else given.status,
    }


def expected(case: Case) -> Any:
    """What the answer should be: BuildKit's, but for what is our own."""
    recorded = json.loads((GOLDEN / f"{case.group}.json").read_text())[case.name]
    own = case.table.get("own", {})
    if "message" in own:
        recorded["json"]["buildError"]["message"] = own["message"]
    if "line" in own:
        line = {"line": own["line"]}
        recorded["json"]["buildError"]["location"] = {"ranges": [{"start": line, "end": line}]}
    return recorded


def _answer(case: Case) -> "answers.Answer":
    text = case.table["dockerfile"]
    if question(case) == "check":
        raw = text.encode()
        return answers.CheckAnswer(
            check(raw, FILE, _options(case), Resolver(), lambda: _ignore(case))
        )
    dockerfile = parse(text, FILE)
    if question(case) == "targets":
        return answers.TargetsAnswer(TargetList(list_targets(dockerfile)))
    return answers.OutlineAnswer(
        outline(dockerfile, _options(case), Resolver(), silent_linter(), lambda: _ignore(case))
    )


def _options(case: Case) -> Options:
    platform = case.table.get("platform")
    return Options(
        target=case.table.get("target", ""),
        build_args=case.table.get("build_args", {}),
        platform=Platform.parse(platform) if platform else None,
        build_platform=BUILD_PLATFORM,
    )


def _ignore(case: Case) -> Patterns | None:
    if "ignore" not in case.table:
        return None
    return compile_patterns(parse_ignore_file(case.table["ignore"]))
