"""An image as docker's API describes it: field by field what `inspect` shows."""

from __future__ import annotations

from tierce.cli.format.units import rfc3339_nano
from tierce.cli.format.values import NilList, NilMap, NilPointer, StringMap, Struct
from tierce.errors import TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tierce.cli.session import Session
    from tierce.client.images import ImageDetails, Images
    from tierce.oci.config import ContainerConfig, Healthcheck

NEVER = "0001-01-01T00:00:00Z"
OMITTED = frozenset({"OsVersion", "Variant"})
OMITTED_IN_CONFIG = frozenset({"ArgsEscaped", "ExposedPorts", "Healthcheck", "Shell", "StopSignal"})
OMITTED_IN_HEALTHCHECK = frozenset(
    {"Interval", "Retries", "StartInterval", "StartPeriod", "Test", "Timeout"}
)


def image_document(session: Session, images: Images, details: ImageDetails) -> Struct:
    """The document of an image. Its layers are unpacked if somebody asks where they are."""
    config = details.config
    tagged = NEVER if details.last_tagged is None else rfc3339_nano(details.last_tagged)
    return Struct(
        "image.InspectResponse",
        {
            "Id": str(details.image.id),
            "RepoTags": [name.familiar for name in details.names],
            "RepoDigests": [name.familiar for name in details.digests],
            "Parent": "",
            "Comment": config.comment or (config.history[-1].comment if config.history else ""),
            "Created": config.created or NEVER,
            "DockerVersion": config.docker_version,
            "Author": config.author,
            "Config": config_document(config.config),
            "Architecture": config.architecture,
            "Variant": config.variant,
            "Os": config.os,
            "OsVersion": config.os_version,
            "Size": details.image.size,
            "GraphDriver": lambda: driver_document(session, images, details),
            "RootFS": Struct(
                "image.RootFS",
                {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
                omitted=frozenset({"Layers"}),
            ),
            "Metadata": Struct("image.Metadata", {"LastTagTime": tagged}),
        },
        aliases={"ID": "Id"},
        omitted=OMITTED,
    )


def config_document(config: ContainerConfig) -> Struct:
    """The whole of docker's container.Config, though images set few of its fields."""
    health = config.healthcheck
    return Struct(
        "container.Config",
        {
            "Hostname": "",
            "Domainname": "",
            "User": config.user,
            "AttachStdin": False,
            "AttachStdout": False,
            "AttachStderr": False,
            "ExposedPorts": empty_objects(config.exposed_ports),
            "Tty": False,
            "OpenStdin": False,
            "StdinOnce": False,
            "Env": texts(config.env),
            "Cmd": texts(config.cmd),
            "Healthcheck": health_document(health) if health else NilPointer("container.Health"),
            "ArgsEscaped": config.args_escaped,
            "Image": "",
            "Volumes": empty_objects(config.volumes),
            "WorkingDir": config.working_dir,
            "Entrypoint": texts(config.entrypoint),
            "OnBuild": texts(config.on_build),
            "Labels": StringMap(config.labels) if config.labels else NilMap(),
            "StopSignal": config.stop_signal,
            "Shell": texts(config.shell),
        },
        omitted=OMITTED_IN_CONFIG,
    )


def health_document(health: Healthcheck) -> Struct:
    return Struct(
        "container.HealthConfig",
        {
            "Test": texts(health.test),
            "Interval": health.interval_ns,
            "Timeout": health.timeout_ns,
            "StartPeriod": health.start_period_ns,
            "StartInterval": health.start_interval_ns,
            "Retries": health.retries,
        },
        omitted=OMITTED_IN_HEALTHCHECK,
    )


def driver_document(session: Session, images: Images, details: ImageDetails) -> Struct:
    """Where the files of the layers are. What cannot be unpacked is not shown, but reported."""
    data: object = None
    try:
        directories = images.directories(details.config)
        if directories is not None:
            lower = ":".join(map(str, directories.lower))
            data = StringMap({"LowerDir": lower} if lower else {})
            data["MergedDir"] = str(directories.merged)
            data["UpperDir"] = str(directories.upper)
            data["WorkDir"] = str(directories.work)
    except TierceError as error:
        session.report(error)
    name = session.store.parts.snapshotter.name
    return Struct("storage.DriverData", {"Data": data, "Name": name})


def texts(values: Sequence[str] | None) -> list[object]:
    return list(values) if values else NilList()


def empty_objects(names: Iterable[str]) -> dict[str, object]:
    found: dict[str, object] = {name: Struct("struct {}", {}) for name in names}
    return found or NilMap()
