"""The digest of an operation covers what changes its result, and nothing else."""

import pytest

from tierce.graph import (
    Bind,
    CacheMount,
    Copy,
    CopyPart,
    Exec,
    ImageSource,
    LocalSource,
    MakeDirectory,
    Op,
    Scratch,
    op_digest,
)
from tierce.graph.digest import canonical_form
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform

LAYER = Digest.of(b"layer")
OPERATIONS: list[Op] = [
    Scratch(),
    LocalSource("context"),
    LocalSource("other"),
    ImageSource("docker.io/library/a:1", Digest.of(b"m"), Platform("linux", "amd64"), (LAYER,)),
    Exec(("true",)),
    Exec(("true", "")),
    Exec(("tr", "ue")),
    Exec(("true",), env=(("A", "1"),)),
    Exec(("true",), env=(("A", "1"), ("B", "2"))),
    Exec(("true",), env=(("B", "2"), ("A", "1"))),
    Exec(("true",), cwd="/w"),
    Exec(("true",), user="app"),
    Exec(("true",), network="none"),
    Exec(("true",), hosts=(("h", "127.0.0.1"),)),
    Exec(("true",), mounts=(Bind("/m", 1),)),
    Exec(("true",), mounts=(Bind("/m", 1, read_only=False),)),
    Exec(("true",), mounts=(CacheMount("/m", "id"),)),
    Exec(("true",), mounts=(CacheMount("/m", "id", sharing="locked"),)),
    Copy((CopyPart(1, ("a", "b")),), "/c"),
    Copy((CopyPart(1, ("a",)), CopyPart(1, ("b",))), "/c"),
    Copy((CopyPart(1, ("a",)),), "/b/c"),
    Copy((CopyPart(1, ("a",)),), "/c", owner="1:2"),
    Copy((CopyPart(1, ("a",)),), "/c", mode="1:2"),
    Copy((CopyPart(1, ("a",)),), "/c", excludes=("b",)),
    Copy((CopyPart(2, ("a",)),), "/c"),
    Copy((CopyPart(1, ("a",), unpack=True),), "/c"),
    Copy((CopyPart(1, ("a",), literal=True),), "/c"),
    Copy((CopyPart(1, ("a",), includes=("b",)),), "/c"),
    MakeDirectory("/c"),
    MakeDirectory("/c", mode=0o700),
    MakeDirectory("/c", owner="1:2"),
]


def test_different_operations_have_different_digests() -> None:
    assert len({op_digest(op) for op in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: type(op).__name__)
def test_equal_operations_have_equal_digests(op: Op) -> None:
    assert op_digest(op.replace()) == op_digest(op)


def test_image_is_known_by_its_layers_alone() -> None:
    """The same base under another name, or pulled again, keeps the cache."""
    one = ImageSource(
        "docker.io/library/a:1", Digest.of(b"m"), Platform("linux", "amd64"), (LAYER,)
    )
    two = ImageSource("ghcr.io/b@x", Digest.of(b"n"), Platform("linux", "arm64"), (LAYER,))
    assert op_digest(one) == op_digest(two)
    assert op_digest(one) != op_digest(one.replace(diff_ids=(LAYER, LAYER)))


def test_digest_stays_what_it_was() -> None:
    """A changed form would orphan every cache record: it comes with a new `_FORM`."""
    assert canonical_form(MakeDirectory("/c", mode=0o700, owner="1:2")) == (
        b'["tierce-op-2","MakeDirectory",["/c",448,"1:2"]]'
    )


def test_text_outside_ascii_has_one_form() -> None:
    assert canonical_form(LocalSource("ü\udcff")).isascii()
