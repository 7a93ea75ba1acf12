"""What `--call` asks for, and how tables of answers look."""

import pytest

from tierce.cli.building.answers import aligned
from tierce.cli.building.call import Call, call_of, dockerfile_path, parse_call
from tierce.cli.commands.image.build import COMMAND
from tierce.cli.flags import parse
from tierce.client.builds import BuildRequest
from tierce.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("", None),
        ("build", None),
        ("build,format=json", None),
        ("check", Call("lint")),
        ("lint", Call("lint")),
        ("outline,format=json", Call("outline", "json")),
        ("format=json,targets", Call("targets", "json")),
        ("check,ignorestatus=1", Call("lint", "", ignore_status=True)),
        ("format=json", Call("", "json")),
        ("anything", Call("anything")),
    ],
)
def test_call_is_read(text: str, call: Call | None) -> None:
    assert parse_call(text) == call


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["--check"], Call("lint")),
        (["--check=false"], None),
        (["--check", "--call=outline"], Call("lint")),
        (["--check", "--call=check,format=json"], Call("lint", "json")),
        (["--check=false", "--call=targets"], Call("targets")),
    ],
)
def test_check_is_a_call(words: list[str], call: Call | None) -> None:
    assert call_of(parse(COMMAND, [*words, "."])) == call


@pytest.mark.parametrize("text", ["check,outline", "check,x=y", "check,ignorestatus=x", 'a,"b'])
def test_call_without_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_call(text)


def test_table_has_columns_and_an_open_end() -> None:
    rows = [("A", "LONG", "C"), ("long", "", ""), ("é", "x", "end")]
    assert aligned(rows, 3) == "A      LONG   C\nlong          \né      x      end\n"


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (BuildRequest("."), "Dockerfile"),
        (BuildRequest("a/b/"), "a/b/Dockerfile"),
        (BuildRequest("a", dockerfile="x/y"), "x/y"),
        (BuildRequest("a", dockerfile_text=b""), "stdin"),
    ],
)
def test_dockerfile_is_called_what_the_user_calls_it(request_: BuildRequest, path: str) -> None:
    assert dockerfile_path(request_) == path
