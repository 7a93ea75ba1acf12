"""`tierce manifest annotate`: say for which platform a manifest is."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.client.manifests import Manifests
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="manifest annotate",
    usage="[OPTIONS] MANIFEST_LIST MANIFEST",
    short="Add additional information to a local image manifest",
    flags=(
        Flag("arch", kind="string", help="Set architecture"),
        Flag("os", kind="string", help="Set operating system"),
        Flag("os-features", kind="list", help="Set operating system feature"),
        Flag("os-version", kind="string", help="Set operating system version"),
        Flag("variant", kind="string", help="Set architecture variant"),
    ),
    minimum=2,
    maximum=2,
)


def run(options: Parsed, session: Session) -> int:
    name, member = (Reference.parse(text).with_default_tag() for text in options.arguments)
    features = [part for text in options.texts("os-features") for part in text.split(",") if part]

    def changed(old: Platform) -> Platform:
        return Platform(
            options.text("os") or old.os,
            options.text("arch") or old.architecture,
            options.text("variant") or old.variant,
            options.text("os-version") or old.os_version,
            tuple(dict.fromkeys([*old.os_features, *features])),
        )

    Manifests(session.environ).annotate(name, member, changed)
    return 0
