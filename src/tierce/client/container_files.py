"""The files of containers from Python: what has changed, all of them as a tar, an image of them."""

from __future__ import annotations

import time
from contextlib import nullcontext

from tierce.archive.output import replaced_file
from tierce.client.changes import apply_changes
from tierce.containers import changes, commit, copying, export, stop
from tierce.containers.filesystem import in_root
from tierce.containers.state import ContainerState
from tierce.export.history import timestamp
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, BinaryIO

    from tierce.layer.changes import Change
    from tierce.store import Store
    from tierce.store.images import Image


class ContainerFiles:
    """The files of the containers of one store, running or not.

    Containers are named as in `client.containers`, and all raise what is raised there; LayerError
    for files that cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def diff(self, name: str) -> Sequence[Change]:
        """What a container has changed in the files of its image, by path."""
        return changes.changes(self._store, stop.resolve(self._store, name))

    def export(self, name: str, sink: IO[bytes] | str) -> None:
        """Write all files of a container as a tar, but for those of what is mounted in it.

        A file at a path is replaced when all is written. Raises ArchiveError when the sink fails.
        """
        row = stop.resolve(self._store, name)
        with replaced_file(sink) if isinstance(sink, str) else nullcontext(sink) as stream:
            export.export(self._store, row, stream)

    def copy_out(
        self, name: str, source: str, target: str | IO[bytes], *, follow: bool = False
    ) -> int:
        """Copy a file or directory of a container to a path of this machine, or a stream.

        To a stream it goes as a tar. Names become what `docker cp` makes of them; `follow`: a
        link at the end of `source` stands for what it leads to. Returns the bytes of the files.
        """
        row = stop.resolve(self._store, name)
        return in_root(
            self._store,
            row,
            lambda root: copying.copy_out(root, row, source, target, follow=follow),
        )

    def copy_in(
        self,
        name: str,
        source: str | BinaryIO,
        target: str,
        *,
        follow: bool = False,
        chown: bool = False,
    ) -> int:
        """Copy a file or directory of this machine, or what a tar has, into a container.

        As `copy_out`; with `chown` it all belongs to the container's user, if that has one.
        """
        row = stop.resolve(self._store, name)
        return in_root(
            self._store,
            row,
            lambda root: copying.copy_in(root, row, source, target, follow=follow, chown=chown),
        )

    def commit(
        self,
        name: str,
        image: str = "",
        *,
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
        created: float | None = None,
    ) -> Image:
        """Make an image of a container, and give it a name if there is one.

        `changes` are Dockerfile instructions for its config, `created` is in seconds since the
        epoch, by default now; a container that runs is held up meanwhile, by `pause`. Raises
        UsageError, InvalidValue for a bad name.
        """
        reference = Reference.parse(image) if image else None
        row = stop.resolve(self._store, name)
        state = ContainerState.decode(row.state)
        base = commit.base_of(self._store, row, state)
        own = base.replace(config=commit.config_of(state, base.config))
        request = commit.CommitRequest(
            apply_changes(own, changes),
            timestamp(time.time() if created is None else created),
            name=reference,
            author=author,
            message=message,
            pause=pause,
        )
        return commit.commit(self._store, row, request)
