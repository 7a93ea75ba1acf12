"""What the environment says about reaching registries, read once."""

from __future__ import annotations

import os

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

OFFLINE = "TIERCE_OFFLINE"
_NO = frozenset({"", "0", "false", "no", "off"})


class Settings(Value):
    """How registries are reached.

    `environment` has the proxies and the places of credentials. `certificates` are directories
    with a directory for each host; those that come first win. `retry_seconds` is how long the
    first wait before another attempt is. `bandwidth` is in bytes a second, 0 for no limit. With
    `offline` nothing is reached at all.
    """

    environment: Mapping[str, str]
    certificates: tuple[str, ...] = ()
    registries_conf: tuple[str, ...] = ()
    retry_seconds: float = 0.25
    bandwidth: int = 0
    offline: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """What the environment of a process says."""
        own = _own_directory(environment)
        return cls(
            environment,
            (
                *([f"{own}/containers/certs.d", f"{own}/docker/certs.d"] if own else ()),
                "/etc/containers/certs.d",
                "/etc/docker/certs.d",
            ),
            _registries_conf(environment, own),
            offline=environment.get(OFFLINE, "").lower() not in _NO,
        )


def _own_directory(environment: Mapping[str, str]) -> str:
    """$XDG_CONFIG_HOME; the base directory specification has relative paths ignored."""
    directory = environment.get("XDG_CONFIG_HOME", "")
    if directory.startswith("/"):
        return directory
    home = environment.get("HOME", "")
    return os.path.join(home, ".config") if home else ""


def _registries_conf(environment: Mapping[str, str], own: str) -> tuple[str, ...]:
    """As containers-registries.conf(5) says: one file, the user's instead of the system's."""
    chosen = environment.get("CONTAINERS_REGISTRIES_CONF", "")
    if chosen:
        return (chosen,)
    if own and os.path.exists(f"{own}/containers/registries.conf"):
        return (f"{own}/containers/registries.conf",)
    return ("/etc/containers/registries.conf",)
