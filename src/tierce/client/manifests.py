"""Manifests in registries, and lists of them in the making."""

from __future__ import annotations

import os

from tierce.client.remotes import open_remote
from tierce.distribution.copying import copy_image
from tierce.distribution.credentials import CredentialFile
from tierce.distribution.lists import ListedManifest, ManifestLists
from tierce.errors import Conflict, InvalidValue, NotFound
from tierce.oci.config import SIZE_LIMIT, ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Index, Manifest, parse
from tierce.oci.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX
from tierce.oci.platform import Platform

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tierce.distribution.remote import Remote
    from tierce.distribution.repository import FoundManifest, Repository
    from tierce.oci.reference import Reference
    from tierce.store import Store

__all__ = ["ListedManifest", "Manifests"]

_DIRECTORY = "manifests"


class Manifests:
    """The manifests that an environment's registries have, and the lists of its user.

    Names have a tag or a digest. All raise RegistryError, AccessDenied, CredentialsError.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        beside = os.path.dirname(CredentialFile.of(environment).path)
        self._lists = ManifestLists(os.path.join(beside, _DIRECTORY))

    def inspect(self, name: Reference) -> bytes:
        """The document that a name means: a list in the making, or what its registry has.

        Raises NotFound.
        """
        listed = self._lists.get(name)
        if listed is not None:
            return _index_of(listed).encode()
        with open_remote(self._environment) as remote:
            return self._found(remote, name).raw

    def describe(self, name: Reference) -> Sequence[tuple[ListedManifest, bytes]]:
        """Each manifest of what a name means, with its platform and its document."""
        listed = self._lists.get(name)
        with open_remote(self._environment) as remote:
            if listed is None:
                listed = self._listed(remote, name)
            return [
                (each, remote.repository(each.reference).get_manifest(each.descriptor.digest).raw)
                for each in listed
            ]

    def entry(self, name: Reference, member: Reference) -> ListedManifest:
        """A manifest of a list in the making. Raises NotFound."""
        for each in self._lists.get(name) or ():
            if each.reference == member:
                return each
        raise NotFound(
            "manifest",
            member.familiar,
            f"manifest for image {member.familiar} does not exist in {name.familiar}",
        )

    def create(self, name: Reference, members: Sequence[Reference], *, amend: bool) -> None:
        """Begin a list, or add to one. Raises Conflict for one that is there, NotFound."""
        listed = list(self._lists.get(name) or ())
        if listed and not amend:
            raise Conflict(
                "refusing to amend an existing manifest list with no --amend flag",
                hint=f"tierce manifest rm {name.familiar} begins anew",
            )
        with open_remote(self._environment) as remote:
            for member in members:
                found = self._listed(remote, member)
                if len(found) != 1 or found[0].reference != member:
                    raise InvalidValue(f"{member} is a manifest list")
                listed = [each for each in listed if each.reference != member] + list(found)
        self._lists.put(name, listed)

    def annotate(
        self, name: Reference, member: Reference, change: Callable[[Platform], Platform]
    ) -> None:
        """Say for which platform a manifest of a list is. Raises NotFound."""
        old = self.entry(name, member)
        platform = change(old.descriptor.platform or Platform("", ""))
        new = old.replace(descriptor=old.descriptor.replace(platform=platform))
        listed = self._lists.get(name) or ()
        self._lists.put(name, [new if each == old else each for each in listed])

    def push(self, store: Store, name: Reference, *, purge: bool) -> Digest:
        """Push a list, and what it lists if that is in other repositories; the list's digest.

        Raises NotFound, InvalidValue for a manifest without a platform.
        """
        listed = self._lists.get(name)
        if not listed:
            raise NotFound("manifest list", name.familiar, f"{name} not found")
        index = _index_of(listed)
        raw = index.encode()
        with open_remote(self._environment) as remote:
            target = remote.repository(name)
            target.pushes = True
            for each in listed:
                if each.reference.name != name.name:
                    source = remote.repository(each.reference)
                    copy_image(store, remote, source, target, each.descriptor.digest)
            target.put_manifest(name.tag or str(Digest.of(raw)), raw, index.media_type)
        if purge:
            self._lists.remove(name)
        return Digest.of(raw)

    def remove(self, name: Reference) -> None:
        """Forget a list in the making. Raises NotFound."""
        self._lists.remove(name)

    def _found(self, remote: Remote, name: Reference) -> FoundManifest:
        return remote.repository(name).get_manifest(name.digest or name.tag or "")

    def _listed(self, remote: Remote, name: Reference) -> tuple[ListedManifest, ...]:
        """What a name means in its registry: one manifest, or those of an index."""
        found = self._found(remote, name)
        document = parse(found.raw, found.media_type)
        if isinstance(document, Index):
            return tuple(
                ListedManifest(name.replace(tag=None, digest=each.digest), each)
                for each in document.manifests
            )
        platform = _platform(remote.repository(name), document)
        descriptor = Descriptor(document.media_type, found.digest, len(found.raw), platform)
        return (ListedManifest(name, descriptor),)


def _platform(repository: Repository, manifest: Manifest) -> Platform | None:
    if not manifest.is_image:
        return None
    raw = repository.read_blob(manifest.config.digest, manifest.config.size, SIZE_LIMIT)
    return ImageConfig.parse(raw).platform


def _index_of(listed: Sequence[ListedManifest]) -> Index:
    """Docker's form, if all that it lists has that."""
    for each in listed:
        platform = each.descriptor.platform
        if platform is None or not platform.os or not platform.architecture:
            raise InvalidValue(
                f"manifest {each.reference} must have an OS and Architecture to be pushed to a"
                " registry",
                hint="tierce manifest annotate --os … --arch …",
            )
    docker = all(each.descriptor.media_type == DOCKER_MANIFEST for each in listed)
    kind = DOCKER_INDEX if docker else OCI_INDEX
    return Index(kind, tuple(each.descriptor for each in listed))
