"""COPY and ADD of local files, with the rules of BuildKit (fsutil's copy).

A source directory stands for its contents. A destination that is a directory, or ends in "/",
takes files under their own names. Directories merge; one that is there at the top keeps its mode
and owner, one further down gets those of the source. A file replaces a file or a link, never a
directory. Links in sources are followed at the top only; links in the destination are followed
inside the root.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from tierce.errors import BuildError
from tierce.graph.modes import parse_mode
from tierce.layer.entry import Entry
from tierce.worker.archives import Spool, open_archive, unpack
from tierce.worker.context import LocalTree
from tierce.worker.owners import ROOT
from tierce.worker.selection import Filter
from tierce.worker.sources import clean

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tierce.graph.ops import Copy, CopyPart
    from tierce.layer.entry import Content
    from tierce.layer.view import Tree
    from tierce.store.blob_writer import BlobWriter
    from tierce.worker.draft import LayerDraft
    from tierce.worker.owners import Owner
    from tierce.worker.sources import Source

_DIRECTORY_MODE = 0o755


class Copier:
    """Carries out one Copy onto a draft. Use as a context manager around all use of the draft."""

    def __init__(
        self,
        op: Copy,
        draft: LayerDraft,
        owner: Owner | None,
        temporary: Callable[[], BlobWriter],
    ) -> None:
        """`owner` is the resolved --chown, or None to keep the owners of the source.

        `temporary` makes a file for what ADD has to decompress.
        """
        self._op = op
        self._draft = draft
        self._owner = owner
        self._mode = parse_mode(op.mode) if op.mode else None
        # Letters change a mode that is there; what is made has none before.
        absolute = self._mode.absolute if self._mode is not None else None
        self._made_mode = _DIRECTORY_MODE if absolute is None else absolute & 0o777
        self._tree: Tree
        self._is_local = False
        self._cleanup = ExitStack()
        self._spool = Spool(temporary, self._cleanup)
        self.copied: dict[str, Entry] = {}
        """The files of the caller's directory that are in the draft, by their path there."""
        self.consumed: list[Entry] = []
        """Files of the caller's directory that were read, but are not as they are in the draft."""

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what was decompressed; contents in the draft must have been read by now."""
        self._cleanup.close()

    def copy(self, part: CopyPart, tree: Tree, sources: Sequence[Source]) -> None:
        """Put sources, found in a tree, where the destination says.

        Raises BuildError, LayerError.
        """
        self._tree = tree
        self._is_local = isinstance(tree, LocalTree)
        for source in sources:
            is_file = source.entry.kind == "file"
            if not (part.unpack and is_file and self._unpack(source)):
                self._copy_one(source, part)

    def _copy_one(self, source: Source, part: CopyPart) -> None:
        draft, destination = self._draft, self._op.destination
        is_directory = source.entry.kind == "dir"
        # What a trailing slash calls a directory becomes one, whatever is copied there.
        named_directory = destination.endswith(("/", "/."))
        ensured = destination if named_directory else os.path.dirname(destination)
        self._make_directories(draft.resolve(clean(ensured)))
        target = draft.resolve(clean(destination))
        there = draft.lookup(target)
        if is_directory:
            if there is None and part.literal:
                self._make_directories(target.rpartition("/")[0])
                draft.put(*self._item(source.entry, target))
            elif there is None:
                self._make_directories(target)
            self._merge(source, target, part)
            return
        if there is not None and there.kind == "dir":
            target = f"{target}/{source.name}" if target else source.name
        self._make_directories(target.rpartition("/")[0])
        entry, content = self._item(source.entry, target)
        draft.put(entry, content)

    def _merge(self, source: Source, target: str, part: CopyPart) -> None:
        """Put what is in a directory into one that is there, whose mode and owner stay."""
        draft = self._draft
        there = draft.lookup(target)
        if there is not None and there.kind != "dir":
            raise BuildError(f"cannot copy to non-directory: /{target}")
        cut = len(source.path) + 1 if source.path else 0
        prefix = f"{target}/" if target else ""
        if part.includes or self._op.excludes:
            selected = Filter(part.includes, self._op.excludes).walk(self._tree, source.path)
            self._merge_entries(self._implied(selected, prefix, cut), prefix, cut)
        else:
            self._merge_entries(self._tree.walk(source.path), prefix, cut)

    def _merge_entries(self, entries: Iterable[Entry], prefix: str, cut: int) -> None:
        """Put entries of a walk below `prefix`, without the first `cut` characters of paths."""
        draft = self._draft
        fresh: set[str] = set()  # directories that nothing but this walk puts anything into
        for entry in entries:
            path = prefix + entry.path[cut:]
            if entry.kind == "hardlink":
                # Its first name came before, in the same walk.
                uid, gid = self._owner or (entry.uid, entry.gid)
                first = prefix + entry.link[cut:]
                draft.link(entry._replace(path=path, uid=uid, gid=gid, link=first))
                continue
            made, content = self._item(entry, path)
            if path.rpartition("/")[0] in fresh:
                draft.put_new(made, content)
            elif not draft.put(made, content):
                continue
            if entry.kind == "dir":
                fresh.add(path)

    def _implied(
        self, selected: Iterable[tuple[Entry, bool]], prefix: str, cut: int
    ) -> Iterator[Entry]:
        """The entries of a selection, less the directories that only get another mode."""
        draft = self._draft
        for entry, is_implied in selected:
            if is_implied:
                path = prefix + entry.path[cut:]
                there = draft.lookup(path)
                if there is not None and there.kind == "dir":
                    draft.put(there._replace(mode=entry.mode))
                    continue
            yield entry

    def _item(self, entry: Entry, path: str) -> tuple[Entry, Content | None]:
        """The entry as it is to be at `path`, and where its bytes are."""
        _, kind, mode, uid, gid, size, mtime_ns, link, device, xattrs, digest, _ = entry
        if self._owner is not None:
            uid, gid = self._owner
        if self._mode is not None and kind != "symlink":
            mode = self._mode.apply(mode, is_directory=kind == "dir")
        if kind != "file":
            return Entry(path, kind, mode, uid, gid, 0, mtime_ns, link, device, xattrs), None
        if self._is_local:
            self.copied[path] = entry
        elif self.copied:
            self.copied.pop(path, None)
        made = Entry(path, kind, mode, uid, gid, size, mtime_ns, "", (0, 0), xattrs, digest)
        return made, self._tree.content(entry)

    def _unpack(self, source: Source) -> bool:
        """ADD a source that is a tar archive; False when it is something else."""
        archive = open_archive(self._tree.content(source.entry), source.name, self._spool)
        if archive is None:
            return False
        draft = self._draft
        with archive:
            top = draft.resolve(clean(self._op.destination))
            draft.make_directories(top, _DIRECTORY_MODE, self._owner or ROOT)
            unpack(archive, draft, top, self._owner)
        # Whatever was copied before may be something else now.
        self.consumed += self.copied.values()
        self.copied.clear()
        if self._is_local:
            self.consumed.append(source.entry)
        return True

    def _make_directories(self, path: str) -> None:
        self._draft.make_directories(path, self._made_mode, self._owner or ROOT)
