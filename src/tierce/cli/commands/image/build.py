"""`tierce image build`: from a Dockerfile to an image."""

from __future__ import annotations

import os
import threading
import time

from tierce.cli.building.request import request_of
from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.limitflags import LIMIT_FLAGS
from tierce.cli.progress import make_renderer
from tierce.cli.table import load_module
from tierce.client.builds import Builds
from tierce.errors import BuildError, TierceError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.progress import Renderer
    from tierce.cli.session import Session
    from tierce.client.builds import BuildRequest

_COLLECTING = "TIERCE_CACHE_GC"
"""Environment variable: "0" leaves the build cache to grow."""

_DAY_SECONDS = 86_400

COMMAND = Command(
    name="image build",
    usage="[OPTIONS] PATH | URL | -",
    short="Build an image from a Dockerfile",
    flags=(
        Flag("add-host", kind="list", help='Add a custom host-to-IP mapping ("host:ip")'),
        Flag("allow", kind="list",
             help='Allow extra privileged entitlement ("network.host", "security.insecure")'),
        Flag("annotation", kind="list", help="Add annotation to the image"),
        Flag("attest", kind="list", help='Attestation parameters (only "disabled=true")'),
        Flag("build-arg", kind="map", help="Set build-time variables"),
        Flag("build-context", kind="list",
             help='Additional build contexts (e.g., "name=path")'),
        Flag("cache-from", kind="list",
             help='External cache sources (e.g., "user/app:cache", "type=local,src=path/to/dir")'),
        Flag("cache-to", kind="list",
             help='Cache export destinations (e.g., "type=local,dest=path/to/dir", "type=inline")'),
        Flag("call", kind="string", default="build",
             help='Set method for evaluating build ("check", "outline", "targets")'),
        Flag("check", help='Shorthand for "--call=check"'),
        Flag("explain", help="Tell of each step that was not cached what differed"),
        Flag("file", "f", kind="string", help='Name of the Dockerfile (default "PATH/Dockerfile")'),
        Flag("force-rm", hidden=True),
        Flag("iidfile", kind="string", help="Write the image ID to a file"),
        Flag("isolation", kind="string",
             help='What isolates "RUN" instructions ("oci": containers, "chroot": that alone)'),
        Flag("label", kind="map", help="Set metadata for an image"),
        Flag("load", help='Shorthand for "--output=type=docker"'),
        Flag("metadata-file", kind="string", help="Write build result metadata to a file"),
        Flag("network", kind="string", default="default",
             help='Set the networking mode for the "RUN" instructions during build'),
        Flag("no-cache", help="Do not use cache when building the image"),
        Flag("no-cache-filter", kind="list", help="Do not cache specified stages"),
        Flag("on-error", kind="string",
             help='What to do when a step fails ("shell": open a shell in it)'),
        Flag("output", "o", kind="list",
             help='Output destination (format: "type=local,dest=path")'),
        Flag("platform", kind="string", help="Set target platform for build"),
        Flag("progress", kind="string", default="auto",
             help='Set type of progress output ("auto", "plain", "quiet", "rawjson", "tty")'),
        Flag("provenance", kind="string", help='Provenance attestation (only "false")'),
        Flag("pull", help="Always attempt to pull all referenced images"),
        Flag("push", help='Shorthand for "--output=type=registry"'),
        Flag("quiet", "q", help="Suppress the build output and print image ID on success"),
        Flag("resource", kind="list",
             help='Resource limits of build steps (format: "memory=2g", "cpu-quota=50000")'),
        Flag("rm", default=True, hidden=True),
        Flag("sbom", kind="string", help='SBOM attestation (only "false")'),
        Flag("secret", kind="list",
             help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'),
        Flag("squash", help="Squash newly built layers into a single new layer"),
        Flag("ssh", kind="list",
             help='SSH agent socket or keys to expose to the build '
                  '(format: "default|<id>[=<socket>|<key>[,<key>]]")'),
        Flag("tag", "t", kind="list", help='Name and optionally a tag (format: "name:tag")'),
        Flag("target", kind="string", help="Set the target build stage to build"),
        *LIMIT_FLAGS,
    ),
    minimum=1,
    maximum=1,
)  # fmt: skip


def run(options: Parsed, session: Session) -> int:
    """Build; the image ID goes to standard output with --quiet, progress to standard error."""
    if not options.given("on-error"):
        return _build(options, session)
    shell = load_module("tierce.cli.building.shell")  # wanted now and then
    shell.check_on_error(options.text("on-error"), session)
    status: int = shell.with_shell(lambda: _build(options, session), session)
    return status


def _build(options: Parsed, session: Session) -> int:
    request = request_of(options, session)
    mode = "quiet" if options.flag("quiet") else options.text("progress")
    call = None
    if options.flag("check") or options.given("call"):
        calling = load_module("tierce.cli.building.call")  # who builds, calls nothing else
        call = calling.call_of(options)
    if call is None and session.environ.get("DOCKER_BUILDKIT"):
        legacy = load_module("tierce.cli.building.legacy")  # docker's default is the other form
        if legacy.is_wanted(session.environ):
            renderer = legacy.make_renderer(session, quiet=mode == "quiet")
            request = legacy.legacy_request(request, renderer, options)
            return _run(request, renderer, options, session, mode)
    renderer = make_renderer(mode, session.stderr, session.environ, debug=session.debug)
    if call is not None:
        status: int = calling.run_call(
            call, request, session, renderer, options.text("metadata-file")
        )
        return status
    return _run(request, renderer, options, session, mode)


def _run(
    request: BuildRequest, renderer: Renderer, options: Parsed, session: Session, mode: str
) -> int:
    """Build, shown by the renderer, and write what else is asked for."""
    listener, explanations = renderer, None
    if request.explain:
        explaining = load_module("tierce.cli.building.explanations")  # asked for now and then
        listener = explanations = explaining.Explanations(renderer)
    cancelled = threading.Event()
    error: BaseException | None = None
    try:
        result = Builds(session.store).build(request, listener, cancelled=cancelled)
    except KeyboardInterrupt as interrupt:
        cancelled.set()
        error = interrupt
        raise
    except (TierceError, OSError) as failure:
        error = failure
        raise
    finally:
        renderer.close(error)
        if explanations is not None:
            explanations.write(session, mode, error)
    image_id = "" if result.image_id is None else str(result.image_id)
    if options.text("iidfile"):
        write_image_id(options.text("iidfile"), image_id)
    if options.text("metadata-file"):
        metadata = load_module("tierce.cli.building.metadata")  # few builds write it
        metadata.write_metadata(options.text("metadata-file"), result, session.environ)
    if options.flag("quiet") and image_id and not writes_to_stdout(request):
        session.print(image_id)
    collect_now_and_then(session)
    return 0


def collect_now_and_then(session: Session) -> None:
    """Once a day, have the build cache collected by a process in the background."""
    if session.environ.get(_COLLECTING, "").lower() in ("0", "false", "no", "off"):
        return
    path = session.store.paths.collected
    is_new = False
    try:
        if time.time() - os.stat(path).st_mtime < _DAY_SECONDS:
            return
    except FileNotFoundError:
        is_new = True  # so is what is in the store
    try:
        with open(path, "wb"):
            os.utime(path)
    except OSError:
        return  # the disk is full, or not ours: the next build tries again
    if not is_new:
        load_module("tierce.cli.building.collecting").start(session.store.paths.root)


def writes_to_stdout(request: BuildRequest) -> bool:
    """Whether an output of the build has standard output for itself."""
    destinations = [getattr(output, "dest", "") for output in request.outputs]
    return any(not isinstance(dest, str) for dest in destinations)


def write_image_id(path: str, image_id: str) -> None:
    """Write the ID, without a newline, as docker does. Raises BuildError."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(image_id)
    except OSError as error:
        raise BuildError(f"write image ID: {path}: {error.strerror}") from error
