"""`tierce version`."""

from __future__ import annotations

import os
import sys

import tierce
from tierce.cli.flags import INSPECT_FORMAT_HELP, Command, Flag, Parsed
from tierce.cli.table import load_module

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.format.values import Struct
    from tierce.cli.session import Session

COMMAND = Command(
    name="version",
    usage="[OPTIONS]",
    short="Show the version information",
    flags=(Flag("format", "f", kind="string", help=INSPECT_FORMAT_HELP),),
)

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def run(options: Parsed, session: Session) -> int:
    """Opens no store, and loads templates only for `--format`: every tool's first question."""
    form = options.text("format")
    if form:
        load_module("tierce.cli.inspecting").show_document(session, document(), form)
        return 0
    session.stdout.write(
        "Client:\n"
        f" Version:           {tierce.__version__}\n"
        f" Python version:    {python_version()}\n"
        f" OS/Arch:           linux/{architecture()}\n"
        " Context:           default\n"
        "\n"
        "Server: none, tierce has no daemon\n"
    )
    return 0


def document() -> Struct:
    """Who asks for the version of the server gets that of the client, which does its work."""
    make: type[Struct] = load_module("tierce.cli.format.values").Struct
    common = {
        "Version": tierce.__version__,
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": os.uname().release,
        "PythonVersion": python_version(),
    }
    client = make("system.clientVersion", {**common, "Context": "default"})
    server = make("system.serverVersion", common)
    return make("system.versionInfo", {"Client": client, "Server": server})


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def architecture() -> str:
    machine = os.uname().machine
    return MACHINES.get(machine, machine)
