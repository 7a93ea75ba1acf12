"""Logging in to registries, and out again."""

from __future__ import annotations

from tierce.distribution.credentials import (
    HUB,
    Credential,
    CredentialFile,
    hostname,
    key_of,
)
from tierce.distribution.remote import Remote
from tierce.distribution.settings import Settings
from tierce.errors import CredentialsError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HUB", "Credential", "LoggedIn", "LoggedOut", "Registries", "key_of"]

_DOCKER_HUB = "docker.io"


class LoggedIn(Value):
    """`key` is the name of the registry in `file`; `in_clear`: so is the password there."""

    key: str
    file: str
    in_clear: bool


class LoggedOut(Value):
    """`errors` are those of each name that the registry has, if none could be erased."""

    host: str
    errors: tuple[CredentialsError, ...] = ()


class Registries:
    """The registries that an environment knows, and its credentials for them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._file = CredentialFile.of(environment)

    def credential(self, server: str) -> Credential:
        """What is stored for a server. Raises CredentialsError."""
        return self._file.find(key_of(server))

    def log_in(self, server: str, credential: Credential) -> LoggedIn:
        """Have a registry check credentials, and keep them.

        `server` is a host, a URL of one, or empty for Docker Hub. Raises AccessDenied for wrong
        credentials, RegistryError, CredentialsError.
        """
        key = key_of(server)
        domain = _DOCKER_HUB if key == HUB else key
        with Remote(Settings.of(self._environment)) as remote:
            token = remote.registry(domain, credential).log_in()
        if token:
            credential = credential.replace(password="", identity_token=token)
        in_clear = self._file.store(key, credential)
        return LoggedIn(key, self._file.path, in_clear)

    def log_out(self, server: str) -> LoggedOut:
        """Forget the credentials of a server, whichever way they were stored."""
        key = key_of(server)
        names: Sequence[str] = [key]
        if key != HUB:
            host = hostname(server)
            names = list(dict.fromkeys([server, host, f"http://{host}", f"https://{host}"]))
        errors = []
        for name in names:
            try:
                self._file.erase(name)
            except CredentialsError as error:
                errors.append(error)
        return LoggedOut(key, tuple(errors) if len(errors) == len(names) else ())
