"""Which targets a Dockerfile has: its stages, as they are written."""

from __future__ import annotations

from tierce.dockerfile.instructions import From
from tierce.dockerfile.lint import silent_linter
from tierce.dockerfile.parser import Dockerfile
from tierce.dockerfile.reading import read_all
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable


class Target(Value):
    """A stage; `base` and `platform` with their variables unread, `description` from a comment.

    `is_default`: it is what is built when no target is named.
    """

    name: str
    description: str
    is_default: bool
    base: str
    platform: str
    first_line: int
    last_line: int


class TargetList(Value):
    """The targets in the order of the file; `source` is the text of the Dockerfile."""

    targets: tuple[Target, ...]
    source: bytes = b""


def list_targets(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """The stages in the order of the file. Raises DockerfileError."""
    commands = read_all(dockerfile, silent_linter())
    stages = [command for command in commands if isinstance(command, From)]
    return tuple(
        [
            Target(
                stage.name,
                described(stage.name, stage.source.comments),
                stage is stages[-1],
                stage.base,
                stage.platform,
                stage.source.first_line,
                stage.source.last_line,
            )
            for stage in stages
        ]
    )


def described(name: str, comments: Iterable[str]) -> str:
    """What the first of the comments that begins with a name says of it: `# NAME text`."""
    if name:
        for comment in comments:
            if comment.startswith(f"{name} "):
                return comment[len(name) + 1 :]
    return ""
