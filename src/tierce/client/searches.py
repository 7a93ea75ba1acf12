"""Searching registries."""

from __future__ import annotations

from tierce.client.filters import flag, parse_filters
from tierce.client.remotes import open_remote
from tierce.distribution.credentials import HUB, CredentialFile
from tierce.distribution.search import INDEX_HOST, LIMIT, Found, FoundRepository, search
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LIMIT", "Found", "FoundRepository", "search_registry", "split_term"]

FILTERS = ("is-automated", "is-official", "stars")


def search_registry(
    environment: Mapping[str, str],
    term: str,
    *,
    limit: int = LIMIT,
    filters: Sequence[str] = (),
    offline: bool = False,
) -> Found:
    """What a term finds: on Docker Hub, or in the registry that it begins with ("HOST/WORDS").

    `filters` are `is-official=true`, `is-automated=true` and `stars=N`: that many at least.
    Raises UsageError, and as `tierce.distribution.search.search`.
    """
    wanted = parse_filters(filters, FILTERS)
    for text in wanted.get("stars", ()):
        if not text.isdecimal() or len(text) > 9:
            raise UsageError(f"invalid filter 'stars={text}'", hint="its value is a number")
    host, words = split_term(term)
    credentials = CredentialFile.of(environment)
    credential = credentials.find(HUB if host == INDEX_HOST else host)
    with open_remote(environment, offline=offline) as remote:
        found = search(remote.registry(host, credential), words, limit)
    kept = tuple(each for each in found.repositories if _passes(each, wanted))
    return found.replace(repositories=kept)


def split_term(term: str) -> tuple[str, str]:
    """The host to ask, and what for."""
    host, slash, words = term.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return (INDEX_HOST if host in {"docker.io", INDEX_HOST} else host), words
    return INDEX_HOST, term


def _passes(found: FoundRepository, wanted: Mapping[str, Sequence[str]]) -> bool:
    return (
        all(found.stars >= int(text) for text in wanted.get("stars", ()))
        and all(
            found.is_official == flag("is-official", text) for text in wanted.get("is-official", ())
        )
        and all(
            found.is_automated == flag("is-automated", text)
            for text in wanted.get("is-automated", ())
        )
    )
