"""The notation of --mount, which few runs have: see `client.running` for the rest."""

from __future__ import annotations

from tierce.containers.mount_notation import parse_mount

__all__ = ["parse_mount"]
