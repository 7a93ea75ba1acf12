"""A bad line: every transfer ends with the right image or an error, and fetches nothing twice."""

import json
import os
import random
import tarfile
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import pytest

from support.faults import Fault, FaultProxy, Plan, fault_proxy, seeded_plan
from support.registries import RunningRegistry, running_registry
from support.uploads import keeping_registry
from tierce.distribution.pull import Pulled, pull_image
from tierce.distribution.push import Pushed, push_image
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import DigestMismatch, InvalidValue, RateLimited, RegistryError, TierceError
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference
from tierce.store import Store

LAYER_BYTES = 3 << 20

Result = TypeVar("Result")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def remote(retry_seconds: float = 0.0) -> Remote:
    return Remote(Settings({}, retry_seconds=retry_seconds))


def add_image(store: Store, seed: int, sizes: tuple[int, ...] = (LAYER_BYTES, 5000)) -> Digest:
    """An image of layers that hardly compress; the digest of its manifest."""
    rnd = random.Random(seed)
    layers, diff_ids = [], []
    with store.leases.take("test"):
        for number, size in enumerate(sizes):
            buffer = BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                info = tarfile.TarInfo(f"file-{number}")
                info.size = size
                tar.addfile(info, BytesIO(rnd.randbytes(size)))
            data = buffer.getvalue()
            diff_id = store.blobs.put_bytes(data, OCI_LAYER)
            diff_ids.append(diff_id)
            layers.append(Descriptor(OCI_LAYER, diff_id, len(data)))
        document = {
            "architecture": Platform.host().architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(each) for each in diff_ids]},
        }
        config = json.dumps(document).encode()
        manifest = Manifest(
            OCI_MANIFEST, Descriptor(OCI_CONFIG, Digest.of(config), len(config)), tuple(layers)
        )
        image = store.images.put(manifest.encode(), config)
        store.images.tag(Reference.parse("made"), image.manifest)
    return image.manifest


def name_at(host: str, path: str) -> Reference:
    return Reference.parse(f"{host}/{path}:x")


def push(store: Store, host: str, path: str) -> Pushed:
    reference = name_at(host, path)
    if store.images.find(str(reference)) is None:
        store.images.tag(reference, store.images.target(Reference.parse("made")))
    with remote() as reached:
        return push_image(store, reached, reference)


def pull(store: Store, host: str, path: str) -> Pulled:
    with remote() as reached:
        return pull_image(store, reached, name_at(host, path))


def content(store: Store, diff_ids: tuple[Digest, ...]) -> list[bytes]:
    found = []
    for each in diff_ids:
        with store.layers.open_tar(each) as tar:
            found.append(tar.read())
    return found


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "source", tmp_path / "source-run") as opened:
        add_image(opened, 1)
        yield opened


class Once:
    """A plan: faults one after the other, for requests that match."""

    def __init__(self, method: str, part: str, *faults: Fault) -> None:
        self._wanted = method, part
        self._faults = list(faults)
        self._lock = threading.Lock()

    def __call__(self, method: str, target: str) -> Fault | None:
        wanted, part = self._wanted
        with self._lock:
            if method == wanted and part in target and self._faults:
                return self._faults.pop(0)
        return None


def blob_gets(proxy: FaultProxy) -> list[str]:
    return [
        target for method, target, _ in proxy.requests if method == "GET" and "/blobs/sha" in target
    ]


def test_download_goes_on_where_it_was_cut(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "cut/down")
    before = len(registry.requests())
    layer = source.images.manifest(source.images.get(pushed.digest)).layers[0]
    cuts = [Fault(cut_after=1_000_000), Fault(cut_after=500_000), Fault(cut_after=0)]
    with fault_proxy(registry.host, Once("GET", layer.digest.hex, *cuts)) as proxy:
        pulled = pull(store, proxy.host, "cut/down")
        assert pulled.digest == pushed.digest
        assert len([each for each in blob_gets(proxy) if layer.digest.hex in each]) == 4
    statuses = [
        each.split()[-1]
        for each in registry.requests()[before:]
        if layer.digest.hex in each and each.startswith("GET")
    ]
    assert statuses == ["200", "206", "206", "206"]
    diff_ids = store.images.config(pulled.image).diff_ids
    assert content(store, diff_ids) == content(source, diff_ids)


def test_download_that_failed_is_gone_on_with_by_the_next_process(
    store: Store, source: Store, registry: RunningRegistry, tmp_path: Path
) -> None:
    pushed = push(source, registry.host, "cut/later")
    layer = source.images.manifest(source.images.get(pushed.digest)).layers[0]
    cuts = [Fault(cut_after=1_000_000), *[Fault(status=500)] * 6]
    with fault_proxy(registry.host, Once("GET", layer.digest.hex, *cuts)) as proxy:
        with pytest.raises(RegistryError):
            pull(store, proxy.host, "cut/later")
        store.close()
        with Store.open(tmp_path / "store", tmp_path / "run") as again:
            assert pull(again, proxy.host, "cut/later").digest == pushed.digest
            assert not os.listdir(again.paths.transfers)
    statuses = [each.split()[-1] for each in registry.requests() if layer.digest.hex in each]
    assert statuses[-1] == "206"


def test_flipped_bit_is_found_and_the_layer_fetched_again(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "flip/once")
    layer = source.images.manifest(source.images.get(pushed.digest)).layers[0]
    with fault_proxy(registry.host, Once("GET", layer.digest.hex, Fault(flip=700_000))) as proxy:
        pulled = pull(store, proxy.host, "flip/once")
    diff_ids = store.images.config(pulled.image).diff_ids
    assert content(store, diff_ids) == content(source, diff_ids)


def test_layer_that_is_always_another_is_refused_and_nothing_named(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "flip/always")
    layer = source.images.manifest(source.images.get(pushed.digest)).layers[0]
    flips = [Fault(flip=700_000)] * 9
    plan = Once("GET", layer.digest.hex, *flips)
    with (
        fault_proxy(registry.host, plan) as proxy,
        pytest.raises(DigestMismatch, match=layer.digest.short),
    ):
        pull(store, proxy.host, "flip/always")
    assert store.images.list() == []
    assert not store.blobs.has(layer.digest)
    assert not os.listdir(store.paths.transfers)


def test_manifest_that_is_another_is_refused(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "flip/manifest")
    with fault_proxy(registry.host, Once("GET", "/manifests/", Fault(flip=300))) as proxy:
        reference = name_at(proxy.host, "flip/manifest").replace(tag=None, digest=pushed.digest)
        with remote() as reached, pytest.raises((DigestMismatch, InvalidValue)):
            pull_image(store, reached, reference)
    assert store.images.list() == []


def test_length_that_is_a_lie_is_refused(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "lie/length")
    layer = source.images.manifest(source.images.get(pushed.digest)).layers[1]
    size = f"Content-Length: {layer.size}".encode()
    lies = [Fault(lie=(size, b"Content-Length: 77"))] * 9
    plan = Once("GET", layer.digest.hex, *lies)
    with fault_proxy(registry.host, plan) as proxy, pytest.raises(DigestMismatch, match="77 bytes"):
        pull(store, proxy.host, "lie/length")


def test_upload_goes_on_at_the_offset_of_the_server(source: Store) -> None:
    cuts = [Fault(cut_after=1_500_000, up=True), Fault(cut_after=700_000, up=True)]
    with (
        keeping_registry() as registry,
        fault_proxy(registry.host, Once("PATCH", "/uploads/", *cuts)) as proxy,
    ):
        pushed = push(source, proxy.host, "cut/up")
        image = source.images.manifest(source.images.get(pushed.digest))
        layer = image.layers[0]
        assert registry.blobs[str(layer.digest)] == source.blobs.read(layer.digest)
        patches = [each for each in registry.requests if each.startswith("PATCH")]
        assert len(patches) >= 3
        assert len(set(patches)) == 1, "it is one upload"


def test_upload_that_failed_is_gone_on_with_by_the_next_process(
    source: Store, tmp_path: Path
) -> None:
    faults = [Fault(cut_after=2_000_000, up=True), *[Fault(status=500)] * 20]
    plan = Once("PATCH", "/uploads/", *faults)
    with keeping_registry() as registry, fault_proxy(registry.host, plan) as proxy:
        with pytest.raises(RegistryError):
            push(source, proxy.host, "cut/up-later")
        source.close()
        proxy.plan = lambda method, target: None
        with Store.open(tmp_path / "source", tmp_path / "source-run") as again:
            push(again, proxy.host, "cut/up-later")
            assert not os.listdir(again.paths.transfers)
        patches = [each for each in registry.requests if each.startswith("PATCH")]
        assert len(set(patches)) == 1, "it is one upload"
        # No byte of the large layer came twice; the small blobs may have been cut off as well.
        largest = max(registry.blobs.values(), key=len)
        assert len(registry.uploads[patches[0].rpartition("/")[2]]) == len(largest)


def test_upload_that_a_registry_has_given_up_is_begun_anew(
    source: Store, store: Store, registry: RunningRegistry
) -> None:
    cuts = [Fault(cut_after=1_500_000, up=True), Fault(cut_after=700_000, up=True)]
    with fault_proxy(registry.host, Once("PATCH", "/uploads/", *cuts)) as proxy:
        pushed = push(source, proxy.host, "cut/anew")
    assert pull(store, registry.host, "cut/anew").digest == pushed.digest


def test_registry_that_wants_to_be_left_alone_is_not_waited_for_too_long(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    push(source, registry.host, "wait/long")
    busy = Fault(status=429, headers="Retry-After: 3600\r\n")
    plan = Once("GET", "/manifests/", busy)
    with (
        fault_proxy(registry.host, plan) as proxy,
        pytest.raises(RateLimited, match="3600 seconds") as caught,
    ):
        pull(store, proxy.host, "wait/long")
    assert caught.value.retry_seconds == 3600


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_registry_that_is_busy_is_asked_again(
    store: Store, source: Store, registry: RunningRegistry, status: int
) -> None:
    push(source, registry.host, "wait/short")
    with fault_proxy(registry.host, Once("GET", "/v2/wait", *[Fault(status=status)] * 3)) as proxy:
        pull(store, proxy.host, "wait/short")
        assert sum(fault is not None for *_, fault in proxy.requests) == 3


def test_layers_that_have_arrived_are_not_fetched_again(
    store: Store, source: Store, registry: RunningRegistry
) -> None:
    pushed = push(source, registry.host, "again/half")
    first, second = source.images.manifest(source.images.get(pushed.digest)).layers
    plan: Plan = lambda method, target: (  # noqa: E731
        Fault(status=500) if first.digest.hex in target else None
    )
    with fault_proxy(registry.host, plan) as proxy:
        with pytest.raises(RegistryError):
            pull(store, proxy.host, "again/half")
        arrived = store.blobs.has(second.digest)
        proxy.plan = lambda method, target: None
        before = len(blob_gets(proxy))
        pull(store, proxy.host, "again/half")
        fetched = [each for each in blob_gets(proxy)[before:] if second.digest.hex in each]
    assert bool(fetched) != arrived


@pytest.mark.parametrize("seed", range(20))
def test_transfers_over_a_bad_line_end_right_or_with_an_error(
    tmp_path: Path, registry: RunningRegistry, seed: int
) -> None:
    """Push and pull, each as often as it takes: never another image, nor half of one."""
    path = f"seeded/{seed}"
    with (
        Store.open(tmp_path / "from", tmp_path / "from-run") as source,
        Store.open(tmp_path / "to", tmp_path / "to-run") as target,
    ):
        add_image(source, seed, (300_000, 1_200_000, 2000))
        plan = seeded_plan(seed, 300_000)
        with fault_proxy(registry.host, plan) as proxy:
            pushed = until_it_works(lambda: push(source, proxy.host, path))
            digest = source.images.get(pushed.digest)
            pulled = until_it_works(lambda: pull(target, proxy.host, path))
        assert pulled.digest == pushed.digest
        assert pulled.image.id == digest.id
        diff_ids = target.images.config(pulled.image).diff_ids
        assert content(target, diff_ids) == content(source, diff_ids)
        assert all(target.blobs.verify(each.digest) for each in target.blobs.all())


def until_it_works(call: Callable[[], Result]) -> Result:
    for _ in range(50):
        try:
            return call()
        except TierceError:
            continue
    raise AssertionError("it never works")
