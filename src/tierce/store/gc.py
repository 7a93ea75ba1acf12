"""Garbage collection: what nothing refers to, and nobody is working on, goes.

What is kept. Images, cache records, containers and failed steps have rows that only a user's
command, a prune, or the build that succeeds at last removes; they are the roots. A snapshot is
kept for its record, container, failed step or image, and for the snapshots upon it; a blob for
the image it belongs to, or as the content of a kept layer.

What is in flight. Rows of blobs, snapshots, images and records carry a number, `lease`: that of
the newest lease that their maker or user held (`leases`). Let L be the oldest living lease. Rows
with `lease` >= L are kept, with all they refer to. Why that is enough: whoever makes or finds
something under a lease M marks it in the same transaction with M or, if the same store holds a
newer lease too, with that; as long as M lives, L <= M, and the row is kept. Marks only ever grow.
It keeps more than is needed, what ended leases younger than L used, and gets it a round later.

Nobody falls between. Rows are deleted in a transaction that holds the write lock, in which the
living leases were looked up: a maker's mark is either seen by it, or made after it, in which
case there is no row to mark, and the maker knows that the thing is absent.

Files follow rows. A second transaction throws into the trash every file that has no row. Files
get their names inside the transaction that makes their row (blobs), or after it (snapshots, cache
mounts), so under the write lock a file without a row belongs to nobody: it is garbage, or what a
killed process left. Being killed anywhere in between leaves files for the next round to find,
never rows without files.
"""

from __future__ import annotations

import os
import time

from tierce.errors import StoreError
from tierce.store.failures import reported
from tierce.store.transfers import KEPT_SECONDS
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tierce.store.database import Database
    from tierce.store.leases import Leases
    from tierce.store.paths import Paths
    from tierce.store.trash import Trash

_NOBODY = 1 << 62
"""In place of the oldest living lease when there is none."""
_PROBE_SECONDS = 3600.0


class Freed(Value):
    """What a collection did: rows deleted, and `size` in bytes on disk."""

    blobs: int = 0
    snapshots: int = 0
    size: int = 0


class Collector:
    """Collects the garbage of one store."""

    def __init__(self, database: Database, paths: Paths, leases: Leases, trash: Trash) -> None:
        self._database = database
        self._paths = paths
        self._leases = leases
        self._trash = trash

    def collect(self) -> Freed:
        """Remove all that nothing refers to. May run at any time beside anything."""
        dead = self._leases.dead()
        with self._database.removal():
            oldest = self._leases.oldest_living() or _NOBODY
            self._delete_actives(self._is_abandoned())
            kept = self._kept_snapshots(oldest)
            snapshots = self._delete_snapshots(kept)
            blobs = self._delete_blobs(oldest)
            self._database.execute(
                "DELETE FROM image_parents WHERE image NOT IN (SELECT config FROM images)"
            )
        self.sweep_files()
        self._leases.forget(dead)
        freed = Freed(blobs, snapshots, self._trash.empty())
        self._database.keep_reserve()
        return freed

    def sweep(self, dead: Sequence[int]) -> None:
        """Remove what processes left that died with these leases: cheap, and only that.

        Here rows follow files: it may be these that fill the disk, so that no row can be deleted,
        and nobody else has to do with them. A store that cannot be written to keeps the rest for
        the next time.
        """
        died = set(dead).__contains__
        try:
            for number in self._abandoned_actives(died):
                self._trash.throw(self._paths.snapshot(number))
            for directory in self._content_directories():
                for path in self._temporaries(directory, died):
                    self._trash.throw(path)
            self._trash.empty()
            with self._database.transaction():
                self._delete_actives(died)
            self._leases.forget(list(dead))
        except StoreError:
            return

    def sweep_files(self) -> None:
        """Throw away every file that has no row."""
        with self._database.removal():
            for path in self.strays():
                self._trash.throw(path)

    def strays(self) -> list[Path]:
        """Every file that has no row, or whose writer is dead; sure only under the write lock."""
        abandoned = self._is_abandoned()
        paths = self._paths
        found: list[Path] = []
        for directory in self._content_directories():
            found += self._temporaries(directory, abandoned)
        for algorithm in _names(paths.blobs):
            found += _unknown(paths.blobs / algorithm, self._known_blobs(algorithm))
        for algorithm in _names(paths.indexes):
            found += _unknown(paths.indexes / algorithm, self._known_layers(algorithm))
        found += _unknown(paths.snapshots, self._numbers("snapshots") | {"empty"})
        found += _unknown(paths.cache_mounts, self._numbers("cache_mounts"))
        if os.path.isdir(paths.volumes):  # in a store that has ever had one
            rows = self._database.all("SELECT name FROM volumes")
            found += _unknown(paths.volumes, {name for (name,) in rows})
        found += self._old_probes()
        found += self._old_transfers()
        return found

    def _is_abandoned(self) -> Callable[[int], bool]:
        """Tells of a lease's number whether what was made under it still has a maker.

        A number that is gone may be that of a lease that one thread has released, while another
        thread of the same store, under an older lease, goes on with what it marked so.
        """
        dead = set(self._leases.dead())
        oldest = self._leases.oldest_living() or _NOBODY
        return lambda lease: lease < oldest or lease in dead

    def _abandoned_actives(self, abandoned: Callable[[int], bool]) -> list[int]:
        """Writable layers that have no maker and belong to no container."""
        rows = self._database.all(
            "SELECT id, lease FROM snapshots WHERE active"
            " AND id NOT IN (SELECT snapshot FROM containers WHERE snapshot IS NOT NULL)"
        )
        return [number for number, lease in rows if abandoned(lease)]

    def _delete_actives(self, abandoned: Callable[[int], bool]) -> None:
        self._database.execute_many(
            "DELETE FROM snapshots WHERE id = ?",
            [(number,) for number in self._abandoned_actives(abandoned)],
        )

    def _kept_snapshots(self, oldest: int) -> set[int]:
        rows = self._database.all("SELECT id, parent, chain_id, forms FROM snapshots")
        parents = {number: parent for number, parent, _, _ in rows}
        roots = self._database.all(
            "SELECT id FROM snapshots WHERE active OR lease >= ?"
            " UNION SELECT snapshot FROM records WHERE snapshot IS NOT NULL"
            " UNION SELECT snapshot FROM containers WHERE snapshot IS NOT NULL"
            " UNION SELECT snapshot FROM failed_steps"
            " UNION SELECT snapshot FROM failed_step_inputs",
            (oldest,),
        )
        kept: set[int] = set()
        _keep(kept, parents, (number for (number,) in roots))
        # Of several snapshots with the same files, an image needs one.
        wanted = {chain for (chain,) in self._database.all("SELECT chain_id FROM images")}
        wanted -= {chain for number, _, chain, _ in rows if number in kept}
        for number, _, chain, _ in sorted(rows, key=lambda row: (not row[3], row[0])):
            if chain is not None and chain in wanted:
                wanted.remove(chain)
                _keep(kept, parents, [number])
        self._keep_originals(kept, parents)
        return kept

    def _keep_originals(self, kept: set[int], parents: dict[int, int | None]) -> None:
        """Adds the directories that are the only place where the content of a kept layer is."""
        originals = dict(
            self._database.all(
                "SELECT id, diff_id FROM snapshots WHERE diff_id IS NOT NULL AND forms AND original"
            )
        )
        needed = {diff_id for (diff_id,) in self._database.all("SELECT diff_id FROM image_layers")}
        needed |= {
            diff_id
            for number, diff_id in self._database.all("SELECT id, diff_id FROM snapshots")
            if number in kept
        }
        needed -= {
            digest
            for row in self._database.all("SELECT digest, diff_id FROM blobs")
            for digest in row
        }
        needed -= {diff_id for number, diff_id in originals.items() if number in kept}
        for number, diff_id in originals.items():
            if diff_id in needed:
                needed.remove(diff_id)
                _keep(kept, parents, [number])

    def _delete_snapshots(self, kept: set[int]) -> int:
        rows = self._database.all("SELECT id FROM snapshots ORDER BY id DESC")
        gone = [row for row in rows if row[0] not in kept]
        # Children have higher numbers than their parents, and go first.
        self._database.execute_many("DELETE FROM snapshots WHERE id = ?", gone)
        return len(gone)

    def _delete_blobs(self, oldest: int) -> int:
        return self._database.execute(
            "DELETE FROM blobs WHERE lease < ?"
            " AND digest NOT IN (SELECT manifest FROM images)"
            " AND digest NOT IN (SELECT config FROM images)"
            " AND digest NOT IN (SELECT digest FROM image_indexes)"
            " AND digest NOT IN (SELECT digest FROM image_layers)"
            " AND coalesce(diff_id, digest) NOT IN (SELECT diff_id FROM image_layers)"
            " AND coalesce(diff_id, digest) NOT IN"
            " (SELECT diff_id FROM snapshots WHERE diff_id IS NOT NULL)",
            (oldest,),
        ).rowcount

    def _content_directories(self) -> list[Path]:
        return [
            top / algorithm
            for top in (self._paths.blobs, self._paths.indexes)
            for algorithm in _names(top)
        ]

    def _temporaries(self, directory: Path, abandoned: Callable[[int], bool]) -> list[Path]:
        """Files that nobody goes on writing; after "." their names have the number of a lease."""
        found = []
        for name in _names(directory):
            if name.startswith("."):
                lease = name[1:].partition("-")[0]
                if not lease.isdigit() or abandoned(int(lease)):
                    found.append(directory / name)
        return found

    def _old_probes(self) -> list[Path]:
        """What a killed process left while it tried what it can mount."""
        found = []
        for name in _names(self._paths.snapshots):
            if name.startswith("."):
                path = self._paths.snapshots / name
                try:
                    if time.time() - os.lstat(path).st_mtime > _PROBE_SECONDS:
                        found.append(path)
                except FileNotFoundError:
                    continue  # its process is done with it
        return found

    def _old_transfers(self) -> list[Path]:
        """What nobody has gone on to transfer for long."""
        found = []
        directory = self._paths.root / "transfers"
        for name in _names(directory) if directory.is_dir() else ():
            path = directory / name
            try:
                if time.time() - os.lstat(path).st_mtime > KEPT_SECONDS:
                    found.append(path)
            except FileNotFoundError:
                continue  # it is complete now
        return found

    def _known_blobs(self, algorithm: str) -> set[str]:
        return _of_algorithm(algorithm, self._database.all("SELECT digest FROM blobs"))

    def _known_layers(self, algorithm: str) -> set[str]:
        rows = self._database.all(
            "SELECT diff_id FROM image_layers"
            " UNION SELECT diff_id FROM snapshots WHERE diff_id IS NOT NULL"
            " UNION SELECT coalesce(diff_id, digest) FROM blobs"
        )
        return _of_algorithm(algorithm, rows)

    def _numbers(self, table: str) -> set[str]:
        return {str(number) for (number,) in self._database.all(f"SELECT id FROM {table}")}


def _keep(kept: set[int], parents: dict[int, int | None], numbers: Iterable[int]) -> None:
    """Adds snapshots and all that they stand on."""
    for number in numbers:
        current: int | None = number
        while current is not None and current not in kept:
            kept.add(current)
            current = parents.get(current)


def _unknown(directory: Path, known: set[str]) -> list[Path]:
    return [
        directory / name
        for name in _names(directory)
        if name not in known and not name.startswith(".")
    ]


def _of_algorithm(algorithm: str, rows: Sequence[tuple[str]]) -> set[str]:
    prefix = algorithm + ":"
    return {digest.removeprefix(prefix) for (digest,) in rows if digest.startswith(prefix)}


def _names(directory: Path) -> list[str]:
    with reported(f"list {directory}"):
        return os.listdir(directory)
