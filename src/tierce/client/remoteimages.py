"""Images in registries: their tags, what refers to them, copying and removing them there."""

from __future__ import annotations

from tierce.client.remotes import open_remote
from tierce.distribution.copying import Copied, copy_image
from tierce.distribution.progress import Step, untold
from tierce.errors import NotFound, RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.distribution.progress import Report
    from tierce.oci.descriptor import Descriptor
    from tierce.oci.digest import Digest
    from tierce.oci.reference import Reference
    from tierce.store import Store

__all__ = ["Copied", "RemoteImages", "Step"]


class RemoteImages:
    """The images of an environment's registries.

    All raise NotFound, AccessDenied, RegistryError, CredentialsError.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def tags(self, repository: Reference) -> Sequence[str]:
        """The tags of a repository, sorted."""
        with open_remote(self._environment) as remote:
            return sorted(remote.repository(repository).tags())

    def referrers(self, name: Reference, artifact_type: str = "") -> Sequence[Descriptor]:
        """What refers to the manifest that a name means, of one type or all."""
        with open_remote(self._environment) as remote:
            repository = remote.repository(name)
            digest = name.digest
            if digest is None:
                digest = repository.get_manifest(name.tag or "").digest
            return repository.referrers(digest, artifact_type)

    def copy(
        self, store: Store, source: Reference, target: Reference, report: Report = untold
    ) -> Copied:
        """Copy what a name means to another name, with all its platforms and without unpacking."""
        with open_remote(self._environment) as remote:
            return copy_image(
                *(store, remote, remote.repository(source), remote.repository(target)),
                source.digest or source.tag or "",
                target.tag,
                report,
            )

    def remove(self, name: Reference) -> Digest:
        """Remove the manifest that a name means, and with it all of its tags; its digest."""
        with open_remote(self._environment) as remote:
            repository = remote.repository(name)
            digest = name.digest
            if digest is None:
                digest = repository.get_manifest(name.tag or "").digest
            try:
                repository.delete_manifest(digest)
            except NotFound:
                raise
            except RegistryError as error:
                if error.status != 405 and error.code != "UNSUPPORTED":
                    raise
                raise RegistryError(
                    f"remove {name.familiar}: the registry does not allow it",
                    status=error.status,
                    code=error.code,
                    hint="its operator has to enable deletion",
                ) from error
            return digest
