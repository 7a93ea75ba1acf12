"""Images into registries."""

from __future__ import annotations

from tierce.client.remotes import open_remote
from tierce.distribution.progress import Step, untold
from tierce.distribution.push import Pushed, push_image
from tierce.errors import NotFound
from tierce.store.origins import tags_of

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.distribution.progress import Report
    from tierce.distribution.remote import Remote
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.store import Store

__all__ = ["Pushed", "Pushes", "Step"]


class Pushes:
    """Pushes images of one store, with the credentials and proxies of an environment.

    `bandwidth` is in bytes a second, 0 for no limit.
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

    def push(
        self, reference: Reference, platform: Platform | None = None, report: Report = untold
    ) -> Pushed:
        """Push what a name with a tag or a digest points to; see `push_image`."""
        with self._remote() as remote:
            return push_image(self._store, remote, reference, platform=platform, report=report)

    def push_all(
        self, repository: Reference, platform: Platform | None = None, report: Report = untold
    ) -> Sequence[Pushed]:
        """Push every tag of a repository that is here. Raises NotFound when there is none."""
        tags = tags_of(self._store.database, repository)
        if not tags:
            raise NotFound(
                "image",
                repository.familiar,
                f"An image does not exist locally with the tag: {repository.familiar_name}",
            )
        with self._remote() as remote:
            return [
                push_image(
                    self._store, remote, repository.with_tag(tag), platform=platform, report=report
                )
                for tag in tags
            ]

    def _remote(self) -> Remote:
        return open_remote(self._environment, offline=self._offline, bandwidth=self._bandwidth)
