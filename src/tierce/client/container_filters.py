"""The `--filter` of `container ls`."""

from __future__ import annotations

import re

from tierce.client.filters import has_labels, parse_filters
from tierce.containers.listing import ContainerView
from tierce.containers.stop import resolve
from tierce.errors import NotFound, UsageError
from tierce.store import Store

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_KNOWN = frozenset(
    {"id", "name", "label", "status", "exited", "ancestor", "before", "since", "network", "volume"}
)


def select(
    store: Store, views: Sequence[ContainerView], texts: Sequence[str], *, all: bool
) -> list[ContainerView]:
    """Those that fit every filter, of which one with several values fits by any of them.

    Without `all`, and without a filter by status, only those that run. Raises UsageError,
    NotFound for a container that a filter names.
    """
    filters = parse_filters(texts, _KNOWN)
    for status in filters.get("status", ()):
        if status not in _STATUSES:
            raise UsageError(
                f"invalid filter 'status={status}'", hint=f"one of {', '.join(_STATUSES)}"
            )
    if not all and "status" not in filters and "exited" not in filters:
        views = [view for view in views if view.running]
    ancestors = _images(store, filters.get("ancestor", ()))
    before = [resolve(store, name).created for name in filters.get("before", ())]
    since = [resolve(store, name).created for name in filters.get("since", ())]
    return [
        view
        for view in views
        if _fits(view, filters)
        and ("ancestor" not in filters or view.image in ancestors)
        and all_of(view.created < moment for moment in before)
        and all_of(view.created > moment for moment in since)
    ]


all_of = all
"""Of the builtins, where `all` is a parameter's name."""


def _fits(view: ContainerView, filters: dict[str, list[str]]) -> bool:
    state = view.state
    paths = [path for bind in state.binds for path in bind[:2]]
    paths += [name for volume in state.volumes for name in volume[:2]]
    return (
        _any(filters, "id", view.id.startswith)
        and _any(filters, "name", lambda text: _matches(text, view.name))
        and _any(filters, "status", lambda text: view.status == text)
        and _any(
            filters,
            "exited",
            lambda text: view.status == "exited" and str(state.exit_code) == text,
        )
        and _any(filters, "network", lambda text: state.network == text)
        and _any(filters, "volume", lambda text: text in paths)
        and has_labels(dict(state.labels), filters.get("label", ()))
    )


def _any(filters: dict[str, list[str]], name: str, fits: Callable[[str], bool]) -> bool:
    return name not in filters or any(fits(text) for text in filters[name])


def _matches(pattern: str, name: str) -> bool:
    """A regular expression, as in docker, which also finds the name with a slash in front."""
    try:
        return bool(re.search(pattern, name) or re.search(pattern, f"/{name}"))
    except re.error as error:
        raise UsageError(f"invalid filter 'name={pattern}': {error}") from error


def _images(store: Store, names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        try:
            found.add(str(store.images.resolve(name).config))
        except NotFound:
            continue
    return found
