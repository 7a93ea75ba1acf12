"""What a build may only do when its caller says so: `--allow`.

See the reference of `docker buildx build --allow`, and util/entitlements in BuildKit.
"""

from __future__ import annotations

from tierce.errors import InvalidValue

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
DEVICE = "device"


ALL = (NETWORK_HOST, SECURITY_INSECURE, DEVICE)


def check_step(allowed: Collection[str], *, network: str, security: str) -> None:
    """Refuse a RUN that wants what is not allowed. Raises InvalidValue."""
    if network == "host":
        _require(allowed, NETWORK_HOST)
    if security == "insecure":
        _require(allowed, SECURITY_INSECURE)


def _require(allowed: Collection[str], entitlement: str) -> None:
    if entitlement not in allowed:
        raise InvalidValue(
            f"{entitlement} is not allowed",
            value=entitlement,
            hint=f"if you trust the Dockerfile, build with --allow {entitlement}",
        )
