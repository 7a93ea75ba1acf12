"""Build contexts with names (`--build-context`): what they are, and where their files come from.

Loaded by the builds that have one. As in BuildKit (frontend/dockerui/namedcontext.go), a context
is opened when something uses it.
"""

from __future__ import annotations

import os

from tierce import frontend, worker
from tierce.archive.load import load_from_layout
from tierce.builder.contexts import open_directory
from tierce.errors import (
    ArchiveError,
    BuildError,
    Conflict,
    DigestMismatch,
    InvalidValue,
    NotFound,
)
from tierce.frontend.options import NamedContext, ResolvedImage
from tierce.graph.ops import HttpSource, ImageSource, LocalSource, Scratch
from tierce.graph.vertex import Vertex
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference
from tierce.solver.reporting import reported_step

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.builder.images import ImageResolver
    from tierce.oci.platform import Platform
    from tierce.solver.progress import Listener
    from tierce.store import Store
    from tierce.store.images import Image
    from tierce.worker.worker import LocalContext

_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"


class NamedContexts:
    """The named contexts of one build."""

    def __init__(
        self,
        store: Store,
        contexts: Sequence[tuple[str, str]],
        listener: Listener,
        resolver: ImageResolver,
    ) -> None:
        """Raises InvalidValue for a name that is none, BuildError for what cannot be there."""
        self._store = store
        self._listener = listener
        self._resolver = resolver
        self.values: Mapping[str, str] = {_canonical(name): value for name, value in contexts}
        self.directories: dict[str, LocalContext] = {}
        """Those that are directories and used, by the names of their sources."""
        self._added: list[Image] = []
        for name, value in self.values.items():
            self._check(name, value)

    def load(self, name: str, platform: Platform) -> NamedContext:
        """What a context stands for. Raises BuildError, NotFound, InvalidValue."""
        value = self.values[name]
        if value.startswith(_IMAGE):
            return self._image(name, value.removeprefix(_IMAGE), platform)
        if value.startswith(_LAYOUT):
            return self._layout(name, value, platform)
        url = frontend.remote.parse_git_url(value)
        if url is not None:
            source = frontend.remote.git_context(url)
            shown = f"[internal] load git source {worker.urls.redacted(value)}"
            return NamedContext(Vertex(source, name=shown))
        if value.startswith(("http://", "https://")):
            # As in BuildKit, a file called "context", whatever is in it.
            fetched = HttpSource(value, "context")
            shown = f"[context {name}] {worker.urls.redacted(value)}"
            return NamedContext(Vertex(fetched, name=shown))
        return self._directory(name, value)

    def forget(self, result: Digest | None) -> None:
        """Let go of images that were only here to be built on; `result` is what was built."""
        names = self._store.images.all_names()
        for image in self._added:
            if image.config != result and not names.get(image.config):
                try:
                    self._store.images.remove(str(image.config), force=True)
                except (Conflict, NotFound):
                    pass  # somebody uses it by now, or it is gone
        self._added.clear()

    def _check(self, name: str, value: str) -> None:
        if value.startswith((_IMAGE, _LAYOUT, "target:", "http://", "https://")):
            return
        if frontend.remote.parse_git_url(value) is not None:
            return
        if not os.path.isdir(value):
            cause = "not a directory" if os.path.lexists(value) else "no such file or directory"
            raise BuildError(
                f"failed to get build context {name}: {value}: {cause}",
                hint="a directory, docker-image://, oci-layout://, target:, or the address of a"
                " file or a git repository",
            )

    def _image(self, name: str, text: str, platform: Platform) -> NamedContext:
        if text == "scratch":
            return NamedContext(Vertex(Scratch()))
        reference = Reference.parse(text).with_default_tag()
        shown = f"[context {name}] load metadata for {reference}"
        with reported_step(shown, self._listener) as step:
            image = self._resolver.find(reference, platform, step.vertex)
        return _of_image(image, platform, f"[context {name}] {reference}")

    def _layout(self, name: str, value: str, platform: Platform) -> NamedContext:
        path, tag, digest = _layout_parts(value)
        shown = f"[context {name}] load metadata for {value}"
        with reported_step(shown, self._listener):
            try:
                image, is_new = load_from_layout(self._store, path, tag, digest, platform)
            except (ArchiveError, DigestMismatch) as error:
                raise BuildError(
                    f"open build context {name}: {value}: {error.message}", hint=error.hint
                ) from error
        if is_new:
            self._added.append(image)
        config = self._store.images.config(image)
        reference = f"{name}@{image.manifest}"
        resolved = ResolvedImage(reference, image.manifest, config)
        return _of_image(resolved, platform, f"[context {name}] OCI load from client")

    def _directory(self, name: str, path: str) -> NamedContext:
        source = f"context:{name}"
        if source not in self.directories:
            shown = f"[context {name}] load .dockerignore"
            self.directories[source] = open_directory(
                self._store, path, None, self._listener, shown
            )
        vertex = Vertex(LocalSource(source), name=f"[context {name}] load from client")
        return NamedContext(vertex)


def _canonical(name: str) -> str:
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except InvalidValue as error:
        raise InvalidValue(
            f"invalid context name {name}: {error.message}", value=name, hint=error.hint
        ) from None


def _of_image(image: ResolvedImage, platform: Platform, name: str) -> NamedContext:
    diff_ids = image.config.diff_ids
    if not diff_ids:
        return NamedContext(Vertex(Scratch()), image)
    source = ImageSource(image.reference, image.manifest, platform, diff_ids)
    return NamedContext(Vertex(source, name=name), image)


def _layout_parts(value: str) -> tuple[str, str, Digest | None]:
    """The path, tag and digest of "oci-layout://path[:tag][@digest]"."""
    path, tag, digest = value.removeprefix(_LAYOUT), "", None
    before, at, after = path.rpartition("@")
    if at and ":" in after:
        path, digest = before, Digest.parse(after)
    before, colon, after = path.rpartition(":")
    if colon and "/" not in after:
        path, tag = before, after
    return path, tag or "latest", digest
