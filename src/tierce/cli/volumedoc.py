"""A volume as docker shows it: in a row, and in full."""

from __future__ import annotations

from tierce.cli.format.units import human_size, rfc3339
from tierce.cli.format.values import NilMap, StringMap, Struct

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.client.volumes import VolumeView

VOLUME_HEADERS = {
    "Availability": "AVAILABILITY",
    "Driver": "DRIVER",
    "Group": "GROUP",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Mountpoint": "MOUNTPOINT",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Size": "SIZE",
    "Status": "STATUS",
}


def volume_row(view: VolumeView, size: int | None = None) -> Struct:
    """The row of a volume; with its `size` in bytes, as `system df` shows it."""
    return Struct(
        "formatter.volumeContext",
        {
            "Availability": "N/A",
            "Driver": "local",
            "Group": "N/A",
            "Labels": ",".join(f"{name}={value}" for name, value in view.labels),
            "Links": "N/A" if size is None else str(len(view.users)),
            "Mountpoint": view.mountpoint,
            "Name": view.volume.name,
            "Scope": "local",
            "Size": "N/A" if size is None else human_size(size),
            "Status": "N/A",
        },
        escape_html=True,
        methods={"Label": lambda name: dict(view.labels).get(name, "")},
    )


def volume_document(view: VolumeView) -> Struct:
    """The document of a volume."""
    options = view.volume.options
    return Struct(
        "volume.Volume",
        {
            "CreatedAt": rfc3339(view.volume.created),
            "Driver": "local",
            "Labels": StringMap(view.labels) if view.labels else NilMap(),
            "Mountpoint": view.mountpoint,
            "Name": view.volume.name,
            "Options": StringMap(options) if options else NilMap(),
            "Scope": "local",
        },
    )
