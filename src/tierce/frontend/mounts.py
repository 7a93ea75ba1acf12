"""`RUN --mount`: what a command sees beside its file system."""

from __future__ import annotations

import posixpath

from tierce.dockerfile.mounts import MountSpec, parse_mount
from tierce.errors import InvalidValue
from tierce.frontend.paths import absolute
from tierce.frontend.stages import External, Stage
from tierce.graph.ops import Bind, CacheMount, Secret, Ssh, Tmpfs

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.frontend.context import Context
    from tierce.graph.ops import Mount
    from tierce.graph.vertex import Vertex

DEFAULT_AGENT = "default"
"""The id of `--mount=type=ssh` and of `--ssh` when they say none."""

SSH_VARIABLE = "SSH_AUTH_SOCK"
SECRETS_DIRECTORY = "/run/secrets"
_SSH_TARGET = "/run/buildkit/ssh_agent.{}"
_DIRECTORY_MODE = 0o755
_SECRET_MODE = 0o400
_SSH_MODE = 0o600
_MODE_BITS = 0o777


class Mounts:
    """The mounts of one RUN, in the order they are written.

    `inputs` are those of the step; file systems that the mounts show are added to them.
    """

    def __init__(self, context: Context, stage: Stage, inputs: list[Vertex]) -> None:
        self._context = context
        self._stage = stage
        self._inputs = inputs
        self._mounts: list[Mount] = []
        self._sockets: list[str] = []
        """Of agents, as they are written."""

    @classmethod
    def read(
        cls,
        context: Context,
        stage: Stage,
        texts: Sequence[str],
        sources: Sequence[Stage | External | None],
        inputs: list[Vertex],
    ) -> Mounts:
        """The mounts that the flags say. Raises InvalidValue, in BuildKit's words."""
        mounts = cls(context, stage, inputs)
        for text, source in zip(texts, sources):
            spec = parse_mount(text, lambda word: context.expand(word, stage))
            mounts._mounts.append(mounts._mount(spec, source))
        return mounts

    @property
    def operations(self) -> tuple[Mount, ...]:
        return tuple(self._mounts)

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The variable by which programs find the first of the agents, given or not."""
        if not self._sockets or SSH_VARIABLE in self._stage.environment:
            return ()
        return ((SSH_VARIABLE, self._sockets[0]),)

    @property
    def secret_variables(self) -> tuple[str, ...]:
        """The variables that hold a secret while the command runs."""
        secrets = [mount for mount in self._mounts if isinstance(mount, Secret)]
        return tuple([secret.env for secret in secrets if secret.env])

    def _mount(self, spec: MountSpec, source: Stage | External | None) -> Mount:
        if source is not None:
            _require_built(spec, source)
        if spec.type == "bind":
            return self._bind(spec, source)
        if spec.type == "cache":
            return self._cache(spec, source)
        if spec.type == "tmpfs":
            return self._tmpfs(spec)
        return self._secret(spec) if spec.type == "secret" else self._ssh(spec)

    def _bind(self, spec: MountSpec, source: Stage | External | None) -> Bind:
        path = absolute(spec.source)
        if source is None:
            vertex = self._context.build_context(path)
        else:
            vertex = _require_built(spec, source)
        return Bind(self._target(spec), self._add_input(vertex), path, spec.read_only)

    def _cache(self, spec: MountSpec, source: Stage | External | None) -> CacheMount:
        path = absolute(spec.source)
        identity = spec.id or _clean(spec.target)
        given = (spec.mode, spec.uid, spec.gid) != (None, None, None)
        mode, owner, number = _DIRECTORY_MODE, (0, 0), 0
        if path == "/" and given:
            # As in BuildKit, permissions are for a cache that starts empty, and make it so; and
            # a cache with others is another one.
            mode = mode if spec.mode is None else spec.mode & _MODE_BITS
            owner = (spec.uid or 0, spec.gid or 0)
            identity = f"{identity}:{mode:o}:{owner[0]}:{owner[1]}"
        elif source is not None:
            number = self._add_input(_require_built(spec, source))
        elif path != "/":
            raise InvalidValue(f"open {path}: no such file or directory")
        return CacheMount(
            target=self._target(spec),
            id=identity,
            sharing=spec.sharing or "shared",
            read_only=spec.read_only,
            mode=mode,
            uid=owner[0],
            gid=owner[1],
            input=number,
            source=path if number else "/",
        )

    def _tmpfs(self, spec: MountSpec) -> Tmpfs:
        return Tmpfs(self._target(spec), spec.size, spec.read_only)

    def _secret(self, spec: MountSpec) -> Secret:
        if spec.env == "":
            raise InvalidValue("secret mount: environment variable name can't be empty")
        identity = spec.source or spec.id or posixpath.basename(spec.target.rstrip("/"))
        target = spec.target
        if not target and spec.env is None:
            target = f"{SECRETS_DIRECTORY}/{posixpath.basename(identity.rstrip('/'))}"
        return Secret(
            id=identity,
            target=absolute(target, self._stage.directory) if target else "",
            env=spec.env or "",
            required=spec.required,
            mode=_SECRET_MODE if spec.mode is None else spec.mode & _MODE_BITS,
            uid=spec.uid or 0,
            gid=spec.gid or 0,
        )

    def _ssh(self, spec: MountSpec) -> Ssh:
        if spec.source:
            raise InvalidValue("ssh does not support source")
        target = spec.target or _SSH_TARGET.format(len(self._sockets))
        self._sockets.append(target)
        return Ssh(
            id=spec.id or DEFAULT_AGENT,
            target=absolute(target, self._stage.directory),
            required=spec.required,
            mode=_SSH_MODE if spec.mode is None else spec.mode & _MODE_BITS,
            uid=spec.uid or 0,
            gid=spec.gid or 0,
        )

    def _target(self, spec: MountSpec) -> str:
        target = absolute(spec.target, self._stage.directory)
        if target == "/":
            raise InvalidValue('invalid mount target "/"')
        return target

    def _add_input(self, vertex: Vertex) -> int:
        """The number of the vertex among the inputs, to which it is added if need be."""
        for number, known in enumerate(self._inputs):
            # Input 0 is what the command writes to; the same file system can be shown beside it.
            if number and known.digest == vertex.digest:
                return number
        self._inputs.append(vertex)
        return len(self._inputs) - 1


def _require_built(spec: MountSpec, source: Stage | External) -> Vertex:
    if source.vertex is None:
        raise InvalidValue(
            f'cannot mount from stage "{spec.source_from}" to "{spec.target}",'
            " stage needs to be defined before current command"
        )
    return source.vertex


def _clean(path: str) -> str:
    return absolute(path) if path.startswith("/") else absolute(path)[1:] or "."
