"""What a step reads, as one digest: what the content keys of COPY, ADD and bind mounts are made of.

The digest covers path, type, mode, owner, size, content, link target, device and xattrs of exactly
what is selected, and never a time. Whether two names are one file makes no difference to it, as
in BuildKit; neither does a directory that only stands for its contents. For a directory of the
caller, the answer is remembered together with the metadata it holds for: while no inode, mtime or
ctime differs, a walk gives it again.
"""

from __future__ import annotations

from array import array
from zlib import crc32

from tierce import worker
from tierce.oci.digest import new_hash, sha256_hex
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.layer.entry import Entry
    from tierce.layer.view import Tree
    from tierce.worker.context import LocalTree
    from tierce.worker.sources import Source, Wanted

_BATCH = 512


FACT_BYTES = 6
"""Of the digest of a file: enough to show that it is another one."""

_NO_CONTENT = bytes(FACT_BYTES)


class Selection(Value):
    """A digest of all that is selected, and what it covers, for explanations.

    `paths` are those in the tree. Of each, `attributes` (an index for each path into the texts in
    `attribute_texts`) says type, mode, owner and what else few files have; `contents` has the
    first bytes of a digest of what is in it, zeros for what has no content. A selection that was
    remembered as a whole has no paths.
    """

    digest: str
    paths: Sequence[str] = ()
    attributes: Sequence[int] = ()
    attribute_texts: Sequence[str] = ()
    contents: bytes | bytearray = b""


def select(tree: Tree, sources: Sequence[Source], wanted: Wanted) -> Selection:
    """The digest of sources and all below them, which are read where their digest is unknown.

    `sources` are what `find_sources` says is wanted.
    """
    selected = _Selected(tree)
    for source in sources:
        if source.entry.kind == "dir":
            selected.start("dir")
            if wanted.literal:
                selected.add(source.entry, "")
            cut = len(source.path) + 1 if source.path else 0
            for entry in _walk(tree, source.path, wanted):
                selected.add(entry, entry.path[cut:])
        else:
            selected.start("file")
            selected.add(source.entry, source.name)
    return selected.finish()


def _walk(tree: Tree, top: str, wanted: Wanted) -> Iterator[Entry]:
    if not wanted.includes and not wanted.excludes:
        return tree.walk(top)
    return (
        entry
        for entry, _ in worker.selection.Filter(wanted.includes, wanted.excludes).walk(tree, top)
    )


class _Selected:
    """Hashes entries as they come: a microsecond more for each is 50 ms more for 50,000."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._digest = new_hash()
        self._lines: list[str] = []
        self._paths: list[str] = []
        self._attributes = array("I")
        self._numbers: dict[str, int] = {}
        self._texts: dict[tuple[object, ...], str] = {}
        self._contents = bytearray()

    def start(self, kind: str) -> None:
        """A source begins. No line is as short as this, so that it cannot be taken for one."""
        self._lines.append(f"{kind}\0")

    def add(self, entry: Entry, path: str) -> None:
        kind = entry.kind
        self._paths.append(entry.path)
        if kind == "hardlink":
            linked = self._tree.lookup(entry.link)
            if linked is not None:
                entry, kind = linked, linked.kind
        digest, content, link = _NO_CONTENT, "", ""
        if kind == "file":
            digest = self._tree.file_digest(entry)
            content = digest.hex()
        elif kind == "symlink":
            link = entry.link
            digest = crc32(link.encode("utf-8", "surrogateescape")).to_bytes(FACT_BYTES, "big")
        attributes = self._texts.get(entry[1:5]) or self._describe(entry)
        special = _special(entry) if entry.xattrs or entry.device[0] else ""
        # Neither names nor targets hold NUL: each line has exactly five fields.
        line = f"{path}\0{attributes} {entry.size}\0{link}\0{content}\0{special}\0"
        if special:
            attributes += f" {crc32(special.encode()):08x}"
        self._attributes.append(self._numbers.setdefault(attributes, len(self._numbers)))
        self._contents += digest[:FACT_BYTES]
        self._lines.append(line)
        if len(self._lines) >= _BATCH:
            self._flush()

    def finish(self) -> Selection:
        self._flush()
        return Selection(
            self._digest.hexdigest(),
            self._paths,
            self._attributes,
            list(self._numbers),
            self._contents,
        )

    def _describe(self, entry: Entry) -> str:
        """Kind, mode and owner, which many entries have in common."""
        text = f"{entry.kind} {entry.mode:o} {entry.uid} {entry.gid}"
        self._texts[entry[1:5]] = text
        return text

    def _flush(self) -> None:
        self._digest.update("".join(self._lines).encode("utf-8", "surrogateescape"))
        self._lines.clear()


def _special(entry: Entry) -> str:
    """What few entries have."""
    attributes = [f"{name.encode('utf-8', 'surrogateescape').hex()}={value.hex()}"
                  for name, value in entry.xattrs]  # fmt: skip
    return f"{entry.device} {','.join(attributes)}"


def name_of(sources: Sequence[Source], wanted: Wanted) -> str:
    """What a selection in a directory of the caller is remembered by."""
    names = [f"{source.path}\0{source.name}\0" for source in sources]
    # Neither paths nor patterns hold NUL: each list ends where there is an empty text.
    for patterns in (wanted.includes, wanted.excludes):
        names += ["\0", *[f"{pattern}\0" for pattern in patterns if pattern]]
    return sha256_hex("".join(names).encode("utf-8", "surrogateescape"))


def stamp_of(tree: LocalTree, sources: Sequence[Source]) -> str:
    """A digest of the metadata of all sources; empty when something is too fresh to be sure."""
    stamps = [tree.stamp_digest(source.path) for source in sources]
    return sha256_hex("".join(stamps).encode()) if all(stamps) else ""
