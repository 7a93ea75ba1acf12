"""Images of a build to registries."""

from __future__ import annotations

import os

from tierce.distribution.credentials import CredentialFile
from tierce.distribution.packing import Layer, Packed
from tierce.distribution.push import push_packed
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import BuildError, CredentialsError, RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from tierce.archive.save import SavedImage
    from tierce.export.image import Report
    from tierce.oci.reference import Reference
    from tierce.store import Store


class Pusher:
    """Pushes what one build made; `environment` is the request's, or else the process's."""

    def __init__(
        self, store: Store, environment: Mapping[str, str], cancelled: Event | None = None
    ) -> None:
        self._store = store
        self._environment = environment or os.environ
        self._cancelled = cancelled

    def push(self, name: Reference, image: SavedImage, *, by_digest: bool, report: Report) -> None:
        """Push an image whose layers are here, under a name or by its digest alone.

        Raises BuildError, Cancelled, StoreError.
        """
        packed = Packed(
            image.descriptor.digest,
            image.raw,
            image.manifest,
            image.raw_config,
            tuple(
                Layer(layer, diff_id)
                for layer, diff_id in zip(image.manifest.layers, image.diff_ids)
            ),
        )
        if by_digest:
            name = name.replace(tag=None, digest=packed.digest)
        # A config that is in the store is needed for the time of the push alone.
        self._store.blobs.put_bytes(image.raw_config, image.manifest.config.media_type)
        try:
            with (
                report(f"pushing {name} with manifest {packed.digest}"),
                Remote(
                    Settings.of(self._environment),
                    CredentialFile.of(self._environment),
                    self._cancelled,
                ) as remote,
            ):
                push_packed(self._store, remote, name, packed)
        except (RegistryError, CredentialsError) as error:
            raise BuildError(f"failed to push {name}: {error.message}", hint=error.hint) from error
