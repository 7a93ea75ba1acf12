"""Pulls the images that a Dockerfile names and the store has not.

Loaded by the builds that need one.
"""

from __future__ import annotations

import os
import time

from tierce.distribution.credentials import CredentialFile
from tierce.distribution.pull import pull_image
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import BuildError, CredentialsError, DigestMismatch, NotFound, RegistryError
from tierce.solver.progress import VertexStatus
from tierce.store.parallel import in_parallel

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from tierce.distribution.progress import Step
    from tierce.frontend.options import ImageRequest, ResolvedImage
    from tierce.oci.platform import Platform
    from tierce.oci.reference import Reference
    from tierce.solver.progress import Listener
    from tierce.store import Store
    from tierce.store.images import Image

_AT_ONCE = 3


class Puller:
    """Pulls images for one build; `environment` is that of the request, or else the process's."""

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str],
        listener: Listener,
        cancelled: Event,
    ) -> None:
        self._store = store
        self._environment = environment or os.environ
        self._listener = listener
        self._cancelled = cancelled

    @property
    def is_offline(self) -> bool:
        """Whether the environment forbids all network."""
        return Settings.of(self._environment).offline

    def at_once(
        self, call: Callable[[ImageRequest], ResolvedImage], requests: Sequence[ImageRequest]
    ) -> list[ResolvedImage]:
        """Resolve several images at a time."""
        return in_parallel(call, requests, workers=_AT_ONCE)

    def pull(self, reference: Reference, platform: Platform, vertex: str) -> Image:
        """Pull an image as a part of the step `vertex`.

        Raises NotFound for one that is not there, BuildError, Cancelled, StoreError.
        """
        shown = _Shown(vertex, self._listener)
        try:
            with Remote(
                Settings.of(self._environment),
                CredentialFile.of(self._environment),
                self._cancelled,
            ) as remote:
                return pull_image(
                    self._store, remote, reference, platform=platform, report=shown.step
                ).image
        except NotFound as error:
            raise NotFound(
                "image",
                str(reference),
                f"resolve {reference}: {error.message}",
                hint=error.hint,
            ) from error
        except (RegistryError, CredentialsError, DigestMismatch) as error:
            raise BuildError(f"resolve {reference}: {error.message}", hint=error.hint) from error


class _Shown:
    """What comes in, as parts of a step."""

    def __init__(self, vertex: str, listener: Listener) -> None:
        self._vertex = vertex
        self._listener = listener
        self._started: dict[str, float] = {}
        self._totals: dict[str, int] = {}

    def step(self, step: Step) -> None:
        if step.total:
            started = self._started.setdefault(step.id, time.time())
            self._totals[step.id] = step.total
            self._tell(step.id, started, step.current, step.total, 0.0)
        elif step.text == "Pull complete" and step.id in self._started:
            total = self._totals[step.id]
            self._tell(step.id, self._started[step.id], total, total, time.time())

    def _tell(self, id: str, started: float, current: int, total: int, finished: float) -> None:
        self._listener(VertexStatus(self._vertex, f"layer {id}", started, current, total, finished))
