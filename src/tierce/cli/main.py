"""The way in and out: global options, the command's call, and the exit status.

Nothing here, nor in what it imports at the top, may cost more than a millisecond: this module is
loaded for every command. What only some need (help, the store, the report of a failure) is loaded
through the table.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` adds enumerations, which take 6 ms
import gc
import os
import sys

import tierce
from tierce.cli import table
from tierce.cli.flags import Command, Flag, Parsed, check_arguments, parse
from tierce.cli.session import Session
from tierce.errors import Cancelled, TierceError, UsageError
from tierce.lean.importing import import_quickly

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn, TextIO

INTERRUPTED = 130
TERMINATED = 143
BROKEN_PIPE = 141

ROOT = Command(
    name="",
    usage="[OPTIONS] COMMAND",
    short=table.SUMMARY,
    flags=(
        Flag("config", kind="string", help='Location of client config files (default "~/.docker")'),
        Flag("debug", "D", help="Enable debug mode: show where an error comes from"),
        Flag("host", "H", kind="string", help="Not supported: there is no daemon", hidden=True),
        Flag("context", "c", kind="string", help="Only the context default", hidden=True),
        Flag(
            "log-level",
            "l",
            kind="string",
            default="info",
            help='Set the logging level ("debug", "info", "warn", "error", "fatal")',
        ),
        Flag(
            "root",
            kind="string",
            help="Where images, containers and the build cache are stored",
        ),
        Flag("version", "v", help="Print version information and quit"),
    ),
    maximum=None,
    interspersed=False,
)


class Terminated(BaseException):
    """SIGTERM: everything is cleaned up on the way out, as after an interrupt."""


def entry() -> NoReturn:
    """The program `tierce`.

    It ends without tearing the interpreter down: everything that needs an end had one in `main`,
    and freeing what a build with a large context has in memory takes longer than the build.
    """
    import_quickly(tierce)
    _keep_descriptors()
    # Commands live for milliseconds and make objects that last: few of them are worth a search.
    gc.set_threshold(100_000, 50, 100)
    _prepare_streams()
    _signal.signal(_signal.SIGINT, _interrupted())
    _signal.signal(_signal.SIGTERM, _terminated)
    status = main(ends_process=True)
    os._exit(status)


def main(argv: Sequence[str] | None = None, *, ends_process: bool = False) -> int:
    """Run the command line, without the program's name; return the exit status.

    Errors are shown on standard error; no exception leaves. With `ends_process` the store is
    left to the end of the process instead of being closed.
    """
    words = sys.argv[1:] if argv is None else argv
    command = ROOT
    debug = False
    try:
        options = parse(ROOT, words)
        debug = options.flag("debug")
        if options.flag("version"):
            sys.stdout.write(f"tierce version {tierce.__version__}\n")
            status = 0
        elif options.wants_help or not options.arguments or options.arguments[0] == "help":
            status = show_help(options)
        else:
            found = table.find(options.arguments)
            if found.is_group:
                status = show_help(options)
            else:
                if os.geteuid() and found.path not in table.WITHOUT_NAMESPACE:
                    table.load_module("tierce.cli.privilege").gain(found, options)
                module = table.load(found.path)
                command = module.COMMAND
                session = new_session(options)
                try:
                    status = run(module, found.rest, options, session)
                finally:
                    if not ends_process:
                        session.close()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place that answers for all of them
        return failed(error, command, debug=debug)
    return status


def new_session(options: Parsed) -> Session:
    return Session(
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
        environ=os.environ,
        root=options.text("root"),
        debug=options.flag("debug"),
    )


def run(module: ModuleType, words: Sequence[str], options: Parsed, session: Session) -> int:
    """Call a command with the words that follow its name; `options` are the global ones."""
    if options.given("host"):
        raise UsageError("there is no daemon: --host is not supported")
    if options.text("context") not in {"", "default"}:
        raise UsageError(f"no such context: {options.text('context')}")
    command: Command = module.COMMAND
    parsed = parse(command, words)
    if parsed.wants_help:
        sys.stdout.write(table.load_module("tierce.cli.help").command_help(command))
        return 0
    check_arguments(command, parsed.arguments)
    if options.given("config"):
        os.environ["DOCKER_CONFIG"] = options.text("config")
    status: int = module.run(parsed, session)
    return status


def show_help(options: Parsed) -> int:
    """Help that no command asks for itself: of the root, of a group, or by `tierce help …`."""
    help_of = table.load_module("tierce.cli.help")
    words = list(options.arguments)
    asked = options.wants_help
    if words[:1] == ["help"]:
        words, asked = words[1:], True
    if not words:
        text = help_of.root_help(ROOT.flags)
    else:
        asked = asked or "--help" in words or "-h" in words
        found = table.find(words)
        if found.is_group:
            text = help_of.group_help(found.path)
        else:
            text = help_of.command_help(table.load(found.path).COMMAND)
    # As docker: what was asked for is a result, what the user seems to need is not.
    (sys.stdout if asked else sys.stderr).write(text)
    return 0


def failed(error: BaseException, command: Command, *, debug: bool) -> int:
    """Show what the command ended with; return the exit status."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough; what is still in the buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, KeyboardInterrupt | Cancelled):
        return INTERRUPTED
    try:
        sys.stdout.flush()
        table.load_module("tierce.cli.failure").show(error, command, sys.stderr, debug=debug)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, UsageError):
        return command.usage_status
    return error.exit_code if isinstance(error, TierceError) else 1


def _keep_descriptors() -> None:
    """No program that we start gets what whoever has called us left open."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:  # the one by which the directory was read
            continue


def _prepare_streams() -> None:
    """Output is UTF-8 whatever the locale, and file names come out with the bytes they have."""
    stream: TextIO
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _interrupted() -> object:
    """A handler that stops the command cleanly, and when it is interrupted again, at once."""
    interrupts = 0

    def handle(_number: int, _frame: object) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt

    return handle


def _terminated(_number: int, _frame: object) -> None:
    raise Terminated
