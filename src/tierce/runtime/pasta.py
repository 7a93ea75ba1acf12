"""The network "bridge" of ordinary users: each container by itself, connected by pasta(1).

A user cannot put an interface on a bridge of the machine. pasta makes connections of the
container to its own, as any program of the user could, and listens to published ports. Containers
so reach the network and are reached by their ports, but not one another by addresses.

Of a container there is, beside its note (see `endpoints`):

<directory>/pasta/<id>        the number of its pasta, which ends when it is taken off the network
<directory>/pasta/<id>.log    what that said
<directory>/pasta/<id>.ns     where it finds the namespace when it starts
"""

from __future__ import annotations

import os
import select
import signal

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.linux import mounts, netns
from tierce.runtime import cni
from tierce.runtime.detached import in_private_mounts
from tierce.runtime.endpoints import Endpoint, EndpointRequest, Note
from tierce.runtime.monitor import number_in
from tierce.runtime.network import NAME, Attachment, BridgeNetwork, Leaving
from tierce.runtime.ports import HeldPorts, process_with

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tierce.runtime.ports import Published
    from tierce.runtime.subnets import Subnet

PROGRAM = "pasta"
PACKAGE = "passt"
_TUN = "/dev/net/tun"
_END_SECONDS = 5.0

_SETTINGS = {"net/ipv4/ip_unprivileged_port_start": "0"}
"""Of docker's (see `netns`), what does not need all groups of the machine."""


class PastaNetwork(BridgeNetwork):
    """As `BridgeNetwork`, in a user namespace. Usable by all threads and processes at once."""

    def unavailable(self) -> str:
        """Why there cannot be a network here; empty where there can."""
        if not cni.find_program(PROGRAM, self._environ):
            return f"{PROGRAM} is missing (apt-get install {PACKAGE})"
        try:
            os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            reason = (error.strerror or "").lower()
            return f"{_TUN}: {reason} (as root: modprobe tun; chmod 666 {_TUN})"
        return ""

    def attach(
        self,
        identifier: str,
        owner: str,
        request: EndpointRequest,
        holder: Callable[[str, int, str], str] = process_with,
    ) -> Attachment:
        """See `BridgeNetwork.attach`."""
        if reason := self.unavailable():
            raise RuntimeUnavailable(
                f"network {NAME}: {reason}", hint="or use the host's: --network host"
            )
        if request.address or request.mac:
            raise ContainerError(f"network {NAME}: users cannot choose the address of a container")
        if any(port.protocol == "sctp" for port in request.ports):
            raise ContainerError(f"publish ports: {PROGRAM} forwards tcp and udp, and no sctp")
        ports, lock = HeldPorts(), self.lock(identifier)
        try:
            ports.hold(request.ports, holder)
            os.makedirs(self.directory, 0o700, exist_ok=True)
            self.notes.write(identifier, Note(owner, ports.published))
            return _Attachment(self, identifier, owner, ports, lock)
        except BaseException:
            ports.close()
            self.notes.unlock(identifier, lock)
            raise

    def begin_take_down(self, identifier: str) -> Leaving:
        """See `BridgeNetwork.begin_take_down`."""
        if self.notes.read(identifier) is None:
            return Leaving(self.notes, identifier, [], -1)
        lock = self.notes.lock(identifier)
        if lock >= 0:
            self._end(identifier)
            for path in self.files(identifier):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    continue
        return Leaving(self.notes, identifier, [], lock, complete=lock >= 0)

    def known_subnet(self) -> Subnet | None:
        """None: each container has the addresses of the machine."""
        return None

    @property
    def directory(self) -> str:
        """Where the files of each container's pasta are."""
        return f"{self._directory}/{PROGRAM}"

    def files(self, identifier: str) -> tuple[str, str, str]:
        """The files of a container's pasta: its number, its log, its namespace."""
        path = f"{self.directory}/{identifier}"
        return path, f"{path}.log", f"{path}.ns"

    def _end(self, identifier: str) -> None:
        """Ends the pasta of a container, if it is still that."""
        number, _, namespace = self.files(identifier)
        pid = number_in(number)
        try:
            ended = os.pidfd_open(pid) if pid > 0 else -1
        except ProcessLookupError:
            return
        if ended < 0:
            return
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if namespace.encode() not in file.read().split(b"\0"):
                    return
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            select.select([ended], [], [], _END_SECONDS)
        except OSError:  # it has ended
            return
        finally:
            os.close(ended)


class _Attachment(Attachment):
    """A network namespace that pasta is being started for."""

    def __init__(
        self, network: PastaNetwork, identifier: str, owner: str, ports: HeldPorts, lock: int
    ) -> None:
        self._pasta = network
        self._network = network
        self._identifier = identifier
        self._note = Note(owner, ports.published)
        self._ports = ports
        self._lock = lock
        self._child = 0
        self._address = netns.own_address()  # which pasta gives to the container
        try:
            self.namespace = netns.create(_SETTINGS)
        except OSError as error:
            raise RuntimeUnavailable(f"make a network namespace: {error.strerror}") from error
        try:
            # pasta is to listen to them: from here on, somebody else could get them.
            ports.close()
            self._child = in_private_mounts(self._start)
        except BaseException:
            os.close(self.namespace)
            raise

    @property
    def held(self) -> tuple[int, ...]:
        """Nothing: pasta itself has the ports."""
        return ()

    def address(self) -> Endpoint:
        return self.wait()

    def wait(self) -> Endpoint:
        """What the container has, once pasta is there. Raises ContainerError."""
        if self._note.endpoint is not None:
            return self._note.endpoint
        child, self._child = self._child, 0
        if not child or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise ContainerError(f"set up network: {PROGRAM}: {self._reason()}")
        endpoint = Endpoint(*self._address, ports=self._note.ports)
        self._note = self._note.replace(endpoint=endpoint)
        self._network.notes.write(self._identifier, self._note)
        self._unlock()
        return endpoint

    def close(self) -> None:
        """Lets go of the namespace; what was set up stays. Idempotent."""
        child, self._child = self._child, 0
        if child:
            os.waitpid(child, 0)
        self._unlock()
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1

    def _start(self) -> int:
        """Starts pasta, which goes into the background when it is ready; the number to wait for.

        For a thread with mounts of its own: pasta opens no descriptor of a process that may do
        more than itself, and wants a path.
        """
        number, log, path = self._pasta.files(self._identifier)
        with open(path, "w", encoding="ascii"):
            pass
        flags = mounts.AT_EMPTY_PATH | mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC
        tree = mounts.open_tree(self.namespace, "", flags)
        try:
            empty = mounts.MOVE_MOUNT_F_EMPTY_PATH
            mounts.move_mount(tree, "", mounts.AT_FDCWD, path, empty)
        finally:
            os.close(tree)
        words = [PROGRAM, "--config-net", "--quiet", "--log-file", log, "--pid", number]
        # Nothing of the machine's loopback interface is shown to the container.
        words += ["--no-map-gw", "-T", "none", "-U", "none"]
        for option, protocol in (("-t", "tcp"), ("-u", "udp")):
            given = list(_forwarded(self._note.ports, protocol))
            words += [word for each in given or ["none"] for word in (option, each)]
        words += ["--netns-only", "--no-netns-quit", "--netns", path]
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            return os.posix_spawn(
                cni.find_program(PROGRAM, os.environ),
                words,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, nothing, fd) for fd in (0, 1, 2)],
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        finally:
            os.close(nothing)

    def _reason(self) -> str:
        try:
            with open(self._pasta.files(self._identifier)[1], encoding="utf-8") as file:
                lines = [line for line in file.read().splitlines() if "ERROR:" in line]
        except OSError:
            lines = []
        return lines[-1].partition("ERROR:")[2].strip() if lines else "no reason given"


def _forwarded(ports: tuple[Published, ...], protocol: str) -> Iterator[str]:
    for port in ports:
        if port.protocol == protocol:
            yield f"{port.host_ip or '0.0.0.0'}/{port.port}:{port.container}"
