"""What is kept of a step, to explain later misses by: form, size, secrets, damage."""

import os
from array import array
from collections.abc import Callable

import pytest

from tierce.errors import StoreError
from tierce.graph.ops import Exec, ImageSource, Limits, LocalSource
from tierce.graph.vertex import Vertex
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.solver.explain import Components, Fact, Input
from tierce.worker.components import components_of, decode_components, encode_components
from tierce.worker.content import Selection

MANIFEST = Digest.of(b"manifest")
IMAGE = Vertex(ImageSource("docker.io/library/base:1", MANIFEST, Platform("linux", "amd64"), ()))
X = "12" * 32


def step(op: Exec, secrets: tuple[str, ...] = ()) -> Components:
    return components_of(Vertex(op, [IMAGE]), ["k"], [], secrets)


def test_components_come_back_as_they_were_given() -> None:
    selection = Selection(
        X, ["dir", "dir/file"], array("I", [0, 1]), ["dir 755 0 0", "file 644 0 0"], bytes(12)
    )
    vertex = Vertex(Exec(("true",)), [IMAGE, Vertex(LocalSource("context"))])
    components = components_of(vertex, ["k", ""], [selection])
    assert components.inputs == (
        Input("k", "docker.io/library/base:1", str(MANIFEST)),
        Input("", "build context context"),
    )
    assert components.files == {
        "dir": Fact("dir 755 0 0", ""),
        "dir/file": Fact("file 644 0 0", "00" * 6),
    }
    assert decode_components(encode_components(components)) == components


def test_names_that_are_not_text_are_kept() -> None:
    components = Components({"": "Copy"}, files={os.fsdecode(b"caf\xe9"): Fact("file", "12" * 6)})
    assert decode_components(encode_components(components)).files == components.files


def test_components_are_compact() -> None:
    files = {
        f"some/directory/file{number:05}.txt": Fact("file 644 0 0", f"{number:012x}")
        for number in range(10_000)
    }
    assert len(encode_components(Components({"": "Copy"}, files=files))) < 120_000


def test_values_of_secrets_are_not_kept() -> None:
    op = Exec(
        ("sh", "-c", "login hunter22 x"),
        env=(("API_TOKEN", "abcdef"), ("URL", "http://me:hunter22@host"), ("PUBLIC_KEY", "p")),
    )
    data = repr(step(op, ("hunter22", "")))
    assert "hunter22" not in data
    assert "abcdef" not in data
    assert "'PUBLIC_KEY', 'p'" in data
    # That they change is seen.
    other = op.replace(env=(("API_TOKEN", "ghijkl"), *op.env[1:]))
    assert step(op).operation != step(other).operation


def test_what_changes_no_result_is_not_kept() -> None:
    op = Exec(("true",), proxy=(("http_proxy", "http://secret@proxy"),), limits=Limits(memory=1))
    assert step(op) == step(Exec(("true",)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: b"x" + data,
        lambda data: data + bytes(4),
        lambda data: data[: len(data) // 2],
    ],
)
def test_damaged_components_are_refused(damage: Callable[[bytes], bytes]) -> None:
    files = {"a": Fact("file 644 0 0", "12" * 6), "b": Fact("dir 755 0 0", "")}
    data = encode_components(Components({"": "Copy"}, files=files))
    with pytest.raises(StoreError, match="components"):
        decode_components(damage(data))
