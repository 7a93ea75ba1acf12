"""`tierce image build`: from a Dockerfile to an image."""

from __future__ import annotations

import os
import threading

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.progress import make_renderer
from tierce.client.builds import BuildRequest, Builds
from tierce.errors import BuildError, TierceError, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="image build",
    usage="[OPTIONS] PATH | -",
    short="Build an image from a Dockerfile",
    flags=(
        Flag("add-host", kind="list", help='Add a custom host-to-IP mapping ("host:ip")'),
        Flag("build-arg", kind="map", help="Set build-time variables"),
        Flag("file", "f", kind="string", help='Name of the Dockerfile (default "PATH/Dockerfile")'),
        Flag("iidfile", kind="string", help="Write the image ID to a file"),
        Flag("label", kind="map", help="Set metadata for an image"),
        Flag("network", kind="string", default="default",
             help='Set the networking mode for the "RUN" instructions during build'),
        Flag("no-cache", help="Do not use cache when building the image"),
        Flag("platform", kind="string", help="Set target platform for build"),
        Flag("progress", kind="string", default="auto",
             help='Set type of progress output ("auto", "plain", "quiet", "rawjson", "tty")'),
        Flag("pull", help="Always attempt to pull all referenced images"),
        Flag("quiet", "q", help="Suppress the build output and print image ID on success"),
        Flag("tag", "t", kind="list", help='Name and optionally a tag (format: "name:tag")'),
        Flag("target", kind="string", help="Set the target build stage to build"),
    ),
    minimum=1,
    maximum=1,
)  # fmt: skip

NETWORKS = ("default", "host", "none")


def run(options: Parsed, session: Session) -> int:
    """Build; the image ID goes to standard output with --quiet, progress to standard error."""
    request = request_of(options, session)
    mode = "quiet" if options.flag("quiet") else options.text("progress")
    renderer = make_renderer(mode, session.stderr, session.environ)
    cancelled = threading.Event()
    error: BaseException | None = None
    try:
        result = Builds(session.store).build(request, renderer, cancelled=cancelled)
    except KeyboardInterrupt as interrupt:
        cancelled.set()
        error = interrupt
        raise
    except (TierceError, OSError) as failure:
        error = failure
        raise
    finally:
        renderer.close(error)
    if options.text("iidfile"):
        write_image_id(options.text("iidfile"), str(result.image_id))
    if options.flag("quiet"):
        session.print(str(result.image_id))
    return 0


def request_of(options: Parsed, session: Session) -> BuildRequest:
    """What the flags ask for. Raises UsageError."""
    context, dockerfile, text = options.arguments[0], options.text("file"), None
    if context == "-" or dockerfile == "-":
        if context == "-" and dockerfile == "-":
            raise UsageError("standard input cannot be both the context and the Dockerfile")
        text = session.stdin.buffer.read()
        dockerfile = ""
        if context == "-":
            context = ""
    if options.text("network") not in NETWORKS:
        raise UsageError(
            f"network {options.text('network')}: not supported in builds",
            hint=f"one of {', '.join(NETWORKS)}",
        )
    environ = session.environ
    return BuildRequest(
        context=context,
        dockerfile=found_dockerfile(context, dockerfile),
        dockerfile_text=text,
        tags=tuple(options.texts("tag")),
        build_args=tuple(options.pairs("build-arg")),
        labels=tuple((name, value or "") for name, value in options.pairs("label")),
        target=options.text("target"),
        platform=options.text("platform"),
        no_cache=options.flag("no-cache"),
        pull=options.flag("pull"),
        network=options.text("network"),
        add_hosts=tuple(host_of(text) for text in options.texts("add-host")),
        environment=tuple(environ.items()),
        source_date_epoch=epoch_of(options, session),
    )


def found_dockerfile(context: str, given: str) -> str:
    """The path of the Dockerfile: as given or, as docker has it, below the context."""
    if given and context and not os.path.exists(given):
        below = os.path.join(context, given)
        if os.path.exists(below):
            return below
    return given


def host_of(text: str) -> tuple[str, str]:
    """(name, address) of `name:address` or `name=address`. Raises UsageError."""
    for separator in ("=", ":"):
        name, found, address = text.partition(separator)
        if found and name and address:
            return name, address.strip("[]")
    raise UsageError(f"invalid host: {text}", hint="write it as name:address")


def epoch_of(options: Parsed, session: Session) -> int | None:
    """SOURCE_DATE_EPOCH, as a build argument or from the environment. Raises UsageError."""
    given = dict(options.pairs("build-arg"))
    text = given.get("SOURCE_DATE_EPOCH") or session.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970"
        ) from None


def write_image_id(path: str, image_id: str) -> None:
    """Write the ID, without a newline, as docker does. Raises BuildError."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(image_id)
    except OSError as error:
        raise BuildError(f"write image ID: {path}: {error.strerror}") from error
