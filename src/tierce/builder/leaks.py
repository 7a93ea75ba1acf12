"""Sees to it that no secret is in what a build gives out.

Looked for are the values that `--secret` gave, and those of build arguments that the rule
SecretsUsedInArgOrEnv calls secret, unless the Dockerfile says to skip it.
"""

from __future__ import annotations

from contextlib import contextmanager

from tierce.dockerfile.lint import SECRETS_USED_IN_ARG_OR_ENV
from tierce.dockerfile.secret_names import is_secret_name
from tierce.errors import SecretLeaked
from tierce.worker.secrets import Scan, SecretSearch

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tierce.dockerfile.lint import Linter
    from tierce.dockerfile.parser import Dockerfile
    from tierce.frontend.options import Plan
    from tierce.graph.vertex import Vertex
    from tierce.oci.config import ImageConfig
    from tierce.oci.digest import Digest
    from tierce.solver.cache import Outcome
    from tierce.store import Store
    from tierce.store.snapshots import Snapshot
    from tierce.worker.credentials import Credentials

_ARGUMENT = "build argument"
_ARGUMENT_HINT = (
    "give it with --secret and RUN --mount=type=secret; or, if it is none: "
    f"# check=skip={SECRETS_USED_IN_ARG_OR_ENV.name}"
)
_SECRET_HINT = "what a step may read is not for its files, its output and its command"


def open_check(
    store: Store,
    plan: Plan,
    dockerfile: Dockerfile,
    linter: Linter,
    arguments: Mapping[str, str],
    credentials: Credentials | None,
) -> LeakCheck | None:
    """The check of a build, of whose image the config has passed; None without a secret.

    Raises SecretLeaked, BuildError for a secret that cannot be read.
    """
    given = {} if credentials is None else credentials.given()
    values = {f"secret {name}": value for name, value in given.items()}
    for name, text in _secret_arguments(dockerfile, linter, arguments).items():
        values[f"{_ARGUMENT} {name}"] = text.encode("utf-8", "surrogateescape")
    search = SecretSearch(values)
    if not search:
        return None
    check = LeakCheck(store, search, dockerfile.source)
    check.check_config(plan)
    return check


class LeakCheck:
    """Checks one build. All methods raise SecretLeaked."""

    def __init__(self, store: Store, search: SecretSearch, source: str) -> None:
        """`source` is the text of the Dockerfile."""
        self.search = search
        self._store = store
        self._source = source
        self._checked: set[int] = set()

    def check_config(self, plan: Plan) -> None:
        """Look into the config of an image and its history, before anything is run."""
        vertices = {layer.history: layer.vertex for layer in plan.layers}
        for place in range(plan.inherited_history, len(plan.config.history)):
            text = plan.config.history[place].created_by
            if secret := self.search.find_in(text):
                raise self._leak(secret, "the history", text, vertices.get(place))
        for field, text in _texts(plan.config):
            if secret := self.search.find_in(text):
                raise self._leak(secret, f"{field} of the image")

    def check_layers(
        self,
        snapshot: int | None,
        inherited: int,
        steps: Sequence[Vertex],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Look into the layers of a file system, but for the first `inherited`, the base's.

        `steps` have made the others. Layers without a diff id get it by the same reading. After a
        hit, no step that was run in this build is found in the cache again.
        """
        if snapshot is None:
            return
        new = self._store.snapshots.chain(snapshot)[inherited:]
        vertices = [*steps, *[None] * (len(new) - len(steps))]
        with self._forgotten(outcomes):
            self._check(snapshot, dict(zip(new, vertices)))

    def check_steps(self, outcomes: Sequence[Outcome]) -> None:
        """Look into the layers of all steps, whichever stage they are of: see `check_layers`."""
        with self._forgotten(outcomes):
            for outcome in outcomes:
                snapshot = None if outcome.record is None else outcome.record.snapshot
                if snapshot is not None:
                    layer = self._store.snapshots.get(snapshot)
                    self._check(snapshot, {layer: outcome.vertex})

    @contextmanager
    def _forgotten(self, outcomes: Sequence[Outcome]) -> Iterator[None]:
        """When a secret is found in the block, steps that were run are not found any more."""
        try:
            yield
        except SecretLeaked:
            for outcome in outcomes:
                if outcome.ran and outcome.record is not None:
                    self._store.records.remove(outcome.record.id)
            raise

    def _check(self, top: int, layers: Mapping[Snapshot, Vertex | None]) -> None:
        scans = {layer.id: Scan(self.search) for layer in layers if layer.id not in self._checked}
        unread = {layer.id for layer in layers if layer.diff_id is None}
        if unread:
            self._store.snapshots.finish(
                [top], lambda number: scans[number].feed if number in scans else None
            )
        for layer, vertex in layers.items():
            scan = scans.get(layer.id)
            if scan is None:
                continue
            diff_id = self._store.snapshots.get(layer.id).diff_id
            assert diff_id is not None
            if layer.id not in unread:
                self._store.layers.write_tar(diff_id, scan.feed)
            if scan.hit is not None:
                where = self._place(diff_id, scan.hit.offset)
                raise self._leak(scan.hit.secret, where, vertex.name if vertex else "", vertex)
            self._checked.add(layer.id)

    def _place(self, diff_id: Digest, offset: int) -> str:
        """What is at an offset of a layer's tar."""
        for entry in self._store.layers.index(diff_id):
            if entry.kind == "file" and entry.offset <= offset < entry.offset + entry.size:
                return f"the file /{self.search.masked(entry.path)}"
        return "the name or the attributes of a file"

    def _leak(
        self, secret: str, where: str, step: str = "", vertex: Vertex | None = None
    ) -> SecretLeaked:
        place = None if vertex is None else vertex.source
        step = self.search.masked(step) or "export image"
        return SecretLeaked(
            f"{step}: the value of {secret} is in {where}",
            secret=secret,
            file=place.file if place else "",
            line=place.first_line if place else 0,
            end_line=place.last_line if place else 0,
            source=self._source,
            hint=_ARGUMENT_HINT if secret.startswith(_ARGUMENT) else _SECRET_HINT,
        )


def _secret_arguments(
    dockerfile: Dockerfile, linter: Linter, given: Mapping[str, str]
) -> dict[str, str]:
    """The build arguments that are asked for, and that the rule would warn of."""
    asked_for: set[str] = set()
    for instruction in dockerfile.instructions:
        here = linter.under(instruction.comments)
        if instruction.name == "arg" and here.heeds(SECRETS_USED_IN_ARG_OR_ENV):
            words = instruction.arguments.split()
            asked_for.update([word.partition("=")[0] for word in words])
    return {
        name: value for name, value in given.items() if name in asked_for and is_secret_name(name)
    }


def _texts(config: ImageConfig) -> Iterator[tuple[str, str]]:
    """Every text of an image's config, after the field that it is in."""
    inner = config.config
    for entry in inner.env:
        yield f"the variable {entry.partition('=')[0]}", entry
    for name, value in inner.labels:
        yield f"the label {name}" if value else "a label", f"{name}={value}"
    yield from _named("ENTRYPOINT", inner.entrypoint or ())
    yield from _named("CMD", inner.cmd or ())
    yield from _named("a trigger (ONBUILD)", inner.on_build)
    yield from _named("SHELL", inner.shell or ())
    yield from _named("a volume", inner.volumes)
    yield from _named("a port", inner.exposed_ports)
    yield from _named("HEALTHCHECK", inner.healthcheck.test or () if inner.healthcheck else ())
    single = ((inner.working_dir, "the working directory"), (inner.user, "the user"))
    for text, field in (*single, (config.author, "the author"), (config.comment, "the comment")):
        yield field, text


def _named(field: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((field, text) for text in texts)
