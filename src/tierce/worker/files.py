"""Makes layers out of COPY, ADD and WORKDIR: lists of files become a tar, and nothing else."""

from collections.abc import Sequence

from tierce.errors import BuildError
from tierce.graph.ops import Copy, MakeDirectory
from tierce.layer.entry import Item
from tierce.layer.index import LayerIndex
from tierce.layer.view import Tree
from tierce.layer.writer import LayerResult, write_layer
from tierce.oci.media_types import OCI_LAYER
from tierce.store import Store
from tierce.worker.context import LocalTree
from tierce.worker.copy import Copier, Source, find_sources
from tierce.worker.draft import LayerDraft, clean
from tierce.worker.owners import read_small_file, resolve_owner
from tierce.worker.results import FileSystem, Result


def tree_of(store: Store, result: Result) -> Tree:
    """The files of a result, without unpacking it."""
    if isinstance(result, LocalTree):
        return result
    return store.snapshots.view(result.snapshot)


def copy(store: Store, op: Copy, base: FileSystem, source: Result) -> FileSystem:
    """COPY and ADD: the base with a layer of what is copied.

    Raises BuildError when a source is absent or a destination is in the way.
    """
    tree = tree_of(store, source)
    below = tree_of(store, base) if base.snapshot is not None else None
    sources = list(find_sources(tree, op.sources))
    draft = LayerDraft(below, _time_of(sources))
    owner = None
    if op.owner:
        owner = resolve_owner(op.owner, lambda path: read_small_file(below, path))
    with Copier(op, tree, draft, owner, str(store.paths.blobs)) as copier:
        copier.copy(sources)
        layer = _write(store, draft.items())
    if isinstance(tree, LocalTree):
        _learn(tree, draft, layer)
    return _add(store, base, layer)


def make_directory(
    store: Store, op: MakeDirectory, base: FileSystem, mtime_ns: int
) -> FileSystem:
    """WORKDIR: the base with a directory, or with an empty layer when that is there already."""
    below = tree_of(store, base) if base.snapshot is not None else None
    draft = LayerDraft(below, mtime_ns)
    owner = (0, 0)
    if op.owner:
        owner = resolve_owner(op.owner, lambda path: read_small_file(below, path))
    resolved = draft.resolve(clean(op.path))
    there = draft.lookup(resolved)
    if there is not None and there.kind != "dir":
        raise BuildError(f"mkdir {op.path}: not a directory")
    draft.make_directories(resolved, op.mode, owner)
    return _add(store, base, _write(store, draft.items()))


def gather(store: Store, tree: Tree, path: str) -> FileSystem:
    """A snapshot of what is at a path of a tree, and of nothing else."""
    op = Copy((path,), "/")
    draft = LayerDraft(None, 0)
    sources = list(find_sources(tree, op.sources))
    with Copier(op, tree, draft, None, str(store.paths.blobs)) as copier:
        copier.copy(sources)
        layer = _write(store, draft.items())
    return _add(store, FileSystem(None), layer)


def _write(store: Store, items: list[Item]) -> LayerResult:
    with store.blobs.writer(media_type=OCI_LAYER) as writer:
        layer = write_layer(items, writer.write_unhashed)
        writer.adopt(layer.diff_id, layer.size)
    return layer


def _add(store: Store, base: FileSystem, layer: LayerResult) -> FileSystem:
    store.layers.put_index(layer.diff_id, LayerIndex.of(layer.entries))
    size = sum(entry.size for entry in layer.entries)
    snapshot = store.snapshots.add_layer(
        base.snapshot, layer.diff_id, size=size, tar_size=layer.size
    )
    return FileSystem(snapshot.id)


def _learn(tree: LocalTree, draft: LayerDraft, layer: LayerResult) -> None:
    """Remember the digests of the files that were read for a layer."""
    prefix = tree.root + "/"
    for entry in layer.entries:
        if entry.kind != "file":
            continue
        content = draft.content(entry.path)
        if content is not None and content.offset == 0 and content.path.startswith(prefix):
            tree.learn(content.path[len(prefix) :], entry.digest)


def _time_of(sources: Sequence[Source]) -> int:
    """The time for directories that a COPY makes: that of what it copies first.

    Today's date would give another layer each time.
    """
    return sources[0].entry.mtime_ns if sources else 0
