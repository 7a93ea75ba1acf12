"""One build, from its request to its result.

Reads the Dockerfile, resolves its bases, lowers it to a graph, solves that, and makes an image of
the result. Everything that happens is told to a listener as typed events.
"""

from __future__ import annotations

import threading

from tierce import builder, export, worker
from tierce.builder.contexts import open_context, open_definition
from tierce.builder.images import ImageResolver
from tierce.builder.lint import Warnings, find_ignore
from tierce.builder.request import BuildRequest, BuildResult
from tierce.dockerfile.parser import parse
from tierce.dockerfile.secret_names import is_secret_name
from tierce.errors import BuildError
from tierce.export.image import Built, export_image
from tierce.frontend.entitlements import NETWORK_HOST
from tierce.frontend.lower import lower
from tierce.frontend.options import Options
from tierce.graph.ops import Limits
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.solver.reporting import reported_step
from tierce.solver.scheduler import Solver
from tierce.worker.results import FileSystem
from tierce.worker.runner import Runner
from tierce.worker.worker import BuildWorker

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.builder.caching import Caching
    from tierce.builder.definition import Definition
    from tierce.builder.leaks import LeakCheck
    from tierce.builder.legacy import LegacyBuild
    from tierce.builder.named import NamedContexts
    from tierce.dockerfile.lint import Linter
    from tierce.dockerfile.parser import Dockerfile
    from tierce.export.pushing import Pusher
    from tierce.frontend.options import Plan
    from tierce.graph.vertex import Vertex
    from tierce.oci.digest import Digest
    from tierce.solver.progress import Listener, VertexWarning
    from tierce.solver.types import CacheRecords
    from tierce.store import Store
    from tierce.worker.credentials import Credentials
    from tierce.worker.remote import RemoteSources
    from tierce.worker.results import Result
    from tierce.worker.worker import LocalContext


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
        building = _Build(store, request, listener, cancelled or threading.Event())
        try:
            return building.run()
        finally:
            building.close()


class _Build:
    """One build under way."""

    def __init__(
        self, store: Store, request: BuildRequest, listener: Listener, cancelled: threading.Event
    ) -> None:
        self._store = store
        self._request = request
        self._listener = listener
        self._legacy: LegacyBuild | None = None
        if request.legacy is not None:
            self._legacy = builder.legacy.LegacyBuild(store, request, listener)
            self._listener = self._legacy.listen
        self._cancelled = cancelled
        self._tags = [_tag(text) for text in request.tags]
        self._options = options_of(request)
        self._secrets = tuple(
            value for name, value in self._options.build_args.items() if is_secret_name(name)
        )
        self._caching: Caching | None = None
        self._contexts: dict[str, LocalContext] = {}
        self._sources: RemoteSources | None = None
        self._named: NamedContexts | None = None
        self._image_id: Digest | None = None
        self._credentials: Credentials | None = None
        if request.secrets or request.ssh:
            self._credentials = worker.credentials.Credentials(
                request.secrets, request.ssh, dict(request.environment)
            )
        if request.limits != Limits():
            builder.limits.check(request.limits)
        if request.outputs:
            export.check_outputs(request.outputs)
        if request.cache_from or request.cache_to or request.explain:
            self._caching = builder.caching.Caching(
                *(store, request, listener, self._secrets, self._cancelled)
            )

    def run(self) -> BuildResult:
        definition = self._read_definition()
        warnings = Warnings(definition, self._listener)
        linter = warnings.linter(self._options.build_args)
        dockerfile = parse(definition.text, definition.name)
        plan = self._lower(dockerfile, linter)
        leaks = self._check_config(plan, dockerfile, linter)
        if plan.needs_context:
            self._contexts["context"] = open_context(self._store, self._request, self._listener)
        try:
            snapshot = self._solve(plan, dockerfile, leaks)
        finally:
            for context in self._contexts.values():
                context.save()
        result = self._export(plan, snapshot, tuple(warnings.found))
        self._image_id = result.image_id
        if self._store.has_failed_steps():
            self._store.failed_steps.succeeded(self._request.subject)
        if self._legacy is not None:
            self._legacy.finished(result, dockerfile)
        return result

    def close(self) -> None:
        """Leave nothing that was only needed to build."""
        if self._caching is not None:
            self._caching.close()
        if self._named is not None:
            self._named.forget(self._image_id)

    # From the request to the plan

    def _read_definition(self) -> Definition:
        opened = open_definition(
            self._store, self._request, self._listener, self._cancelled, self._credentials
        )
        self._sources = opened.sources
        self._options = self._options.replace(context=opened.context, source_time=self._source_time)
        return opened.definition

    def _lower(self, dockerfile: Dockerfile, linter: Linter) -> Plan:
        resolver = self._resolver()
        if self._request.contexts:
            self._named = named = builder.named.NamedContexts(
                self._store, self._request.contexts, self._listener, resolver
            )
            self._contexts = named.directories
            self._options = self._options.replace(contexts=named.values, load_context=named.load)
        return lower(
            *(dockerfile, self._options, resolver, linter, lambda: find_ignore(self._request)),
            observer=None if self._legacy is None else self._legacy.observe,
        )

    def _resolver(self) -> ImageResolver:
        return ImageResolver(
            self._store,
            self._listener,
            lambda: builder.pulling.Puller(
                *(self._store, dict(self._request.environment), self._listener, self._cancelled)
            ),
            always=self._request.pull,
        )

    def _check_config(self, plan: Plan, dockerfile: Dockerfile, linter: Linter) -> LeakCheck | None:
        """Look for secrets in the config; what looks for them in the rest, if there are any."""
        if not self._secrets and not self._request.secrets:
            return None
        check: LeakCheck | None = builder.leaks.open_check(
            *(self._store, plan, dockerfile, linter, self._options.build_args), self._credentials
        )
        return check

    # Running

    def _remote_sources(self) -> RemoteSources:
        if self._sources is None:
            environment = dict(self._request.environment) or None
            self._sources = worker.remote.RemoteSources(self._store, environment, self._credentials)
        return self._sources

    def _source_time(self, source: Vertex) -> int | None:
        fetching = builder.remote.Fetching(
            *(self._store, self._request, self._listener, self._cancelled, self._credentials),
            self._remote_sources(),
        )
        return fetching.time_of(source)

    def _records(self, platform: Platform) -> CacheRecords:
        records: CacheRecords = self._store.records
        if self._caching is not None:
            records = self._caching.records(platform)
        if self._secrets:
            records = builder.caching.DiscreetRecords(records, self._secrets)
        return records

    def _solve(self, plan: Plan, dockerfile: Dockerfile, leaks: LeakCheck | None) -> int | None:
        records = self._records(plan.platform)
        make_runner = Runner if self._legacy is None else self._legacy.runner
        with make_runner(
            self._store,
            {layer.vertex.digest for layer in plan.layers},
            self._credentials,
            self._request.subject,
            None if leaks is None else leaks.search,
            self._request.isolation,
        ) as runner:
            solver = Solver(
                BuildWorker(
                    *(self._store, self._contexts, runner, self._secrets, self._remote_sources)
                ),
                records,
                lambda key: self._store.locks.hold_unless(self._cancelled, key),
                self._listener,
                cancelled=self._cancelled,
            )
            try:
                result = self._result(solver, plan, dockerfile, leaks)
            except BuildError as error:
                self._keep(error, solver, plan, dockerfile)
                raise
            finally:
                if self._caching is not None:
                    self._caching.solved(solver.outcomes())
        return result.snapshot

    def _result(
        self, solver: Solver[Result], plan: Plan, dockerfile: Dockerfile, leaks: LeakCheck | None
    ) -> FileSystem:
        """The file system of the image, in whose layers there is no secret."""
        if self._legacy is None:
            [result] = solver.solve([plan.vertex])
        else:
            result = self._legacy.solve(solver, plan, dockerfile, self._contexts, leaks)
        assert isinstance(result, FileSystem)
        if leaks is not None:
            steps = [layer.vertex for layer in plan.layers]
            inherited = len(plan.config.diff_ids)
            leaks.check_layers(result.snapshot, inherited, steps, solver.outcomes())
            if self._request.cache_to:
                leaks.check_steps(solver.outcomes())
        return result

    def _keep(
        self, error: BuildError, solver: Solver[Result], plan: Plan, dockerfile: Dockerfile
    ) -> None:
        """Complete an error: with the Dockerfile, and with what there is to look around in."""
        error.source = error.source or dockerfile.source
        if not error.failed_step:
            builder.failures.keep_copy(
                *(self._store, self._request.subject, plan.vertex, solver.outcomes(), error),
                *(dockerfile, self._options),
                ImageResolver(self._store, lambda event: None),
            )

    # Results

    def _pusher(self) -> Pusher | None:
        """What takes images to registries, if one is to go there."""
        if not any(getattr(each, "push", False) for each in self._request.outputs):
            return None
        pusher: Pusher = export.pushing.Pusher(
            self._store, dict(self._request.environment), self._cancelled
        )
        return pusher

    def _export(
        self, plan: Plan, snapshot: int | None, warnings: tuple[VertexWarning, ...]
    ) -> BuildResult:
        base = plan.base.manifest if plan.base is not None else None
        config = plan.config
        if self._caching is not None:
            inherited, epoch = len(config.diff_ids), plan.source_date_epoch
            config = config.replace(build_cache=self._caching.inline(snapshot, inherited, epoch))
        built = Built(snapshot, config, plan.inherited_history, base)
        request, epoch = self._request, plan.source_date_epoch
        if request.outputs or request.squash:
            exports = export.deliver(
                self._store,
                built,
                request.outputs,
                self._tags,
                self._listener,
                epoch=epoch,
                squashed=request.squash,
                pusher=self._pusher(),
            )
        else:
            with reported_step("exporting to image", self._listener) as step:
                exports = (export_image(self._store, built, self._tags, step.part, epoch=epoch),)
        if self._caching is not None:
            self._caching.write(snapshot)
        image = next((each for each in exports if each.manifest is not None), None)
        names = tuple(str(tag) for tag in self._tags)
        if image is None or image.manifest is None:
            return BuildResult(None, None, names, warnings, exports)
        return BuildResult(image.image_id, image.manifest.digest, names, warnings, exports)


def options_of(request: BuildRequest) -> Options:
    """What a request asks of the front end. Raises InvalidValue for a platform that is none."""
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
        no_cache_stages=request.no_cache_stages,
        platform=Platform.parse(request.platform) if request.platform else None,
        build_platform=Platform.host(),
        network=request.network,
        add_hosts=request.add_hosts,
        source_date_epoch=request.source_date_epoch,
        allow=(*request.allow, *((NETWORK_HOST,) if request.network == "host" else ())),
        limits=request.limits,
        in_order=request.legacy is not None,
    )


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise BuildError(
            f"tag {text}: a tag cannot name a digest", hint="leave out what follows the @"
        )
    return reference.with_default_tag()
