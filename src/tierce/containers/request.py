"""What `container run` is asked for."""

from __future__ import annotations

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.containers.rights import Rights
    from tierce.oci.config import Healthcheck
    from tierce.runtime.ports import PortRequest

NETWORKS = ("default", "bridge", "host", "none")


class HostPath(Value):
    """Shows a file or directory of the host at `target`.

    `source` and `target` are absolute. `create`: a missing source becomes a directory, as with
    docker's --volume; else it is an error. `options` are options of mount(8) for propagation;
    what is mounted below the source is shown only if it is `recursive`.
    """

    source: str
    target: str
    read_only: bool = False
    create: bool = False
    options: tuple[str, ...] = ()
    recursive: bool = True


class VolumeMount(Value):
    """Shows a volume at `target`; without a name, one of the container's own, made for it.

    A volume that is not there is made, with these `labels` and `options`. With `copy`, an empty one
    is filled with what the image has at the target. `subpath` is what of the volume is shown.
    """

    name: str
    target: str
    read_only: bool = False
    copy: bool = True
    subpath: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


class MemoryMount(Value):
    """An empty directory in memory at `target`, with these options of mount(8)."""

    target: str
    options: tuple[str, ...] = ()


class RunRequest(Value):
    """A container to be made of an image.

    `image` is a reference or the beginning of an ID. `command` replaces the image's CMD when it
    is not empty, `entrypoint` its ENTRYPOINT and CMD when it is not None (and with no word,
    removes both). `env` holds (name, value); None takes a variable of the image away. Empty text
    means: as the image has it or, for the names, one of our choice. `network` is one of
    NETWORKS or "container:" with the name of one that runs; "default" is the bridge, or the host's
    where there can be none. `exposed` holds "80/tcp"; `address` and `mac` are for the interface;
    an address in `hosts` may be "host-gateway", this machine as the container sees it. `stdin`: the
    process reads our standard input, and has no more when we have no more, if that is given only
    `stdin_once`. `attached` are the streams ("stdin" …) that `inspect` says were to be ours.
    `remove`: nothing is left of the container when it has ended. `stop_timeout` is in seconds, None
    for the usual ten, -1 for ever. `rights` are None for the
    defaults of docker; what `health` leaves empty is the image's.
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    name: str = ""
    hostname: str = ""
    env: tuple[tuple[str, str | None], ...] = ()
    working_dir: str = ""
    user: str = ""
    stdin: bool = False
    stdin_once: bool = False
    attached: tuple[str, ...] = ()
    terminal: bool = False
    remove: bool = False
    binds: tuple[HostPath, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    memory: tuple[MemoryMount, ...] = ()
    volumes_from: tuple[tuple[str, bool], ...] = ()
    network: str = "default"
    ports: tuple[PortRequest, ...] = ()
    publish_all: bool = False
    exposed: tuple[str, ...] = ()
    address: str = ""
    mac: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    id_file: str = ""
    platform: str = ""
    privileged: bool = False
    read_only: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    log_driver: str = "json-file"
    log_options: tuple[tuple[str, str], ...] = ()
    health: Healthcheck | None = None
    rights: Rights | None = None
