"""The build cache: what is in it, and what may go."""

from __future__ import annotations

from tierce.client.filters import TRUE, moment
from tierce.errors import UsageError
from tierce.store.cache_prune import Limits, prune_cache
from tierce.store.cache_usage import CacheItem, CacheUsage, cache_usage

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from tierce.store import Store
    from tierce.store.cache_prune import PrunedCache

__all__ = ["BuildCache", "CacheItem", "CacheUsage", "Limits"]

_TEXTS: dict[str, Callable[[CacheItem], Sequence[str]]] = {
    "id": lambda item: (item.id,),
    "parents": lambda item: item.parents,
    "description": lambda item: (item.description,),
    "type": lambda item: (item.type,),
}
_FLAGS: dict[str, Callable[[CacheItem], bool]] = {
    "inuse": lambda item: item.in_use,
    "mutable": lambda item: item.mutable,
    "immutable": lambda item: not item.mutable,
    "shared": lambda item: item.shared,
    "private": lambda item: not item.shared,
}
_AGES = ("until", "unused-for")
_KNOWN = ", ".join(sorted([*_TEXTS, *_FLAGS, *_AGES]))


class BuildCache:
    """The build cache of one store: records of steps, cache mounts, what is known of sources."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def usage(self, filters: Sequence[str] = ()) -> CacheUsage:
        """What is in it, with sizes. Walks the whole store.

        `filters` are `KEY=VALUE`, `KEY!=VALUE`, `KEY~=EXPRESSION`, or a KEY alone, of which all
        have to match: `id`, `parents`, `description`, `type`; `inuse`, `mutable`, `immutable`,
        `shared`, `private`; `until` (not used for such a time, as `24h`). Raises UsageError.
        """
        accept = acceptable(filters)
        found = cache_usage(self._store)
        return CacheUsage(tuple(each for each in found.items if accept(each)))

    def prune(
        self, filters: Sequence[str] = (), *, all: bool = False, limits: Limits | None = None
    ) -> PrunedCache:
        """Remove what no build uses, and no image has; with `all` also what images have.

        `filters` as in `usage`; with `limits`, the least recently used goes until the rest fits.
        Raises UsageError, StoreError.
        """
        return prune_cache(self._store, all=all, accept=acceptable(filters), limits=limits)


def acceptable(filters: Sequence[str]) -> Callable[[CacheItem], bool]:
    """Whether an item matches all filters. Raises UsageError."""
    tests = [_test(text) for text in filters]
    return lambda item: all(test(item) for test in tests)


def _test(text: str) -> Callable[[CacheItem], bool]:
    name, operator, value = _split(text)
    if name in _AGES:
        if operator not in ("=", "=="):
            raise UsageError(f"invalid filter: {text}", hint="write it as until=24h")
        before = moment(value)
        return lambda item: item.last_used <= before
    if name in _FLAGS:
        flag = _FLAGS[name]
        wanted = (value.lower() in TRUE) != (operator == "!=") if operator else True
        return lambda item: flag(item) == wanted
    if name not in _TEXTS:
        raise UsageError(f"invalid filter '{name}'", hint=f"one of {_KNOWN}")
    if not operator:
        raise UsageError(f"invalid filter: {text}", hint="write it as name=value")
    texts = _TEXTS[name]
    if operator == "~=" or (name == "id" and operator == "="):
        pattern = _expression(text, value)
        return lambda item: any(pattern.search(each) for each in texts(item))
    values = set(value.split(";")) if name == "parents" else {value}
    return lambda item: values.isdisjoint(texts(item)) == (operator == "!=")


def _split(text: str) -> tuple[str, str, str]:
    """Name, operator ("=", "==", "!=", "~=", or nothing) and value of a filter."""
    name, equals, value = text.partition("=")
    operator = equals
    if value.startswith("="):
        operator, value = "==", value[1:]
    if name.endswith(("!", "~")):
        operator = f"{name[-1]}="
        name = name[:-1]
    return name.strip().lower(), operator, value.strip()


def _expression(text: str, value: str) -> re.Pattern[str]:
    import re  # as in `filters.moment`

    try:
        return re.compile(value)
    except re.error as error:
        raise UsageError(f"invalid filter: {text}: {error}") from None
