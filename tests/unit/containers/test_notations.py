"""--volume, --mount and --env-file, as docker reads them."""

import os
import re
from pathlib import Path

import pytest

from tierce.containers import environment
from tierce.containers.names import random_name
from tierce.containers.request import HostPath
from tierce.containers.volumes import parse_mount, parse_volume
from tierce.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a:/b", HostPath("/a", "/b", create=True)),
        ("/a/../c/:/b/./d/", HostPath("/c", "/b/d", create=True)),
        ("/a:/b:ro", HostPath("/a", "/b", True, create=True)),
        ("/a:/b:rw,z,rslave", HostPath("/a", "/b", create=True, options=("rslave",))),
        ("./x:/b", HostPath(f"{os.getcwd()}/x", "/b", create=True)),
    ],
)
def test_volume_is_source_target_and_options(text: str, expected: HostPath) -> None:
    assert parse_volume(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/only", "invalid volume specification"),
        (":/b", "invalid volume specification"),
        ("/a:b", "must be absolute"),
        ("/a:/", "must not be '/'"),
        ("/a:/b/..", "must not be '/'"),
        ("/a:/b:nope", "unknown mode: nope"),
        ("data:/b", "named volumes are not supported"),
    ],
)
def test_volume_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,source=/a,target=/b", HostPath("/a", "/b")),
        ("type=bind,src=/a,dst=/b,readonly", HostPath("/a", "/b", True)),
        ("type=bind,src=/a,destination=/b,ro=false", HostPath("/a", "/b")),
        ('type=bind,"src=/a,b",dst=/b', HostPath("/a,b", "/b")),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rshared",
            HostPath("/a", "/b", options=("rshared",)),
        ),
    ],
)
def test_mount_is_fields_with_names(text: str, expected: HostPath) -> None:
    assert parse_mount(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("src=/a,dst=/b", "type volume is not supported"),
        ("type=tmpfs,dst=/b", "type tmpfs is not supported"),
        ("type=bind,dst=/b", "source and target needed"),
        ("type=bind,src=/a,dst=/b,color=red", "unexpected key 'color'"),
        ("type=bind,src=/a,dst=/b,ro=maybe", "invalid value for readonly"),
        ("type=bind,src=/a,dst=/b,bind-propagation=x", "bind-propagation x is unknown"),
        ("", "type volume is not supported"),
    ],
)
def test_mount_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_mount(text)


def test_env_file_is_read_by_dockers_rules(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes(
        b"\xef\xbb\xbf# comment\n\n  A=1\nB= spaced # kept \nC=\nD=a=b\r\nOURS\nABSENT\n"
    )
    assert environment.read_env_file(str(file), {"OURS": "mine"}) == [
        ("A", "1"),
        ("B", " spaced # kept "),
        ("C", ""),
        ("D", "a=b"),
        ("OURS", "mine"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A B=1\n", "variable 'A B' contains whitespaces"),
        (b"=1\n", "no variable name on line '=1'"),
        (b"A=\xff\n", "not utf-8"),
    ],
)
def test_env_file_with_a_mistake_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)):
        environment.read_env_file(str(file), {})


def test_later_variables_replace_earlier_ones_in_their_place() -> None:
    changes = [("B", "3"), ("C", "4"), ("A", None), ("C", None), ("D", "=")]
    assert environment.merge(["A=1", "B=2", "E"], changes) == ("B=3", "E=", "D==")


def test_random_names_have_dockers_form() -> None:
    assert all(re.fullmatch("[a-z]+_[a-z]+", random_name()) for _ in range(50))
