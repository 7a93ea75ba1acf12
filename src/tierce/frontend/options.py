"""What goes into the lowering of a Dockerfile besides its text, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tierce.graph.ops import Limits
from tierce.graph.vertex import Vertex
from tierce.oci.config import ImageConfig
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.values import Value


class ResolvedImage(Value):
    """An image that a reference stands for, which is how it is shown in the name of the step."""

    reference: str
    manifest: Digest
    config: ImageConfig


class NamedContext(Value):
    """Files that the caller of a build gave a name, and the image that they are of, if any."""

    vertex: Vertex
    image: ResolvedImage | None = None


class Options(Value):
    """What the caller of a build asks for.

    `target` is a stage by name or number, empty for the last. `platform` is what to build for,
    None for the platform of the machine, which `build_platform` is (None: found out). `add_hosts`
    are (name, address) pairs for /etc/hosts of RUN. `no_cache` runs every step again,
    `no_cache_stages` those of some stages. `network` is "default", "host" or "none".
    `show_platform` puts the platform into the names of steps, as builds for several do.
    `source_date_epoch` (seconds) is the time that the history tells; a build argument
    SOURCE_DATE_EPOCH says the same and wins. It may also name a context or a stage: `source_time`
    knows the time of what a source brings (seconds, None where nothing tells). `allow` are
    entitlements (`frontend.entitlements`), `limits` what each RUN may use. With `in_order`, the
    stages before the target are built whether it needs them or not.

    `context` is the build context, None for the directory of the caller. `contexts` are others
    by name, which replace stages and images that are called so: "target:NAME" is a stage, for
    anything else `load_context` has the files, and may raise NotFound, BuildError, InvalidValue.
    """

    target: str = ""
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    platform: Platform | None = None
    build_platform: Platform | None = None
    network: str = "default"
    add_hosts: tuple[tuple[str, str], ...] = ()
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    show_platform: bool = False
    source_date_epoch: int | None = None
    allow: tuple[str, ...] = ()
    limits: Limits = Limits()
    in_order: bool = False
    context: Vertex | None = None
    contexts: Mapping[str, str] = {}
    load_context: Callable[[str, Platform], NamedContext] | None = None
    source_time: Callable[[Vertex], int | None] | None = None


class Layer(Value):
    """`vertex` adds one layer to the image; `history` is the index of its entry there."""

    vertex: Vertex
    history: int


class Plan(Value):
    """What has to be done to have the image.

    `vertex` is the file system of the image. `config` is complete but for what only the build
    can tell: `diff_ids` are those of the base image, to which each of `layers`, in this order,
    adds one; `created` of the image and of new history entries are None, unless there is a
    `source_date_epoch` (seconds). The first `inherited_history` entries are the base image's.

    Without `needs_context` nobody reads the build context; otherwise `context_paths` are what is
    taken from it, absolute and with their wildcards. `source` is the text of `file`.
    """

    vertex: Vertex
    config: ImageConfig
    layers: tuple[Layer, ...]
    base: ResolvedImage | None
    inherited_history: int
    platform: Platform
    source_date_epoch: int | None
    needs_context: bool
    context_paths: tuple[str, ...]
    file: str
    source: str


ImageRequest = tuple[Reference, Platform]

Resolver = Callable[[Sequence[ImageRequest]], Mapping[ImageRequest, ResolvedImage]]
"""Finds the images that a build starts from, all in one call, so that it can do so at once.

Called again only when triggers (ONBUILD) of a base image name further images. Raises
NotFound, with the reference as name, for an image that is not there.
"""
