"""What the flags of `container run` and `container create` mean."""

from __future__ import annotations

from tierce.cli.flags import Flag, Parsed
from tierce.cli.running import (
    attaching,
    files,
    health,
    labels,
    logging,
    network,
    pulling,
    rightsflags,
)
from tierce.client.running import (
    RunRequest,
    check_name,
    parse_signal,
    read_env_file,
)
from tierce.errors import InvalidValue, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS = (
    Flag("cidfile", kind="string", help="Write the container ID to the file"),
    Flag("entrypoint", kind="string", help="Overwrite the default ENTRYPOINT of the image"),
    Flag("env", "e", kind="map", help="Set environment variables"),
    Flag("env-file", kind="list", help="Read in a file of environment variables"),
    Flag("interactive", "i", help="Keep STDIN open even if not attached"),
    Flag("name", kind="string", help="Assign a name to the container"),
    Flag("platform", kind="string", help="Set platform if server is multi-platform capable"),
    Flag("privileged", help="Give extended privileges to this container"),
    Flag("read-only", help="Mount the container's root filesystem as read only"),
    Flag("rm", help="Automatically remove the container when it exits"),
    Flag("stop-signal", kind="string", help="Signal to stop the container"),
    Flag("stop-timeout", kind="int", default=0, help="Timeout (in seconds) to stop a container"),
    Flag("tty", "t", help="Allocate a pseudo-TTY"),
    Flag("user", "u", kind="string", help="Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag("workdir", "w", kind="string", help="Working directory inside the container"),
    *attaching.FLAGS,
    *files.FLAGS,
    *logging.FLAGS,
    *health.FLAGS,
    *labels.FLAGS,
    *network.FLAGS,
    *pulling.FLAGS,
    *rightsflags.FLAGS,
)  # fmt: skip


def request_of(options: Parsed, environ: Mapping[str, str]) -> RunRequest:
    """What the flags and arguments ask for. Raises UsageError."""
    image, *command = options.arguments
    check_choices(options)
    request = RunRequest(
        image=image,
        command=tuple(command),
        entrypoint=entrypoint_of(options),
        name=options.text("name"),
        env=tuple(environment_of(options, environ)),
        working_dir=options.text("workdir"),
        user=options.text("user"),
        stdin=options.flag("interactive"),
        stdin_once=attaching.attaches_stdin(options),
        attached=attaching.attached_of(options),
        terminal=options.flag("tty"),
        remove=options.flag("rm"),
        labels=labels.labels_of(options),
        id_file=options.text("cidfile"),
        platform=options.text("platform"),
        privileged=options.flag("privileged"),
        read_only=options.flag("read-only"),
        stop_signal=options.text("stop-signal"),
        stop_timeout=options.integer("stop-timeout") if options.given("stop-timeout") else None,
        log_driver=logging.log_driver_of(options),
        log_options=logging.log_options_of(options),
        health=health.health_of(options),
    )
    return network.with_network(files.with_mounts(request, options), options)


def check_choices(options: Parsed) -> None:
    """Refuses values that mean something to docker and nothing here."""
    labels.check_restart(options)
    try:
        if name := options.text("name"):
            check_name(name)
        if stop := options.text("stop-signal"):
            parse_signal(stop)
    except InvalidValue as error:
        raise UsageError(error.message) from error


def entrypoint_of(options: Parsed) -> tuple[str, ...] | None:
    """One word; an empty one takes away what the image has."""
    if not options.given("entrypoint"):
        return None
    word = options.text("entrypoint")
    return (word,) if word else ()


def environment_of(options: Parsed, environ: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Variables of the files, then those of the flags; `-e NAME` takes ours, if we have it."""
    found: list[tuple[str, str | None]] = []
    for path in options.texts("env-file"):
        found += read_env_file(path, environ)
    for name, value in options.pairs("env"):
        found.append((name, environ.get(name) if value is None else value))
    return found
