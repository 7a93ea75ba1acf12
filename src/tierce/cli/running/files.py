"""Flags of `container run` for what is mounted: --volume, --mount, --tmpfs, --volumes-from."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.cli.table import load_module
from tierce.client.running import (
    HostPath,
    MemoryMount,
    VolumeMount,
    parse_tmpfs,
    parse_volume,
    parse_volumes_from,
)
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.client.running import RunRequest

FLAGS = (
    Flag("mount", kind="list", help="Attach a filesystem mount to the container"),
    Flag("tmpfs", kind="list", help="Mount a tmpfs directory"),
    Flag("volume", "v", kind="list", help="Bind mount a volume"),
    Flag("volume-driver", kind="string", help="Optional volume driver for the container"),
    Flag("volumes-from", kind="list", help="Mount volumes from the specified container(s)"),
)


def with_mounts(request: RunRequest, options: Parsed) -> RunRequest:
    """The request with what these flags ask for. Raises UsageError."""
    if options.text("volume-driver") not in {"", "local"}:
        raise UsageError(
            f"volume driver {options.text('volume-driver')}: there is only local",
            hint="leave out --volume-driver",
        )
    mounts: list[HostPath | VolumeMount | MemoryMount] = [
        parse_volume(text) for text in options.texts("volume")
    ]
    if given := options.texts("mount"):
        notation = load_module("tierce.client.mounts")
        parse: Callable[[str], HostPath | VolumeMount | MemoryMount] = notation.parse_mount
        mounts += [parse(text) for text in given]
    mounts += [parse_tmpfs(text) for text in options.texts("tmpfs")]
    others = options.texts("volumes-from")
    if not mounts and not others:
        return request
    return request.replace(
        binds=tuple(mount for mount in mounts if isinstance(mount, HostPath)),
        volumes=tuple(mount for mount in mounts if isinstance(mount, VolumeMount)),
        memory=tuple(mount for mount in mounts if isinstance(mount, MemoryMount)),
        volumes_from=tuple(parse_volumes_from(text) for text in others),
    )
