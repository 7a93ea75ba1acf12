"""The image of a stage while its instructions are applied: config, history, layers."""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.frontend.options import Layer
from tierce.graph.vertex import Vertex
from tierce.oci.config import SIZE_LIMIT, ContainerConfig, Healthcheck, History, ImageConfig
from tierce.oci.platform import Platform

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
HISTORY_COMMENT = "buildkit.dockerfile.v0"


class ImageDraft:
    """A config that can be changed; `freeze` makes the value of it.

    Every method that adds text raises InvalidValue when the config would become larger than
    anyone reads.
    """

    def __init__(self, base: ImageConfig) -> None:
        config = base.config
        self._base = base
        self._env = list(config.env)
        self._env_places: dict[str, int] = {}
        for place, entry in enumerate(self._env):
            self._env_places.setdefault(entry.partition("=")[0], place)
        self._labels = dict(config.labels)
        self._ports = set(config.exposed_ports)
        self._volumes = set(config.volumes)
        self._history = list(base.history)
        self._size = 0
        self.layers: list[Layer] = []
        self.author = base.author
        self.user = config.user
        self.working_dir = config.working_dir
        self.entrypoint = config.entrypoint
        self.cmd = config.cmd
        self.args_escaped = config.args_escaped
        self.stop_signal = config.stop_signal
        self.shell = config.shell
        self.healthcheck: Healthcheck | None = config.healthcheck
        self.on_build = list(config.on_build)

    @classmethod
    def empty(cls, platform: Platform) -> ImageDraft:
        """What FROM scratch starts with."""
        return cls(
            ImageConfig(
                platform.architecture,
                platform.os,
                platform.variant,
                platform.os_version,
                platform.os_features,
                config=ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"),
            )
        )

    def child(self) -> ImageDraft:
        """What a stage FROM this one starts with: all but the triggers, which ran."""
        child = ImageDraft(self.freeze())
        child.layers = list(self.layers)
        child.on_build = []
        child._size = self._size
        return child

    @property
    def platform(self) -> Platform:
        return self._base.platform

    @property
    def command_shell(self) -> tuple[str, ...]:
        """What the shell form of a command is given to."""
        return self.shell or DEFAULT_SHELL

    @property
    def environment(self) -> list[tuple[str, str]]:
        """ENV as (name, value), in order."""
        entries = [entry.partition("=") for entry in self._env]
        return [(name, value) for name, _, value in entries]

    def set_env(self, name: str, value: str) -> None:
        """A name that is there already keeps its place."""
        self._grow(len(name) + len(value))
        place = self._env_places.get(name)
        if place is None:
            self._env_places[name] = len(self._env)
            self._env.append(f"{name}={value}")
        else:
            self._env[place] = f"{name}={value}"

    def ensure_path(self) -> None:
        """Images that do not say where programs are get the usual places."""
        if "PATH" not in self._env_places:
            self.set_env("PATH", DEFAULT_PATH)

    def set_label(self, name: str, value: str) -> None:
        self._grow(len(name) + len(value))
        self._labels[name] = value

    def add_ports(self, ports: list[str]) -> None:
        self._grow(sum(map(len, ports)))
        self._ports.update(ports)

    def add_volume(self, path: str) -> None:
        self._grow(len(path))
        self._volumes.add(path)

    def add_history(self, created_by: str, created: str | None, layer: Vertex | None) -> None:
        """Note an instruction; `layer` is the vertex that adds a layer for it, or None."""
        self._grow(len(created_by))
        if layer is not None:
            self.layers.append(Layer(layer, len(self._history)))
        self._history.append(History(created, created_by, HISTORY_COMMENT, "", layer is None))

    def _grow(self, characters: int) -> None:
        self._size += characters
        if self._size > SIZE_LIMIT:
            raise InvalidValue(f"the image config would be larger than {SIZE_LIMIT >> 20} MiB")

    def freeze(self) -> ImageConfig:
        """The config as it is now; `diff_ids` are those of the base image."""
        config = ContainerConfig(
            user=self.user,
            exposed_ports=tuple(sorted(self._ports)),
            env=tuple(self._env),
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            volumes=tuple(sorted(self._volumes)),
            working_dir=self.working_dir,
            labels=tuple(sorted(self._labels.items())),
            stop_signal=self.stop_signal,
            args_escaped=self.args_escaped,
            healthcheck=self.healthcheck,
            on_build=tuple(self.on_build),
            shell=self.shell,
        )
        return self._base.for_child().replace(
            created=None, author=self.author, config=config, history=tuple(self._history)
        )
