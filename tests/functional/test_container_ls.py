"""`tierce container ls`: what of docker's ways to choose and to show is not with a feature."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program, and a container that was made and is called `one`."""
    words = ("--name", "one", "--label", "tier=front", "--label", "com.x-y_z=7")
    shared.run("create", *words, BASE, "echo", "hello world")
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", identifier)


def test_label_is_asked_for_by_its_name(program: Tierce) -> None:
    form = '{{.Names}} {{.Label "tier"}} {{.Label "none"}}'
    assert program.run("ps", "-a", "--format", form).stdout == "one front \n"
    form = r'table {{.Names}}\t{{.Label "com.x-y_z"}}'
    lines = program.run("ps", "-a", "--format", form).stdout.splitlines()
    assert [line.split() for line in lines] == [["NAMES", "x", "y", "z"], ["one", "7"]]


def test_size_is_that_of_the_containers_files_and_with_its_image(program: Tierce) -> None:
    program.run("run", "--name", "two", BASE, "sh", "-c", "head -c 2000 /dev/zero > /file")
    rows = program.run("ps", "-a", "-s").stdout.splitlines()
    assert rows[0].endswith("SIZE")
    assert re.search(r"two +2kB \(virtual \S+B\)$", rows[1])
    assert re.search(r"one +0B \(virtual \S+B\)$", rows[2])


def test_output_is_cut_unless_asked_not_to_be(program: Tierce) -> None:
    identifier = program.run("ps", "-aq", "--no-trunc").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert program.run("ps", "-aq").stdout == f"{identifier[:12]}\n"
    program.run("create", BASE, "echo", "a" * 40)
    commands = program.run("ps", "-a", "--format", "{{.Command}}").stdout.splitlines()
    assert commands == [f'"echo {"a" * 14}…"', "\"echo 'hello world'\""]
    commands = program.run("ps", "-a", "--no-trunc", "--format", "{{.Command}}").stdout.splitlines()
    assert commands[0] == f'"echo {"a" * 40}"'


def test_json_has_every_field_of_docker(program: Tierce) -> None:
    found = json.loads(program.run("ps", "-a", "--format", "json").stdout)
    assert set(found) == {
        *("Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names"),
        *("Networks", "Platform", "Ports", "RunningFor", "Size", "State", "Status"),
    }
    assert found["Labels"] == "com.x-y_z=7,tier=front"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("is-task=false",), ["one"]),
        (("is-task=true",), []),
        (("id=0000000000",), []),
        (("name=^/one$",), ["one"]),
        (("name=^on$",), []),
        (("label=tier=front", "label=com.x-y_z"), ["one"]),
        (("label=tier=front", "label=other"), []),
        (("status=created", "status=paused"), ["one"]),
        (("status=exited",), []),
        (("ancestor=nothing",), []),
        (("health=none",), ["one"]),
    ],
)
def test_filters_choose(program: Tierce, wanted: tuple[str, ...], found: list[str]) -> None:
    words = [word for text in wanted for word in ("-f", text)]
    assert program.run("ps", "-a", "--format", "{{.Names}}", *words).stdout.split() == found


@pytest.mark.parametrize(
    ("wanted", "status", "message"),
    [
        ("is-task=maybe", 2, "invalid filter 'is-task=maybe'"),
        ("exited=x", 2, "invalid filter 'exited=x'"),
        ("status=odd", 2, "invalid filter 'status=odd'"),
        ("health=odd", 2, "invalid filter 'health=odd'"),
        ("odd=1", 2, "invalid filter 'odd'"),
        ("publish=80:80", 2, "should not contain ':'"),
        ("before=nobody", 1, "no such container: nobody"),
        ("name=(", 2, "invalid filter 'name=('"),
    ],
)
def test_filter_that_means_nothing_is_refused(
    program: Tierce, wanted: str, status: int, message: str
) -> None:
    assert message in program.run("ps", "-a", "-f", wanted, status=status).stderr


def test_usual_form_is_that_of_dockers_config(program: Tierce, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"psFormat": "{{.Names}} is {{.State}}"}')
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    assert program.run("ps", "-a", environment=environment).stdout == "one is created\n"
    found = program.run("ps", "-a", "--format", "{{.Names}}", environment=environment)
    assert found.stdout == "one\n"
    assert len(program.run("ps", "-aq", environment=environment).stdout.strip()) == 12


def test_labels_come_from_files_and_flags(program: Tierce, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# comment\nfrom=file\nboth=file\nalone\n")
    words = ("--label-file", str(file), "-l", "both=flag", "-l", "bare", BASE, "true")
    program.run("create", "--name", "two", *words)
    form = '{{.Label "from"}} {{.Label "both"}} [{{.Label "alone"}}] [{{.Label "bare"}}]'
    found = program.run("ps", "-a", "-f", "name=two", "--format", form)
    assert found.stdout == "file flag [] []\n"
    assert program.run("ps", "-aq", "-f", "label=alone", "-f", "label=bare").stdout
    message = "open /not/there: no such file"
    found = program.run("create", "--label-file", "/not/there", BASE, status=2)
    assert message in found.stderr


def test_restart_policies_are_refused_but_for_none(program: Tierce) -> None:
    program.run("create", "--restart", "no", "--disable-content-trust", BASE, "true")
    found = program.run("run", "-d", "--restart=always", BASE, "true", status=125)
    assert "restart policy always: not supported" in found.stderr
