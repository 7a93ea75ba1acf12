"""`tierce system df`: what takes how much space. The lines add up to what `du` says of the root."""

from __future__ import annotations

from tierce.cli.commands.container.ls import row as container_row
from tierce.cli.flags import FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.format.rows import render_rows
from tierce.cli.format.units import ago, human_size
from tierce.cli.format.values import FormatError, Struct
from tierce.cli.table import load_module
from tierce.cli.volumedoc import VOLUME_HEADERS, volume_row
from tierce.client.cache import BuildCache, CacheItem
from tierce.client.containers import Containers
from tierce.client.filters import created_seconds
from tierce.client.system import System
from tierce.client.volumes import Volumes

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tierce.cli.session import Session
    from tierce.oci.digest import Digest
    from tierce.oci.reference import Reference
    from tierce.store.usage import ImageUsage, Part, Usage

COMMAND = Command(
    name="system df",
    usage="[OPTIONS]",
    short="Show disk usage",
    flags=(
        Flag("format", kind="string", help=FORMAT_HELP),
        Flag("verbose", "v", help="Show detailed information on space usage"),
    ),
)

HEADERS = {
    "Active": "ACTIVE",
    "Reclaimable": "RECLAIMABLE",
    "Size": "SIZE",
    "TotalCount": "TOTAL",
    "Type": "TYPE",
}
COLUMNS = ("Type", "TotalCount", "Active", "Size", "Reclaimable")

IMAGE_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
CONTAINER_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "LocalVolumes": "LOCAL VOLUMES",
    "Size": "SIZE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Names": "NAMES",
}
USED_VOLUME_HEADERS = {name: VOLUME_HEADERS[name] for name in ("Name", "Links", "Size")}
CACHE_HEADERS = {
    "ID": "CACHE ID",
    "CacheType": "CACHE TYPE",
    "Size": "SIZE",
    "CreatedSince": "CREATED",
    "LastUsedSince": "LAST USED",
    "UsageCount": "USAGE",
    "Shared": "SHARED",
    "Description": "DESCRIPTION",
}


def run(options: Parsed, session: Session) -> int:
    system = System(session.store)
    form = options.text("format")
    if options.flag("verbose"):
        session.stdout.write(verbose(session, system, form))
    else:
        rows = list(summary(system.usage()))
        session.stdout.write(render_rows(form, rows, headers=HEADERS, columns=COLUMNS))
    return 0


def summary(usage: Usage) -> Iterator[Struct]:
    cache = usage.build_cache
    mounts = usage.cache_mounts
    yield line("Images", usage.images)
    yield line("Containers", usage.containers)
    yield line("Local Volumes", usage.volumes)
    yield line(
        "Build Cache",
        cache.replace(
            total=cache.total + mounts.total,
            active=cache.active + mounts.active,
            size=cache.size + mounts.size,
            reclaimable=cache.reclaimable + mounts.reclaimable,
        ),
    )
    # The database, logs, and what has no owner: docker does not count these.
    yield line("Other", cache.replace(total=0, active=0, size=usage.other, reclaimable=0))


def line(kind: str, part: Part) -> Struct:
    reclaimable = human_size(part.reclaimable)
    if part.size > 0:
        reclaimable += f" ({part.reclaimable * 100 // part.size}%)"
    return Struct(
        "formatter.diskUsageContext",
        {
            "Active": str(part.active),
            "Reclaimable": reclaimable,
            "Size": human_size(part.size),
            "TotalCount": str(part.total),
            "Type": kind,
        },
        escape_html=True,
    )


def verbose(session: Session, system: System, form: str) -> str:
    """Every image, container and cache record: as tables, or by a template over all of them."""
    names = session.store.images.all_names()
    images = [image_row(each, names) for each in system.image_usage()]
    views = Containers(session.store)
    containers = [container_row(view, views, truncate=True) for view in views.list(all=True)]
    volumes = Volumes(session.store)
    used = [volume_row(view, volumes.size(view)) for view in volumes.list()]
    build_cache = BuildCache(session.store).usage()
    cache = [cache_row(each) for each in build_cache.items]
    if form not in {"", "table"}:
        everything = Struct(
            "formatter.diskUsageContext",
            {"Images": images, "Containers": containers, "Volumes": used, "BuildCache": cache},
        )
        text = "{{json .}}" if form == "json" else form
        try:
            filled: str = (
                load_module("tierce.cli.format.template").Template(text).execute(everything)
            )
        except FormatError as error:
            raise FormatError(f"template parsing error: {error.message}") from None
        return filled + "\n"
    # What images have too is counted with them.
    total = human_size(build_cache.private)
    return "\n".join(
        [
            "Images space usage:\n",
            table(images, IMAGE_HEADERS),
            "Containers space usage:\n",
            table(containers, CONTAINER_HEADERS),
            "Local Volumes space usage:\n",
            table(used, USED_VOLUME_HEADERS),
            f"Build cache usage: {total}\n",
            table(cache, CACHE_HEADERS),
        ]
    )


def table(rows: list[Struct], headers: Mapping[str, str]) -> str:
    return render_rows("", rows, headers=headers, columns=tuple(headers))


def image_row(each: ImageUsage, names: Mapping[Digest, Sequence[Reference]]) -> Struct:
    tagged = [name for name in names.get(each.image.config, ()) if name.tagged]
    created = created_seconds(each.image.created)
    return Struct(
        "formatter.imageContext",
        {
            "Containers": str(each.containers),
            "CreatedSince": ago(created) if created else "N/A",
            "ID": each.image.id.short,
            "Repository": tagged[0].familiar_name if tagged else "<none>",
            "SharedSize": human_size(each.shared),
            "Size": human_size(each.size, 3),
            "Tag": (tagged[0].tag if tagged else None) or "<none>",
            "UniqueSize": human_size(each.unique),
        },
        escape_html=True,
    )


def cache_row(each: CacheItem) -> Struct:
    return Struct(
        "formatter.buildCacheContext",
        {
            "CacheType": each.type,
            "CreatedSince": ago(each.created),
            "Description": each.description,
            "ID": f"{each.id}{'*' if each.in_use else ''}",
            "LastUsedSince": ago(each.last_used),
            "Shared": "true" if each.shared else "false",
            "Size": human_size(each.size, 3),
            "UsageCount": str(each.uses),
        },
        escape_html=True,
    )
