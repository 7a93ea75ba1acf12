"""One repository of a registry: its manifests, blobs and tags (OCI distribution-spec)."""

from __future__ import annotations

from tierce.distribution.transport import Url
from tierce.errors import DigestMismatch, InvalidValue, NotFound, RegistryError
from tierce.oci import media_types
from tierce.oci.digest import Digest
from tierce.oci.document import load_object
from tierce.oci.manifest import SIZE_LIMIT, Index, parse
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.distribution.registry import Registry
    from tierce.distribution.transport import Answer, FileBody
    from tierce.oci.descriptor import Descriptor

MANIFEST_TYPES = (
    media_types.OCI_INDEX,
    media_types.OCI_MANIFEST,
    media_types.DOCKER_INDEX,
    media_types.DOCKER_MANIFEST,
)
_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_LIST_LIMIT = 16 << 20
_PAGES_LIMIT = 10_000
_MISSING = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"})


class FoundManifest(Value):
    """A manifest or index as it is in the registry: its very bytes, verified."""

    raw: bytes
    media_type: str
    digest: Digest


class Upload(Value):
    """An upload that was begun, or a blob that is `there` already: mounted from elsewhere."""

    location: Url | None
    there: bool = False


class Repository:
    """A repository by its path ("library/alpine"). Usable from all threads.

    All methods raise AccessDenied, RateLimited, RegistryError, Cancelled.
    """

    def __init__(self, registry: Registry, path: str) -> None:
        self.registry = registry
        self.path = path
        self._base = f"/v2/{path}"
        self._pull = (f"repository:{path}:pull",)
        self._push = (f"repository:{path}:pull,push",)
        self.pushes = False
        """Set it to ask for one token that may do all, before a push."""

    @property
    def name(self) -> str:
        """As images of it are called: "docker.io/library/alpine"."""
        return f"{self.registry.shown}/{self.path}"

    @property
    def _reading(self) -> tuple[str, ...]:
        return self._push if self.pushes else self._pull

    # Manifests

    def head_manifest(self, reference: str) -> Digest | None:
        """The digest of a tag's manifest, as the registry says; None where it does not say.

        Raises NotFound.
        """
        with self._manifest("HEAD", reference) as answer:
            return _said_digest(answer)

    def get_manifest(self, reference: str | Digest) -> FoundManifest:
        """A manifest by tag or by digest. Raises NotFound, DigestMismatch, InvalidValue."""
        with self._manifest("GET", str(reference)) as answer:
            length = answer.length
            if length is not None and length > SIZE_LIMIT:
                raise _too_large(self, reference, length)
            raw = answer.read(SIZE_LIMIT)
            if len(raw) > SIZE_LIMIT:
                raise _too_large(self, reference, len(raw))
            if length is not None and len(raw) != length:
                raise RegistryError(f"get manifest {self.name}:{reference}: it is cut short")
            media_type = answer.header("Content-Type").partition(";")[0].strip()
            expected = reference if isinstance(reference, Digest) else _said_digest(answer)
        actual = Digest.of(raw, expected.algorithm if expected else "sha256")
        if expected is not None and actual != expected:
            raise DigestMismatch(
                f"manifest of {self.name}", expected=str(expected), actual=str(actual)
            )
        if media_type in {"text/html", "application/xhtml+xml"}:
            raise RegistryError(
                f"get manifest {self.name}:{reference}: the answer is a web page,"
                " this may be no registry"
            )
        return FoundManifest(raw, media_type, actual)

    def put_manifest(self, reference: str, raw: bytes, media_type: str) -> Digest | None:
        """Store a manifest under a tag or its digest; the digest that the registry has for it."""
        with self.registry.ask(
            "PUT",
            f"{self._base}/manifests/{reference}",
            self._push,
            headers={"Content-Type": media_type},
            body=raw,
            expected=(200, 201, 202),
        ) as answer:
            return _said_digest(answer)

    def delete_manifest(self, digest: Digest) -> None:
        """Remove a manifest and its tags. Raises NotFound."""
        scopes = (f"repository:{self.path}:delete,pull",)
        try:
            with self.registry.ask(
                "DELETE", f"{self._base}/manifests/{digest}", scopes, expected=(200, 202, 204)
            ):
                return
        except RegistryError as error:
            raise self._not_found(error, str(digest)) from error

    def _manifest(self, method: str, reference: str) -> Answer:
        try:
            return self.registry.ask(
                method, f"{self._base}/manifests/{reference}", self._reading, headers=_ACCEPT
            )
        except RegistryError as error:
            raise self._not_found(error, reference) from error

    def _not_found(self, error: RegistryError, reference: str) -> Exception:
        if error.status != 404 and error.code not in _MISSING:
            return error
        joint = "@" if ":" in reference else ":"
        name = f"{self.name}{joint}{reference}"
        if error.status == 404 and not error.code and "web page" in error.message:
            return error
        cause = "repository name not known" if error.code == "NAME_UNKNOWN" else "manifest unknown"
        return NotFound("manifest", name, f"manifest for {name} not found: {cause}")

    # Blobs

    def has_blob(self, digest: Digest, size: int) -> bool:
        """Whether a blob is there, with the size that it is to have."""
        with self.registry.ask(
            "HEAD", f"{self._base}/blobs/{digest}", self._reading, expected=(200, 404)
        ) as answer:
            return answer.status == 200 and answer.length in {None, size}

    def open_blob(self, digest: Digest, offset: int = 0) -> Answer:
        """The content of a blob, from `offset` on, if the answer's status is 206. Raises NotFound.

        Not sent again when it breaks: who reads it knows where to go on.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            return self.registry.ask(
                "GET",
                f"{self._base}/blobs/{digest}",
                self._reading,
                headers=headers,
                expected=(200, 206),
            )
        except RegistryError as error:
            if error.status != 404:
                raise
            raise NotFound(
                "blob", str(digest), f"get blob {digest} of {self.name}: blob unknown to registry"
            ) from error

    def read_blob(self, digest: Digest, size: int, limit: int) -> bytes:
        """All of a small blob, verified. Raises NotFound, DigestMismatch."""
        if size > limit:
            raise RegistryError(
                f"get blob {digest} of {self.name}: {size} bytes, more than {limit}"
            )
        with self.open_blob(digest) as answer:
            raw = answer.read(size)
        actual = Digest.of(raw, digest.algorithm)
        if len(raw) != size or actual != digest:
            raise DigestMismatch(
                f"blob of {self.name}", expected=f"{digest} of {size} bytes", actual=str(actual)
            )
        return raw

    # Uploads

    def start_upload(self, digest: Digest | None = None, source: str = "") -> Upload:
        """Begin to upload a blob or, if another repository `source` has it, have it from there."""
        target = f"{self._base}/blobs/uploads/"
        scopes: tuple[str, ...] = self._push
        if digest is not None and source:
            target += f"?mount={digest}&from={source}"
            scopes = (*self._push, f"repository:{source}:pull")
        with self.registry.ask("POST", target, scopes, expected=(201, 202)) as answer:
            if answer.status == 201:
                return Upload(None, there=True)
            return Upload(self._location(answer))

    def send_piece(self, location: Url, body: FileBody | bytes, offset: int) -> Url:
        """Append to an upload; the place for what follows. Not repeated when it fails."""
        size = len(body) if isinstance(body, bytes) else body.size
        headers = {"Content-Type": "application/octet-stream"}
        if offset:
            headers["Content-Range"] = f"{offset}-{offset + size - 1}"
        with self.registry.ask(
            "PATCH",
            location,
            self._push,
            headers=headers,
            body=body,
            expected=(202, 204),
            attempts=1,
        ) as answer:
            return self._location(answer)

    def finish_upload(
        self, location: Url, digest: Digest, body: FileBody | bytes | None = None
    ) -> None:
        """End an upload with what is left of it. Not repeated when it fails."""
        mark = "&" if "?" in location.target else "?"
        headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
        with self.registry.ask(
            "PUT",
            Url(location.origin, f"{location.target}{mark}digest={digest}"),
            self._push,
            headers=headers,
            body=body,
            expected=(201, 204),
            attempts=1,
        ):
            return

    def upload_state(self, location: Url) -> tuple[Url, int] | None:
        """How many bytes of an upload are there, and where to go on; None if it is gone."""
        try:
            with self.registry.ask("GET", location, self._push, expected=(204, 200, 404)) as answer:
                if answer.status == 404:
                    return None
                first, _, last = answer.header("Range").removeprefix("bytes=").partition("-")
                if first != "0" or not last.isdecimal() or len(last) > 18:
                    return None
                # "0-0" is what registries say of an upload without a byte, and of one byte.
                size = int(last) + 1 if int(last) else 0
                return self._location(answer, location), size
        except RegistryError as error:
            if error.status in {400, 405}:
                return None
            raise

    def _location(self, answer: Answer, default: Url | None = None) -> Url:
        location = answer.header("Location")
        if location:
            return Url.parse(location, answer.url)
        if default is None:
            raise RegistryError(f"upload to {self.name}: the registry does not say where to")
        return default

    # Lists

    def tags(self) -> Iterator[str]:
        """All tags, in the order of the registry. Raises NotFound."""
        try:
            for page in pages(self.registry, f"{self._base}/tags/list", self._pull):
                found = load_object(page, "list of tags", size_limit=_LIST_LIMIT).texts("tags")
                yield from found or ()
        except InvalidValue as error:
            raise RegistryError(f"list tags of {self.name}: {error.message}") from error
        except RegistryError as error:
            if error.status != 404:
                raise
            raise NotFound(
                "repository", self.name, f"list tags of {self.name}: repository name not known"
            ) from error

    def referrers(self, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """The manifests whose subject has the digest, of one type or all; none if none is known.

        Where a registry has no list of them, they are in an index whose tag is made of the digest
        (distribution-spec, "Unavailable Referrers API").
        """
        with self.registry.ask(
            "GET",
            f"{self._base}/referrers/{digest}",
            self._pull,
            headers={"Accept": media_types.OCI_INDEX},
            expected=(200, 400, 404, 405),
        ) as answer:
            raw = answer.read(SIZE_LIMIT) if answer.status == 200 else b""
        if not raw:
            try:
                raw = self.get_manifest(f"{digest.algorithm}-{digest.hex}").raw
            except NotFound:
                return ()
        index = parse(raw, media_types.OCI_INDEX)
        if not isinstance(index, Index):
            raise RegistryError(f"list referrers of {self.name}@{digest}: there is no index")
        return tuple(
            each
            for each in index.manifests
            if not artifact_type or each.artifact_type == artifact_type
        )


def pages(registry: Registry, target: str, scopes: tuple[str, ...]) -> Iterator[bytes]:
    """The bodies of a list that comes in pages (RFC 5988: Link, rel="next")."""
    place: str | Url = target
    seen = set()
    for _ in range(_PAGES_LIMIT):
        with registry.ask("GET", place, scopes) as answer:
            body = answer.read(_LIST_LIMIT)
            link = _next(answer.header("Link"))
            yield body
            if not link:
                return
            place = Url.parse(link, answer.url)
            if place.target in seen:
                return
            seen.add(place.target)


def _next(link: str) -> str:
    for each in link.split(","):
        place, _, parameters = each.strip().partition(">")
        if place.startswith("<") and 'rel="next"' in parameters.replace(" ", "").replace(
            "rel=next", 'rel="next"'
        ):
            return place[1:]
    return ""


def _said_digest(answer: Answer) -> Digest | None:
    text = answer.header("Docker-Content-Digest")
    if not text:
        return None
    try:
        return Digest.parse(text)
    except InvalidValue as error:
        raise RegistryError(f"ask {answer.url}: {error.message}") from error


def _too_large(repository: Repository, reference: str | Digest, size: int) -> RegistryError:
    return RegistryError(
        f"get manifest {reference} of {repository.name}: manifest too large: {size} bytes,"
        f" more than {SIZE_LIMIT}"
    )
