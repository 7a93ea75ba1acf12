"""`tierce container exec`: a command in a running container."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.running.attaching import DETACH_KEYS, detach_keys
from tierce.cli.running.request import environment_of
from tierce.cli.session import Session
from tierce.cli.table import load_module
from tierce.client.processes import ExecRequest, Processes
from tierce.errors import ContainerError

COMMAND = Command(
    name="container exec",
    usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
    short="Execute a command in a running container",
    flags=(
        Flag("detach", "d", help="Detached mode: run command in the background"),
        DETACH_KEYS,
        Flag("env", "e", kind="map", help="Set environment variables"),
        Flag("env-file", kind="list", help="Read in a file of environment variables"),
        Flag("interactive", "i", help="Keep STDIN open even if not attached"),
        Flag("privileged", help="Give extended privileges to the command"),
        Flag("tty", "t", help="Allocate a pseudo-TTY"),
        Flag("user", "u", kind="string", help="Username or UID (format: <name|uid>[:<group|gid>])"),
        Flag("workdir", "w", kind="string", help="Working directory inside the container"),
    ),
    minimum=2,
    maximum=None,
    interspersed=False,
    usage_status=ContainerError.OURS,
)


def run(options: Parsed, session: Session) -> int:
    """Run the command; the exit status is its own."""
    name, *command = options.arguments
    request = ExecRequest(
        command=tuple(command),
        env=tuple(environment_of(options, session.environ)),
        working_dir=options.text("workdir"),
        user=options.text("user"),
        stdin=options.flag("interactive"),
        terminal=options.flag("tty"),
        privileged=options.flag("privileged"),
        detached=options.flag("detach"),
        detach_keys=detach_keys(options, session, terminal=options.flag("tty")),
    )
    session.stdout.flush()
    if request.privileged:
        rights = load_module("tierce.client.rights")  # few commands want any
        for warning in rights.missing(rights.Rights(), privileged=True):
            session.warn(f"WARNING: {warning}")
    try:
        return Processes(session.store).execute(name, request)
    except ContainerError as error:
        if error.exit_code != ContainerError.OURS:
            raise
        # 125 is only for a wrong command line, as in docker.
        raise ContainerError(error.message, status=1, hint=error.hint) from error
