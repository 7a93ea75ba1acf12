"""What docker's classic builder says: of the context, of what it cannot do, of what nobody uses."""

from __future__ import annotations

from tierce.dockerfile.instructions import Copy, Run
from tierce.oci.epoch import EPOCH

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder.request import BuildRequest
    from tierce.dockerfile.instructions import Command
    from tierce.dockerfile.parser import Dockerfile
    from tierce.errors import DockerfileError
    from tierce.worker.context import LocalTree

_REFER = (
    "Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit "
    "enabled"
)
_COPY_FLAGS = {"from", "chown"}
_PREDEFINED = {f"{kind}_proxy" for kind in ("http", "https", "ftp", "no", "all")}
_BLOCK = 512
_NAME_BYTES = 100
_TAR_END = 2 * _BLOCK


def context_size(tree: LocalTree | None, dockerfile_bytes: int) -> int:
    """Bytes of the tar in which docker sends a build context to its daemon.

    Without a directory (None) it holds the Dockerfile alone.
    """
    if tree is None:
        return _BLOCK + _padded(dockerfile_bytes) + _TAR_END
    size = _TAR_END
    for entry in tree.walk():
        size += _BLOCK
        if len(entry.path.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
            size += 2 * _BLOCK  # a PAX header and its content
        if entry.kind == "file":
            size += _padded(entry.size)
    return size


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def refuse(command: Command, dockerfile: Dockerfile) -> None:
    """Raise DockerfileError for an instruction that only BuildKit can do.

    The classic builder (moby, daemon/builder/dockerfile/dispatchers.go) refuses any flag of RUN.
    """
    if not isinstance(command, (Run, Copy)):
        return
    place = command.source
    if place.heredocs:
        raise _refusal(dockerfile, command, "the heredoc syntax")
    for flag in place.flags:
        name = flag.removeprefix("--").partition("=")[0]
        if isinstance(command, Run) or name not in _COPY_FLAGS:
            raise _refusal(dockerfile, command, f"the --{name} option")


def _refusal(dockerfile: Dockerfile, command: Run | Copy, what: str) -> DockerfileError:
    place = command.source
    text = f"{what} requires BuildKit. {_REFER}"
    return dockerfile.error(text, place.first_line, place.last_line)


def unused_arguments(request: BuildRequest, dockerfile: Dockerfile) -> tuple[str, ...]:
    """The build arguments for which there is no ARG, sorted; proxies and the time need none."""
    declared = {
        word.partition("=")[0]
        for instruction in dockerfile.instructions
        if instruction.name == "arg"
        for word in instruction.arguments.split()
    }
    given = {name for name, _ in request.build_args if name != EPOCH}
    return tuple(sorted(name for name in given - declared if name.lower() not in _PREDEFINED))
