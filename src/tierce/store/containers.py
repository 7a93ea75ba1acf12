"""The rows of containers: who has which name, image and file system. Their life is elsewhere."""

from __future__ import annotations

import time

from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tierce.store.database import Database


class ContainerRow(Value):
    """A container. `image` is the digest of its config; `snapshot` its writable layer's number.

    `state` is JSON of whoever runs containers; `running` says whether a process is in it, for
    who must not take away what that uses; `created` in seconds since the epoch.
    """

    id: str
    name: str
    image: str
    snapshot: int | None
    state: str
    running: bool
    created: float


_COLUMNS = "id, name, image, snapshot, state, running, created"


class ContainerRows:
    """The containers of a store. What a container refers to is not garbage while its row is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        identifier: str,
        name: str,
        *,
        image: str,
        snapshot: int | None,
        state: str,
        running: bool = False,
    ) -> ContainerRow:
        """Reserve a name and an id. Raises Conflict when the name is taken."""
        row = ContainerRow(identifier, name, image, snapshot, state, running, time.time())
        with self._database.transaction():
            self._check_free(name)
            self._database.execute(
                f"INSERT INTO containers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.id, row.name, row.image, row.snapshot, row.state, row.running, row.created),
            )
        return row

    def resolve(self, text: str) -> ContainerRow:
        """A container by id, name or unambiguous beginning of its id, in this order.

        Raises NotFound, InvalidValue when several ids begin so.
        """
        name = text.removeprefix("/")
        found = self._select("WHERE id = ?", text) or self._select("WHERE name = ?", name)
        if not found and text and not text.strip("0123456789abcdef"):
            found = self._select("WHERE id >= ? AND id < ? LIMIT 2", text, text + "g")
            if len(found) > 1:
                raise InvalidValue(f"find container {text}: several ids begin so", value=text)
        if not found:
            raise NotFound("container", text)
        return found[0]

    def list(self) -> Sequence[ContainerRow]:
        """All containers, newest first."""
        return self._select("ORDER BY created DESC, id")

    def using(self, image: str) -> Sequence[ContainerRow]:
        """Containers made of an image, by the digest of its config."""
        return self._select("WHERE image = ? ORDER BY created DESC, id", image)

    def set_state(self, identifier: str, state: str, *, running: bool) -> None:
        """Replace the state, and say whether a process runs in it. Raises NotFound."""
        statement = "UPDATE containers SET state = ?, running = ? WHERE id = ?"
        if not self._database.execute(statement, (state, running, identifier)).rowcount:
            raise NotFound("container", identifier)

    def set_removing(self, identifier: str, state: str) -> bool:
        """Replace the state of one that does not run any more; says whether the row was there."""
        statement = "UPDATE containers SET state = ?, running = 0 WHERE id = ?"
        return bool(self._database.execute(statement, (state, identifier)).rowcount)

    def rename(self, identifier: str, name: str) -> None:
        """Give another name. Raises NotFound, Conflict when the name is taken."""
        with self._database.transaction():
            self._check_free(name)
            self._update("name", name, identifier)

    def remove(self, identifier: str) -> bool:
        """Drop the row; says whether it was there."""
        statement = "DELETE FROM containers WHERE id = ?"
        return bool(self._database.execute(statement, (identifier,)).rowcount)

    def _check_free(self, name: str) -> None:
        holder = self._database.one("SELECT id FROM containers WHERE name = ?", (name,))
        if holder is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{holder[0]}". You have to remove (or rename) that container to be able to '
                "reuse that name."
            )

    def _update(self, column: str, value: Any, identifier: str) -> None:
        statement = f"UPDATE containers SET {column} = ? WHERE id = ?"
        if not self._database.execute(statement, (value, identifier)).rowcount:
            raise NotFound("container", identifier)

    def _select(self, condition: str, *parameters: Any) -> Sequence[ContainerRow]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM containers {condition}", parameters)
        return [
            ContainerRow(identifier, name, image, snapshot, state, bool(running), created)
            for identifier, name, image, snapshot, state, running, created in rows
        ]
