"""Hypothesis strategies for the values of the image specification."""

from hypothesis import strategies as st

from tierce.oci import media_types
from tierce.oci.config import ContainerConfig, Healthcheck, History, ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest
from tierce.oci.platform import Platform

text = st.text(max_size=12)
words = st.lists(text, max_size=3).map(tuple)
some_words = st.lists(text, min_size=1, max_size=3).map(tuple)
pairs = st.dictionaries(text, text, max_size=3).map(lambda found: tuple(sorted(found.items())))
sets = st.sets(text, max_size=3).map(lambda found: tuple(sorted(found)))
counts = st.integers(0, (1 << 63) - 1)
digests = st.binary(max_size=8).map(Digest.of)
times = st.none() | st.datetimes().map(
    lambda time: (
        time.isoformat().rstrip("0").rstrip(".") + "Z"
        if time.microsecond
        else time.isoformat() + "Z"
    )
)
platforms = st.builds(Platform, text, text, text, text, words)

descriptors = st.builds(
    Descriptor,
    st.sampled_from([media_types.OCI_MANIFEST, media_types.DOCKER_LAYER_GZIP, "x/y"]),
    digests,
    counts,
    platform=st.none() | platforms,
    annotations=pairs,
    urls=words,
    artifact_type=text,
)
embedded = st.binary(min_size=1, max_size=20).map(
    lambda data: Descriptor(media_types.OCI_EMPTY, Digest.of(data), len(data), data=data)
)
manifests = st.builds(
    Manifest,
    st.sampled_from([media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST]),
    descriptors | embedded,
    st.lists(descriptors, max_size=3).map(tuple),
    annotations=pairs,
    subject=st.none() | descriptors,
    artifact_type=text,
)
indexes = st.builds(
    Index,
    st.sampled_from([media_types.OCI_INDEX, media_types.DOCKER_INDEX]),
    st.lists(descriptors, max_size=3).map(tuple),
    annotations=pairs,
    subject=st.none() | descriptors,
    artifact_type=text,
)
healthchecks = st.builds(Healthcheck, words, counts, counts, counts, counts, counts)
container_configs = st.builds(
    ContainerConfig,
    user=text,
    exposed_ports=sets,
    env=words,
    entrypoint=st.none() | some_words,
    cmd=st.none() | some_words,
    volumes=sets,
    working_dir=text,
    labels=pairs,
    stop_signal=text,
    args_escaped=st.booleans(),
    healthcheck=st.none() | healthchecks,
    on_build=words,
    shell=st.none() | some_words,
)
configs = st.builds(
    ImageConfig,
    text,
    text,
    text,
    text,
    words,
    created=times,
    author=text,
    config=container_configs,
    diff_ids=st.lists(digests, max_size=3).map(tuple),
    history=st.lists(st.builds(History, times, text, text, text, st.booleans()), max_size=3).map(
        tuple
    ),
    comment=text,
    container=text,
    docker_version=text,
)

members = st.sampled_from(
    "config layers manifests mediaType digest size platform rootfs diff_ids history created Env"
    " Labels Healthcheck schemaVersion annotations subject data urls os architecture Volumes"
    " Cmd".split()
)
json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | members, inner, max_size=4),
    max_leaves=20,
)
