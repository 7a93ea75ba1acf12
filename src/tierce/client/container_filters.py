"""The `--filter` of `container ls`."""

from __future__ import annotations

import re

from tierce.client.filters import flag, has_labels, parse_filters
from tierce.client.networks import network_id
from tierce.containers.listing import ContainerView
from tierce.containers.publishing import parse_expose
from tierce.containers.stop import resolve
from tierce.errors import NotFound, UsageError
from tierce.store import Store

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("none", "starting", "unhealthy", "healthy")
_KNOWN = frozenset(
    {
        *("id", "name", "label", "status", "exited", "ancestor", "before", "since", "network"),
        *("volume", "health", "publish", "expose", "is-task"),
    }
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
    for code in filters.get("exited", ()):
        if not code.lstrip("-").isdecimal():
            raise UsageError(f"invalid filter 'exited={code}'", hint="its value is an exit status")
    # There are no tasks of a swarm.
    if any(flag("is-task", text) for text in filters.get("is-task", ())):
        return []
    for health in filters.get("health", ()):
        if health not in _HEALTH:
            raise UsageError(
                f"invalid filter 'health={health}'", hint=f"one of {', '.join(_HEALTH)}"
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
    networks = {view.network, network_id(view.network)}
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
        and _any(
            filters, "health", lambda text: text == (view.health.status if view.health else "none")
        )
        and _any(filters, "network", lambda text: text in networks)
        and _has_port(view, filters)
        and _any(filters, "volume", lambda text: text in paths)
        and has_labels(dict(state.labels), filters.get("label", ()))
    )


def _has_port(view: ContainerView, filters: dict[str, list[str]]) -> bool:
    """Whether it has a port of either filter: `publish` is of the machine, `expose` its own."""
    if "publish" not in filters and "expose" not in filters:
        return True
    ports = view.endpoint.ports if view.endpoint else ()
    published = {f"{port.port}/{port.protocol}" for port in ports}
    exposed = {port if "/" in port else f"{port}/tcp" for port in view.state.exposed}
    wanted = {name: _ports(name, filters.get(name, ())) for name in ("publish", "expose")}
    return bool(wanted["publish"] & published or wanted["expose"] & exposed)


def _ports(name: str, texts: Sequence[str]) -> set[str]:
    """`80`, `80/udp`, `8000-8010/tcp`, as "80/udp". Raises UsageError."""
    found: set[str] = set()
    for text in texts:
        if ":" in text:
            raise UsageError(f"filter for '{name}' should not contain ':': {text}")
        try:
            found.update(parse_expose(text))
        except UsageError as error:
            raise UsageError(
                f"error while looking up for {name} {text}: not a port, or a range"
            ) from error
    return found


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
