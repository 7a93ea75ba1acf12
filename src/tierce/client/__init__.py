"""The face of the library: `Client`, and the nouns that it is made of.

Each noun is a module of its own and is imported when it is first used, so that a program which
only lists images does not load what builds them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType, TracebackType

    from tierce.client.builds import Builds
    from tierce.client.cache import BuildCache
    from tierce.client.container_files import ContainerFiles
    from tierce.client.containers import Containers
    from tierce.client.images import Images
    from tierce.client.networks import Networks
    from tierce.client.pulls import Pulls
    from tierce.client.pushes import Pushes
    from tierce.client.rights import Limits
    from tierce.client.stats import Stats
    from tierce.client.system import System
    from tierce.client.volumes import Volumes
    from tierce.store import Store

__all__ = ["Client"]


def _load(name: str) -> ModuleType:
    return __import__(name, fromlist=("",))


class Client:
    """A store and all that can be done with it. Use as a context manager, or close it.

    `root` is the directory of the store, by default that of the command line. Its parts may be
    used from several threads. Raises StoreError when the store cannot be opened.
    """

    def __init__(self, root: Path | None = None) -> None:
        opener: type[Store] = _load("tierce.store").Store
        self.store: Store = opener.open(root)

    @property
    def builds(self) -> Builds:
        """Build images."""
        nouns: type[Builds] = _load("tierce.client.builds").Builds
        return nouns(self.store)

    @property
    def build_cache(self) -> BuildCache:
        """Measure and prune the build cache."""
        nouns: type[BuildCache] = _load("tierce.client.cache").BuildCache
        return nouns(self.store)

    @property
    def images(self) -> Images:
        """List, inspect, tag and remove images."""
        nouns: type[Images] = _load("tierce.client.images").Images
        return nouns(self.store)

    @property
    def containers(self) -> Containers:
        """Run containers."""
        nouns: type[Containers] = _load("tierce.client.containers").Containers
        return nouns(self.store)

    @property
    def limits(self) -> Limits:
        """Change what containers may use."""
        nouns: type[Limits] = _load("tierce.client.rights").Limits
        return nouns(self.store)

    @property
    def stats(self) -> Stats:
        """See what containers use."""
        nouns: type[Stats] = _load("tierce.client.stats").Stats
        return nouns(self.store)

    @property
    def networks(self) -> Networks:
        """List and inspect networks."""
        nouns: type[Networks] = _load("tierce.client.networks").Networks
        return nouns(self.store)

    @property
    def container_files(self) -> ContainerFiles:
        """Copy, compare, export and commit the files of containers."""
        nouns: type[ContainerFiles] = _load("tierce.client.container_files").ContainerFiles
        return nouns(self.store)

    @property
    def pulls(self) -> Pulls:
        """Pull images, with the credentials and proxies of this process's environment."""
        nouns: type[Pulls] = _load("tierce.client.pulls").Pulls
        return nouns(self.store, os.environ)

    @property
    def pushes(self) -> Pushes:
        """Push images, with the credentials and proxies of this process's environment."""
        nouns: type[Pushes] = _load("tierce.client.pushes").Pushes
        return nouns(self.store, os.environ)

    @property
    def system(self) -> System:
        """Measure, prune and check the store."""
        nouns: type[System] = _load("tierce.client.system").System
        return nouns(self.store)

    @property
    def volumes(self) -> Volumes:
        """Make, list and remove volumes."""
        nouns: type[Volumes] = _load("tierce.client.volumes").Volumes
        return nouns(self.store)

    def close(self) -> None:
        """Close the store. Idempotent."""
        self.store.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
