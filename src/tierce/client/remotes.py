"""Registries as an environment reaches them."""

from __future__ import annotations

from tierce.distribution.credentials import CredentialFile
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping


def open_remote(
    environment: Mapping[str, str], *, offline: bool = False, bandwidth: int = 0
) -> Remote:
    """Registries, with the credentials that there are for them; a context manager.

    With `offline`, or TIERCE_OFFLINE, none is reached. `bandwidth` is in bytes a second, 0 for no
    limit. Raises CredentialsError.
    """
    settings = Settings.of(environment)
    settings = settings.replace(offline=settings.offline or offline, bandwidth=bandwidth)
    return Remote(settings, CredentialFile.of(environment))
