"""Names of members of an archive: text from outside that must not lead outside."""

from __future__ import annotations

from tierce.errors import ArchiveError

MANIFEST = "manifest.json"
REPOSITORIES = "repositories"
INDEX = "index.json"
LAYOUT = "oci-layout"
BLOBS = "blobs"


def normalized(name: str) -> str:
    """A member's name without "." and empty parts; "" is the archive's root.

    Raises ArchiveError for an absolute name and for one that climbs out of the archive.
    """
    if name.startswith("/"):
        raise _outside(name)
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise _outside(name)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def link_target(name: str, target: str) -> str:
    """Where a symbolic link at `name` leads in the archive. Raises ArchiveError as above."""
    if target.startswith("/"):
        raise _outside(target)
    return normalized(f"{name.rpartition('/')[0]}/{target}".lstrip("/"))


def _outside(name: str) -> ArchiveError:
    return ArchiveError(f"read archive: {name[:200]!a} leads outside the archive")
