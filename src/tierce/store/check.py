"""Looks whether everything in a store is what it should be: `system check`.

Every blob is hashed, every unpacked layer is read and compared with its diff id, every row is
followed to what it refers to. What can be made good is: caches that can be made again go, and
so do files that nothing knows. What is lost is named, and left alone.

May run beside builds: what they are making is taken for what it is.
"""

from __future__ import annotations

import os

from tierce.errors import InvalidValue, LayerError, NotFound, StoreError, TierceError
from tierce.layer.index import LayerIndex
from tierce.oci.digest import Digest
from tierce.oci.manifest import parse
from tierce.store.compare import same_layer
from tierce.store.failures import reported
from tierce.store.parallel import in_parallel
from tierce.store.snapshots.base import IMAGE_NAME
from tierce.store.snapshots.images import is_sound
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tierce.store.store import Store


class Finding(Value):
    """Something that is not as it should be.

    `kind` is "database", "blob", "layer index", "snapshot", "image", "name", "cache record",
    "container" or "file"; `name` says which; `problem` is a phrase. `repaired` when it is good
    again, or gone without loss; `repairable` when it would be.
    """

    kind: str
    name: str
    problem: str
    repaired: bool = False
    repairable: bool = False


class Report(Value):
    """What was looked at, and what was found."""

    blobs: int
    snapshots: int
    images: int
    records: int
    size: int
    """Bytes that were read."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        return all(finding.repaired for finding in self.findings)


def check(store: Store, *, repair: bool = True) -> Report:
    """Check everything; without `repair` nothing is changed. Raises StoreError, StoreFull."""
    return _Check(store, repair).run()


class _Check:
    def __init__(self, store: Store, repair: bool) -> None:
        self._store = store
        self._database = store.database
        self._paths = store.paths
        self._repair = repair
        self._findings: list[Finding] = []
        self._size = 0
        self._counts: dict[str, int] = {}

    def run(self) -> Report:
        with self._store.leases.take("system check"):
            self._check_database()
            self._check_blobs()
            self._check_snapshots()
            self._check_indexes()
            self._check_layer_images()
            self._check_images()
            self._check_names()
            self._check_records()
            self._check_containers()
            self._check_volumes()
            self._check_cache_mounts()
            self._check_files()
            if self._repair:
                # What was just seen to be right need not be verified again after a power cut.
                with reported("write the store to disk"):
                    self._store.durability.settle()
        return Report(
            self._counts["blob"],
            self._counts["snapshot"],
            self._counts["image"],
            self._counts["cache record"],
            self._size,
            tuple(self._findings),
        )

    def _found(
        self, kind: str, name: str, problem: str, repair: Callable[[], object] | None = None
    ) -> None:
        if repair is not None and self._repair:
            repair()
        repaired = repair is not None and self._repair
        self._findings.append(Finding(kind, name, problem, repaired, repair is not None))

    # Content

    def _check_database(self) -> None:
        for (line,) in self._database.all("PRAGMA integrity_check"):
            if line != "ok":
                self._found("database", "tierce.db", str(line))
        for table, row, parent, _ in self._database.all("PRAGMA foreign_key_check"):
            self._found("database", "tierce.db", f"row {row} of {table} lacks its {parent}")

    def _check_blobs(self) -> None:
        rows = self._database.all("SELECT digest, size FROM blobs ORDER BY digest")
        self._counts["blob"] = len(rows)
        sizes = {Digest.parse(digest): size for digest, size in rows}
        problems = in_parallel(self._problem_of_blob, list(sizes.items()))
        for digest, problem in zip(sizes, problems):
            if problem:
                self._found("blob", str(digest), problem, self._dropping_blob(digest))
        self._size += sum(sizes.values())

    def _problem_of_blob(self, item: tuple[Digest, int]) -> str:
        digest, size = item
        try:
            actual = os.stat(self._paths.blob(digest)).st_size
        except FileNotFoundError:
            # Removed since its row was read?
            return "its file is missing" if self._has_row(digest) else ""
        if actual != size:
            return f"has {actual} bytes instead of {size}"
        if self._store.blobs.verify(digest):
            return ""
        return "has other content than its digest says" if self._has_row(digest) else ""

    def _has_row(self, digest: Digest) -> bool:
        statement = "SELECT 1 FROM blobs WHERE digest = ?"
        return self._database.one(statement, (str(digest),)) is not None

    def _dropping_blob(self, digest: Digest) -> Callable[[], object]:
        # Whoever misses it is found later, and named then.
        return lambda: self._store.blobs.remove(digest)

    def _check_snapshots(self) -> None:
        rows = self._database.all(
            "SELECT id, diff_id, forms, tar_size FROM snapshots WHERE NOT active ORDER BY id"
        )
        self._counts["snapshot"] = len(rows)
        unpacked = [(row[0], row[1]) for row in rows if row[2]]
        self._size += sum(row[3] for row in rows if row[2])
        for (number, _), problem in zip(unpacked, in_parallel(self._problem_of_snapshot, unpacked)):
            if problem:
                in_use = number in self._below_containers()
                repair = None if in_use else self._dropping_files(number)
                self._found("snapshot", str(number), problem, repair)
        self._store.snapshots.forget()

    def _problem_of_snapshot(self, item: tuple[int, str | None]) -> str:
        number, text = item
        row = self._database.one("SELECT forms FROM snapshots WHERE id = ?", (number,))
        if row is None or not row[0]:
            return ""  # collected since
        if not self._paths.snapshot(number).is_dir():
            return "its directory is missing"
        contents = self._store.parts.contents
        if text is None or not contents.readable(number):
            return ""  # nothing to compare it with
        diff_id = Digest.parse(text)
        try:
            if contents.measure(number).diff_id == diff_id:
                return ""
            # Tars that others wrote have other bytes for the same files.
            if same_layer(self._foreign_index(diff_id), contents.entries(number)):
                return ""
        except (LayerError, NotFound, StoreError) as error:
            return f"cannot be read: {error.message}"
        return f"has other files than layer {diff_id}"

    def _foreign_index(self, diff_id: Digest) -> LayerIndex | None:
        try:
            if any(self._store.blobs.has(each) for each in self._store.blobs.by_diff_id(diff_id)):
                return self._store.layers.index(diff_id)
        except TierceError:
            pass
        return None

    def _dropping_files(self, number: int) -> Callable[[], object]:
        def drop() -> None:
            with self._database.transaction():
                self._database.execute("UPDATE snapshots SET forms = 0 WHERE id = ?", (number,))
                self._store.trash.throw(self._paths.snapshot(number))

        return drop

    def _below_containers(self) -> set[int]:
        """Snapshots that may be mounted at this moment."""
        rows = self._database.all(
            "WITH RECURSIVE chain AS (SELECT snapshot AS id FROM containers UNION"
            " SELECT parent FROM snapshots JOIN chain USING (id)) SELECT id FROM chain"
        )
        return {number for (number,) in rows}

    def _check_indexes(self) -> None:
        for algorithm in _names(self._paths.indexes):
            for name in _names(self._paths.indexes / algorithm):
                if name.startswith("."):
                    continue
                path = self._paths.indexes / algorithm / name
                try:
                    LayerIndex.decode(path.read_bytes())
                except FileNotFoundError:
                    continue
                except LayerError as error:
                    self._found("layer index", name[:12], error.message, self._unlinking(path))

    def _check_layer_images(self) -> None:
        """Images of layers (EROFS) are made again when they are missing: nobody needs to know."""
        for name in _names(self._paths.snapshots):
            path = self._paths.snapshots / name / IMAGE_NAME
            if path.exists() and not is_sound(path) and self._repair:
                path.unlink(missing_ok=True)

    # References

    def _check_images(self) -> None:
        rows = self._database.all("SELECT manifest, config FROM images ORDER BY manifest")
        self._counts["image"] = len(rows)
        for manifest, config in rows:
            problem = self._problem_of_image(Digest.parse(manifest), Digest.parse(config))
            if problem:
                self._found("image", self._image_name(Digest.parse(config)), problem)
        for (digest,) in self._database.all("SELECT digest FROM image_indexes"):
            if not self._store.blobs.has(Digest.parse(digest)):
                self._found("image", digest, "its image index is lost")

    def _problem_of_image(self, manifest: Digest, config: Digest) -> str:
        for what, digest in (("manifest", manifest), ("config", config)):
            if not self._store.blobs.has(digest):
                return f"its {what} {digest} is lost"
        try:
            parse(self._store.blobs.read(manifest))
        except InvalidValue as error:
            return f"its manifest cannot be read: {error.message}"
        layers = self._database.all(
            "SELECT diff_id FROM image_layers WHERE manifest = ? ORDER BY position",
            (str(manifest),),
        )
        lost = [text for (text,) in layers if not self._store.layers.has(Digest.parse(text))]
        return f"its layer {lost[0]} is lost" if lost else ""

    def _image_name(self, config: Digest) -> str:
        names = self._store.images.all_names().get(config, ())
        return names[0].familiar if names else config.short

    def _check_names(self) -> None:
        rows = self._database.all(
            "SELECT reference, target FROM names WHERE target NOT IN (SELECT manifest FROM images)"
            " AND target NOT IN (SELECT digest FROM image_indexes) ORDER BY reference"
        )
        for reference, target in rows:
            statement = "DELETE FROM names WHERE reference = ?"
            self._found(
                "name",
                reference,
                f"points to {target}, which is not here",
                self._executing(statement, reference),
            )

    def _check_records(self) -> None:
        records = self._store.records.list()
        self._counts["cache record"] = len(records)
        for record in records:
            if record.snapshot is not None and not self._store.snapshots.exists(record.snapshot):
                statement = "DELETE FROM records WHERE id = ?"
                self._found(
                    "cache record",
                    record.name or str(record.id),
                    "its files are lost",
                    self._executing(statement, record.id),
                )

    def _check_containers(self) -> None:
        for identifier, snapshot, active in self._database.all(
            "SELECT containers.id, snapshots.id, snapshots.active FROM containers"
            " LEFT JOIN snapshots ON snapshots.id = containers.snapshot"
            " WHERE containers.snapshot IS NOT NULL ORDER BY containers.id"
        ):
            if snapshot is None or (active and not self._paths.snapshot(snapshot).is_dir()):
                self._found("container", identifier[:12], "its file system is lost")

    def _check_volumes(self) -> None:
        for volume in self._store.volumes.list():
            with self._store.volumes.hold(volume.name):
                if not self._paths.volume(volume.name).is_dir():
                    self._found(
                        "volume",
                        volume.name,
                        "its directory is missing",
                        self._making_volume(volume.name),
                    )

    def _check_cache_mounts(self) -> None:
        for mount in self._store.cache_mounts.list():
            if not self._paths.cache_mount(mount.number).is_dir():
                statement = "DELETE FROM cache_mounts WHERE id = ?"
                self._found(
                    "cache mount",
                    mount.name,
                    "its directory is missing",
                    self._executing(statement, mount.number),
                )

    def _check_files(self) -> None:
        """Files without rows: leftovers, which cost space and nothing else."""
        stray = self._store.stray_files()
        for path in stray:
            relative = str(path.relative_to(self._paths.root))
            self._found("file", relative, "nothing refers to it", lambda: None)
        if self._repair:
            self._store.collect()

    # Repairs

    def _executing(self, statement: str, value: object) -> Callable[[], object]:
        return lambda: self._database.execute(statement, (value,))

    def _making_volume(self, name: str) -> Callable[[], object]:
        return lambda: self._store.volumes.directory(name)

    def _unlinking(self, path: Path) -> Callable[[], object]:
        return lambda: path.unlink(missing_ok=True)


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
