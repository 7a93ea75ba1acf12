"""Finds the images that a Dockerfile begins with, or copies from."""

from __future__ import annotations

from tierce.errors import NotFound
from tierce.frontend.options import ResolvedImage
from tierce.solver.reporting import reported_step

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.builder.pulling import Puller
    from tierce.frontend.options import ImageRequest
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.solver.progress import Listener
    from tierce.store import Store
    from tierce.store.images import Image


class ImageResolver:
    """Looks images up in a store, and pulls those that it lacks.

    See `tierce.frontend.options.Resolver`. Without `make_puller` none are pulled; with `always`,
    all are looked for in their registries first.
    """

    def __init__(
        self,
        store: Store,
        listener: Listener,
        make_puller: Callable[[], Puller] | None = None,
        *,
        always: bool = False,
    ) -> None:
        self._store = store
        self._listener = listener
        self._make_puller = make_puller
        self._always = always
        self._made: Puller | None = None

    def __call__(self, wanted: Sequence[ImageRequest]) -> Mapping[ImageRequest, ResolvedImage]:
        """Raises NotFound, BuildError."""
        requests = list(dict.fromkeys(wanted))
        puller = self._puller() if self._is_any_pulled(requests) else None
        if puller is None or len(requests) < 2:
            return {request: self._found(request) for request in requests}
        return dict(zip(requests, puller.at_once(self._found, requests)))

    def find(self, reference: Reference, platform: Platform, vertex: str) -> ResolvedImage:
        """One image, as a part of the step `vertex`. Raises NotFound, BuildError."""
        image = self._image(reference, platform, vertex)
        return ResolvedImage(
            reference=str(reference),
            manifest=image.manifest,
            config=self._store.images.config(image),
        )

    def _found(self, request: ImageRequest) -> ResolvedImage:
        reference, platform = request
        name = f"[internal] load metadata for {reference}"
        with reported_step(name, self._listener) as step:
            return self.find(reference, platform, step.vertex)

    def _is_any_pulled(self, requests: Sequence[ImageRequest]) -> bool:
        return self._always or any(
            self._store.images.find(str(reference), platform) is None
            for reference, platform in requests
        )

    def _puller(self) -> Puller | None:
        """What pulls, unless nothing is to be pulled."""
        if self._made is None and self._make_puller is not None:
            self._made = self._make_puller()
        return None if self._made is None or self._made.is_offline else self._made

    def _image(self, reference: Reference, platform: Platform, vertex: str) -> Image:
        if self._always and (puller := self._puller()) is not None:
            return puller.pull(reference, platform, vertex)
        try:
            return self._store.images.resolve(str(reference), platform=platform)
        except NotFound as error:
            if (puller := self._puller()) is not None:
                return puller.pull(reference, platform, vertex)
            raise NotFound(
                "image",
                str(reference),
                f"resolve {reference}: not found in the store",
                hint=f"load it from an archive (`tierce image load`), or make a Debian base "
                f"with `tierce image bootstrap {reference.familiar}`",
            ) from error
