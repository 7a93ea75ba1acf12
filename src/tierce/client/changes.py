"""Changes to a config by Dockerfile instructions: `--change` of import and commit."""

from __future__ import annotations

from tierce.dockerfile.instructions import Env
from tierce.dockerfile.lint import silent_linter
from tierce.dockerfile.parser import parse
from tierce.dockerfile.reading import read_all
from tierce.errors import DockerfileError, UsageError
from tierce.frontend.lower import lower
from tierce.frontend.options import Options, ResolvedImage
from tierce.oci.config import ImageConfig
from tierce.oci.digest import Digest

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.dockerfile.parser import Dockerfile
    from tierce.frontend.options import ImageRequest
    from tierce.oci.config import ContainerConfig

INSTRUCTIONS = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER",
    "VOLUME", "WORKDIR",
)  # fmt: skip
"""Those that change nothing but the config."""


def apply_changes(image: ImageConfig, changes: Sequence[str]) -> ContainerConfig:
    """The image's config with instructions such as "CMD /bin/sh" applied, in their order.

    They mean what they mean in a Dockerfile that begins with the image. Raises UsageError.
    """
    if not changes:
        return image.config
    try:
        dockerfile = parse("\n".join(("FROM image", *changes)), "--change")
        _check(dockerfile)
        # Triggers of the image wait for a build.
        base = image.replace(config=image.config.replace(on_build=()))

        def resolve(requests: Sequence[ImageRequest]) -> Mapping[ImageRequest, ResolvedImage]:
            resolved = ResolvedImage("image", Digest.of(b""), base)
            return dict.fromkeys(requests, resolved)

        options = Options(platform=base.platform.normalized())
        config = lower(dockerfile, options, resolve).config.config
    except DockerfileError as error:
        cause = error.message.removeprefix(f"dockerfile parse error on line {error.line}: ")
        raise UsageError(f"apply --change: {cause}") from error
    if not _sets_path(image.config, dockerfile):
        # That a build would have a PATH is no change to the image.
        env = tuple(entry for entry in config.env if not entry.startswith("PATH="))
        config = config.replace(env=env)
    return config.replace(on_build=(*image.config.on_build, *config.on_build))


def _check(dockerfile: Dockerfile) -> None:
    for instruction in dockerfile.instructions[1:]:
        if instruction.keyword.upper() not in INSTRUCTIONS:
            raise UsageError(
                f"apply --change: {instruction.keyword} does not change the config of an image",
                hint=f"one of {', '.join(INSTRUCTIONS)}",
            )


def _sets_path(config: ContainerConfig, dockerfile: Dockerfile) -> bool:
    return "PATH" in config.environment() or any(
        assignment.name == "PATH"
        for command in read_all(dockerfile, silent_linter())
        if isinstance(command, Env)
        for assignment in command.assignments
    )
