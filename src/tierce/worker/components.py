"""What the key of a step was made of, kept with its record so that a later miss can be explained.

It goes with exported caches to other machines. What may be secret is not in it: of the value of
a variable that is called like a secret, and of values that are known to be secret, there is only
a checksum, which tells whether it changed.
"""

from __future__ import annotations

import json
import zlib
from array import array

from tierce.errors import StoreError
from tierce.graph.digest import NOT_HASHED
from tierce.graph.ops import Exec, ImageSource, LocalSource, Merge
from tierce.oci.digest import sha256_hex
from tierce.solver.explain import Components, Fact, Input
from tierce.values import Value
from tierce.worker.content import FACT_BYTES, Selection

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from tierce.graph.ops import Op
    from tierce.graph.vertex import Vertex

_FORM = 2
_LEVEL = 1  # names shrink by a factor of ten at once; digests never do
_INFLATED_AT_MOST = 256 << 20
_HEX = 2 * FACT_BYTES
_CHECKSUM = 4
_DEPTH = 16
"""Values of an operation in each other, of which it has four; what has more is not ours."""
_SHORTEST_SECRET = 4
"""Characters; anything shorter is found by chance everywhere."""

_SECRET_WORDS = {
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "passwd",
    "pword",
    "secret",
    "token",
}
"""Of the rule SecretsUsedInArgOrEnv of BuildKit (frontend/dockerfile/linter)."""


def encode_components(
    vertex: Vertex,
    input_keys: Sequence[str],
    selections: Sequence[Selection],
    secrets: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> bytes:
    """What a step that was run is made of; `secrets` are values that must not be in it.

    `facts` are told in addition to the fields of the operation, or in place of them. About ten
    bytes for each file, which are not looked at one by one.
    """
    fields = {"": type(vertex.op).__name__, **_fields(vertex.op), **(facts or {})}
    if "env" in fields:
        fields["env"] = [_variable(*pair) for pair in fields["env"]]
    inputs = [
        _input(each, key, secrets) for each, key in zip(vertex.inputs, input_keys, strict=True)
    ]
    names, attributes, texts, contents = _files(selections)
    head = {
        "form": _FORM,
        "operation": _without(secrets, fields),
        "inputs": inputs,
        "selections": [each.digest for each in selections],
        "attributes": texts,
        "files": len(names),
    }
    text = "\0".join([json.dumps(head, separators=(",", ":")), *names])
    packed = zlib.compress(text.encode("utf-8", "surrogateescape"), _LEVEL)
    return packed + zlib.compress(attributes.tobytes(), _LEVEL) + bytes(contents)


def _files(
    selections: Sequence[Selection],
) -> tuple[Sequence[str], array[int], Sequence[str], bytes | bytearray]:
    """Paths, the number of its attributes for each, their texts, and contents, of them all."""
    names: list[str] = []
    attributes = array("I")
    texts: list[str] = []
    contents = bytearray()
    for each in selections:
        base = len(texts)
        names += each.paths
        attributes.extend([base + number for number in each.attributes] if base
                          else each.attributes)  # fmt: skip
        texts += each.attribute_texts
        contents += each.contents
    return names, attributes, texts, contents


def decode_components(data: bytes) -> Components:
    """What `encode_components` has encoded. Raises StoreError for anything else."""
    try:
        text, rest = _inflate(data)
        numbers, contents = _inflate(rest)
        first, *names = text.decode("utf-8", "surrogateescape").split("\0")
        head = json.loads(first)
        attributes = array("I")
        attributes.frombytes(numbers)
        count = head["files"]
        if head["form"] != _FORM or {count} != {
            len(names),
            len(attributes),
            len(contents) / FACT_BYTES,
        }:
            raise ValueError("it does not fit together")
        shown, texts = contents.hex(), [str(each) for each in head["attributes"]]
        files = {}
        for place, (name, number) in enumerate(zip(names, attributes)):
            content = shown[place * _HEX : (place + 1) * _HEX]
            files[name] = Fact(texts[number], "" if texts[number].startswith("dir ") else content)
        operation = head["operation"]
        if not isinstance(operation, dict) or _is_deep(operation, _DEPTH):
            raise TypeError("it has no operation")
        if "env" in operation:
            operation["env"] = [[str(name), str(value)] for name, value in operation["env"]]
        return Components(
            operation,
            tuple(Input(*[str(part) for part in each]) for each in head["inputs"]),
            tuple(str(each) for each in head["selections"]),
            files,
        )
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, zlib.error) as error:
        raise StoreError(f"read components of a cache record: {error}") from error


def _is_deep(value: Any, depth: int) -> bool:
    """Whether lists, or what has names, stand in each other more than `depth` times."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == 0 or any(_is_deep(each, depth - 1) for each in value)


def without(secrets: Sequence[str], text: str) -> str:
    """A text in which checksums stand for secret values."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET and secret in text:
            text = text.replace(secret, _checksum(secret))
    return text


def may_be_secret(name: str) -> bool:
    """Whether a variable is called as one with a secret in it."""
    words = set(name.lower().split("_"))
    return bool(words & _SECRET_WORDS) and "public" not in words


def _inflate(data: bytes) -> tuple[bytes, bytes]:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, _INFLATED_AT_MOST)
    if not inflater.eof:
        raise ValueError("it is cut short")
    return inflated, inflater.unused_data


def _fields(op: Op) -> dict[str, Any]:
    hidden = NOT_HASHED if isinstance(op, Exec) else ()
    return {name: _plain(getattr(op, name)) for name in op._fields if name not in hidden}


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        named = {name: _plain(getattr(value, name)) for name in value._fields}
        return [type(value).__name__, *[each for each in named.values() if each not in ("", [])]]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return f"sha256:{sha256_hex(value)[:12]}"
    return value


def _variable(name: str, value: str) -> list[str]:
    return [name, _checksum(value) if may_be_secret(name) else value]


def _checksum(value: str) -> str:
    """Stands for a value. So short that many values have it: it gives none away."""
    return f"(hidden, {sha256_hex(value.encode('utf-8', 'surrogateescape'))[:_CHECKSUM]})"


def _without(secrets: Sequence[str], value: Any) -> Any:
    if isinstance(value, str):
        return without(secrets, value)
    if isinstance(value, list):
        return [_without(secrets, each) for each in value]
    if isinstance(value, dict):
        return {name: _without(secrets, each) for name, each in value.items()}
    return value


def _input(vertex: Vertex, key: str, secrets: Sequence[str]) -> list[str]:
    """The fields of an `Input`."""
    op = vertex.op
    if isinstance(op, ImageSource):
        return [key, op.reference, str(op.manifest)]
    if isinstance(op, Merge):
        vertex = vertex.inputs[1]  # which has the name of the step for both
    label = f"build context {op.name}" if isinstance(op, LocalSource) else vertex.name
    return [key, without(secrets, label)]
