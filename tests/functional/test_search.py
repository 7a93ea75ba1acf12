"""Searching: registries with the old search API, and those without."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Tierce
from support.registries import RunningRegistry, running_registry
from support.servers import FileServer, file_server

RESULTS = [
    {"name": "node", "description": "Runs\nJavaScript", "star_count": 900, "is_official": True},
    {"name": "some/node", "description": "d" * 60, "star_count": 3, "is_official": False},
]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tierce]:
    monkeypatch.delenv("TIERCE_OFFLINE")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Tierce(tmp_path / "root") as program:
        yield program


@pytest.fixture
def index() -> Iterator[FileServer]:
    with file_server() as served:
        document = {"results": RESULTS}
        for limit in (25, 5):
            served.put(f"/v1/search?q=node&n={limit}", json.dumps(document).encode())
        yield served


def host_of(index: FileServer) -> str:
    return index.url.removeprefix("http://")


def test_found_repositories_are_a_table(program: Tierce, index: FileServer) -> None:
    lines = program.run("search", f"{host_of(index)}/node").stdout.splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert lines[1].split() == ["node", "Runs", "JavaScript", "900", "[OK]"]
    assert lines[2].split() == ["some/node", "d" * 44 + "…", "3"]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--filter", "is-official=true"), ["node"]),
        (("-f", "is-official=false"), ["some/node"]),
        (("-f", "stars=4"), ["node"]),
        (("-f", "stars=4", "-f", "is-official=false"), []),
        (("--limit", "5"), ["node", "some/node"]),
    ],
)
def test_filters_and_limit_choose(
    program: Tierce, index: FileServer, flags: tuple[str, ...], names: list[str]
) -> None:
    done = program.run("search", *flags, "--format", "{{.Name}}", f"{host_of(index)}/node")
    assert done.stdout.split() == names


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-f", "colour=red"), "invalid filter 'colour'"),
        (("-f", "stars=many"), "invalid filter 'stars=many'"),
        (("--limit", "101"), "outside the range of [1, 100]"),
    ],
)
def test_what_makes_no_sense_is_refused(
    program: Tierce, index: FileServer, flags: tuple[str, ...], said: str
) -> None:
    done = program.start("search", *flags, f"{host_of(index)}/node")
    assert said in done.communicate()[1]
    assert done.returncode in {1, 2}


def test_json_has_docker_s_fields(program: Tierce, index: FileServer) -> None:
    done = program.run("search", "--format", "json", f"{host_of(index)}/node")
    first = json.loads(done.stdout.splitlines()[0])
    assert first == {
        "Description": "Runs JavaScript",
        "IsAutomated": "false",
        "IsOfficial": "true",
        "Name": "node",
        "StarCount": "900",
    }


def test_catalog_is_searched_where_there_is_no_index(
    program: Tierce, tmp_path: Path, registry: RunningRegistry, tierce: Tierce
) -> None:
    for name in ("team/findable", "other"):
        tierce.run("tag", "golden-base", f"{registry.host}/{name}")
        tierce.run("push", "-q", f"{registry.host}/{name}")
    done = program.run("search", "--format", "{{.Name}}", f"{registry.host}/find")
    assert done.stdout == f"{registry.host}/team/findable\n"
    assert "has no search: these are the names in its catalog" in done.stderr


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as running:
        yield running
