"""`tierce context`: there is one, and scripts that ask for it get an answer."""

import json
import re
from pathlib import Path

from support.cli import Cli


def test_one_context_is_listed_and_in_use(cli: Cli, root: Path) -> None:
    for words in (("context", "ls"), ("context", "list")):
        lines = cli(*words).splitlines()
        assert re.fullmatch("NAME +DESCRIPTION +DOCKER ENDPOINT +ERROR", lines[0])
        assert re.fullmatch(rf"default \* +\S.* +file://{root} *", lines[1])
        assert len(lines) == 2
    assert cli("context", "ls", "-q") == "default\n"
    assert cli("context", "show") == "default\n"
    assert json.loads(cli("context", "ls", "--format", "json"))["Current"] is True
    form = "{{.Name}} {{.DockerEndpoint}}"
    assert cli("context", "ls", "--format", form) == f"default file://{root}\n"
    assert not root.exists()


def test_other_contexts_are_not_there(cli: Cli, root: Path) -> None:
    [found] = json.loads(cli("context", "inspect"))
    assert found["Name"] == "default"
    assert found["Endpoints"]["docker"]["Host"] == f"file://{root}"
    assert cli("context", "use", "default").startswith("default\n")
    for verb in ("use", "inspect"):
        assert 'context "else": context not found' in cli("context", verb, "else", status=1)
