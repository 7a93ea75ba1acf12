"""Manifest lists in the making: `manifest create` begins one, `annotate` says more, `push` ends it.

Each is a file beside config.json, as with docker, so that they outlive the store.
"""

from __future__ import annotations

import os

from tierce.errors import CredentialsError, InvalidValue, NotFound
from tierce.oci.descriptor import Descriptor
from tierce.oci.document import dump, load_object
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

_SIZE_LIMIT = 16 << 20


class ListedManifest(Value):
    """A manifest of a list: the name by which it was added, and what will be in the index."""

    reference: Reference
    descriptor: Descriptor


class ManifestLists:
    """The lists of one user, in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def get(self, name: Reference) -> tuple[ListedManifest, ...] | None:
        """What is in a list; None if there is none. Raises CredentialsError, InvalidValue."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                raw = file.read(_SIZE_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed("read", path, error) from error
        fields = load_object(raw, path, size_limit=_SIZE_LIMIT)
        found = []
        for each in fields.objects("manifests"):
            descriptor = each.object("descriptor")
            if descriptor is None:
                raise InvalidValue(f"parse {each.where}: descriptor is missing")
            reference = Reference.parse(each.text("reference"))
            found.append(ListedManifest(reference, Descriptor.from_json(descriptor)))
        return tuple(found)

    def put(self, name: Reference, manifests: Sequence[ListedManifest]) -> None:
        """Keep a list. Raises CredentialsError."""
        path = self._path(name)
        members = [
            {"reference": str(each.reference), "descriptor": each.descriptor.to_json()}
            for each in manifests
        ]
        temporary = f"{path}.{os.urandom(6).hex()}.tmp"
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with open(temporary, "xb") as file:
                file.write(dump({"name": str(name), "manifests": members}, indent=2))
            os.rename(temporary, path)
        except OSError as error:
            raise _failed("write", path, error) from error

    def remove(self, name: Reference) -> None:
        """Forget a list. Raises NotFound."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            raise NotFound("manifest list", name.familiar) from None
        except OSError as error:
            raise _failed("remove", self._path(name), error) from error

    def _path(self, name: Reference) -> str:
        # A name of an image has no "%"; of what else is in it, only "/" cannot be in a file's.
        return os.path.join(self._directory, str(name).replace("/", "%") + ".json")


def _failed(verb: str, path: str, error: OSError) -> CredentialsError:
    return CredentialsError(f"{verb} {path}: {(error.strerror or str(error)).lower()}")
