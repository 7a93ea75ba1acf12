"""COPY and ADD of local files, with the rules of BuildKit (fsutil's copy).

A source directory stands for its contents. A destination that is a directory, or ends in "/",
takes files under their own names. Directories merge; one that is there at the top keeps its mode
and owner, one further down gets those of the source. A file replaces a file or a link, never a
directory. Links in sources are followed at the top only; links in the destination are followed
inside the root.
"""

import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

from tierce.errors import BuildError, CorruptLayer, LayerError
from tierce.graph.ops import Copy
from tierce.layer.compression import open_decompressed
from tierce.layer.entry import Content, Entry
from tierce.layer.reader import read_layer
from tierce.layer.view import Tree
from tierce.worker.context import LocalTree
from tierce.worker.draft import ROOT, LayerDraft, Owner, clean

_Links = dict[str | int, str]
"""The path that each file with several names was first copied to, by its identity."""

_DIRECTORY_MODE = 0o755
_TAR_BLOCK = 512


class Source:
    """One thing that a COPY takes: `path` in the tree, links followed, under its own `name`."""

    __slots__ = ("entry", "name", "path")

    def __init__(self, path: str, name: str, entry: Entry) -> None:
        self.path = path
        self.name = name
        self.entry = entry


def find_sources(tree: Tree, patterns: tuple[str, ...]) -> Iterator[Source]:
    """What the sources of a COPY name in a tree, in order.

    A pattern that matches nothing gives nothing; a plain path that is absent is a BuildError.
    """
    for pattern in patterns:
        fixed, wild = split_wildcards(clean(pattern))
        if not wild:
            resolved = tree.resolve(fixed)
            entry = tree.lookup(resolved)
            if entry is None:
                shown = "/" + fixed
                raise BuildError(f'copy {shown}: "{shown}": not found')
            yield Source(resolved, os.path.basename(fixed), entry)
            continue
        yield from _matches(tree, fixed, wild)


def _matches(tree: Tree, fixed: str, wild: str) -> Iterator[Source]:
    """The paths below `fixed` that match; a directory that matches is not searched further."""
    top = tree.resolve(fixed)
    expression = pattern_expression(wild)
    depth = wild.count("/")
    prefix = f"{top}/" if top else ""
    stack = [iter(tree.children(top))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        relative = entry.path[len(prefix) :]
        if expression.fullmatch(relative):
            resolved = tree.resolve(entry.path)
            followed = tree.lookup(resolved)
            if followed is None:
                raise BuildError(f'copy /{entry.path}: "/{entry.path}": not found')
            yield Source(resolved, os.path.basename(entry.path), followed)
        elif entry.kind == "dir" and relative.count("/") < depth:
            stack.append(iter(tree.children(entry.path)))


def split_wildcards(path: str) -> tuple[str, str]:
    """The leading parts of a path without wildcards, and the rest."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if has_wildcards(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""


def has_wildcards(text: str) -> bool:
    """Whether Go's filepath.Match would see more than literal characters."""
    return re.search(r"(?:^|[^\\])(?:\\\\)*[*?\[]", text) is not None


def pattern_expression(pattern: str) -> "re.Pattern[str]":
    """Go's filepath.Match as a regular expression for `fullmatch`.

    Raises BuildError for a pattern that Go calls malformed.
    """
    out = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            if at == len(pattern):
                raise BuildError(f"syntax error in pattern: {pattern}")
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[":
            text, at = _character_class(pattern, at)
            out.append(text)
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins at `at`, after "[", and where the rest begins."""

    def character() -> str:
        nonlocal at
        if at < len(pattern) and pattern[at] == "\\":
            at += 1
        elif at < len(pattern) and pattern[at] in "-]":
            raise BuildError(f"syntax error in pattern: {pattern}")
        if at >= len(pattern):
            raise BuildError(f"syntax error in pattern: {pattern}")
        at += 1
        return pattern[at - 1]

    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges = ""
    while True:
        if ranges and pattern[at : at + 1] == "]":
            break
        low = high = character()
        if pattern[at : at + 1] == "-":
            at += 1
            high = character()
        if low <= high:
            ranges += f"{re.escape(low)}-{re.escape(high)}"
        elif not ranges:
            ranges = r"\0-\0"  # an empty range: matches nothing that a path can hold
    return (f"[^/{ranges}]" if negated else f"(?!/)[{ranges}]"), at + 1


class Copier:
    """Carries out one Copy onto a draft.

    `owner` is the resolved --chown, or None to keep the owners of the source.
    """

    def __init__(
        self, op: Copy, source: Tree, draft: LayerDraft, owner: Owner | None, scratch: str
    ) -> None:
        """`scratch` is a directory for what ADD has to decompress."""
        self._op = op
        self._source = source
        self._draft = draft
        self._owner = owner
        self._mode = int(op.mode, 8) if op.mode else None
        self._scratch = scratch
        self._cleanup = ExitStack()

    def __enter__(self) -> "Copier":
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what was decompressed; contents in the draft must have been read by now."""
        self._cleanup.close()

    def copy(self, sources: list[Source]) -> None:
        """Put all sources where the destination says."""
        made = 0o777 & self._mode if self._mode is not None else _DIRECTORY_MODE
        for source in sources:
            if self._op.unpack and source.entry.kind == "file" and self._unpack(source):
                continue
            self._copy_one(source, made)

    def _copy_one(self, source: Source, made_mode: int) -> None:
        draft, destination = self._draft, self._op.destination
        directory = destination if destination.endswith(("/", "/.")) else ""
        ensured = directory or os.path.dirname(destination)
        owner = self._owner or ROOT
        draft.make_directories(clean(ensured), made_mode, owner)
        target = draft.resolve(clean(destination))
        there = draft.lookup(target)
        is_directory = source.entry.kind == "dir"
        if not is_directory and there is not None and there.kind == "dir":
            target = f"{target}/{source.name}" if target else source.name
        elif is_directory and there is None:
            draft.make_directories(target, made_mode, owner)
        parent = target.rpartition("/")[0]
        if parent:
            draft.make_directories(parent, made_mode, owner)
        if is_directory:
            self._merge_top(source, target)
        else:
            draft.put(*self._item(source.entry, target, {}))

    def _merge_top(self, source: Source, target: str) -> None:
        """Merge a directory's contents into one that is there; its mode and owner stay."""
        draft = self._draft
        there = draft.lookup(target)
        if there is not None and there.kind != "dir":
            raise BuildError(f"cannot copy to non-directory: /{target}")
        links: _Links = {}
        cut = len(source.path) + 1 if source.path else 0
        prefix = f"{target}/" if target else ""
        fresh: set[str] = set()  # directories that nothing but this walk puts anything into
        for entry in self._source.walk(source.path):
            path = prefix + entry.path[cut:]
            item = self._item(entry, path, links)
            if path.rpartition("/")[0] in fresh:
                draft.put_new(*item)
            elif not draft.put(*item):
                continue
            if entry.kind == "dir":
                fresh.add(path)

    def _item(
        self, entry: Entry, path: str, links: "_Links"
    ) -> tuple[Entry, Content | None]:
        """The entry as it is to be at `path`, and where its bytes are."""
        uid, gid = self._owner or (entry.uid, entry.gid)
        mode = entry.mode
        if self._mode is not None and entry.kind != "symlink":
            mode = self._mode
        kind = entry.kind
        if kind == "hardlink":
            entry = self._linked_file(entry)
            kind = "file"
        if kind != "file":
            made = Entry(
                path, kind, mode, uid, gid, 0, entry.mtime_ns, entry.link, entry.device,
                entry.xattrs,
            )  # fmt: skip
            return made, None
        identity = self._identity(entry)
        if identity is not None:
            first = links.setdefault(identity, path)
            if first != path:
                return Entry(path, "hardlink", mode, uid, gid, 0, entry.mtime_ns, first), None
        made = Entry(
            path, kind, mode, uid, gid, entry.size, entry.mtime_ns, "", (0, 0), entry.xattrs
        )
        return made, self._source.content(entry)

    def _identity(self, entry: Entry) -> str | int | None:
        """What two names of the same file have in common; None when it has but one."""
        if isinstance(self._source, LocalTree):
            inode, count = self._source.inode_of(entry.path)
            return inode if count > 1 else None
        return entry.path

    def _linked_file(self, entry: Entry) -> Entry:
        linked = self._source.lookup(entry.link)
        if linked is None or linked.kind != "file":
            raise BuildError(f"copy /{entry.path}: its hard link leads to no file: /{entry.link}")
        return linked

    # ADD

    def _unpack(self, source: Source) -> bool:
        """Extract a source that is a tar archive; False when it is something else."""
        content = self._source.content(source.entry)
        archive = self._open_archive(content)
        if archive is None:
            return False
        path, base, stream = archive
        draft, owner = self._draft, self._owner
        top = draft.make_directories(clean(self._op.destination), _DIRECTORY_MODE, owner or ROOT)
        prefix = f"{top}/" if top else ""
        try:
            for entry, data in read_layer(stream, literal_whiteouts=True):
                self._unpack_entry(entry, prefix, path, base, data)
        except CorruptLayer as error:
            raise BuildError(f"add {source.name}: {error.message}") from error
        return True

    def _unpack_entry(
        self, entry: Entry, prefix: str, path: str, base: int, data: BinaryIO | None
    ) -> None:
        draft = self._draft
        parent, _, name = entry.path.rpartition("/")
        if not entry.path:
            return
        where = draft.resolve(prefix + parent) if parent else prefix.rstrip("/")
        if where:
            draft.make_directories(where, _DIRECTORY_MODE, self._owner or ROOT)
        uid, gid = self._owner or (entry.uid, entry.gid)
        link = entry.link
        if entry.kind == "hardlink":
            link = draft.resolve(prefix + link)
        target = f"{where}/{name}" if where else name
        made = Entry(
            target, entry.kind, entry.mode, uid, gid, entry.size, entry.mtime_ns, link,
            entry.device, entry.xattrs,
        )  # fmt: skip
        content: Content | bytes | None = None
        if entry.kind == "file":
            if entry.offset >= 0:
                content = Content(path, base + entry.offset, entry.size)
            else:
                content = data.read() if data is not None else b""
        draft.replace(made, content)

    def _open_archive(self, content: Content) -> tuple[str, int, BinaryIO] | None:
        """(host file, offset of the tar in it, stream) when the content is a tar archive."""
        file = self._cleanup.enter_context(open(content.path, "rb"))
        file.seek(content.offset)
        if not content.size:
            return None
        window = io.BufferedReader(_Window(file, content.size))
        try:
            plain = open_decompressed(window)
            head = plain.read(_TAR_BLOCK)
        except (LayerError, OSError, EOFError):
            return None
        if not is_tar_header(head):
            return None
        if plain is window:
            file.seek(content.offset)
            stream = io.BufferedReader(_Window(file, content.size))
            return content.path, content.offset, stream
        spool = self._cleanup.enter_context(tempfile.NamedTemporaryFile(dir=self._scratch))
        spool.write(head)
        try:
            while chunk := plain.read(1 << 20):
                spool.write(chunk)
        except (LayerError, EOFError, OSError) as error:
            raise BuildError(f"add {os.path.basename(content.path)}: {error}") from error
        spool.flush()
        spool.seek(0)
        return spool.name, 0, io.BufferedReader(spool)  # type: ignore[arg-type]


class _Window(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def is_tar_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a tar member: their checksum tells."""
    if len(block) < _TAR_BLOCK or not any(block):
        return False
    try:
        stated = int(block[148:156].split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return False
    return stated == sum(block[:148]) + 8 * 0x20 + sum(block[156:])

