import os
import subprocess
from pathlib import Path

from support.layers import add_snapshot, put_image, put_layer
from tierce.store import Store
from tierce.store.prune import prune_cache_mounts, prune_contexts, prune_records
from tierce.store.usage import Part, disk_usage_of, image_usage


def du(store: Store) -> int:
    done = subprocess.run(
        ["du", "--summarize", "--block-size=1", store.paths.root],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[0])


def fill(store: Store) -> None:
    base = add_snapshot(store, None, {"a": bytes(100_000)})
    own = add_snapshot(store, base, {"b": bytes(50_000)})
    cached = add_snapshot(store, own, {"c": bytes(30_000)})
    store.snapshots.unpack(cached.id)
    os.link(store.paths.snapshot(base.id) / "fs/a", store.paths.snapshot(base.id) / "fs/also")
    store.records.add(["cached"], cached.id, "cached")
    assert base.diff_id is not None
    assert own.diff_id is not None
    image = put_image(store, [base.diff_id, own.diff_id])
    put_image(store, [base.diff_id])
    active = store.snapshots.prepare(own.id)
    directory = store.paths.snapshot(active.id) / "fs"
    (directory / "written").write_bytes(bytes(20_000))
    store.containers.add("c" * 64, "box", image=str(image.config), snapshot=active.id, state="{}")
    store.paths.container("c" * 64).mkdir()
    for name in ("used", "free"):
        store.volumes.create(name)
        Path(store.volumes.directory(name), "file").write_bytes(bytes(20_000))
    store.volumes.use("used", "c" * 64)
    (store.cache_mounts.directory("apt") / "file").write_bytes(bytes(10_000))
    Path(store.paths.context_cache("context")).write_bytes(bytes(5000))
    (store.paths.logs / "log").write_bytes(bytes(7000))
    (store.paths.trash / "thrown").write_bytes(bytes(3000))


def test_bytes_are_those_that_du_counts(store: Store) -> None:
    assert disk_usage_of(store).size == du(store)
    fill(store)
    usage = disk_usage_of(store)
    assert usage.size == du(store)
    parts = (
        *(usage.images, usage.containers, usage.volumes, usage.build_cache, usage.cache_mounts),
    )
    assert sum(part.size for part in parts) + usage.other == usage.size
    assert usage.other > 0


def test_each_part_counts_its_own(store: Store) -> None:
    fill(store)
    usage = disk_usage_of(store)
    assert (usage.images.total, usage.images.active) == (2, 1)
    assert 300_000 < usage.images.size < 400_000  # tar and directory of both layers
    assert 20_000 < usage.containers.size < 60_000
    assert (usage.containers.total, usage.containers.active) == (1, 0)
    assert usage.containers.reclaimable == usage.containers.size
    assert (usage.volumes.total, usage.volumes.active) == (2, 1)
    assert usage.volumes.reclaimable * 2 == usage.volumes.size > 40_000
    assert 60_000 < usage.build_cache.size < 100_000
    assert usage.build_cache.total == 1
    assert 10_000 < usage.cache_mounts.size < 20_000


def test_layers_of_an_image_in_use_are_not_reclaimable(store: Store) -> None:
    fill(store)
    part = disk_usage_of(store).images
    # The image that is not in use has nothing of its own but its documents.
    assert part.reclaimable == 2 * 4096


def test_build_cache_in_use_is_not_reclaimable(store: Store) -> None:
    fill(store)
    with store.leases.take("build"):
        store.records.find(["cached"])
        part = disk_usage_of(store).build_cache
        assert (part.active, part.reclaimable) == (1, 0)
    part = disk_usage_of(store).build_cache
    assert (part.active, part.reclaimable) == (0, part.size)


def test_empty_store_has_empty_parts(store: Store) -> None:
    usage = disk_usage_of(store)
    nothing = Part(0, 0, 0, 0)
    assert usage.images == usage.containers == usage.build_cache == usage.cache_mounts == nothing


def test_what_prune_frees_is_what_df_called_reclaimable(store: Store) -> None:
    fill(store)
    before = disk_usage_of(store)
    prune_records(store)
    prune_cache_mounts(store)
    prune_contexts(store, max_bytes=0)
    freed = store.collect().size
    after = disk_usage_of(store)
    assert after.build_cache == after.cache_mounts == Part(0, 0, 0, 0)
    assert after.images == before.images
    assert after.containers == before.containers
    thrown = 4096
    reclaimable = before.build_cache.reclaimable + before.cache_mounts.reclaimable
    assert freed == reclaimable + thrown


def test_images_share_what_they_have_in_common(store: Store) -> None:
    base, own = (put_layer(store, {name: bytes(100)}) for name in ("base", "own"))
    lower = put_image(store, [base.diff_id])
    upper = put_image(store, [base.diff_id, own.diff_id])
    usage = {each.image.config: each for each in image_usage(store)}
    assert usage[lower.config].unique == 0
    assert usage[lower.config].shared == base.size
    assert usage[upper.config].shared == base.size
    assert usage[upper.config].unique == own.size
    assert usage[upper.config].size == base.size + own.size
