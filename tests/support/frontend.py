"""Lowering in tests: images that need no store, a plan as plain data, and the golden cases.

tests/golden/frontend/<group>.toml holds cases: a Dockerfile with its options (`target`,
`build_args`, `labels`, `platform`). <group>.json beside it holds what BuildKit's front end makes
of each, recorded from BuildKit: `steps` (see `agree`) and `config`.

tests/golden/refusals/<group>.toml holds Dockerfiles that are refused, with the message and the
line; options as above.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tierce.dockerfile.parser import parse
from tierce.errors import NotFound
from tierce.frontend.lower import Options, Plan, ResolvedImage, lower
from tierce.frontend.options import ImageRequest
from tierce.graph import (
    CacheMount,
    Copy,
    Exec,
    ImageSource,
    LocalSource,
    MakeDirectory,
    Merge,
    Scratch,
    Vertex,
    sorted_vertices,
)
from tierce.oci.config import ImageConfig
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform

GOLDEN = Path(__file__).parents[1] / "golden/frontend"
REFUSALS = Path(__file__).parents[1] / "golden/refusals"
BUILD_PLATFORM = Platform("linux", "amd64")


def image(name: str, *, architecture: str = "amd64", layers: int = 1, **config: Any) -> Any:
    """The config of an image that is told from others by its layers."""
    return {
        "architecture": architecture,
        "os": "linux",
        "author": f"author of {name}",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin:/bin"]} | config,
        "rootfs": {
            "type": "layers",
            "diff_ids": [str(Digest.of(f"{name} {n}".encode())) for n in range(layers)] or None,
        },
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "ADD"}] * layers,
    }


_CONFIGS: dict[str, Any] = {
    "alpine:latest": image("alpine", Cmd=["/bin/sh"]),
    "alpine:3.15": image("alpine:3.15", Cmd=["/bin/sh"]),
    "alpine:12": image("alpine:12"),
    "alpine:92": image("alpine:92"),
    "golang:latest": image("golang"),
    "golang:1": image("golang:1"),
    "empty:latest": image("empty", layers=0),
    "nopath:latest": image("nopath", Env=["X=1"]),
    "arm:latest": image("arm", architecture="arm64"),
    "triggers:latest": image(
        "triggers", OnBuild=["RUN one", "COPY --from=golang /a /b", "ENV T=1", "WORKDIR /t"]
    ),
    "bad-trigger:latest": image("bad-trigger", OnBuild=["RUM x"]),
    "two-triggers:latest": image("two-triggers", OnBuild=["RUN a\nRUN b"]),
    "full:latest": image(
        "full",
        layers=2,
        User="joe",
        Env=["PATH=/p", "FOO=base", "LANG=C"],
        Cmd=["c"],
        Entrypoint=["e"],
        WorkingDir="/work",
        Labels={"l": "v"},
        ExposedPorts={"80/tcp": {}},
        Volumes={"/v": {}},
        Shell=["/bin/bash", "-c"],
        StopSignal="INT",
        Healthcheck={"Test": ["CMD", "x"], "Interval": 10**9},
    ),
}
IMAGES: dict[str, Any] = {f"docker.io/library/{name}": value for name, value in _CONFIGS.items()}
"""Configs as JSON by canonical reference."""


class Resolver:
    """Finds IMAGES; `asked` is what it was asked for, one list for each call."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, wanted: Sequence[ImageRequest]) -> Mapping[ImageRequest, ResolvedImage]:
        self.asked.append([str(reference) for reference, _ in wanted])
        return {request: self._find(*request) for request in wanted}

    @staticmethod
    def _find(reference: Any, platform: Platform) -> ResolvedImage:
        name = str(reference)
        if name not in IMAGES:
            raise NotFound("image", name, f"resolve {name}: not found in the store")
        config = ImageConfig.parse(json.dumps(IMAGES[name]).encode())
        return ResolvedImage(name, Digest.of(name.encode()), config)


def plan_of(dockerfile: str, resolver: Resolver | None = None, **options: Any) -> Plan:
    """Lower a Dockerfile on a machine of BUILD_PLATFORM; it may use the host's network."""
    options.setdefault("allow", ("network.host",))
    if isinstance(platform := options.get("platform"), str):
        options["platform"] = Platform.parse(platform)
    return lower(
        parse(dockerfile),
        Options(build_platform=BUILD_PLATFORM, **options),
        resolver or Resolver(),
    )


def names(plan: Plan) -> list[str]:
    """The names of the steps, inputs before their users."""
    return [vertex.name for vertex in sorted_vertices([plan.vertex]) if vertex.name]


def history(plan: Plan) -> list[str]:
    """What the history says of the new instructions."""
    return [entry.created_by for entry in plan.config.history[plan.inherited_history :]]


def step(plan: Plan, name: str) -> Vertex:
    """The step whose name ends in the given text."""
    [found] = [each for each in sorted_vertices([plan.vertex]) if each.name.endswith(name)]
    return found


def exec_of(plan: Plan, name: str) -> Exec:
    operation = step(plan, name).op
    assert isinstance(operation, Exec)
    return operation


def copy_of(plan: Plan, name: str) -> Copy:
    operation = step(plan, name).op
    assert isinstance(operation, Copy)
    return operation


def described(plan: Plan) -> list[dict[str, Any]]:
    """The steps as the golden files have them.

    Scratch is none, nor is what lays a linked copy over the rest: they were recorded without.
    """
    vertices = sorted_vertices([plan.vertex])
    return [_describe(each) for each in vertices if not isinstance(each.op, Scratch | Merge)]


def _describe(vertex: Vertex) -> dict[str, Any]:
    op = vertex.op
    found: dict[str, Any] = {"name": vertex.name}
    if vertex.source is not None:
        found["line"] = vertex.source.first_line
    if isinstance(op, ImageSource):
        found["source"] = f"docker-image://{op.reference}"
    elif isinstance(op, LocalSource):
        found["source"] = f"local://{op.name}"
    elif isinstance(op, Exec):
        found |= {
            "args": list(op.args),
            "env": [f"{name}={value}" for name, value in op.env],
            "cwd": op.cwd,
            "user": op.user,
            "network": op.network,
            "mounts": [_describe_mount(vertex, mount) for mount in op.mounts],
        }
    elif isinstance(op, Copy):
        found |= {
            "copy": [source for part in op.parts for source in part.sources],
            "to": op.destination,
            "owned": bool(op.owner),
            "unpack": op.parts[0].unpack,
            "mode": op.mode,
        }
    else:
        assert isinstance(op, MakeDirectory)
        found |= {"mkdir": op.path, "owned": bool(op.owner)}
    return found


def _describe_mount(vertex: Vertex, mount: Any) -> dict[str, Any]:
    found = {"target": mount.target, "source": mount.source, "read_only": mount.read_only}
    if mount.input:
        found["from"] = vertex.inputs[mount.input].name
    if isinstance(mount, CacheMount):
        found |= {"cache": mount.id, "sharing": mount.sharing}
    return found


def agree(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Whether two lists of steps are the same.

    BuildKit knows of every place of a step that several stages have, of which we keep the first,
    and of none for an image that is only mounted.
    """
    if len(ours) != len(theirs):
        return False
    for own, other in zip(ours, theirs):
        lines = other["lines"]
        if lines and own.get("line") not in lines:
            return False
        own_rest = {key: value for key, value in own.items() if key != "line"}
        other_rest = {key: value for key, value in other.items() if key != "lines"}
        if own_rest != other_rest:
            return False
    return True


class Case(NamedTuple):
    """`table` is the case as it is written."""

    group: str
    name: str
    table: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        taken = ("target", "build_args", "labels", "platform")
        return {key: self.table[key] for key in taken if key in self.table}

    def plan(self) -> Plan:
        return plan_of(self.table["dockerfile"], **self.options)

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


def cases(directory: Path) -> Iterator[Case]:
    for path in sorted(directory.glob("*.toml")):
        for name, table in tomllib.loads(path.read_text()).items():
            yield Case(path.stem, name, table)
