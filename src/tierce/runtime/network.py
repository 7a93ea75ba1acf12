"""The network "bridge": containers behind a bridge of this machine, by CNI plugins.

The plugins bridge and host-local give each container an interface and an address, portmap
forwards published ports. What is the same for all containers is set up once and not for each:
the rules by which the kernel masquerades and forwards the whole subnet (see `firewall`). By the
plugins, that took 150 ms for each container, and all else 20.

A container's network namespace has no name: it ends with the last process in it, and takes the
interface with it. What could be left over are its address and the rules for its ports. They are
noted before they are there, so that whoever comes by later can clear up:

<directory>/                  one for all stores, gone after a reboot
├── lock                      held by who changes the firewall
├── bridge                    JSON: the subnet
├── addresses/                host-local's: who has which address
└── endpoints/<id>            see `endpoints`
"""

from __future__ import annotations

import os

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.lean import json
from tierce.linux import netns, userns
from tierce.linux.process import effective_capabilities
from tierce.runtime import cni
from tierce.runtime.cni import PluginCall
from tierce.runtime.endpoints import Endpoint, EndpointRequest, Note, Notes
from tierce.runtime.firewall import Firewall
from tierce.runtime.ports import HeldPorts, Published, process_with
from tierce.runtime.subnets import Subnet, choose_subnet

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

NAME = "bridge"
BRIDGE = "tierce0"
PLUGINS = ("bridge", "host-local", "portmap")


class BridgeNetwork:
    """The network "bridge" of this machine. Usable by all threads and processes at once."""

    def __init__(self, directory: str, environ: Mapping[str, str], *, bridge: str = BRIDGE) -> None:
        """`directory` is the same for all who use the bridge, and made when it is not there."""
        self._directory = directory
        self._environ = environ
        self.bridge = bridge
        self.notes = Notes(f"{directory}/endpoints")

    def unavailable(self) -> str:
        """Why there cannot be a bridge network here; empty where there can."""
        for plugin in PLUGINS:
            if not cni.find_plugin(plugin, self._environ):
                return f"the CNI plugin {plugin} is missing (apt-get install {cni.PACKAGE})"
        if not cni.find_program("iptables", self._environ):
            return "iptables is missing (apt-get install iptables)"
        if not {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"} <= effective_capabilities():
            return "it needs CAP_NET_ADMIN and CAP_SYS_ADMIN"
        if not userns.in_first():
            return "this is not root of the machine, but of a user namespace"
        if not netns.may_forward():
            return "this machine may not forward packets (net.ipv4.ip_forward is 0, and read-only)"
        return ""

    def attach(
        self,
        identifier: str,
        owner: str,
        request: EndpointRequest,
        holder: Callable[[str, int, str], str] = process_with,
    ) -> Attachment:
        """Begins to make a namespace that is on the network, for a container of a store.

        `owner` is the store's database; `holder` says who has an address, port and protocol.
        Whatever comes of it, `take_down` is to follow. Raises ContainerError for a port that is
        taken, RuntimeUnavailable.
        """
        if reason := self.unavailable():
            raise RuntimeUnavailable(
                f"network {NAME}: {reason}", hint="or use the host's: --network host"
            )
        ports, lock = HeldPorts(), self.lock(identifier)
        try:
            ports.hold(request.ports, holder)
            for port in ports.published:
                # Nobody holds what this one got: what is noted of it is left over.
                while left := self.notes.publisher(
                    port.host_ip, port.port, port.protocol, besides=identifier
                ):
                    if not self.take_down(left):
                        raise ContainerError(f"clear up network of container {left[:12]}")
            self.notes.write(identifier, Note(owner, ports.published))
            return Attachment(self, identifier, owner, request, ports, lock)
        except BaseException:
            ports.close()
            self.notes.unlock(identifier, lock)
            raise

    def lock(self, identifier: str) -> int:
        """The lock of a container's note. Raises ContainerError."""
        lock = self.notes.lock(identifier)
        if lock < 0:
            raise ContainerError(
                f"set up network: a CNI plugin is still at work for container {identifier[:12]}"
            )
        return lock

    def call_bridge(
        self, command: str, identifier: str, namespace: str, request: EndpointRequest, lock: int
    ) -> PluginCall:
        """Starts the plugin that makes or removes interface and address."""
        config: dict[str, Any] = {
            "name": NAME,
            "type": "bridge",
            "bridge": self.bridge,
            "isGateway": True,
            # A container reaches its own published port by the machine's address.
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": f"{self._directory}/addresses",
                "ranges": [[{"subnet": str(self.subnet())}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        if request.mac:
            config |= {"capabilities": {"mac": True}, "runtimeConfig": {"mac": request.mac}}
        if request.address:
            config["args"] = {"cni": {"ips": [request.address]}}
        return PluginCall(
            command,
            config,
            identifier=identifier,
            namespace=namespace,
            environ=self._environ,
            lock=lock,
        )

    def call_portmap(
        self,
        command: str,
        identifier: str,
        ports: Sequence[Published],
        lock: int,
        added: dict[str, Any] | None = None,
        namespace: str = "",
    ) -> PluginCall:
        """Starts the plugin that forwards ports, to what the bridge plugin has `added`."""
        config: dict[str, Any] = {
            "name": NAME,
            "type": "portmap",
            "capabilities": {"portMappings": True},
            "snat": True,
            "runtimeConfig": {"portMappings": [_mapping(port) for port in ports]},
        }
        if added is not None:
            config["prevResult"] = added
        return PluginCall(
            command,
            config,
            identifier=identifier,
            namespace=namespace,
            environ=self._environ,
            lock=lock,
        )

    def firewall(self) -> Firewall:
        """The rules that all containers share."""
        lock = f"{self._directory}/lock"
        return Firewall(self.bridge, str(self.subnet()), lock, self._environ)

    def endpoint(self, identifier: str) -> Endpoint | None:
        """What a container has on the network, None for one that is not on it."""
        note = self.notes.read(identifier)
        return None if note is None else note.endpoint

    def begin_take_down(self, identifier: str) -> Leaving:
        """Begins to release what a container had, whose processes have ended."""
        calls: list[PluginCall] = []
        if self.notes.read(identifier) is None:
            return Leaving(self.notes, identifier, calls, -1)
        lock = self.notes.lock(identifier)
        note = self.notes.read(identifier) if lock >= 0 else None
        complete = lock >= 0
        try:
            if note is not None:
                # Without a namespace: that has ended, and with it what was in it.
                calls.append(self.call_bridge("DEL", identifier, "", EndpointRequest(), lock))
                if note.ports:
                    calls.append(self.call_portmap("DEL", identifier, note.ports, lock))
        except RuntimeUnavailable:  # they have been taken off the machine, and may come again
            complete = False
        return Leaving(self.notes, identifier, calls, lock, complete=complete)

    def take_down(self, identifier: str) -> bool:
        """Releases what a container had; says whether nothing is left. Idempotent.

        What could not be released stays noted, for the next one who comes by.
        """
        return self.begin_take_down(identifier).wait()

    def subnet(self) -> Subnet:
        """The network's addresses, chosen when they are first needed after a boot."""
        path = f"{self._directory}/{NAME}"
        while True:
            try:
                with open(path, encoding="ascii") as file:
                    return Subnet.parse(json.load(file)["subnet"])
            except FileNotFoundError:
                self._choose(path)

    @property
    def created(self) -> float:
        """When the subnet was chosen, in seconds since the epoch; 0.0 when it is not yet."""
        try:
            return os.stat(f"{self._directory}/{NAME}").st_mtime
        except FileNotFoundError:
            return 0.0

    def known_subnet(self) -> Subnet | None:
        """The network's addresses, None when none were needed since the boot."""
        return self.subnet() if os.path.exists(f"{self._directory}/{NAME}") else None

    def _choose(self, path: str) -> None:
        os.makedirs(self._directory, 0o700, exist_ok=True)
        made = f"{path}.{os.getpid()}"
        with open(made, "w", encoding="ascii") as file:
            json.dump({"subnet": str(choose_subnet())}, file)
        try:
            os.link(made, path)
        except FileExistsError:  # somebody else was quicker
            pass
        finally:
            os.unlink(made)


class Attachment:
    """A network namespace that is being put on the network. Context manager, see `close`.

    `namespace` is its descriptor.
    """

    def __init__(
        self,
        network: BridgeNetwork,
        identifier: str,
        owner: str,
        request: EndpointRequest,
        ports: HeldPorts,
        lock: int,
    ) -> None:
        """Starts what `wait` waits for; ports and lock are its own, if nothing is raised."""
        self._network = network
        self._identifier = identifier
        self._note = Note(owner, ports.published)
        self._ports = ports
        self._lock = lock
        try:
            self.namespace = netns.create()
        except OSError as error:
            raise RuntimeUnavailable(
                f"make a network namespace: {error.strerror}",
                hint="it needs CAP_SYS_ADMIN; or use --network host",
            ) from error
        # For plugins: in a process of their own, the number alone says nothing.
        self._path = f"/proc/{os.getpid()}/fd/{self.namespace}"
        self._call: PluginCall | None = None
        self._forwarding: PluginCall | None = None
        self._endpoint: Endpoint | None = None
        self._firewall = network.firewall()
        try:
            self._call = network.call_bridge("ADD", identifier, self._path, request, lock)
            self._firewall.begin()
        except BaseException:
            self._lock = -1  # it is still whose it was
            self.close()
            raise

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def held(self) -> tuple[int, ...]:
        """Descriptors by which another process can go on holding the published ports."""
        return self._ports.descriptors

    def address(self) -> Endpoint:
        """What the container has, once its interface is set up; its ports are then begun with.

        Idempotent. Raises ContainerError.
        """
        if self._endpoint is None:
            call, self._call = self._call, None
            assert call is not None
            result, ports = call.wait(), self._ports.published
            self._endpoint = _endpoint_of(result, ports)
            if ports:
                self._forwarding = self._network.call_portmap(
                    "ADD", self._identifier, ports, self._lock, result, self._path
                )
        return self._endpoint

    def wait(self) -> Endpoint:
        """What the container has, once all is set up. Idempotent. Raises ContainerError."""
        endpoint = self.address()
        if self._note.endpoint is not None:
            return endpoint
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            forwarding.wait()
        self._firewall.ensure()
        self._note = self._note.replace(endpoint=endpoint)
        self._network.notes.write(self._identifier, self._note)
        self._unlock()
        return endpoint

    def close(self) -> None:
        """Lets go of the descriptors; what was set up stays. Idempotent."""
        calls, self._call, self._forwarding = (self._call, self._forwarding), None, None
        for call in calls:
            try:
                if call is not None:
                    call.wait()
            except ContainerError:  # whoever has not waited for it, has an error of his own
                continue
        self._firewall.abandon()
        self._unlock()
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1
        self._ports.close()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            self._network.notes.unlock(self._identifier, lock)


class Leaving:
    """A container that is being taken off the network."""

    def __init__(
        self,
        notes: Notes,
        identifier: str,
        calls: Sequence[PluginCall],
        lock: int,
        *,
        complete: bool = True,
    ) -> None:
        """`lock` is that of the note, -1 when it is not held."""
        self._notes = notes
        self._identifier = identifier
        self._calls = list(calls)
        self._lock = lock
        self._complete = complete

    def wait(self) -> bool:
        """Waits until it is, if it can be; says whether nothing is left. Idempotent."""
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call.wait()
            except ContainerError:
                self._complete = False
        lock, self._lock = self._lock, -1
        if lock >= 0:
            if self._complete:
                self._notes.remove(self._identifier)
            self._notes.unlock(self._identifier, lock)
        return self._complete


def _mapping(port: Published) -> dict[str, Any]:
    mapping: dict[str, Any] = {
        "hostPort": port.port,
        "containerPort": port.container,
        "protocol": port.protocol,
    }
    # Without an address it is all of them.
    return mapping | ({"hostIP": port.host_ip} if port.host_ip not in {"", "0.0.0.0"} else {})


def _endpoint_of(result: dict[str, Any], ports: tuple[Published, ...]) -> Endpoint:
    """What a plugin's result says of the container's interface."""
    found = next((given for given in result.get("ips", ()) if "." in given["address"]), None)
    if found is None:
        raise ContainerError("set up network: the CNI plugins gave no IPv4 address")
    address, _, prefix = str(found["address"]).partition("/")
    interfaces = result.get("interfaces", ())
    mac = next((each.get("mac", "") for each in interfaces if each.get("sandbox")), "")
    return Endpoint(address, int(prefix), str(found.get("gateway", "")), str(mac), ports)
