"""The environment of a container's process."""

from __future__ import annotations

from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def read_env_file(
    path: str, environ: Mapping[str, str], *, absent: str | None = None
) -> list[tuple[str, str]]:
    """The variables in a file for --env-file.

    A line is `NAME=value`, taken as it is, or `NAME`, whose value is the caller's own, or `absent`
    (None: it is left out); empty lines and those with `#` first are skipped. Raises UsageError.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"open {path}: {str(reason).lower()}") from error
    found: list[tuple[str, str]] = []
    for line in lines:
        text = line.lstrip().rstrip("\r")
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not name:
            raise UsageError(f"poorly formatted environment: no variable name on line '{text}'")
        if any(character.isspace() for character in name):
            raise UsageError(
                f"poorly formatted environment: variable '{name}' contains whitespaces"
            )
        given = value if separator else environ.get(name) if name in environ else absent
        if given is not None:
            found.append((name, given))
    return found


def merge(first: Iterable[str], changes: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """Variables as "NAME=value", with those in `changes` replaced, added or (None) taken away."""
    variables = dict(entry.partition("=")[::2] for entry in first)
    for name, value in changes:
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    return tuple(f"{name}={value}" for name, value in variables.items())
