import json
from typing import Any

import pytest
from hypothesis import given

from tierce.errors import InvalidValue
from tierce.oci import media_types
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.document import Fields
from tierce.oci.manifest import SIZE_LIMIT, Index, Manifest, parse
from unit.oci import values

DIGEST = Digest.of(b"")
CONFIG = {"mediaType": media_types.OCI_CONFIG, "digest": str(DIGEST), "size": 0}
MANIFEST = {"schemaVersion": 2, "config": CONFIG, "layers": []}


def encoded(**members: Any) -> bytes:
    return json.dumps({"schemaVersion": 2} | members).encode()


@given(values.manifests | values.indexes)
def test_document_reads_back_as_it_was_written(document: Manifest | Index) -> None:
    assert parse(document.encode()) == document
    assert parse(document.encode(), document.media_type) == document


@given(values.descriptors | values.embedded)
def test_descriptor_reads_back_as_it_was_written(descriptor: Descriptor) -> None:
    assert Descriptor.from_json(Fields(descriptor.to_json(), "descriptor")) == descriptor


@given(values.json_documents)
def test_any_document_is_a_manifest_or_an_invalid_value(document: object) -> None:
    raw = json.dumps(document).encode()
    try:
        parsed = parse(raw)
    except InvalidValue:
        return
    assert parse(parsed.encode()) == parsed


def test_manifest_is_written_in_the_form_of_buildkit() -> None:
    layer = Descriptor(media_types.OCI_LAYER_GZIP, DIGEST, 7, annotations=(("b", "2"), ("a", "<")))
    config = Descriptor(media_types.OCI_CONFIG, DIGEST, 3)
    written = Manifest(media_types.OCI_MANIFEST, config, (layer,), annotations=(("x", "y"),))
    assert written.encode().decode() == (
        "{\n"
        '  "schemaVersion": 2,\n'
        '  "mediaType": "application/vnd.oci.image.manifest.v1+json",\n'
        '  "config": {\n'
        '    "mediaType": "application/vnd.oci.image.config.v1+json",\n'
        f'    "digest": "{DIGEST}",\n'
        '    "size": 3\n'
        "  },\n"
        '  "layers": [\n'
        "    {\n"
        '      "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",\n'
        f'      "digest": "{DIGEST}",\n'
        '      "size": 7,\n'
        '      "annotations": {\n'
        '        "a": "\\u003c",\n'
        '        "b": "2"\n'
        "      }\n"
        "    }\n"
        "  ],\n"
        '  "annotations": {\n'
        '    "x": "y"\n'
        "  }\n"
        "}"
    )


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (
            encoded(mediaType=media_types.OCI_MANIFEST, config=CONFIG, manifests=[]),
            "must not have manifests",
        ),
        (
            encoded(mediaType=media_types.OCI_INDEX, manifests=[], layers=[]),
            "must not have config or layers",
        ),
        (encoded(manifests=[], config=CONFIG), "must not have config or layers"),
        (encoded(layers=[]), "config is missing"),
        (encoded(schemaVersion=1), "schema version 1 is not supported"),
        (encoded(schemaVersion=3), "unknown schema version 3"),
        (encoded(mediaType="text/html", config=CONFIG), "unsupported media type 'text/html'"),
        (encoded(config=CONFIG, layers=[{}]), r"layers\[0\]: digest is missing"),
        (encoded(config=CONFIG, layers=[{"digest": str(DIGEST)}]), "size is missing or negative"),
        (encoded(config=CONFIG | {"size": -1}), "size is missing or negative"),
        (encoded(config=CONFIG | {"digest": "sha256:../x"}), "config: parse digest"),
        (encoded(config=CONFIG | {"data": "%"}), "data is not base64"),
        (encoded(config=CONFIG | {"data": "eHh4"}), "data does not match size and digest"),
        (encoded(config=CONFIG, subject="x"), "subject: expected an object"),
        (b" " * (SIZE_LIMIT + 1), "more than 4194304"),
    ],
)
def test_bad_manifest_is_refused_with_its_reason(raw: bytes, cause: str) -> None:
    with pytest.raises(InvalidValue, match=cause):
        parse(raw)


def test_document_of_another_type_than_promised_is_refused() -> None:
    raw = encoded(mediaType=media_types.OCI_MANIFEST, config=CONFIG, layers=[])
    with pytest.raises(InvalidValue, match="was promised"):
        parse(raw, media_types.OCI_INDEX)
    assert parse(raw, "application/json").media_type == media_types.OCI_MANIFEST


def test_type_is_told_by_transport_or_members_where_the_document_is_silent() -> None:
    raw = json.dumps(MANIFEST).encode()
    assert parse(raw).media_type == media_types.OCI_MANIFEST
    assert parse(raw, f"{media_types.DOCKER_MANIFEST}; charset=utf-8").media_type == (
        media_types.DOCKER_MANIFEST
    )
    assert isinstance(parse(b'{"manifests": []}'), Index)
    with pytest.raises(InvalidValue):
        parse(raw, media_types.OCI_INDEX)


def test_image_is_told_from_an_artifact_by_its_config() -> None:
    image = Manifest(media_types.OCI_MANIFEST, Descriptor(media_types.DOCKER_CONFIG, DIGEST, 0), ())
    artifact = image.replace(config=Descriptor(media_types.OCI_EMPTY, DIGEST, 0))
    assert image.is_image
    assert not artifact.is_image


def test_annotation_is_found_by_its_key() -> None:
    descriptor = Descriptor("x/y", DIGEST, 0, annotations=(("a", "1"),))
    assert descriptor.annotation("a") == "1"
    assert descriptor.annotation("b") == ""
