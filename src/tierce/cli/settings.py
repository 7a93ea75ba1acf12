"""What docker's users have set for themselves in config.json, and commands here heed as well."""

from __future__ import annotations

import os

from tierce.lean import json

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

DETACH_KEYS = "detachKeys"
PS_FORMAT = "psFormat"


def setting(session: Session, name: str) -> str:
    """A text of the file that docker would read; empty without one.

    As docker does, a file that cannot be read is only warned of.
    """
    directory = session.environ.get("DOCKER_CONFIG") or os.path.join(
        session.environ.get("HOME", ""), ".docker"
    )
    path = os.path.join(directory, "config.json")
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        session.warn(f"WARNING: read {path}: {reason}")
        return ""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
