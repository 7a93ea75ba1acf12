"""Calling CNI plugins: programs that put a network namespace on a network, and take it off again.

See the CNI specification, "Execution Protocol". A call is started and waited for in two steps:
plugins are programs in Go, and what they take (3 ms to start, and their work) need not be waited
for while there is something else to do.
"""

from __future__ import annotations

import os

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.lean import json, signal

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = "0.4.0"
"""Of the specification: what plugins of 2019 and later speak."""

INTERFACE = "eth0"
PACKAGE = "containernetworking-plugins"

_DIRECTORIES = "/usr/lib/cni:/opt/cni/bin:/usr/libexec/cni"
_SBIN = "/usr/sbin:/sbin"


def search_path(environ: Mapping[str, str]) -> str:
    """The directories of plugins, in CNI_PATH's form."""
    own = environ.get("CNI_PATH", "")
    return f"{own}:{_DIRECTORIES}" if own else _DIRECTORIES


def find_plugin(name: str, environ: Mapping[str, str]) -> str:
    """The path of a plugin, or empty when it is not there."""
    return find_in(search_path(environ), name)


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """The path of a program that root alone uses, or empty."""
    return find_in(f"{environ.get('PATH', '')}:{_SBIN}", name)


def find_in(directories: str, name: str) -> str:
    """The path of an executable file in one of the directories, which ":" separates, or empty."""
    for directory in directories.split(":"):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


class Process:
    """A program that was started, with what it reads, and what it wrote when it has ended."""

    def __init__(
        self,
        path: str,
        arguments: list[str],
        environment: Mapping[str, str],
        text: str = "",
        held: int = -1,
    ) -> None:
        """`text` is its input; it keeps the descriptor `held` open, and so do its children."""
        # Files in memory: no pipe can be full while nobody reads it.
        stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
        self._outputs = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdout", "stderr")]
        self._pid = 0
        try:
            os.write(stdin, text.encode())
            os.lseek(stdin, 0, os.SEEK_SET)
            descriptors = [stdin, *self._outputs, *([held] if held >= 0 else [])]
            actions = [
                (os.POSIX_SPAWN_DUP2, descriptor, number)
                for number, descriptor in enumerate(descriptors)
            ]
            self._pid = os.posix_spawn(
                path,
                [os.path.basename(path), *arguments],
                environment,
                file_actions=actions,
                setsid=True,  # Ctrl-C is for us
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
                setsigmask=(),
            )
        except OSError as error:
            self._close()
            raise RuntimeUnavailable(f"run {path}: {error.strerror}") from error
        finally:
            os.close(stdin)

    def wait(self) -> tuple[int, str, str]:
        """The exit status, negative for a signal, and what it wrote to stdout and stderr."""
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        texts = [self._read(descriptor) for descriptor in self._outputs]
        self._close()
        return status, texts[0], texts[1]

    def _read(self, descriptor: int) -> str:
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode(errors="replace")

    def _close(self) -> None:
        while self._outputs:
            os.close(self._outputs.pop())


class PluginCall:
    """A call of a plugin that was started."""

    def __init__(
        self,
        command: str,
        config: dict[str, Any],
        *,
        identifier: str,
        namespace: str,
        environ: Mapping[str, str],
        lock: int,
    ) -> None:
        """`command` is ADD or DEL; the type in `config` is the plugin; DEL takes no namespace.

        The plugin holds the `lock` as long as it runs, though this process may be killed.
        Raises RuntimeUnavailable when the plugin is not there.
        """
        self._plugin = str(config["type"])
        self._command = command
        path = find_plugin(self._plugin, environ)
        if not path:
            raise missing(self._plugin)
        environment = {
            # For iptables, and for the plugins that a plugin calls.
            "PATH": f"{environ.get('PATH', '')}:{_SBIN}".strip(":"),
            "CNI_PATH": search_path(environ),
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": identifier,
            "CNI_NETNS": namespace,
            "CNI_IFNAME": INTERFACE,
        }
        text = json.dumps({"cniVersion": VERSION, **config})
        self._process = Process(path, [], environment, text, lock)

    def wait(self) -> dict[str, Any]:
        """The plugin's result. Raises ContainerError with what it says went wrong."""
        status, output, errors = self._process.wait()
        try:
            found = json.loads(output) if output.strip() else {}
        except ValueError:
            found = {"msg": output.strip()}
        result: dict[str, Any] = found if isinstance(found, dict) else {}
        if status:
            said = (result.get("msg"), result.get("details"), errors.strip().split("\n")[-1])
            reason = ": ".join(str(text) for text in said if text) or f"status {status}"
            raise ContainerError(
                f"set up network: {self._plugin} {self._command}: {reason}",
                hint="without a network of its own a container runs by --network host",
            )
        return result


def missing(plugin: str) -> RuntimeUnavailable:
    """The error for a plugin that is not there."""
    return RuntimeUnavailable(
        f"find CNI plugin {plugin}: it is in none of {_DIRECTORIES.replace(':', ', ')}",
        hint=f"apt-get install {PACKAGE}, or set CNI_PATH",
    )
