"""What a build is asked for, and what comes out of it."""

from __future__ import annotations

import os

from tierce.graph.ops import Limits
from tierce.oci.digest import sha256_hex
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from tierce.export.cache.options import CacheExport, CacheSource
    from tierce.export.image import Exported
    from tierce.export.outputs import Output
    from tierce.oci.digest import Digest
    from tierce.solver.legacy import LegacyEvent
    from tierce.solver.progress import VertexWarning
    from tierce.worker.credentials import SecretSource, SshSource


class Legacy(Value):
    """Docker's classic form of a build, whose steps the `listener` is told of.

    `remove` and `force_remove` say whether it is told that the containers of steps are removed,
    the latter also of one that failed; what that left is not kept then.
    """

    listener: Callable[[LegacyEvent], None]
    remove: bool = True
    force_remove: bool = False


class BuildRequest(Value):
    """What to build.

    `context` is a directory, the address of a git repository, or that of a tar or a Dockerfile
    (http, https); empty for none. `context_tar` replaces it: a tar, compressed or not, which is
    read to its end. `contexts` are others by their names: directories, "docker-image://…",
    "oci-layout://…", "target:STAGE", and addresses as before; they replace stages and images that
    are called so. `dockerfile` is a path or a URL, by default `Dockerfile` in the context;
    `dockerfile_text` replaces it. A build argument without a value (None) is
    taken from `environment`. `source_date_epoch` is in seconds since 1970.

    `outputs` are values of `tierce.export.outputs`; by default the result is an image in the
    store. `tags` name that and every other image among them. With `squash`, images have one
    layer upon those of their base.

    `no_cache` runs all steps again, `no_cache_stages` those of some stages. `cache_from` and
    `cache_to` are values of `tierce.export.cache.options`. With `explain`, the listener is told
    of each step that was not cached what differed (`StepExplained`).

    `secrets` and `ssh` are values of `tierce.worker.credentials`: what steps may read, and what
    becomes no part of the image. `allow` are entitlements: "network.host", which a `network` of
    "host" brings with it, and "security.insecure". `limits` hold for each step.

    `isolation` of RUN steps is one of `tierce.worker.isolations`: by default containers or, for
    root without CAP_SYS_ADMIN, chroot, of which the listener is warned.

    With `legacy`, the steps are built in their order, and an image is made of each.
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
    outputs: tuple[Output, ...] = ()
    squash: bool = False
    no_cache_stages: tuple[str, ...] = ()
    cache_from: tuple[CacheSource, ...] = ()
    cache_to: tuple[CacheExport, ...] = ()
    explain: bool = False
    secrets: tuple[SecretSource, ...] = ()
    ssh: tuple[SshSource, ...] = ()
    allow: tuple[str, ...] = ()
    limits: Limits = Limits()
    context_tar: IO[bytes] | None = None
    contexts: tuple[tuple[str, str], ...] = ()
    isolation: str = ""
    legacy: Legacy | None = None

    @property
    def subject(self) -> str:
        """What is built: the same text for all builds of one thing, however often it changes.

        It is kept, and tells nothing: there may be a password in an address.
        """
        context = os.path.realpath(self.context) if os.path.exists(self.context) else self.context
        text = "" if self.dockerfile_text is None else sha256_hex(self.dockerfile_text)
        told = "\n".join([context, text, self.dockerfile, self.target, *self.tags])
        return sha256_hex(told.encode("utf-8", "surrogateescape"))


class BuildResult(Value):
    """The image that a build made; `image_id` is the digest of its config.

    Both digests are None when no output was an image. `exports` tell of each output, in the order
    of the request.
    """

    image_id: Digest | None
    manifest: Digest | None
    tags: tuple[str, ...]
    warnings: tuple[VertexWarning, ...] = ()
    exports: tuple[Exported, ...] = ()
