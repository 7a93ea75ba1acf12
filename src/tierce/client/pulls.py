"""Images out of registries."""

from __future__ import annotations

from tierce.client.remotes import open_remote
from tierce.distribution.progress import Step, untold
from tierce.distribution.pull import Pulled, pull_image

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.store import Store

__all__ = ["Pulled", "Pulls", "Step"]


class Pulls:
    """Pulls images into one store, with the credentials and proxies of an environment.

    With `offline` nothing is fetched. `bandwidth` is in bytes a second, 0 for no limit.
    """

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str],
        *,
        offline: bool = False,
        bandwidth: int = 0,
    ) -> None:
        self._store = store
        self._environment = environment
        self._offline = offline
        self._bandwidth = bandwidth

    def pull(
        self, reference: Reference, platform: Platform | None = None, report: Report = untold
    ) -> Pulled:
        """Pull what a name with a tag or a digest means; see `pull_image` for what is raised."""
        with self._remote() as remote:
            return pull_image(self._store, remote, reference, platform=platform, report=report)

    def pull_all(
        self,
        repository: Reference,
        platform: Platform | None = None,
        report: Report = untold,
        done: Callable[[Reference, Pulled], object] = lambda reference, pulled: None,
    ) -> Sequence[Pulled]:
        """Pull every tag of a repository; `done` is called after each."""
        found = []
        with self._remote() as remote:
            for tag in list(remote.repository(repository).tags()):
                reference = repository.with_tag(tag)
                found.append(
                    pull_image(self._store, remote, reference, platform=platform, report=report)
                )
                done(reference, found[-1])
        return found

    def _remote(self) -> Remote:
        return open_remote(self._environment, offline=self._offline, bandwidth=self._bandwidth)
