"""Builds an image: the one place where the parts of a build are put together.

Reads the Dockerfile, resolves its bases, lowers it to a graph, solves that, and makes an image of
the result. Everything that happens is told to a listener as typed events.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager

from tierce.dockerfile.ignore import read_ignore_file
from tierce.dockerfile.parser import parse
from tierce.errors import BuildError, Cancelled, DockerfileError, NotFound
from tierce.export.image import export_image
from tierce.frontend.lower import lower
from tierce.frontend.options import Options, ResolvedImage
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.solver.progress import VertexWarning
from tierce.solver.reporting import reported_step
from tierce.solver.scheduler import Solver
from tierce.values import Value
from tierce.worker.content import RememberedSelections
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.results import FileSystem
from tierce.worker.runner import Runner
from tierce.worker.worker import BuildWorker, LocalContext

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tierce.dockerfile.parser import DockerfileWarning
    from tierce.frontend.options import Plan
    from tierce.oci.digest import Digest
    from tierce.solver.progress import Listener
    from tierce.store import Store

DOCKERFILE = "Dockerfile"
_MAX_DOCKERFILE_BYTES = 16 << 20
_LOCK_POLL_SECONDS = 0.02


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


def build(
    store: Store,
    request: BuildRequest,
    listener: Listener = lambda event: None,
    *,
    cancelled: threading.Event | None = None,
) -> BuildResult:
    """Build one image into a store.

    Equal steps are run once, by whichever process comes first. The tags move when all else is
    done. Raises DockerfileError, BuildError (StepFailed for a RUN), NotFound for a base that is
    not there, Cancelled when the event was set, StoreError.
    """
    with store.leases.take("build"):
        return _Build(store, request, listener, cancelled or threading.Event()).run()


class _Build:
    """One build under way."""

    def __init__(
        self, store: Store, request: BuildRequest, listener: Listener, cancelled: threading.Event
    ) -> None:
        self._store = store
        self._request = request
        self._listener = listener
        self._cancelled = cancelled
        self._tags = [_tag(text) for text in request.tags]
        self._platform = Platform.parse(request.platform) if request.platform else None
        self._dockerfile = DOCKERFILE

    def run(self) -> BuildResult:
        text = self._read_dockerfile()
        dockerfile = parse(text, self._dockerfile)
        plan = lower(dockerfile, self._options(), self._resolve)
        warnings = tuple(self._warn(warning) for warning in plan.warnings)
        context = self._open_context(plan) if plan.needs_context else None
        try:
            snapshot = self._solve(plan, context, dockerfile.source)
        finally:
            if context is not None:
                context.save()
        return self._export(plan, snapshot, warnings)

    def _options(self) -> Options:
        request = self._request
        environment = dict(request.environment)
        arguments = {
            name: environment.get(name) if value is None else value
            for name, value in request.build_args
        }
        return Options(
            target=request.target,
            build_args={name: value for name, value in arguments.items() if value is not None},
            labels=dict(request.labels),
            no_cache=request.no_cache,
            platform=self._platform,
            build_platform=Platform.host(),
            network=request.network,
            add_hosts=request.add_hosts,
            source_date_epoch=request.source_date_epoch,
        )

    # Sources

    def _read_dockerfile(self) -> bytes:
        request = self._request
        if request.context and not os.path.isdir(request.context):
            raise NotFound(
                "directory",
                request.context,
                f"open build context: {request.context}: "
                + ("not a directory" if os.path.exists(request.context) else "no such directory"),
                hint="the last argument of a build is the directory with its files",
            )
        if request.dockerfile_text is None and request.dockerfile:
            self._dockerfile = os.path.basename(request.dockerfile)
        with reported_step(
            f"[internal] load build definition from {self._dockerfile}", self._listener
        ) as step:
            text = request.dockerfile_text
            if text is None:
                text = self._read_file(
                    request.dockerfile or os.path.join(request.context, DOCKERFILE)
                )
            step.done("transferring dockerfile:", len(text))
        return text

    def _read_file(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                text = file.read(_MAX_DOCKERFILE_BYTES + 1)
        except FileNotFoundError:
            raise BuildError(
                f"read Dockerfile: {path}: no such file",
                hint="name another with --file, or build from standard input with -f -",
            ) from None
        except OSError as error:
            raise BuildError(f"read Dockerfile: {path}: {error.strerror}") from error
        if len(text) > _MAX_DOCKERFILE_BYTES:
            raise BuildError(f"read Dockerfile: {path}: larger than {_MAX_DOCKERFILE_BYTES} bytes")
        return text

    def _resolve(
        self, wanted: Sequence[tuple[Reference, Platform]]
    ) -> Mapping[tuple[Reference, Platform], ResolvedImage]:
        """The images that a Dockerfile begins with, or copies from."""
        found = {}
        for reference, platform in dict.fromkeys(wanted):
            with reported_step(f"[internal] load metadata for {reference}", self._listener):
                found[reference, platform] = self._resolve_one(reference, platform)
        return found

    def _resolve_one(self, reference: Reference, platform: Platform) -> ResolvedImage:
        try:
            image = self._store.images.resolve(str(reference), platform=platform)
        except NotFound as error:
            raise NotFound(
                "image",
                str(reference),
                f"resolve {reference}: not found in the store",
                hint=f"load it from an archive (`tierce image load`), or make a Debian base "
                f"with `tierce image bootstrap {reference.familiar}`",
            ) from error
        return ResolvedImage(
            reference=str(reference),
            manifest=image.manifest,
            config=self._store.images.config(image),
        )

    def _open_context(self, plan: Plan) -> LocalContext:
        root = os.path.realpath(self._request.context)
        with reported_step("[internal] load .dockerignore", self._listener) as step:
            ignore, size = read_ignore_file(root, self._request.dockerfile)
            step.done("transferring context:", size)
        status = os.stat(root)
        name = f"{status.st_dev:x}-{status.st_ino:x}"
        cache = self._store.paths.context_cache(name)
        tree = LocalTree(root, ignore, DigestCache(cache + ".digests"))
        return LocalContext(tree, RememberedSelections(cache + ".selections"))

    # Running

    def _solve(self, plan: Plan, context: LocalContext | None, source: str) -> int | None:
        contexts = {"context": context} if context else {}
        image_steps = {layer.vertex.digest for layer in plan.layers}
        with Runner(self._store, image_steps) as runner:
            worker = BuildWorker(self._store, contexts, runner)
            solver = Solver(
                worker, self._store.records, self._lock, self._listener, cancelled=self._cancelled
            )
            try:
                [result] = solver.solve([plan.vertex])
            except BuildError as error:
                error.source = error.source or source
                raise
        assert isinstance(result, FileSystem)
        return result.snapshot

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        """A lock across processes; waiting for it ends when the build is cancelled."""
        while True:
            with self._store.locks.try_hold(key) as held:
                if held:
                    yield
                    return
            if self._cancelled.wait(_LOCK_POLL_SECONDS):
                raise Cancelled("build: cancelled")

    def _warn(self, found: DockerfileWarning) -> VertexWarning:
        warning = VertexWarning(
            "", found.message, url=found.url, file=self._dockerfile, line=found.line
        )
        self._listener(warning)
        return warning

    def _export(
        self, plan: Plan, snapshot: int | None, warnings: tuple[VertexWarning, ...]
    ) -> BuildResult:
        with reported_step("exporting to image", self._listener) as step:
            exported = export_image(
                self._store,
                snapshot,
                plan.config,
                self._tags,
                step.part,
                inherited_history=plan.inherited_history,
                epoch=plan.source_date_epoch,
            )
        image = exported.image
        names = tuple(str(tag) for tag in self._tags)
        return BuildResult(image.config, image.manifest, names, warnings)


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise BuildError(
            f"tag {text}: a tag cannot name a digest", hint="leave out what follows the @"
        )
    return reference.with_default_tag()


__all__ = ["BuildRequest", "BuildResult", "DockerfileError", "build"]
