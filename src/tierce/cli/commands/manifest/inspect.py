"""`tierce manifest inspect`: what is in a manifest, or in a list of them."""

from __future__ import annotations

import json

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.manifests import ListedManifest, Manifests
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.cli.session import Session

COMMAND = Command(
    name="manifest inspect",
    usage="[OPTIONS] [MANIFEST_LIST] MANIFEST",
    short="Display an image manifest, or manifest list",
    flags=(
        Flag("insecure", hidden=True),
        Flag("verbose", "v", help="Output additional info including layers and platform"),
    ),
    minimum=1,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    """JSON, indented by tabs: a list in the making goes before what the registry has."""
    names = [Reference.parse(text).with_default_tag() for text in options.arguments]
    manifests = Manifests(session.environ)
    if len(names) == 2:
        found = manifests.entry(*names)
        _print(session, _described(found, None))
    elif options.flag("verbose"):
        described = [_described(each, raw) for each, raw in manifests.describe(names[0])]
        _print(session, described[0] if len(described) == 1 else described)
    else:
        _print(session, json.loads(manifests.inspect(names[0])))
    return 0


def _described(found: ListedManifest, raw: bytes | None) -> dict[str, Any]:
    members: dict[str, Any] = {
        "Ref": str(found.reference),
        "Descriptor": found.descriptor.to_json(),
    }
    if raw is not None:
        oci = "vnd.oci." in found.descriptor.media_type
        members["OCIManifest" if oci else "SchemaV2Manifest"] = json.loads(raw)
    return members


def _print(session: Session, document: Any) -> None:
    session.print(json.dumps(document, indent="\t", ensure_ascii=False))
