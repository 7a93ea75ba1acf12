"""Named volumes: directories that outlive the containers that write to them.

The files of a volume are in `volumes/<name>/_data`. A row comes before its directory, and goes
before it; who uses a volume has a row as well, which goes with that of the container.
"""

from __future__ import annotations

import os
import time

from tierce import store
from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.lean import json
from tierce.store.failures import reported
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from tierce.layer.view import Tree
    from tierce.store.database import Database
    from tierce.store.locks import Locks
    from tierce.store.paths import Paths
    from tierce.store.trash import Trash

DATA = "_data"
_NEW = "_new"
_DIRECTORY_MODE = 0o701
_DATA_MODE = 0o755
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_OTHERS = _FIRST | frozenset("_.-")
_LENGTH_MAX = 255
"""Bytes in the name of a directory."""
_COLUMNS = "name, labels, options, anonymous, created"


class Volume(Value):
    """A volume. `options` say what is mounted in the place of its directory, as `mount -o`.

    An `anonymous` one was named by nobody, and goes with the container that it was made for.
    `created` is in seconds since the epoch.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    anonymous: bool
    created: float


class Volumes:
    """The volumes of a store."""

    def __init__(self, database: Database, paths: Paths, locks: Locks, trash: Trash) -> None:
        self._database = database
        self._paths = paths
        self._locks = locks
        self._trash = trash

    def create(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """A volume of this name (of a random one, if that is empty), which may be there already.

        Joins the caller's transaction. Raises InvalidValue for a name that no volume can have.
        """
        name = name or random_name()
        check_name(name)
        self._database.execute(
            f"INSERT OR IGNORE INTO volumes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            (name, _encode(labels), _encode(options), anonymous, time.time()),
        )
        return self.get(name)

    def get(self, name: str) -> Volume:
        """The volume of this name. Raises NotFound."""
        found = self._select("WHERE name = ?", name)
        if not found:
            raise NotFound("volume", name, f"get {name}: no such volume")
        return found[0]

    def list(self) -> Sequence[Volume]:
        """All volumes, by name."""
        return self._select("ORDER BY name")

    def use(self, name: str, container: str) -> None:
        """Note that a container uses a volume, both of which are there. Idempotent."""
        self._database.execute(
            "INSERT OR IGNORE INTO volume_uses (volume, container) VALUES (?, ?)",
            (name, container),
        )

    def users(self, name: str) -> Sequence[str]:
        """The ids of the containers that use a volume, the newest first."""
        rows = self._database.all(
            "SELECT container FROM volume_uses JOIN containers ON containers.id = container"
            " WHERE volume = ? ORDER BY created DESC",
            (name,),
        )
        return [identifier for (identifier,) in rows]

    def used(self) -> Mapping[str, int]:
        """How many containers use each volume that is used at all."""
        rows = self._database.all("SELECT volume, count(*) FROM volume_uses GROUP BY volume")
        return dict(rows)

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock under which a volume is filled for the first time, or removed."""
        return self._locks.hold(f"volume {name}")

    def directory(self, name: str) -> str:
        """The directory with the files of a volume; for who holds its lock, it is made if absent.

        Raises StoreError.
        """
        top = str(self._paths.volume(name))
        data = f"{top}/{DATA}"
        if not os.path.isdir(data):
            with reported(f"make volume {name}"):
                _make(str(self._paths.volumes), _DIRECTORY_MODE)
                _make(top, _DIRECTORY_MODE)
                _make(data, _DATA_MODE)
        return data

    def fill(self, name: str, tree: Tree, target: str) -> None:
        """Put what a tree has in the directory `target` into a volume that is empty.

        For who holds its lock. Directory and volume are then alike, owner and mode included; if
        it fails, the volume is as it was. Does nothing to a volume that is elsewhere, or without
        such a directory. Raises StoreError, LayerError.
        """
        data = self.directory(name)
        if self.get(name).options or os.listdir(data):
            return
        if len(self.users(name)) > 1:
            # It may be mounted somewhere, and must remain the directory that it is.
            store.fill_directory(tree, target, data)
            return
        new = self._paths.volume(name) / _NEW
        self._trash.throw(new)  # what a killed process has left
        with reported(f"fill volume {name}"):
            _make(str(new), _DATA_MODE)
            if store.fill_directory(tree, target, str(new)):
                os.rename(new, data)
            else:
                os.rmdir(new)

    def remove(self, name: str) -> None:
        """Remove a volume with its files. Raises NotFound, Conflict when a container uses it."""
        with self.hold(name):
            with self._database.removal():
                users = self.users(name)
                if users:
                    raise Conflict(
                        f"remove {name}: volume is in use - [{', '.join(users)}]",
                        hint="remove the containers first, also those that have ended: tierce rm",
                    )
                statement = "DELETE FROM volumes WHERE name = ?"
                if not self._database.execute(statement, (name,)).rowcount:
                    raise NotFound("volume", name, f"get {name}: no such volume")
            self._trash.throw(self._paths.volume(name))
        self._trash.empty()

    def forget_unused(self, names: Sequence[str]) -> Sequence[str]:
        """Drop the rows of those volumes that no container uses, which `clear` is to follow.

        Joins the caller's transaction. Returns their names.
        """
        statement = (
            "DELETE FROM volumes WHERE name = ?1"
            " AND NOT EXISTS (SELECT 1 FROM volume_uses WHERE volume = ?1)"
        )
        return [name for name in names if self._database.execute(statement, (name,)).rowcount]

    def clear(self, names: Sequence[str]) -> int:
        """Remove the files of volumes that have no row any more; the bytes on disk freed."""
        for name in names:
            with self.hold(name):
                if self._database.one("SELECT 1 FROM volumes WHERE name = ?", (name,)) is None:
                    self._trash.throw(self._paths.volume(name))
        return self._trash.empty()

    def _select(self, condition: str, *parameters: Any) -> Sequence[Volume]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM volumes {condition}", parameters)
        return [
            Volume(name, _decode(labels), _decode(options), bool(anonymous), created)
            for name, labels, options, anonymous, created in rows
        ]


def check_name(name: str) -> None:
    """Raises InvalidValue for a name that no volume can have."""
    if len(name) == 1:
        raise InvalidValue(
            "volume name is too short, names should be at least two alphanumeric characters",
            value=name,
        )
    fits = name and name[0] in _FIRST and _OTHERS.issuperset(name)
    if not fits or len(name) > _LENGTH_MAX:
        raise InvalidValue(
            f'"{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path",
            value=name,
        )


def random_name() -> str:
    """A name that no other volume has."""
    return os.urandom(32).hex()


def _encode(pairs: Mapping[str, str] | None) -> str:
    return json.dumps(dict(sorted((pairs or {}).items())), separators=(",", ":"))


def _decode(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(json.loads(text).items())


def _make(directory: str, mode: int) -> None:
    try:
        os.mkdir(directory, mode)
    except FileExistsError:
        return
    os.chmod(directory, mode)
