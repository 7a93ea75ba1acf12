"""What of a command in a container is looked at before it is started."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tierce.errors import ContainerError
from tierce.runtime.exec import check_directory


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """The root of a container, with the machine's /proc in it as the most dangerous there is."""
    (tmp_path / "work").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/work")
    (tmp_path / "up").symlink_to("../../../../work")
    (tmp_path / "out").symlink_to("../../../../../../etc")
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("path", ["/", "/work", "/link", "/up", "/work/..", "/../../work"])
def test_directory_of_the_container_is_taken(root: int, path: str) -> None:
    check_directory(root, path)


@pytest.mark.parametrize("path", ["/none", "/file", "/out", "/link/none", "/etc"])
def test_what_is_no_directory_is_refused_as_by_docker(root: int, path: str) -> None:
    with pytest.raises(ContainerError, match="failed: ") as raised:
        check_directory(root, path)
    assert raised.value.exit_code == 127


@pytest.mark.parametrize("path", ["/proc/self/fd/{}", "/proc/self/cwd", "/proc/self/root"])
def test_magic_links_are_not_followed(path: str) -> None:
    """CVE-2024-21626, even where /proc is the machine's own."""
    outside = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(ContainerError, match="chdir to cwd"):
            check_directory(outside, path.format(outside))
    finally:
        os.close(outside)
