"""What a build in docker's classic form tells besides the events of `tierce.solver.progress`.

Steps come one after the other: begun, then perhaps a container and the output of its process
(`VertexLog`), then ended.
"""

from __future__ import annotations

from tierce.values import Value


class ContextSent(Value):
    """The build context, which is `size` bytes as the tar that docker would send."""

    size: int


class StepBegun(Value):
    """Step `number` of `total`; `text` is the instruction as written, on one line."""

    number: int
    total: int
    text: str


class TriggersBegun(Value):
    """The triggers (ONBUILD) of the base image are going to run, as a part of its FROM."""

    count: int


class CacheUsed(Value):
    """The result of the step was there."""


class ContainerBegun(Value):
    """The step runs in a container."""

    id: str


class ContainerRemoved(Value):
    """The container of the step is gone."""

    id: str


class StepEnded(Value):
    """The step made an image; `image` is its ID, or empty while there is none."""

    image: str


class ArgumentsUnused(Value):
    """Build arguments that no ARG has asked for, sorted."""

    names: tuple[str, ...]


class ImageBuilt(Value):
    """The build is done; `names` are those that the image was given."""

    image: str
    names: tuple[str, ...]


LegacyEvent = (
    ContextSent
    | StepBegun
    | TriggersBegun
    | CacheUsed
    | ContainerBegun
    | ContainerRemoved
    | StepEnded
    | ArgumentsUnused
    | ImageBuilt
)
