"""What becomes of names when files are copied: docker's rules (go-archive, copy.go)."""

import pytest

from tierce.containers.copying import Place, Target, place_of
from tierce.errors import ContainerError


@pytest.mark.parametrize(
    ("target", "of_directory", "expected"),
    [
        (Target("/d", True, True), False, Place("/d")),
        (Target("/d", True, True), True, Place("/d")),
        (Target("/a/f", True, False), False, Place("/a", "f")),
        (Target("/a/new", False, False), False, Place("/a", "new")),
        (Target("/a/new", False, False), True, Place("/a", "new")),
        (Target("/a/new/", False, False), True, Place("/a", "new")),
        (Target("/new", False, False), True, Place("/", "new")),
    ],
)
def test_copy_goes_into_a_directory_or_takes_the_name_of_the_target(
    target: Target, of_directory: bool, expected: Place
) -> None:
    assert place_of(target, of_directory=of_directory) == expected


@pytest.mark.parametrize(
    ("target", "of_directory", "message"),
    [
        (Target("/a/f", True, False), True, "cannot copy directory"),
        (Target("/a/new/", False, False), False, "no such directory"),
        (Target("/a/new/.", False, False), False, "no such directory"),
    ],
)
def test_copy_that_makes_no_sense_is_refused(
    target: Target, of_directory: bool, message: str
) -> None:
    with pytest.raises(ContainerError, match=message) as refused:
        place_of(target, of_directory=of_directory)
    assert refused.value.exit_code == 1
