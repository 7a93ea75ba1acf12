"""registries.conf: which places a name stands for."""

from pathlib import Path

import pytest

from tierce.distribution.places import Place, Places
from tierce.errors import RegistryError
from tierce.oci.reference import Reference

DIGEST = "sha256:" + "0" * 64
CONF = """
[[registry]]
prefix = "docker.io"
location = "hub.example/proxy"
[[registry.mirror]]
location = "first.example:5000/cache"
insecure = true
[[registry.mirror]]
location = "second.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "third.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "docker.io/team"
mirror-by-digest-only = true
[[registry.mirror]]
location = "team.example"

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
location = "plain.example:5000"
insecure = true

[[registry]]
prefix = "*.inner.example"
location = "gateway.example/inner"
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return path


def found(conf: Path, name: str, *, pulling: bool = True) -> list[Place]:
    return list(Places([str(conf)]).of(Reference.parse(name), pulling=pulling))


def test_mirrors_come_in_their_order_and_the_location_last(conf: Path) -> None:
    assert found(conf, "alpine:3") == [
        Place("first.example:5000", "cache/library/alpine", insecure=True, is_mirror=True),
        Place("third.example", "library/alpine", is_mirror=True),
        Place("hub.example", "proxy/library/alpine"),
    ]


def test_some_mirrors_are_for_digests_alone(conf: Path) -> None:
    hosts = [each.host for each in found(conf, f"alpine@{DIGEST}")]
    assert hosts == ["first.example:5000", "second.example", "hub.example"]


def test_longest_prefix_counts(conf: Path) -> None:
    assert found(conf, "team/app:1") == [Place("docker.io", "team/app")]
    assert [each.host for each in found(conf, f"team/app@{DIGEST}")] == [
        "team.example",
        "docker.io",
    ]
    assert found(conf, "teammate/app:1")[-1] == Place("hub.example", "proxy/teammate/app")


def test_nothing_is_pushed_to_a_mirror(conf: Path) -> None:
    assert found(conf, "alpine:3", pulling=False) == [Place("hub.example", "proxy/library/alpine")]


def test_blocked_registry_is_refused_with_the_file_that_says_so(conf: Path) -> None:
    with pytest.raises(RegistryError, match=f"bad.example is blocked in {conf}"):
        found(conf, "bad.example/x")


def test_marked_registry_is_insecure_and_others_are_not(conf: Path) -> None:
    places = Places([str(conf)])
    assert places.is_insecure("plain.example:5000")
    assert not places.is_insecure("plain.example")
    assert found(conf, "plain.example:5000/x") == [Place("plain.example:5000", "x", insecure=True)]


def test_prefix_may_be_all_hosts_of_a_domain(conf: Path) -> None:
    assert found(conf, "a.inner.example/x/y") == [Place("gateway.example", "inner/x/y")]
    assert found(conf, "inner.example/x") == [Place("inner.example", "x")]


def test_files_of_the_directory_beside_it_are_read_later(conf: Path) -> None:
    directory = conf.with_name("registries.conf.d")
    directory.mkdir()
    (directory / "10.conf").write_text('[[registry]]\nlocation = "bad.example"\n')
    (directory / "ignored").write_text("nonsense [[registry")
    assert found(conf, "bad.example/x") == [Place("bad.example", "x")]


def test_without_a_file_names_mean_what_they_say(tmp_path: Path) -> None:
    assert found(tmp_path / "absent", "alpine") == [Place("docker.io", "library/alpine")]


@pytest.mark.parametrize(
    "text",
    ["[[registry]", "[[registry]]\nlocation = 7", "[[registry]]\n", "registry = '[[registry'"],
)
def test_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "registries.conf").write_text(text)
    with pytest.raises(RegistryError, match="registries"):
        found(tmp_path / "registries.conf", "alpine")
