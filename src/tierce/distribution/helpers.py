"""Programs that keep credentials: the protocol of docker-credential-helpers.

`docker-credential-NAME get|store|erase` gets its request on standard input, and answers on
standard output; what went wrong is there, too, and the exit status is not 0.
"""

from __future__ import annotations

import json
import os

from tierce.errors import CredentialsError, InvalidValue
from tierce.oci.document import load_object

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_USER = "<token>"
"""In place of a user's name: the secret is an identity token."""

SECONDS = 60
"""How long a helper may take: it may ask its user something."""

_PREFIX = "docker-credential-"
_ANSWER_LIMIT = 1 << 20
_NOT_FOUND = "credentials not found in native keychain"


class CredentialHelper:
    """A helper by its name, as config.json has it ("pass", "secretservice")."""

    def __init__(self, name: str, environment: Mapping[str, str], seconds: float = SECONDS) -> None:
        if not name or "/" in name or "\0" in name:
            raise CredentialsError(f"use credential helper {name!a}: that is no name of one")
        self.program = _PREFIX + name
        self._environment = environment
        self._seconds = seconds

    def get(self, key: str) -> tuple[str, str] | None:
        """A user's name and secret, None if it has none. Raises CredentialsError."""
        answer = self._run("get", key.encode(), missing_ok=True)
        if answer is None:
            return None
        try:
            fields = load_object(answer, self.program, size_limit=_ANSWER_LIMIT)
            return fields.text("Username"), fields.text("Secret")
        except InvalidValue as error:
            raise CredentialsError(f"ask {self.program}: {error.message}") from error

    def store(self, key: str, username: str, secret: str) -> None:
        """Have it keep a secret. Raises CredentialsError."""
        document = {"ServerURL": key, "Username": username, "Secret": secret}
        self._run("store", json.dumps(document).encode())

    def erase(self, key: str) -> None:
        """Have it forget a secret; one that it has not is no error. Raises CredentialsError."""
        self._run("erase", key.encode(), missing_ok=True)

    def _run(self, verb: str, request: bytes, *, missing_ok: bool = False) -> bytes | None:
        import subprocess  # for those who have a helper

        try:
            done = subprocess.run(
                [self.program, verb],
                input=request,
                capture_output=True,
                timeout=self._seconds,
                env=dict(self._environment) or dict(os.environ),
                check=False,
            )
        except FileNotFoundError as error:
            raise CredentialsError(
                f"run {self.program}: no such program",
                hint="install it, or take credsStore or credHelpers out of config.json",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise CredentialsError(
                f"run {self.program} {verb}: no answer within {self._seconds:g} seconds"
            ) from error
        except OSError as error:
            raise CredentialsError(
                f"run {self.program}: {(error.strerror or str(error)).lower()}"
            ) from error
        if not done.returncode:
            return done.stdout[: _ANSWER_LIMIT + 1]
        said = _line(done.stdout) or _line(done.stderr)
        if missing_ok and _NOT_FOUND in said:
            return None
        raise CredentialsError(
            f"run {self.program} {verb}: {said or f'exit status {done.returncode}'}"
        )


def _line(output: bytes) -> str:
    text = output[:500].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
