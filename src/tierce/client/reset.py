"""Removing a store wholly, with all that runs of it."""

from __future__ import annotations

import os

from tierce.containers import stop
from tierce.containers.sweep import kill_monitors
from tierce.errors import Conflict, NotFound, StoreError
from tierce.runtime import detached
from tierce.runtime.launcher import sweep
from tierce.store import Store
from tierce.store.paths import Paths, default_root, default_run, is_privileged
from tierce.store.reset import check_store, remove_store
from tierce.values import Value


class Reset(Value):
    """What a reset did: the store it removed, the bytes that freed, and what it left there."""

    root: str
    size: int
    left: tuple[str, ...]


def paths_of(root: str = "") -> Paths:
    """The paths of the store that would be removed. Raises StoreError for what is none."""
    privileged = is_privileged(os.environ)
    chosen = os.path.abspath(root or default_root(os.environ, privileged=privileged))
    check_store(Paths(chosen, chosen))
    return Paths(chosen, default_run(chosen, os.environ, privileged=privileged))


def reset(root: str = "") -> Reset:
    """Remove a store, by default the usual one: its containers, images, volumes, caches.

    Raises StoreError for what is no store, Conflict when somebody works on it.
    """
    paths = paths_of(root)
    try:
        with Store.open(paths.root, paths.run) as store:
            _end_all(store)
    except StoreError:
        # Of a newer tierce, or damaged: what runs of it is found by its directories.
        _end_found(paths)
    size, left = remove_store(paths)
    return Reset(os.fspath(paths.root), size, tuple(left))


def _end_all(store: Store) -> None:
    for lease in store.leases.living():
        raise Conflict(
            f"reset store {store.paths.root}: process {lease.pid} works on it ({lease.purpose})"
        )
    for row in store.containers.list():
        try:
            stop.remove_container(store, stop.resolve(store, row.id), force=True)
        except NotFound:  # it went with its end
            continue
    sweep(store.paths.bundles)


def _end_found(paths: Paths) -> None:
    try:
        names = os.listdir(paths.detached)
    except FileNotFoundError:
        return
    for name in names:
        kill_monitors(name)
        detached.clear(f"{paths.detached}/{name}", name)
    sweep(paths.bundles)
