"""The parts in C of modules of the standard library, and functions of the C library."""

import errno
import os
import queue
import signal
import sqlite3

import pytest

from tierce import lean
from tierce.lean import foreign


def test_modules_are_those_in_c_of_the_standard_library() -> None:
    assert lean.sqlite3.connect is sqlite3.connect
    assert lean.sqlite3.Error is sqlite3.Error
    assert lean.signal.set_wakeup_fd is signal.set_wakeup_fd
    assert lean.signal.SIGKILL == signal.SIGKILL
    assert lean.SimpleQueue is queue.SimpleQueue


def test_all_that_is_named_is_there() -> None:
    for name in lean.__all__:
        assert getattr(lean, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        lean.nonsense  # noqa: B018


def test_function_of_the_c_library_returns_an_integer_and_sets_errno() -> None:
    assert foreign.function("getpid")() == os.getpid()
    assert foreign.function("access")(b"/proc", foreign.Long(os.F_OK)) == 0
    assert foreign.function("access")(b"/absent", foreign.Long(os.F_OK)) == -1
    assert foreign.get_errno() == errno.ENOENT
    with pytest.raises(OSError, match="nonsense"):
        foreign.function("nonsense")


def test_long_arguments_keep_their_upper_half() -> None:
    """lseek beyond 4 GiB, by the raw system call, whose arguments are varargs."""
    with open("/proc/self/exe", "rb") as file:
        offset = 5 << 32
        assert foreign.function("lseek64")(file.fileno(), foreign.Long(offset), 0) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == offset
