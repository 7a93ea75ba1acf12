"""`tierce container run`: a container of an image, in the foreground or in the background."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.running import attaching
from tierce.cli.running.network import tell_of_network
from tierce.cli.running.pulling import with_image
from tierce.cli.running.request import FLAGS, request_of
from tierce.cli.running.rightsflags import with_rights
from tierce.cli.session import Session
from tierce.cli.table import load_module
from tierce.client import running
from tierce.errors import ContainerError, TierceError, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.client.containers import Containers
    from tierce.client.running import RunRequest

COMMAND = Command(
    name="container run",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short="Create and run a new container from an image",
    flags=(
        *FLAGS,
        Flag("detach", "d", help="Run container in background and print container ID"),
        attaching.DETACH_KEYS,
        attaching.SIG_PROXY,
    ),
    minimum=1,
    maximum=None,
    interspersed=False,
    usage_status=ContainerError.OURS,
)


def run(options: Parsed, session: Session) -> int:
    """Run; the exit status is the process's own, or 125 when there was none."""
    attaching.check(options)
    request = request_of(options, session.environ)
    session.stdout.flush()
    try:
        request = tell_of_network(with_rights(request, options, session), session)
        if not options.flag("detach"):
            return with_image(options, session, lambda: _in_front(request, options, session))
        # What starts in the foreground gets by without the rest of a container's life.
        containers: Containers = load_module("tierce.client.containers").Containers(session.store)
        session.print(with_image(options, session, lambda: containers.run_detached(request)))
    except (ContainerError, UsageError):
        raise
    except TierceError as error:
        # As from docker's daemon: not to be mistaken for what a process ended with.
        raise ContainerError(error.message, hint=error.hint) from error
    return 0


def _in_front(request: RunRequest, options: Parsed, session: Session) -> int:
    """Run with our streams: in the quick way that ends with us, unless it may have to outlive us.

    It does when somebody leaves its terminal, or when signals are to end us and not it.
    """
    chosen = options.given("attach") or not options.flag("sig-proxy")
    if not (request.terminal or chosen):
        return running.run(session.store, request)
    attachments = load_module("tierce.client.attachments")
    streams = attaching.attached_streams(options)
    wanted = attachments.AttachOptions(
        stdin="stdin" in streams,
        stdout="stdout" in streams,
        stderr="stderr" in streams,
        keys=attaching.detach_keys(options, session, terminal=request.terminal),
        signals=options.flag("sig-proxy"),
        insists=True,
    )
    must = chosen or options.given("detach-keys")
    status: int = attachments.Attachments(session.store).run_in_front(request, wanted, must=must)
    return status
