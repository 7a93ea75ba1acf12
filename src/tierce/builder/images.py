"""Finds the images that a Dockerfile begins with, or copies from."""

from __future__ import annotations

from tierce.errors import NotFound
from tierce.frontend.options import ResolvedImage
from tierce.solver.reporting import reported_step

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tierce.frontend.options import ImageRequest
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.solver.progress import Listener
    from tierce.store import Store


class ImageResolver:
    """Looks images up in a store; see `tierce.frontend.options.Resolver`."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store = store
        self._listener = listener

    def __call__(self, wanted: Sequence[ImageRequest]) -> Mapping[ImageRequest, ResolvedImage]:
        """Raises NotFound."""
        found = {}
        for reference, platform in dict.fromkeys(wanted):
            with reported_step(f"[internal] load metadata for {reference}", self._listener):
                found[reference, platform] = self.find(reference, platform)
        return found

    def find(self, reference: Reference, platform: Platform) -> ResolvedImage:
        """One image. Raises NotFound."""
        try:
            image = self._store.images.resolve(str(reference), platform=platform)
        except NotFound as error:
            raise NotFound(
                "image",
                str(reference),
                f"resolve {reference}: not found in the store",
                hint=f"load it from an archive (`tierce image load`), or make a Debian base "
                f"with `tierce image bootstrap {reference.familiar}`",
            ) from error
        return ResolvedImage(
            reference=str(reference),
            manifest=image.manifest,
            config=self._store.images.config(image),
        )
