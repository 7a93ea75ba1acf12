"""A path that does without `pathlib` as long as it is only joined and handed on."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any
else:

    class Path:
        """As `pathlib.Path`, which does itself what is not here; equal to one, with its hash."""

        __slots__ = ("_text",)

        def __init__(self, *parts: str | os.PathLike[str]) -> None:
            text = os.path.join(*parts) if len(parts) > 1 else os.fspath(parts[0])
            self._text = text if _is_plain(text) else str(_real(text))

        def __fspath__(self) -> str:
            return self._text

        __str__ = __fspath__

        def __repr__(self) -> str:
            return repr(_real(self._text))

        def __truediv__(self, other: str | os.PathLike[str]) -> Path:
            return Path(self, other)

        def __rtruediv__(self, other: str | os.PathLike[str]) -> Path:
            return Path(other, self)

        def __eq__(self, other: object) -> bool:
            if isinstance(other, Path):
                return self._text == other._text
            return _real(self._text) == other

        def __hash__(self) -> int:
            return hash(_real(self._text))

        def __lt__(self, other: os.PathLike[str]) -> bool:
            return _real(self._text) < _real(other)

        def __gt__(self, other: os.PathLike[str]) -> bool:
            return _real(self._text) > _real(other)

        def __reduce__(self) -> tuple[Any, ...]:
            return (type(self), (self._text,))

        def __getattr__(self, name: str) -> Any:
            return getattr(_real(self._text), name)

        @property
        def name(self) -> str:
            return "" if self._text == "." else self._text.rpartition("/")[2]

        @property
        def parent(self) -> Path:
            if self._text[:2] == "//":  # which POSIX leaves to the system
                return Path(_real(self._text).parent)
            head, slash, _ = self._text.rpartition("/")
            return Path(head or slash or ".")

        def exists(self) -> bool:
            try:
                os.stat(self._text)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

        def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            if parents:
                _real(self._text).mkdir(mode, parents, exist_ok)
                return
            try:
                os.mkdir(self._text, mode)
            except OSError:
                if not exist_ok or not os.path.isdir(self._text):
                    raise

        def unlink(self, missing_ok: bool = False) -> None:
            try:
                os.unlink(self._text)
            except FileNotFoundError:
                if not missing_ok:
                    raise

        def read_text(self, encoding: str | None = None) -> str:
            with open(self._text, encoding=encoding) as file:
                return file.read()


def _is_plain(text: str) -> bool:
    """Whether `pathlib` would keep a path as it is, and not leave out "." and "//"."""
    inner = f"/{text}/"
    return "/./" not in inner and "//" not in text and text[-1:] not in {"/", ""}


def _real(path: str | os.PathLike[str]) -> Any:
    import pathlib  # 6 ms, and most commands only hand paths on

    return pathlib.Path(path)


__all__ = ["Path"]
