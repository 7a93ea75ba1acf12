"""Functions of the C library, by what `ctypes` is made of; that takes 2.5 ms to import itself."""

from __future__ import annotations

import _ctypes
from _ctypes import get_errno

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from ctypes import c_int as Int
    from ctypes import c_long as Long
    from typing import Any
else:

    class Int(_ctypes._SimpleCData):  # noqa: SLF001
        """A C `int`."""

        _type_ = "i"

    class Long(_ctypes._SimpleCData):  # noqa: SLF001
        """A C `long`."""

        _type_ = "l"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = Int


def function(name: str) -> Any:
    """A function of the C library that returns an int; `get_errno` tells what it said of errors.

    It takes bytes as `char *`, None as a null pointer.
    """
    return _Function(_ctypes.dlsym(_ctypes.dlopen(None, 0), name))  # type: ignore[arg-type]


__all__ = ["Long", "function", "get_errno"]
