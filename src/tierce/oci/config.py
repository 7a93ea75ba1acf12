"""The image config (OCI image-spec, config.md, with docker's fields) and chain ids.

`encode` writes what BuildKit writes, byte for byte: top-level members sorted, the members of
`config` and of each history entry in the order of the Go structs, empty values left out.
"""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest
from tierce.oci.document import Fields, dump, load_object
from tierce.oci.platform import Platform
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, Self

SIZE_LIMIT = 8 << 20
"""Bytes of a config; above what any registry takes, so that hostile ones end early."""

BUILD_CACHE = "tierce.build.cache.v1"
"""The member that holds a build cache; BuildKit's is called moby.buildkit.cache.v0."""

_WHERE = "image config"
_DIGITS = "0123456789"
_ZEROS = str.maketrans(_DIGITS, "0" * 10)


class Healthcheck(Value):
    """How to see whether a container is well. Zero means: the default, or inherited.

    `test` is () (inherit), ("NONE",), ("CMD", …) or ("CMD-SHELL", command). Times in nanoseconds.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class ContainerConfig(Value):
    """What a container of the image starts with.

    `entrypoint`, `cmd` and `shell` are None when unset; an empty tuple (ENTRYPOINT []) resets an
    inherited value while building, and is unset once encoded. Sets and labels are sorted.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """From the `config` object of an image config. Raises InvalidValue."""
        health = fields.object("Healthcheck")
        return cls(
            user=fields.text("User"),
            exposed_ports=fields.keys("ExposedPorts"),
            env=fields.texts("Env") or (),
            entrypoint=_words(fields, "Entrypoint"),
            cmd=_words(fields, "Cmd"),
            volumes=fields.keys("Volumes"),
            working_dir=fields.text("WorkingDir"),
            labels=fields.text_map("Labels"),
            stop_signal=fields.text("StopSignal"),
            args_escaped=fields.flag("ArgsEscaped"),
            healthcheck=None if health is None else _read_healthcheck(health),
            on_build=fields.texts("OnBuild") or (),
            shell=fields.texts("Shell"),
        )

    def to_json(self) -> dict[str, Any]:
        """The `config` object, members in the order of docker's struct, empty ones left out."""
        members: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in sorted(self.exposed_ports)},
            "Env": self.env,
            "Entrypoint": self.entrypoint,
            "Cmd": self.cmd,
            "Volumes": {path: {} for path in sorted(self.volumes)},
            "WorkingDir": self.working_dir,
            "Labels": dict(sorted(self.labels)),
            "StopSignal": self.stop_signal,
            "ArgsEscaped": self.args_escaped,
        }
        members = {name: value for name, value in members.items() if value}
        if self.healthcheck is not None:
            members["Healthcheck"] = _write_healthcheck(self.healthcheck)
        if self.on_build:
            members["OnBuild"] = self.on_build
        if self.shell:
            members["Shell"] = self.shell
        return members

    def environment(self) -> dict[str, str]:
        """`env` as a mapping; of a name that comes twice the last value counts."""
        return {name: value for name, _, value in (entry.partition("=") for entry in self.env)}


class History(Value):
    """One step that made the image; `empty_layer` when it added no layer.

    `created` is an RFC 3339 time or None.
    """

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """From an entry of the `history` list. Raises InvalidValue."""
        return cls(
            created=read_time(fields, "created"),
            created_by=fields.text("created_by"),
            comment=fields.text("comment"),
            author=fields.text("author"),
            empty_layer=fields.flag("empty_layer"),
        )

    def to_json(self) -> dict[str, Any]:
        """An entry of the `history` list."""
        members: dict[str, Any] = {
            "created": self.created,
            "created_by": self.created_by,
            "author": self.author,
            "comment": self.comment,
            "empty_layer": self.empty_layer,
        }
        return {name: value for name, value in members.items() if value}


class ImageConfig(Value):
    """An image: its platform, the layers it is made of, how it was made, what it starts.

    `diff_ids` go from the bottom up. `created` is an RFC 3339 time or None. `comment`, `container`
    and `docker_version` are only set by docker's legacy builder and `docker commit`; see
    `for_child`. `build_cache` is that of `--cache-to type=inline`, as text.
    """

    architecture: str
    os: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    created: str | None = None
    author: str = ""
    config: ContainerConfig = ContainerConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    comment: str = ""
    container: str = ""
    docker_version: str = ""
    build_cache: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a config; fields that tierce does not know are dropped.

        Raises InvalidValue with the place in the document.
        """
        fields = load_object(raw, _WHERE, size_limit=SIZE_LIMIT)
        rootfs = fields.object("rootfs")
        config = fields.object("config")
        return cls(
            architecture=fields.text("architecture"),
            os=fields.text("os"),
            variant=fields.text("variant"),
            os_version=fields.text("os.version"),
            os_features=fields.texts("os.features") or (),
            created=read_time(fields, "created"),
            author=fields.text("author"),
            config=ContainerConfig() if config is None else ContainerConfig.from_json(config),
            diff_ids=() if rootfs is None else _read_diff_ids(rootfs),
            history=tuple(History.from_json(entry) for entry in fields.objects("history")),
            comment=fields.text("comment"),
            container=fields.text("container"),
            docker_version=fields.text("docker_version"),
            build_cache=fields.text(BUILD_CACHE),
        )

    def encode(self) -> bytes:
        """The config as JSON; its digest is the image ID."""
        members: dict[str, Any] = {
            "author": self.author,
            "comment": self.comment,
            "container": self.container,
            "created": self.created,
            "docker_version": self.docker_version,
            "history": [entry.to_json() for entry in self.history],
            "os.features": self.os_features,
            "os.version": self.os_version,
            "variant": self.variant,
            BUILD_CACHE: self.build_cache,
        }
        members = {name: value for name, value in members.items() if value}
        members["architecture"] = self.architecture
        members["os"] = self.os
        members["config"] = self.config.to_json()
        # Go writes a slice that was never appended to as null.
        diff_ids = [str(diff_id) for diff_id in self.diff_ids] or None
        members["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        return dump(dict(sorted(members.items())))

    @property
    def platform(self) -> Platform:
        """The platform in the words of the config; see `Platform.normalized`."""
        return Platform(self.os, self.architecture, self.variant, self.os_version, self.os_features)

    def for_child(self) -> Self:
        """What an image built on this one starts from: without the marks of who built it."""
        return self.replace(comment="", container="", docker_version="", build_cache="")


def chain_ids(diff_ids: tuple[Digest, ...] | list[Digest]) -> list[Digest]:
    """The chain id of each layer with all that are below it (image-spec, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def chain_id(diff_ids: tuple[Digest, ...] | list[Digest]) -> Digest:
    """The chain id of the topmost layer. Raises InvalidValue for an image without layers."""
    if not diff_ids:
        raise InvalidValue("compute chain id: the image has no layers")
    return chain_ids(diff_ids)[-1]


def _words(fields: Fields, name: str) -> tuple[str, ...] | None:
    """A command line; docker's strslice also takes a single string for a list of one."""
    try:
        return fields.texts(name)
    except InvalidValue:
        return (fields.text(name),)


def read_time(fields: Fields, name: str) -> str | None:
    """An RFC 3339 time, written as Go writes it again: no zeros at the end of the fraction."""
    text = fields.text(name)
    if not text:
        return None
    seconds, rest = text[:19].upper(), text[19:].upper()
    zone = rest[1:].lstrip(_DIGITS) if rest.startswith(".") else rest
    fraction = rest.removesuffix(zone)
    if not _is_time(seconds) or fraction == "." or not _is_zone(zone):
        raise InvalidValue(
            f"parse {fields.where}: {name}: {text[:64]!a} is not an RFC 3339 time", value=text
        )
    return seconds + fraction[:10].rstrip("0").rstrip(".") + zone


def _is_time(text: str) -> bool:
    """Whether it is a date and a time without a fraction, each number within its bounds."""
    return (
        text.translate(_ZEROS) == "0000-00-00T00:00:00"
        and "01" <= text[5:7] <= "12"
        and "01" <= text[8:10] <= "31"
        and text[11:13] <= "23"
        and text[14:16] <= "59"
        and text[17:] <= "60"
    )


def _is_zone(text: str) -> bool:
    if text == "Z":
        return True
    is_offset = text.translate(_ZEROS) in {"+00:00", "-00:00"}
    return is_offset and text[1:3] <= "23" and text[4:] <= "59"


def _read_diff_ids(rootfs: Fields) -> tuple[Digest, ...]:
    kind = rootfs.text("type", "layers")
    if kind != "layers":
        raise InvalidValue(f"parse {rootfs.where}: type {kind[:64]!a} is not supported")
    return tuple(Digest.parse(text) for text in rootfs.texts("diff_ids") or ())


def _read_healthcheck(fields: Fields) -> Healthcheck:
    return Healthcheck(
        fields.texts("Test") or (),
        fields.integer("Interval"),
        fields.integer("Timeout"),
        fields.integer("StartPeriod"),
        fields.integer("StartInterval"),
        fields.integer("Retries"),
    )


def _write_healthcheck(check: Healthcheck) -> dict[str, Any]:
    members: dict[str, Any] = {
        "Test": check.test,
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {name: value for name, value in members.items() if value}
