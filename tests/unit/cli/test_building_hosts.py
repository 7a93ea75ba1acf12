"""`--add-host` of a build: buildx's grammar, and addresses as BuildKit writes them."""

import pytest

from tierce.cli.building.request import host_of
from tierce.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("DB=10.0.0.1", ("db", "10.0.0.1")),
        ("six:fd00::1", ("six", "fd00::1")),
        ("six=fd00:0:0:0:0:0:0:1", ("six", "fd00::1")),
        ("six=[fd00::1]", ("six", "fd00::1")),
        ("four:[10.0.0.1]", ("four", "10.0.0.1")),
        ("host.docker.internal:host-gateway", ("host.docker.internal", "127.0.0.1")),
    ],
)
def test_host(text: str, expected: tuple[str, str]) -> None:
    assert host_of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "",
        ":10.0.0.1",
        "db:",
        "db=",
        "db:10.0.0",
        "db:ten",
        "db=[]",
        "db:10.0.0.1\nx",
        "db:1\0",
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(UsageError, match="invalid host"):
        host_of(text)
