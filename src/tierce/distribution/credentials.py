"""Credentials of registries: config.json, and the helpers that it names.

The file is docker's ($DOCKER_CONFIG, else ~/.docker) or, if REGISTRY_AUTH_FILE names one,
podman's, which has the same form. It is replaced atomically, is readable by its owner only, and
what else is in it stays, in its order.
"""

from __future__ import annotations

import os
import stat
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from tierce.distribution.helpers import TOKEN_USER, CredentialHelper
from tierce.errors import CredentialsError, InvalidValue
from tierce.oci.document import Fields, load
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

HUB = "https://index.docker.io/v1/"
"""The key under which docker keeps the credentials of docker.io."""

_NAME = "config.json"
_SIZE_LIMIT = 4 << 20
_WHERE = "config.json"


class Credential(Value):
    """Who logs in: by a password, or by an identity token, which a token server exchanges.

    A `registry_token` is sent to the registry as it is.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.username!r})"

    def __bool__(self) -> bool:
        return bool((self.username and self.password) or self.identity_token or self.registry_token)


NOBODY = Credential()


class CredentialFile:
    """A config.json, read when it is first needed."""

    def __init__(self, path: str, environment: Mapping[str, str]) -> None:
        self.path = path
        self._environment = environment
        self._read: dict[str, Any] | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The one that the environment names. Raises CredentialsError without a home."""
        if path := environment.get("REGISTRY_AUTH_FILE"):
            return cls(path, environment)
        if directory := environment.get("DOCKER_CONFIG"):
            return cls(os.path.join(directory, _NAME), environment)
        return cls(os.path.join(_home(environment), ".docker", _NAME), environment)

    def find(self, key: str) -> Credential:
        """The credentials of a registry, by its host or by `HUB`; `NOBODY` if there are none.

        Raises CredentialsError.
        """
        helper = self._helper(key)
        if helper is not None:
            return _of_helper(helper, key)
        auths = self._auths()
        if key in auths:
            return _of_entry(auths[key], self.path, key)
        for name in auths:
            # Older versions wrote URLs.
            if hostname(name) == key:
                return _of_entry(auths[name], self.path, name)
        return NOBODY

    def find_for(self, domain: str, repository: str) -> Credential:
        """As `find`, where podman's files may also have some for a part of a registry."""
        if domain == "docker.io":
            found = self.find(HUB)
            if found:
                return found
        parts = [domain, *repository.split("/")]
        for length in range(len(parts), 1, -1):
            name = "/".join(parts[:length])
            if name in self._auths():
                return _of_entry(self._auths()[name], self.path, name)
        return self.find(domain)

    def store(self, key: str, credential: Credential) -> bool:
        """Keep credentials; says whether a password is now in the file, in the clear.

        Raises CredentialsError.
        """
        document = self._document()
        auths = document.setdefault("auths", {})
        helper = self._helper(key)
        if helper is not None:
            secret = credential.identity_token or credential.password
            user = TOKEN_USER if credential.identity_token else credential.username
            helper.store(key, user, secret)
            if auths.get(key) != {}:
                auths[key] = {}
                self._write(document)
            return False
        entry = _entry(credential)
        if auths.get(key) != entry:
            auths[key] = entry
            self._write(document)
        return bool(credential.password) and not credential.identity_token

    def erase(self, key: str) -> bool:
        """Forget credentials; says whether there were any. Raises CredentialsError."""
        helper = self._helper(key)
        if helper is not None:
            helper.erase(key)
        document = self._document()
        auths = document.get("auths")
        if not isinstance(auths, dict) or key not in auths:
            return helper is not None
        del auths[key]
        self._write(document)
        return True

    def _helper(self, key: str) -> CredentialHelper | None:
        document = Fields(self._document(), _WHERE)
        with _Naming(self.path):
            helpers = dict(document.text_map("credHelpers"))
            name = helpers.get(key) or document.text("credsStore")
        return CredentialHelper(name, self._environment) if name else None

    def _auths(self) -> Mapping[str, Any]:
        auths = self._document().get("auths")
        if auths is None:
            return {}
        if not isinstance(auths, dict):
            raise CredentialsError(f"read {self.path}: auths: expected an object")
        return auths

    def _document(self) -> dict[str, Any]:
        if self._read is None:
            self._read = self._load()
        return self._read

    def _load(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                raw = file.read(_SIZE_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise _failed("read", self.path, error) from error
        if not raw.strip():
            return {}
        with _Naming(self.path):
            document = load(raw, _WHERE, size_limit=_SIZE_LIMIT)
            Fields(document, _WHERE)
        found: dict[str, Any] = document
        return found

    def _write(self, document: dict[str, Any]) -> None:
        import json  # `dump` writes as Go does, but nobody indents by tabs there

        # What a link leads to is replaced, not the link.
        path = os.path.realpath(self.path)
        temporary = f"{path}.{os.urandom(6).hex()}.tmp"
        text = json.dumps(document, indent="\t", ensure_ascii=False)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            owner = _owner_of(path)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                    if owner is not None:
                        os.fchown(file.fileno(), *owner)
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(temporary, path)
            except BaseException:
                _unlink(temporary)
                raise
        except OSError as error:
            raise _failed("write", path, error) from error


def hostname(key: str) -> str:
    """The host that a key of config.json is about, which may be a URL."""
    bare = key.partition("://")[2] or key
    return bare.partition("/")[0]


def key_of(server: str) -> str:
    """The key under which credentials of a server, as a user names it, are kept."""
    if server in {"", "docker.io", HUB}:
        return HUB
    return hostname(server)


def _entry(credential: Credential) -> dict[str, str]:
    entry = {}
    if credential.username or credential.password:
        password = "" if credential.identity_token else credential.password
        entry["auth"] = b2a_base64(
            f"{credential.username}:{password}".encode(), newline=False
        ).decode()
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    return entry


def _of_entry(entry: Any, path: str, key: str) -> Credential:
    with _Naming(path):
        fields = Fields(entry, f"{_WHERE}: auths: {key}")
        username, password = fields.text("username"), fields.text("password")
        encoded = fields.text("auth")
        identity, registry = fields.text("identitytoken"), fields.text("registrytoken")
    if encoded:
        try:
            text = a2b_base64(encoded, strict_mode=True).decode()
        except (Base64Error, ValueError):
            raise CredentialsError(f"read {path}: auth of {key} is not base64") from None
        username, colon, password = text.partition(":")
        if not colon or not username:
            raise CredentialsError(f"read {path}: auth of {key} is not user:password")
        password = password.strip("\0")
    return Credential(username, password, identity, registry)


def _of_helper(helper: CredentialHelper, key: str) -> Credential:
    found = helper.get(key)
    if found is None:
        return NOBODY
    username, secret = found
    if username == TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username, secret)


class _Naming:
    """Has what is wrong with a file told with the file's name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, InvalidValue):
            raise CredentialsError(
                f"read {self._path}: {error.message}", hint="mend the file, or move it away"
            ) from error


def _owner_of(path: str) -> tuple[int, int] | None:
    """Who the file belongs to, when that is somebody else (root edits a user's)."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise CredentialsError(f"write {path}: it is no regular file")
    if os.geteuid() != 0 or (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()):
        return None
    return status.st_uid, status.st_gid


def _home(environment: Mapping[str, str]) -> str:
    if home := environment.get("HOME"):
        return home
    import pwd  # for those without HOME

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        raise CredentialsError("find config.json: neither HOME nor DOCKER_CONFIG is set") from None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it was renamed, or never made


def _failed(verb: str, path: str, error: OSError) -> CredentialsError:
    return CredentialsError(f"{verb} {path}: {(error.strerror or str(error)).lower()}")
