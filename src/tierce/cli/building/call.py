"""`--call` and `--check`: asks about a build instead of building, as buildx does."""

from __future__ import annotations

import os

from tierce.archive.output import replaced_file
from tierce.cli.building import answers
from tierce.cli.format.gojson import encode
from tierce.client.builds import Builds
from tierce.dockerfile.gotext import parse_bool
from tierce.dockerfile.mounts import split_fields
from tierce.errors import BuildError, DockerfileError, InvalidValue
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.cli.flags import Parsed
    from tierce.cli.progress import Renderer
    from tierce.cli.session import Session
    from tierce.client.builds import BuildRequest
    from tierce.errors import TierceError

_CHECK = "lint"
"""What BuildKit calls it."""

_JSON = "json"
_METADATA_MODE = 0o644


class Call(Value):
    """What to do instead of building: "lint", "outline", …; `format` is "json" or text.

    With `ignore_status`, warnings make no failure of the command.
    """

    name: str
    format: str = ""
    ignore_status: bool = False


def call_of(options: Parsed) -> Call | None:
    """What --call and --check ask for; --check together with --call=check leaves that its format.

    Raises InvalidValue.
    """
    call = parse_call(options.text("call"))
    if options.flag("check") and (call is None or call.name != _CHECK):
        return Call(_CHECK)
    return call


def parse_call(text: str) -> Call | None:
    """`check`, `outline,format=json`, …; None for `build`.

    Raises InvalidValue in buildx's words.
    """
    name, form, ignore_status = "", "", False
    for field in split_fields(text) if text else []:
        key, equals, value = field.partition("=")
        if not equals:
            if name:
                raise InvalidValue(f"invalid print value: {text}")
            name = key
        elif key == "format":
            form = value
        elif key == "ignorestatus":
            try:
                ignore_status = parse_bool(value)
            except InvalidValue:
                raise InvalidValue(f"invalid ignorestatus print value: {value}") from None
        else:
            raise InvalidValue(f"invalid print field: {field}")
    if not text or name == "build":
        return None
    return Call(_CHECK if name == "check" else name, form, ignore_status)


def run_call(
    call: Call,
    request: BuildRequest,
    session: Session,
    renderer: Renderer,
    metadata_file: str = "",
) -> int:
    """Ask, show the progress of that, and print the answer; returns the exit status.

    `metadata_file`, if not empty, gets the answer in all its forms.
    """
    ask = _QUESTIONS.get(call.name)
    if ask is None:
        raise BuildError(
            f"unsupported request frontend.{call.name}",
            hint=f"one of check, {', '.join(sorted(_QUESTIONS.keys() - {_CHECK}))}",
        )
    error: BaseException | None = None
    try:
        answer = ask(Builds(session.store), request, renderer)
    except BaseException as failure:
        error = failure
        raise
    finally:
        renderer.close(error)
    if metadata_file:
        with replaced_file(metadata_file, _METADATA_MODE) as file:
            metadata = answers.metadata(answer, os.path.basename(dockerfile_path(request)))
            file.write(encode(metadata, indent="  ", escape_html=True).encode())
    if call.format == _JSON:
        session.print(encode(answer.json(), indent="  ", escape_html=True))
    else:
        session.stdout.write(answer.text(dockerfile_path(request)))
    if answer.error is not None:
        session.stdout.flush()
        session.stderr.write(_refusal(answer.error, dockerfile_path(request)))
        return 1
    return 0 if call.ignore_status else answer.status


def dockerfile_path(request: BuildRequest) -> str:
    """Where the user finds the Dockerfile, as messages name it."""
    if request.dockerfile_text is not None:
        return "stdin"
    return request.dockerfile or os.path.normpath(os.path.join(request.context, "Dockerfile"))


def _refusal(error: TierceError, path: str) -> str:
    text = f"ERROR: {error.message}\n"
    if isinstance(error, DockerfileError):
        lines = error.source.split("\n")
        text += answers.excerpt_of(lines, path, error.line, error.end_line)
    return text + (f"hint: {error.hint}\n" if error.hint else "")


def _check(builds: Builds, request: BuildRequest, renderer: Renderer) -> answers.Answer:
    return answers.CheckAnswer(builds.check(request, renderer))


def _outline(builds: Builds, request: BuildRequest, renderer: Renderer) -> answers.Answer:
    return answers.OutlineAnswer(builds.outline(request, renderer))


def _targets(builds: Builds, request: BuildRequest, renderer: Renderer) -> answers.Answer:
    return answers.TargetsAnswer(builds.targets(request, renderer))


def _describe(builds: Builds, request: BuildRequest, renderer: Renderer) -> answers.Answer:
    return answers.DescribeAnswer()


_QUESTIONS: dict[str, Callable[[Builds, BuildRequest, Renderer], answers.Answer]] = {
    _CHECK: _check,
    "outline": _outline,
    "targets": _targets,
    "subrequests.describe": _describe,
}
