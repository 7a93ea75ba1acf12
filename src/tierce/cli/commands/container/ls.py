"""`tierce container ls`: the containers, one row each."""

from __future__ import annotations

from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.printing import quoted
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import ago, go_time, human_size
from tierce.cli.format.values import Struct
from tierce.cli.mountdoc import mount_names
from tierce.cli.ports import shown_ports
from tierce.cli.settings import PS_FORMAT, setting
from tierce.client.containers import Containers, ContainerView

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="container ls",
    usage="[OPTIONS]",
    short="List containers",
    flags=(
        Flag("all", "a", help="Show all containers (default shows just running)"),
        Flag(
            "filter",
            "f",
            kind="list",
            shown="filter",
            help="Filter output based on conditions provided",
        ),
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag(
            "last",
            "n",
            kind="int",
            default=-1,
            help="Show n last created containers (includes all states)",
        ),
        Flag("latest", "l", help="Show the latest created container (includes all states)"),
        Flag("no-trunc", help="Don't truncate output"),
        Flag("quiet", "q", help="Only display container IDs"),
        Flag("size", "s", help="Display total file sizes"),
    ),
)

HEADERS = {
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Labels": "LABELS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Mounts": "MOUNTS",
    "Names": "NAMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
    "Ports": "PORTS",
    "RunningFor": "CREATED",
    "Size": "SIZE",
    "State": "STATE",
    "Status": "STATUS",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
SHORT_ID, COMMAND_WIDTH, MOUNT_WIDTH = 12, 20, 15


def run(options: Parsed, session: Session) -> int:
    containers = Containers(session.store)
    last = 1 if options.flag("latest") else options.integer("last")
    views = containers.list(options.texts("filter"), all=options.flag("all"), last=last)
    form, truncate = options.text("format"), not options.flag("no-trunc")
    if not options.given("format") and not options.flag("quiet"):
        form = setting(session, PS_FORMAT)
    if options.flag("quiet") and form in {"", "table"}:
        session.stdout.write("".join(f"{shown_id(view, truncate)}\n" for view in views))
        return 0
    columns = (*COLUMNS, "Size") if options.flag("size") else COLUMNS
    rows = [row(view, containers, truncate=truncate) for view in views]
    session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=columns))
    return 0


def row(view: ContainerView, containers: Containers, *, truncate: bool) -> Struct:
    state = view.state
    mounts = mount_names(state)
    labels = dict(state.labels)
    return Struct(
        "formatter.ContainerContext",
        {
            "Command": quoted(shorter(command_of(view), COMMAND_WIDTH, truncate)),
            "CreatedAt": lambda: go_time(view.created),
            "ID": shown_id(view, truncate),
            "Image": state.image_name or "<no image>",
            "Labels": ",".join(f"{name}={value}" for name, value in state.labels),
            "LocalVolumes": str(len(state.volumes)),
            "Mounts": ",".join(shorter(name, MOUNT_WIDTH, truncate) for name in mounts),
            "Names": view.name,
            "Networks": "" if view.network.startswith("container:") else view.network,
            "Platform": state.platform or "linux",
            "Ports": shown_ports(view),
            "RunningFor": lambda: ago(view.created),
            "Size": lambda: size_of(view, containers),
            "State": view.status,
            "Status": lambda: status_of(view),
        },
        escape_html=True,
        methods={"Label": lambda name: labels.get(name, "")},
    )


def command_of(view: ContainerView) -> str:
    """The words of the command, in docker's way to tell those with a space in them."""
    first, rest = view.state.args[:1], view.state.args[1:]
    return " ".join([*first, *(f"'{word}'" if " " in word else word for word in rest)])


def status_of(view: ContainerView) -> str:
    """What docker says: `Up 3 seconds`, `Exited (0) 2 minutes ago`."""
    state = view.state
    if view.running:
        up = f"Up {ago(state.started).removesuffix(' ago')}"
        if view.status == "paused":
            return f"{up} (Paused)"
        if view.health is None:
            return up
        starting = view.health.status == "starting"
        return f"{up} ({'health: ' * starting}{view.health.status})"
    if view.status == "removing":
        return "Removal In Progress"
    if view.status == "exited":
        return f"Exited ({state.exit_code}) {ago(state.finished)}"
    return "Created"


def size_of(view: ContainerView, containers: Containers) -> str:
    """The bytes in a container's own layer, and with its image's."""
    own, whole = containers.sizes(view)
    return f"{human_size(own, 3)} (virtual {human_size(whole, 3)})"


def shown_id(view: ContainerView, truncate: bool) -> str:
    return view.id[:SHORT_ID] if truncate else view.id


def shorter(text: str, width: int, truncate: bool) -> str:
    return text if not truncate or len(text) <= width else text[: width - 1] + "…"
