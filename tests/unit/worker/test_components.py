"""What is kept of a step, to explain later misses by: form, size, secrets, damage."""

import json
import os
import zlib
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from tierce.errors import StoreError
from tierce.graph.ops import Exec, ImageSource, Limits, LocalSource
from tierce.graph.vertex import Vertex
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.solver.explain import Components, Fact, Input
from tierce.worker.components import decode_components, encode_components
from tierce.worker.content import Selection

MANIFEST = Digest.of(b"manifest")
IMAGE = Vertex(ImageSource("docker.io/library/base:1", MANIFEST, Platform("linux", "amd64"), ()))
X = "12" * 32


def step(op: Exec, secrets: tuple[str, ...] = ()) -> Components:
    return decode_components(encode_components(Vertex(op, [IMAGE]), ["k"], [], secrets))


def selected(files: dict[str, str]) -> Selection:
    """Files by path, each with its attributes."""
    texts = list(dict.fromkeys(files.values()))
    numbers = array("I", [texts.index(text) for text in files.values()])
    contents = b"".join(number.to_bytes(6, "big") for number in range(len(files)))
    return Selection(X, list(files), numbers, texts, contents)


def encoded(*selections: Selection) -> bytes:
    return encode_components(Vertex(Exec(("true",)), [IMAGE]), ["k"], selections)


def test_components_come_back_as_they_were_given() -> None:
    selection = selected({"dir": "dir 755 0 0", "dir/file": "file 644 0 0"})
    vertex = Vertex(Exec(("true",)), [IMAGE, Vertex(LocalSource("context"))])
    components = decode_components(encode_components(vertex, ["k", ""], [selection]))
    assert components.operation[""] == "Exec"
    assert components.operation["args"] == ["true"]
    assert components.inputs == (
        Input("k", "docker.io/library/base:1", str(MANIFEST)),
        Input("", "build context context"),
    )
    assert components.selections == (X,)
    assert components.files == {
        "dir": Fact("dir 755 0 0", ""),
        "dir/file": Fact("file 644 0 0", "000000000001"),
    }


def test_files_of_several_selections_keep_their_attributes() -> None:
    files: tuple[dict[str, str], ...] = (
        {"a": "file 644 0 0"},
        {"b": "file 600 0 0", "c": "file 644 0 0"},
        {},
    )
    components = decode_components(encoded(*map(selected, files)))
    assert {path: fact.attributes for path, fact in components.files.items()} == {
        **files[0],
        **files[1],
    }
    assert components.selections == (X, X, X)


def test_names_that_are_not_text_are_kept() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert list(decode_components(encoded(selected({name: "file 644 0 0"}))).files) == [name]


def test_components_are_compact() -> None:
    files = {f"some/directory/file{number:05}.txt": "file 644 0 0" for number in range(10_000)}
    assert len(encoded(selected(files))) < 120_000


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
    data = encoded(selected({"a": "file 644 0 0", "b": "dir 755 0 0"}))
    with pytest.raises(StoreError, match="components"):
        decode_components(damage(data))


def of_elsewhere(**members: Any) -> bytes:
    """Components with an operation that tierce did not write."""
    data = encode_components(Vertex(LocalSource("context")), [], [])
    inflater = zlib.decompressobj()
    head = json.loads(inflater.decompress(data))
    head["operation"] |= members
    return zlib.compress(json.dumps(head).encode()) + inflater.unused_data


@pytest.mark.parametrize(
    "members",
    [
        {"env": 1},
        {"env": [1]},
        {"env": [["a"]]},
        {"args": json.loads("[" * 500 + "]" * 500)},
    ],
)
def test_operations_of_elsewhere_that_make_no_sense_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="components"):
        decode_components(of_elsewhere(**members))


def test_variables_of_elsewhere_are_texts() -> None:
    found = decode_components(of_elsewhere(env=[["a", 1], "bc"])).operation
    assert found["env"] == [["a", "1"], ["b", "c"]]
