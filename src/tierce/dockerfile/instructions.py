"""The instructions with their meaning: flags checked, words cut, nothing expanded yet.

`source` is where each comes from. `readers` makes them.
"""

from __future__ import annotations

from tierce.dockerfile.lexer import Heredoc
from tierce.dockerfile.parser import Instruction
from tierce.oci.config import Healthcheck
from tierce.values import Value


class CommandLine(Value):
    """The command of RUN, CMD, ENTRYPOINT: `words` of the exec form, or one text for the shell."""

    words: tuple[str, ...]
    is_shell: bool


class Assignment(Value):
    """One `name=value` of ENV or LABEL, quotes and variables as written; or `name value`."""

    name: str
    value: str
    is_legacy: bool = False


class Declaration(Value):
    """One name of ARG; `default` is None when there is none."""

    name: str
    default: str | None = None


class From(Value):
    source: Instruction
    base: str
    name: str = ""
    platform: str = ""


class Arg(Value):
    source: Instruction
    declarations: tuple[Declaration, ...]


class Env(Value):
    source: Instruction
    assignments: tuple[Assignment, ...]


class Label(Value):
    source: Instruction
    assignments: tuple[Assignment, ...]


class Run(Value):
    """`mounts` are unread, as variables count in them; `mount_sources` their `from`, or ""."""

    source: Instruction
    command: CommandLine
    mounts: tuple[str, ...] = ()
    mount_sources: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


class Copy(Value):
    """COPY and, when `is_add`, ADD. Sources that are heredocs are in `documents`."""

    source: Instruction
    sources: tuple[str, ...]
    documents: tuple[Heredoc, ...]
    destination: str
    copy_from: str = ""
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()
    is_add: bool = False
    checksum: str = ""
    keep_git_directory: bool | None = None
    unpack: bool | None = None


class Workdir(Value):
    source: Instruction
    path: str


class User(Value):
    source: Instruction
    user: str


class Cmd(Value):
    source: Instruction
    command: CommandLine


class Entrypoint(Value):
    source: Instruction
    command: CommandLine


class Expose(Value):
    source: Instruction
    ports: tuple[str, ...]


class Volume(Value):
    source: Instruction
    paths: tuple[str, ...]


class Shell(Value):
    source: Instruction
    words: tuple[str, ...]


class StopSignal(Value):
    source: Instruction
    signal: str


class HealthCheck(Value):
    source: Instruction
    check: Healthcheck


class Maintainer(Value):
    source: Instruction
    name: str


class OnBuild(Value):
    source: Instruction
    trigger: str


Command = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Workdir
    | User
    | Cmd
    | Entrypoint
    | Expose
    | Volume
    | Shell
    | StopSignal
    | HealthCheck
    | Maintainer
    | OnBuild
)
