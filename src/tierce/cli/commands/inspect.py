"""`tierce inspect`: all that is known of things of any kind."""

from __future__ import annotations

from tierce.cli.containerdoc import container_document
from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.imagedoc import image_document
from tierce.cli.inspecting import inspect_all
from tierce.cli.networkdoc import network_document
from tierce.cli.volumedoc import volume_document
from tierce.client.containers import Containers
from tierce.client.images import Images
from tierce.client.networks import Networks
from tierce.client.volumes import Volumes
from tierce.errors import NotFound, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.format.values import Struct
    from tierce.cli.session import Session

COMMAND = Command(
    name="inspect",
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    short="Return low-level information on objects of the store",
    flags=(
        Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),
        Flag("size", "s", help="Display total file sizes if the type is container"),
        Flag("type", kind="string", help="Only inspect objects of the given type"),
    ),
    minimum=1,
    maximum=None,
)

TYPES = ("container", "image", "network", "volume")


def run(options: Parsed, session: Session) -> int:
    kind = options.text("type")
    if options.given("type") and kind not in TYPES:
        raise UsageError(f"unknown type: {kind}", hint=f"one of {', '.join(TYPES)}")
    images, containers = Images(session.store), Containers(session.store)

    def find_container(name: str) -> Struct:
        details = containers.inspect(name)
        return container_document(session, containers, details, sizes=options.flag("size"))

    def find_image(name: str) -> Struct:
        return image_document(session, images, images.inspect(name))

    def find_volume(name: str) -> Struct:
        return volume_document(Volumes(session.store).inspect(name))

    def find_network(name: str) -> Struct:
        return network_document(Networks(session.store).inspect(name))

    def find(name: str) -> Struct:
        """Containers come first, as with docker."""
        try:
            return find_container(name)
        except NotFound:
            pass
        try:
            return find_image(name)
        except NotFound:
            pass
        try:
            return find_network(name)
        except NotFound:
            pass
        try:
            return find_volume(name)
        except NotFound as error:
            raise NotFound("object", name) from error

    finders = {
        "container": find_container,
        "image": find_image,
        "network": find_network,
        "volume": find_volume,
    }
    return inspect_all(session, options.arguments, options.text("format"), finders.get(kind, find))
