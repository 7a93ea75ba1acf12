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
    """Who asks for the version of the server gets that of the client, which does its work.

    There is no interface of a daemon, and so no version of one.
    """
    make: type[Struct] = load_module("tierce.cli.format.values").Struct
    platform = make("client.PlatformInfo", {"Name": "tierce"})
    common = {
        "Platform": platform,
        "Version": tierce.__version__,
        "ApiVersion": "",
        "GitCommit": "",
        "BuildTime": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": os.uname().release,
        "PythonVersion": python_version(),
    }
    names = {"APIVersion": "ApiVersion"}
    client = make(
        "system.clientVersion",
        {**common, "DefaultAPIVersion": "", "Context": "default"},
        aliases=names,
    )
    component = make(
        "system.ComponentVersion",
        {
            "Name": "Engine",
            "Version": tierce.__version__,
            "Details": {name: common[name] for name in ("Os", "Arch", "KernelVersion")},
        },
    )
    server = make(
        "system.serverVersion",
        {**common, "MinAPIVersion": "", "Components": [component], "Experimental": False},
        aliases=names,
    )
    return make("system.versionInfo", {"Client": client, "Server": server})


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def architecture() -> str:
    machine = os.uname().machine
    return MACHINES.get(machine, machine)
