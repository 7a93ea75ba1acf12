"""Reads the Dockerfile of a build."""

from __future__ import annotations

import os

from tierce.errors import BuildError, NotFound
from tierce.solver.reporting import reported_step
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder.request import BuildRequest
    from tierce.solver.progress import Listener

DOCKERFILE = "Dockerfile"
MAX_BYTES = 16 << 20


class Definition(Value):
    """The text of a Dockerfile, and the name that errors give it.

    `vertex` is the step that read it: what the text is warned of is warned of there.
    """

    name: str
    text: bytes
    vertex: str = ""


def read_definition(
    request: BuildRequest, listener: Listener, *, is_remote: bool = False
) -> Definition:
    """The Dockerfile that a request names; that in a remote context is read elsewhere.

    Raises BuildError, NotFound for its context.
    """
    if request.context and not is_remote and not os.path.isdir(request.context):
        raise NotFound(
            "directory",
            request.context,
            f"open build context: {request.context}: "
            + ("not a directory" if os.path.exists(request.context) else "no such directory"),
            hint="the last argument of a build is the directory with its files",
        )
    name, text = DOCKERFILE, request.dockerfile_text
    if text is None and request.dockerfile:
        name = os.path.basename(request.dockerfile)
    with reported_step(f"[internal] load build definition from {name}", listener) as step:
        if text is None:
            text = _read(request.dockerfile or usual_dockerfile(request.context))
        step.done("transferring dockerfile:", len(text))
    return Definition(name, text, step.vertex)


def usual_dockerfile(context: str) -> str:
    """The path of a Dockerfile that nobody named: small letters will do, too."""
    path = os.path.join(context, DOCKERFILE)
    small = os.path.join(context, DOCKERFILE.lower())
    return small if not os.path.lexists(path) and os.path.exists(small) else path


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise BuildError(
            f"read Dockerfile: {path}: no such file",
            hint="name another with --file, or build from standard input with -f -",
        ) from None
    except OSError as error:
        raise BuildError(f"read Dockerfile: {path}: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise too_large(path)
    return text


def too_large(name: str) -> BuildError:
    """What is too large for a Dockerfile is none."""
    return BuildError(f"read Dockerfile: {name}: larger than {MAX_BYTES} bytes")
