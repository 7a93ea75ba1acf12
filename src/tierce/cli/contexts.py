"""The one context there is: the store of this machine, in the place of a daemon's address."""

from __future__ import annotations

import os

from tierce.cli.format.values import Struct
from tierce.errors import NotFound
from tierce.store.paths import default_root, is_privileged

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

DEFAULT = "default"
DESCRIPTION = "The store of this machine, without a daemon"


def endpoint(session: Session) -> str:
    """Where the store is, as an address; none is made."""
    privileged = is_privileged(session.environ)
    root = session.root or default_root(session.environ, privileged=privileged)
    return f"file://{os.path.abspath(root)}"


def check_context(name: str) -> None:
    """Raises NotFound for any other than the one there is."""
    if name != DEFAULT:
        raise NotFound("context", name, f'context "{name}": context not found')


def context_document(session: Session, name: str) -> Struct:
    """What `context inspect` shows. Raises NotFound."""
    check_context(name)
    return Struct(
        "context.contextWithTLSListing",
        {
            "Name": DEFAULT,
            "Metadata": {"Description": DESCRIPTION},
            "Endpoints": {"docker": {"Host": endpoint(session), "SkipTLSVerify": False}},
            "TLSMaterial": {},
            "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"},
        },
    )
