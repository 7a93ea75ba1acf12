import pytest

from tierce.oci import media_types
from tierce.oci.media_types import compressed_layer, layer_compression


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        (media_types.OCI_LAYER, "none"),
        (media_types.OCI_LAYER_GZIP, "gzip"),
        (media_types.OCI_LAYER_ZSTD, "zstd"),
        (media_types.DOCKER_LAYER, "none"),
        (media_types.DOCKER_LAYER_GZIP, "gzip"),
        (media_types.DOCKER_LAYER_ZSTD, "zstd"),
        (media_types.OCI_FOREIGN_LAYER_GZIP, "gzip"),
        (media_types.DOCKER_FOREIGN_LAYER_GZIP, "gzip"),
    ],
)
def test_layer_type_tells_its_compression(media_type: str, compression: str) -> None:
    assert media_types.is_layer(media_type)
    assert layer_compression(media_type) == compression
    assert layer_compression(compressed_layer(media_type, compression)) == compression


def test_compressing_keeps_the_family_of_a_layer() -> None:
    assert compressed_layer(media_types.DOCKER_LAYER, "gzip") == media_types.DOCKER_LAYER_GZIP
    assert compressed_layer(media_types.OCI_LAYER_GZIP, "none") == media_types.OCI_LAYER


def test_kinds_of_documents_are_told_apart() -> None:
    assert media_types.is_index(media_types.DOCKER_INDEX)
    assert media_types.is_index(media_types.OCI_INDEX)
    assert media_types.is_manifest(media_types.DOCKER_MANIFEST)
    assert not media_types.is_manifest(media_types.OCI_INDEX)
    assert media_types.is_config(media_types.DOCKER_CONFIG)
    assert not media_types.is_config(media_types.OCI_EMPTY)
    assert not media_types.is_layer(media_types.IN_TOTO)
    assert media_types.is_foreign_layer(media_types.DOCKER_FOREIGN_LAYER_GZIP)
    assert not media_types.is_foreign_layer(media_types.DOCKER_LAYER_GZIP)
