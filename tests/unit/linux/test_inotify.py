"""Being told of changes to a file."""

import os
import select
from pathlib import Path

import pytest

from tierce.linux import inotify


def test_changed_file_makes_the_descriptor_readable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    watch = inotify.inotify_init1()
    try:
        inotify.inotify_add_watch(watch, str(path), inotify.IN_MODIFY)
        assert select.select([watch], [], [], 0)[0] == []
        path.write_text("more")
        assert select.select([watch], [], [], 0)[0] == [watch]
    finally:
        os.close(watch)


def test_missing_file_is_named(tmp_path: Path) -> None:
    watch = inotify.inotify_init1()
    try:
        with pytest.raises(FileNotFoundError, match="missing"):
            inotify.inotify_add_watch(watch, str(tmp_path / "missing"), inotify.IN_MODIFY)
    finally:
        os.close(watch)
