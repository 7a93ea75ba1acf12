"""The build cache beyond one store: to a directory or into an image, and back.

What a build that says nothing of caches does not need is loaded by the first that does (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.export.cache.exports import check_exports, export_caches, inline_cache
    from tierce.export.cache.imports import import_caches
    from tierce.export.cache.registry import CacheRegistries

__all__ = ["CacheRegistries", "check_exports", "export_caches", "import_caches", "inline_cache"]

_HOMES = {
    "CacheRegistries": "registry",
    "check_exports": "exports",
    "export_caches": "exports",
    "import_caches": "imports",
    "inline_cache": "exports",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(__import__(f"{__name__}.{_HOMES[name]}", fromlist=("",)), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
