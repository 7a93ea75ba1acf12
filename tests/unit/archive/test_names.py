import pytest

from tierce.archive.names import link_target, normalized
from tierce.errors import ArchiveError


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a", "a"),
        ("./a", "a"),
        ("a//b/./c/", "a/b/c"),
        ("a/../b", "b"),
        (".", ""),
        ("...", "..."),
        ("a/..b", "a/..b"),
    ],
)
def test_names_of_one_member_are_one(name: str, clean: str) -> None:
    assert normalized(name) == clean


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "/a", "/", "./../a"])
def test_name_outside_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="leads outside the archive"):
        normalized(name)


@pytest.mark.parametrize(
    ("name", "target", "place"),
    [
        ("b/layer.tar", "../a/layer.tar", "a/layer.tar"),
        ("layer.tar", "other.tar", "other.tar"),
        ("a/b/c", "../../c", "c"),
    ],
)
def test_link_counts_from_its_directory(name: str, target: str, place: str) -> None:
    assert link_target(name, target) == place


@pytest.mark.parametrize("target", ["../../a", "/a"])
def test_link_that_leads_outside_is_refused(target: str) -> None:
    with pytest.raises(ArchiveError, match="leads outside the archive"):
        link_target("b/layer.tar", target)
