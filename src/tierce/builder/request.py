"""What a build is asked for, and what comes out of it."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.oci.digest import Digest
    from tierce.solver.progress import VertexWarning


class BuildRequest(Value):
    """What to build.

    `context` is a directory, or empty for none. `dockerfile` is a path, by default `Dockerfile`
    in the context; `dockerfile_text` replaces it. A build argument without a value (None) is
    taken from `environment`. `source_date_epoch` is in seconds since 1970.
    """

    context: str = "."
    dockerfile: str = ""
    dockerfile_text: bytes | None = None
    tags: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str | None], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platform: str = ""
    no_cache: bool = False
    pull: bool = False
    network: str = "default"
    add_hosts: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    source_date_epoch: int | None = None


class BuildResult(Value):
    """The image that a build made; `image_id` is the digest of its config."""

    image_id: Digest
    manifest: Digest
    tags: tuple[str, ...]
    warnings: tuple[VertexWarning, ...] = ()
