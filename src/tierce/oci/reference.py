"""Image references: "alpine", "localhost:5000/team/app:1.0", "ubuntu@sha256:…".

The grammar is that of github.com/distribution/reference, with docker's familiar short forms:
a name without a domain belongs to docker.io, and one of a single component to docker.io/library.

    reference  = [domain "/"] path [":" tag] ["@" digest]
    domain     = host [":" port]           host: names, IPv4, or IPv6 in brackets
    path       = component *("/" component)
    component  = [a-z0-9]+ *(("." | "_" | "__" | "-"+) [a-z0-9]+)
    tag        = [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
"""

from __future__ import annotations

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest
from tierce.values import Value

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Self

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
OFFICIAL_PREFIX = "library/"
_LEGACY_DEFAULT_DOMAIN = "index.docker.io"
PATH_LENGTH_LIMIT = 255
_TEXT_LENGTH_LIMIT = 2048
"""Above any valid reference (path, tag, digest, a 253-character host): bounds the matching."""

# No regular expressions: `re` and compiling these would be a fifth of what `image ls` costs.
_DIGITS = "0123456789"
_LOWER = _DIGITS + "abcdefghijklmnopqrstuvwxyz"
_LETTERS = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER_HEX = "0123456789abcdef"
_HEX = _LOWER_HEX + "ABCDEF"


class Reference(Value):
    """A parsed image name; `tag` and `digest` are None where the text had none.

    `str()` is the canonical form ("docker.io/library/alpine:3.15"), `familiar` the short one.
    Made by `parse`; the constructor trusts its arguments.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference in its short or its full form.

        Raises InvalidValue with the reason; `.value` is the text.
        """
        if not text:
            raise _invalid(text, "the name is empty")
        if len(text) > _TEXT_LENGTH_LIMIT:
            raise _invalid(text[:64] + "…", f"longer than {_TEXT_LENGTH_LIMIT} characters")
        if len(text) == 64 and _only(text, _LOWER_HEX):
            raise _invalid(
                text,
                "64 hexadecimal digits are an image ID, not a name",
                hint=f"write sha256:{text[:12]}… to mean the ID",
            )
        rest, at, digest_text = text.partition("@")
        domain, remote = _split_domain(rest)
        path, colon, tag = remote.partition(":")
        if not _is_domain(domain):
            raise _invalid(text, f"{_shown(domain)} is not a host name")
        _check_path(text, path)
        if colon:
            _check_tag(text, tag)
        digest = _parse_digest(text, digest_text) if at else None
        return cls(domain, path, tag if colon else None, digest)

    @property
    def name(self) -> str:
        """Domain and path: "docker.io/library/alpine"."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as docker shows it: "alpine", "team/app", "localhost:5000/app"."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        official = self.path.removeprefix(OFFICIAL_PREFIX)
        return self.path if "/" in official else official

    @property
    def familiar(self) -> str:
        """The short form with tag and digest: "alpine:3.15"."""
        return self.familiar_name + self._suffix()

    @property
    def tagged(self) -> bool:
        """Whether there is a tag."""
        return self.tag is not None

    def with_default_tag(self) -> Self:
        """This reference; with the tag "latest" if it had neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return self.replace(tag=DEFAULT_TAG)
        return self

    def with_tag(self, tag: str | None) -> Self:
        """The same with another tag, or without one. Raises InvalidValue for an invalid tag."""
        if tag is not None:
            _check_tag(f"{self.familiar_name}:{tag}", tag)
        return self.replace(tag=tag)

    def with_digest(self, digest: Digest | None) -> Self:
        """The same with another digest, or without one."""
        return self.replace(digest=digest)

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return tag if self.digest is None else f"{tag}@{self.digest}"


def is_valid_tag(text: str) -> bool:
    """Whether the text may stand as a tag."""
    return 0 < len(text) <= 128 and text[0] not in ".-" and _only(text, _LETTERS + "_.-")


def _split_domain(text: str) -> tuple[str, str]:
    """Domain and the rest, as distribution/reference's normalisation decides it.

    What precedes the first slash is a host if it has a dot or a colon, is "localhost", or has
    an upper-case letter (which a path must not have).
    """
    first, slash, rest = text.partition("/")
    if not slash:
        # "name:5000" without a slash is a name and a tag, never a host and a port.
        return DEFAULT_DOMAIN, OFFICIAL_PREFIX + text
    if first == _LEGACY_DEFAULT_DOMAIN:
        first = DEFAULT_DOMAIN
    elif not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        first, rest = DEFAULT_DOMAIN, text
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = OFFICIAL_PREFIX + rest
    return first, rest


def _is_domain(text: str) -> bool:
    if text.startswith("["):
        address, closed, port = text[1:].partition("]")
        is_host = bool(closed and address) and _only(address, _HEX + ":")
    else:
        host, colon, digits = text.partition(":")
        port = colon + digits
        is_host = all(_is_label(label, _LETTERS) for label in host.split("."))
    return is_host and (not port or (port[0] == ":" and len(port) > 1 and _only(port[1:], _DIGITS)))


def _is_component(text: str) -> bool:
    # One or two underscores separate as a dot does, and nothing separates beside another.
    pieces = text.replace("__", ".").replace("_", ".").split(".")
    return all(_is_label(piece, _LOWER) for piece in pieces)


def _is_label(text: str, letters: str) -> bool:
    """Letters, with hyphens only between them."""
    return text != "" and text[0] in letters and text[-1] in letters and _only(text, letters + "-")


def _only(text: str, characters: str) -> bool:
    """Whether the text has no other characters: stripping stops at the first one."""
    return not text.strip(characters)


def _check_path(text: str, path: str) -> None:
    if all(map(_is_component, path.split("/"))):
        if len(path) > PATH_LENGTH_LIMIT:
            raise _invalid(text, f"repository name is longer than {PATH_LENGTH_LIMIT} characters")
        return
    if path != path.lower():
        shown = path.removeprefix(OFFICIAL_PREFIX)
        raise _invalid(text, f"repository name {_shown(shown)} must be lowercase")
    if not path or path == OFFICIAL_PREFIX:
        raise _invalid(text, "repository name is empty")
    raise _invalid(text, "invalid reference format")


def _check_tag(text: str, tag: str) -> None:
    if is_valid_tag(tag):
        return
    if not tag:
        raise _invalid(text, "the tag is empty")
    if len(tag) > 128:
        raise _invalid(text, "the tag is longer than 128 characters")
    raise _invalid(text, f"invalid tag {_shown(tag)}")


def _parse_digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidValue as error:
        raise _invalid(text, error.message.rpartition(": ")[2]) from error


def _shown(text: str) -> str:
    return f'"{text}"' if text.isprintable() else ascii(text)


def _invalid(text: str, cause: str, hint: str = "") -> InvalidValue:
    return InvalidValue(f"parse reference {_shown(text)}: {cause}", value=text, hint=hint)
