"""Makes layers out of COPY, ADD and WORKDIR: lists of files become a tar, and nothing else."""

from __future__ import annotations

import sys

from tierce.errors import BuildError, Cancelled, LayerError
from tierce.graph.digest import op_digest
from tierce.graph.ops import Copy, CopyPart
from tierce.layer.earlier import FORM
from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.layer.writer import write_layer
from tierce.oci.digest import sha256_hex
from tierce.oci.media_types import OCI_LAYER
from tierce.values import Value
from tierce.worker.context import LocalTree
from tierce.worker.copy import Copier
from tierce.worker.draft import LayerDraft
from tierce.worker.owners import ROOT, resolve_owner
from tierce.worker.results import FileSystem
from tierce.worker.sources import clean, find_sources, wanted_of

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from tierce.graph.ops import MakeDirectory, MakeFile
    from tierce.layer.earlier import EarlierLayer, Run
    from tierce.layer.entry import Item
    from tierce.layer.view import Tree
    from tierce.layer.writer import LayerResult
    from tierce.store import Store
    from tierce.worker.results import Result

    _Done = tuple[Copier, LayerResult]

_DIRECTORY_MODE = 0o755
_TRUSTED_BYTES = 8 << 10
"""From this size on, to look once more at a file of the host costs less than its digest."""
_FEWEST_ENTRIES = 64
"""Layers of fewer are written in a millisecond, which is what it costs to take over of others."""


class Copied(Value):
    """The result of a COPY, and the digest of each file of the caller as it was copied."""

    result: FileSystem
    digests: Sequence[tuple[Entry, bytes]]


def tree_of(store: Store, result: Result) -> Tree:
    """The files of a result, without unpacking it."""
    if isinstance(result, LocalTree):
        return result
    return store.snapshots.view(result.snapshot)


def copy(
    store: Store,
    op: Copy,
    base: FileSystem,
    trees: Sequence[Tree],
    cancelled: Event | None = None,
) -> Copied:
    """COPY and ADD: the base with a layer of what is copied out of trees, a tree for each part.

    Raises BuildError when a source is absent or a destination is in the way, Cancelled.
    """
    below = tree_of(store, base) if base.snapshot is not None else None
    local = next((tree for tree in trees if isinstance(tree, LocalTree)), None)
    try:
        found = [
            (part, tree, list(find_sources(tree, wanted_of(op, part))))
            for part, tree in zip(op.parts, trees)
        ]
        owner = resolve_owner(op.owner, below) if op.owner else None
        # Today's date for the directories that are made would give another layer each time.
        mtime_ns = next((each[0].entry.mtime_ns for _, _, each in found if each), 0)

        def attempt(
            trusted_size: int, earlier: EarlierLayer | None = None
        ) -> tuple[Copier, LayerResult] | None:
            draft = LayerDraft(below, mtime_ns)
            with Copier(op, draft, owner, store.blobs.writer) as copier:
                for part, tree, sources in found:
                    copier.copy(part, tree, sources)
                items = draft.items()
                parts = items if earlier is None else earlier.common(items)
                parts, trusted = _trusting(parts, copier.copied, trusted_size)
                layer = _write(
                    store, parts, cancelled, lambda: local is None or local.are_unchanged(trusted)
                )
            return (copier, layer) if layer is not None else None

        done = _attempt_with_earlier(store, op, local, attempt) or attempt(sys.maxsize)
    except LayerError as error:
        raise BuildError(error.message, hint=error.hint) from error
    assert done is not None
    copier, layer = done
    copied = Copied(_add(store, base, layer), _digests(copier, layer, local))
    if local is not None and local.layers is not None and len(layer.entries) >= _FEWEST_ENTRIES:
        local.layers.put(_name_of(op), layer.diff_id)
    return copied


def _attempt_with_earlier(
    store: Store, op: Copy, local: LocalTree | None, attempt: Callable[..., _Done | None]
) -> _Done | None:
    """Take over what the layer that the same COPY has made before has as well, if it is here."""
    layers = local.layers if local is not None else None
    diff_id = layers.get(_name_of(op)) if layers is not None else None
    try:
        earlier = store.layers.earlier(diff_id) if diff_id is not None else None
        if earlier is not None:
            with earlier:
                return attempt(_TRUSTED_BYTES, earlier)
    except LayerError:
        return None  # be it the earlier layer or a file, a new attempt without that one tells
    return attempt(_TRUSTED_BYTES)


def _name_of(op: Copy) -> str:
    """What the layer of a COPY is remembered by: those that are written otherwise do not count."""
    return sha256_hex(f"{FORM} {op_digest(op)}".encode())


def _trusting(
    parts: Sequence[Item | Run], copied: Mapping[str, Entry], trusted_size: int
) -> tuple[list[Item | Run], list[Entry]]:
    """The items without the digests of small files of the caller, and those files that keep theirs.

    What is read after all is hashed then, or looked at once more: `copied` has the files of the
    caller's directory by their paths in the layer. Runs are not read.
    """
    trusted = []
    result = list(parts)
    for at, part in enumerate(parts):
        if len(part) > 2:
            continue
        entry, content = part
        if not entry.digest or (source := copied.get(entry.path)) is None:
            continue
        if entry.size >= trusted_size:
            trusted.append(source)
        else:
            result[at] = entry._replace(digest=b""), content
    return result, trusted


def _digests(
    copier: Copier, layer: LayerResult, local: LocalTree | None
) -> list[tuple[Entry, bytes]]:
    """The digest of each file of the caller's directory, as it was read."""
    digests = [
        (copier.copied[entry.path], entry.digest)
        for entry in layer.entries
        if entry.kind == "file" and entry.path in copier.copied
    ]
    if local is not None:
        for entry in copier.consumed:
            digests.append((entry, local.file_digest(entry)))
            local.check_unchanged(entry)
    return digests


def gather(store: Store, tree: Tree, path: str) -> FileSystem:
    """A snapshot of what is at a path of a tree, and of nothing else.

    Made once in a build. Raises BuildError, also when it is not what the build has seen there
    before.
    """
    op = Copy((CopyPart(1, (path,)),), "/")
    if not isinstance(tree, LocalTree):
        return copy(store, op, FileSystem(None), [tree]).result
    with tree.gathering:
        if path not in tree.gathered:
            copied = copy(store, op, FileSystem(None), [tree])
            for entry, digest in copied.digests:
                tree.confirm(entry, digest)
            tree.gathered[path] = copied.result.snapshot
        return FileSystem(tree.gathered[path])


def file_system(store: Store, items: list[Item]) -> FileSystem:
    """A snapshot of these entries, in their order, and of nothing else. Raises BuildError."""
    try:
        layer = _write(store, items)
        assert layer is not None
        return _add(store, FileSystem(None), layer)
    except LayerError as error:
        raise BuildError(error.message, hint=error.hint) from error


def make_directory(store: Store, op: MakeDirectory, base: FileSystem, mtime_ns: int) -> FileSystem:
    """WORKDIR: the base with a directory, or with an empty layer when that is there already.

    Raises BuildError.
    """
    below = tree_of(store, base) if base.snapshot is not None else None
    try:
        draft = LayerDraft(below, mtime_ns)
        owner = resolve_owner(op.owner, below) if op.owner else ROOT
        draft.make_directories(draft.resolve(clean(op.path)), op.mode & 0o777, owner)
        layer = _write(store, draft.items())
        assert layer is not None
        return _add(store, base, layer)
    except LayerError as error:
        raise BuildError(error.message, hint=error.hint) from error


def make_file(store: Store, op: MakeFile, base: FileSystem, mtime_ns: int) -> FileSystem:
    """The base with a file of its own words. Raises BuildError."""
    below = tree_of(store, base) if base.snapshot is not None else None
    try:
        draft = LayerDraft(below, mtime_ns)
        parent, _, name = clean(op.path).rpartition("/")
        directory = draft.resolve(parent)
        draft.make_directories(directory, _DIRECTORY_MODE, ROOT)
        path = f"{directory}/{name}" if directory else name
        size = len(op.content)
        draft.put(Entry(path, "file", op.mode & 0o777, 0, 0, size, mtime_ns), op.content)
        layer = _write(store, draft.items())
        assert layer is not None
        return _add(store, base, layer)
    except LayerError as error:
        raise BuildError(error.message, hint=error.hint) from error


def merge(store: Store, base: FileSystem, top: FileSystem) -> FileSystem:
    """The layers of `top` over those of `base`, which takes no more than rows in the store."""
    below = base.snapshot
    layers = store.snapshots.chain(top.snapshot) if top.snapshot is not None else ()
    for layer in layers:
        assert layer.diff_id is not None  # only what COPY has made is merged
        added = store.snapshots.add_layer(
            below, layer.diff_id, size=layer.size, tar_size=layer.tar_size
        )
        below = added.id
    return FileSystem(below)


def _write(
    store: Store,
    items: Sequence[Item | Run],
    cancelled: Event | None = None,
    is_good: Callable[[], bool] = lambda: True,
) -> LayerResult | None:
    """Write a layer into the store; None, and nothing is stored, when it is no good after all."""
    with store.blobs.writer(media_type=OCI_LAYER) as writer:

        def sink(data: memoryview) -> None:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled("copy files: cancelled")
            writer.write_unhashed(data)

        layer = write_layer(items, sink)
        if not is_good():
            return None
        writer.adopt(layer.diff_id, layer.size)
    return layer


def _add(store: Store, base: FileSystem, layer: LayerResult) -> FileSystem:
    store.layers.put_index(layer.diff_id, LayerIndex.of(layer.entries))
    size = sum([entry.size for entry in layer.entries])
    snapshot = store.snapshots.add_layer(
        base.snapshot, layer.diff_id, size=size, tar_size=layer.size
    )
    return FileSystem(snapshot.id)
