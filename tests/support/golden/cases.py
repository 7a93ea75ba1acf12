"""The golden cases: tests/golden/builds/<group>.toml, and what BuildKit made of them in
<group>.json beside it.

A case is a Dockerfile with its context (see contexts.py) and options:

    [case-name]
    about = "What it shows"
    dockerfile = '''…'''
    context = { … }
    target = "stage"           args = { NAME = "value" }      labels = { … }
    file = "sub/Dockerfile"    where the Dockerfile is in the context, "Dockerfile" unless given
    secrets = { id = "text" }  hosts = { name = "address" }         allow = ["network.host"]
    network = "none"           shm_size = 1048576 (bytes)           ulimits = ["nofile=100:200"]
    fails = true               BuildKit refuses the build

    web = { … }  repositories = { … }   what servers have (see remotes.py)
    contexts = { name = "value" }       as --build-context has them; directories are @DIR@/…
    main = "@GIT@/repo#main"            the context is there, instead of on this machine

    [case-name.differs]        where tierce is meant to differ from BuildKit
    why = "…"
    refused = true             it refuses the build, or
    tree = { path = "line" }   these lines of the tree are others; "" where there is none

An expectation holds `tree`, `times` (see trees.py) and `config`; or `error`, BuildKit's words.
Where the result has the base's busybox, `tree` has only what differs from the base, with null
for what is gone.
"""

import json
import tomllib
import zlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from support.golden.contexts import Entry, write_context
from support.golden.remotes import Remotes
from support.golden.trees import FlatImage

DIRECTORY = Path(__file__).parents[2] / "golden/builds"
_MARK_OF_BASE = "bin/busybox"


class BuildFailed(Exception):
    """A builder refused a case; the text is what it said."""


class Case(NamedTuple):
    name: str
    about: str
    dockerfile: str
    context: dict[str, Entry]
    file: str
    target: str
    args: dict[str, str]
    labels: dict[str, str]
    fails: bool
    differs: dict[str, Any]
    secrets: tuple[tuple[str, str], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    allow: tuple[str, ...] = ()
    network: str = ""
    shm_size: int = 0
    ulimits: tuple[str, ...] = ()
    web: dict[str, Entry] = {}  # noqa: RUF012  (of a tuple, which nobody writes to)
    repositories: dict[str, list[dict[str, Any]]] = {}  # noqa: RUF012
    contexts: dict[str, str] = {}  # noqa: RUF012
    main: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether something of it is fetched."""
        return bool(self.web or self.repositories)

    def write(self, directory: Path) -> Path:
        """Make the context with its Dockerfile in `directory`; returns the Dockerfile's path."""
        nanoseconds = zlib.crc32(self.name.encode()) % 10**9
        write_context(directory, {**self.context, self.file: self.dockerfile}, nanoseconds)
        return directory / self.file


class Builder(Protocol):
    """BuildKit or tierce, as something that builds cases."""

    def build(self, case: Case, context: Path, dockerfile: Path) -> FlatImage:
        """Raises BuildFailed."""
        ...


def result_of(
    builder: Builder,
    case: Case,
    directory: Path,
    plain: FlatImage,
    remotes: Remotes | None = None,
) -> dict[str, Any]:
    """Build the case in a directory of its own; what would be recorded of it."""
    context = directory / case.name
    if remotes is not None:
        case = remotes.serve(case, context)
    dockerfile = case.write(context)
    try:
        result = expectation_of(builder.build(case, context, dockerfile), plain)
    except BuildFailed as failure:
        result = {"error": str(failure)}
    return remotes.hidden(result) if remotes is not None else result


def groups() -> list[str]:
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def load(group: str) -> dict[str, Case]:
    """The cases of a group by name."""
    tables = tomllib.loads((DIRECTORY / f"{group}.toml").read_text())
    return {name: _case(f"{group}/{name}", table) for name, table in tables.items()}


def _case(name: str, table: dict[str, Any]) -> Case:
    unknown = table.keys() - set(Case._fields)
    if unknown:
        raise ValueError(f"{name}: no such key: {', '.join(unknown)}")
    return Case(
        name,
        table["about"],
        table["dockerfile"],
        table.get("context", {}),
        table.get("file", "Dockerfile"),
        table.get("target", ""),
        table.get("args", {}),
        table.get("labels", {}),
        table.get("fails", False),
        table.get("differs", {}),
        tuple(table.get("secrets", {}).items()),
        tuple(table.get("hosts", {}).items()),
        tuple(table.get("allow", ())),
        table.get("network", ""),
        table.get("shm_size", 0),
        tuple(table.get("ulimits", ())),
        table.get("web", {}),
        table.get("repositories", {}),
        table.get("contexts", {}),
        table.get("main", ""),
    )


def expectations(group: str) -> dict[str, Any]:
    path = DIRECTORY / f"{group}.json"
    recorded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return recorded


def own_expectation(case: Case, recorded: dict[str, Any]) -> dict[str, Any]:
    """What tierce is to make of the case, where `recorded` is what BuildKit does."""
    if case.differs.get("refused"):
        return {"error": case.differs["why"]}
    if "tree" not in case.differs:
        return recorded
    tree = dict(recorded["tree"])
    for path, line in case.differs["tree"].items():
        if line:
            tree[path] = line
        else:
            del tree[path]
    return {**recorded, "tree": tree}


def record(group: str, results: dict[str, Any]) -> None:
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False)
    (DIRECTORY / f"{group}.json").write_text(text + "\n")


def expectation_of(image: FlatImage, base: FlatImage) -> dict[str, Any]:
    """What is recorded of an image, in the words of the module's docstring."""
    tree: dict[str, str | None] = dict(image.tree)
    times = dict(image.times)
    if _MARK_OF_BASE in tree:
        for path, line in base.tree.items():
            if tree.get(path) == line:
                del tree[path]
            else:
                tree.setdefault(path, None)
            if times.get(path) == base.times.get(path):
                times.pop(path, None)
    return {"tree": tree, "times": times, "config": image.config}


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """What is not as expected, path by path and field by field of the config; lines to print."""
    if "error" in expected or "error" in actual:
        if expected.keys() == actual.keys():
            return []  # each has its own words for why
        return [
            f"expected {expected.get('error', 'success')}",
            f"got {actual.get('error', 'success')}",
        ]
    found = []
    for part in ("tree", "times", "config"):
        wanted, got = expected[part], actual[part]
        for key in sorted(wanted.keys() | got.keys()):
            if wanted.get(key, "absent") != got.get(key, "absent"):
                found.append(f"{part} {key}:")
                found.append(f"    expected {_shown(wanted, key)}")
                found.append(f"    got      {_shown(got, key)}")
    return found


def _shown(values: dict[str, Any], key: str) -> str:
    value = values.get(key, "nothing said")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
