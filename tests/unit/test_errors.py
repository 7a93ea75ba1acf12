"""The exception tree, as its docstring draws it."""

import re

import pytest

from tierce import errors
from tierce.errors import TierceError


def drawn_tree() -> dict[str, str]:
    """Each class of the docstring's drawing and the one above it."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"((?:[│├└─ ] *)*)([A-Z]\w+)", line)
        if match and (line.startswith("TierceError") or match[1]):
            depth = len(match[1]) // 4
            del above[depth:]
            if above:
                parents[match[2]] = above[-1]
            above.append(match[2])
    return parents


def subclasses(kind: type[TierceError]) -> dict[str, str]:
    found: dict[str, str] = {}
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            found |= {below.__name__: kind.__name__} | subclasses(below)
    return found


def test_docstring_draws_the_tree_that_is_there() -> None:
    assert drawn_tree() == subclasses(TierceError)


def test_every_error_carries_message_and_hint() -> None:
    error = errors.StoreFull("write blob: no space left", hint="run: tierce system prune")
    assert str(error) == error.message == "write blob: no space left"
    assert error.hint == "run: tierce system prune"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.StoreError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.ContainerError("x"), 125),
        (errors.ContainerError("x", status=errors.ContainerError.COMMAND_NOT_FOUND), 127),
        (errors.Cancelled("x"), 130),
    ],
)
def test_exit_code_follows_the_kind_of_error(error: TierceError, status: int) -> None:
    assert error.exit_code == status


def test_facts_are_fields() -> None:
    missing = errors.NotFound("image", "alpine")
    assert (missing.kind, missing.name, missing.message) == (
        "image",
        "alpine",
        "no such image: alpine",
    )
    wrong = errors.DigestMismatch("blob", expected="sha256:a", actual="sha256:b")
    assert (wrong.expected, wrong.actual) == ("sha256:a", "sha256:b")
    unsafe = errors.UnsafeLayer("apply layer: leads outside", entry="../x")
    assert unsafe.entry == "../x"
    failed = errors.StepFailed("x", vertex="[2/2] RUN x", command=("x",), status=3, log_tail="t")
    assert (failed.vertex, failed.command, failed.status, failed.log_tail) == (
        "[2/2] RUN x",
        ("x",),
        3,
        "t",
    )


def test_place_in_dockerfile_ends_where_it_begins_unless_told() -> None:
    assert errors.DockerfileError("x", line=3).end_line == 3
    assert errors.DockerfileError("x", line=3, end_line=5).end_line == 5
