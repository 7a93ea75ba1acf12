"""Repositories by words in their names: what an index finds, or else what a registry lists."""

from __future__ import annotations

from tierce.distribution.repository import pages
from tierce.errors import InvalidValue, RegistryError
from tierce.oci.document import load_object
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.distribution.registry import Registry
    from tierce.oci.document import Fields

LIMIT, HIGHEST_LIMIT = 25, 100
INDEX_HOST = "index.docker.io"
"""Where docker.io is searched, which is not where its images are."""

_ANSWER_LIMIT = 8 << 20
_CATALOG_SCOPE = ("registry:catalog:*",)
_NO_INDEX = frozenset({400, 404, 405, 410, 501})


class FoundRepository(Value):
    """A repository that a search found."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False
    is_automated: bool = False


class Found(Value):
    """What a search found; `from_catalog`: among all names, as the registry has no index."""

    repositories: tuple[FoundRepository, ...]
    from_catalog: bool = False


def search(registry: Registry, words: str, limit: int = LIMIT) -> Found:
    """Search by docker's old API or, where a registry has none, in the names of its catalog.

    Raises AccessDenied, RegistryError, InvalidValue for a limit that is none, Cancelled.
    """
    if not 1 <= limit <= HIGHEST_LIMIT:
        raise InvalidValue(f"limit {limit} is outside the range of [1, {HIGHEST_LIMIT}]")
    from urllib.parse import urlencode  # for those who search

    query = urlencode({"q": words, "n": limit})
    try:
        with registry.ask(
            "GET", f"/v1/search?{query}", (), headers={"Accept": "application/json"}
        ) as answer:
            body = answer.read(_ANSWER_LIMIT)
    except RegistryError as error:
        if error.status not in _NO_INDEX:
            raise
        return Found(tuple(_in_catalog(registry, words, limit)), from_catalog=True)
    try:
        results = load_object(body, "search result", size_limit=_ANSWER_LIMIT).objects("results")
        return Found(tuple(_read(each) for each in results)[:limit])
    except InvalidValue as error:
        raise RegistryError(f"search {registry.shown}: {error.message}") from error


def _read(result: Fields) -> FoundRepository:
    return FoundRepository(
        result.text("name"),
        result.text("description"),
        result.integer("star_count"),
        result.flag("is_official"),
        result.flag("is_automated"),
    )


def _in_catalog(registry: Registry, words: str, limit: int) -> Iterator[FoundRepository]:
    wanted = words.lower().split()
    found = 0
    for page in pages(registry, "/v2/_catalog?n=1000", _CATALOG_SCOPE):
        try:
            names = load_object(page, "catalog", size_limit=_ANSWER_LIMIT * 2).texts("repositories")
        except InvalidValue as error:
            raise RegistryError(f"search {registry.shown}: {error.message}") from error
        for name in names or ():
            if all(word in name.lower() for word in wanted):
                yield FoundRepository(f"{registry.shown}/{name}")
                found += 1
                if found == limit:
                    return
