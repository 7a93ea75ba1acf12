"""The network of a container: which one it has, joining it, and the files that tell of it."""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce import containers
from tierce.containers.leaving import bridge_of, leave
from tierce.containers.request import RunRequest
from tierce.containers.state import RUNNING, ContainerState
from tierce.containers.sweep import find, is_running, lock_name
from tierce.errors import ContainerError, NotFound, TierceError, UsageError
from tierce.runtime.container import TextFile
from tierce.runtime.endpoints import Endpoint, EndpointRequest
from tierce.runtime.ports import PROTOCOLS, PortRequest, process_with
from tierce.runtime.resolver import container_hosts, resolv_conf

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tierce.runtime.network import Attachment, Leaving
    from tierce.store import Store
    from tierce.store.containers import ContainerRow

DEFAULT, BRIDGE, HOST, NONE = "default", "bridge", "host", "none"
OF_CONTAINER = "container:"
HOST_GATEWAY = "host-gateway"
_LOCALHOST = "127.0.0.1"
_CHAIN_LIMIT = 16
"""Containers that join each other's network, one after the other."""


def settled(store: Store, request: RunRequest, *, step: bool = False) -> RunRequest:
    """The request with the network that is meant, and that of a container by its id.

    In the place of a failed `step`, a container has the network of that by default. Raises
    NotFound, UsageError for what the network cannot give.
    """
    if request.network == DEFAULT and step:
        if request.ports or request.publish_all:
            raise UsageError(
                "publish ports: a container in the place of a failed step has the step's network",
                hint="use --network bridge",
            )
        return request
    if request.network == DEFAULT:
        return request.replace(network=HOST if bridge_of(store).unavailable() else BRIDGE)
    if not request.network.startswith(OF_CONTAINER):
        return request
    _check_alone(request)
    row = store.containers.resolve(request.network.removeprefix(OF_CONTAINER))
    hostname = ContainerState.decode(row.state).hostname
    return request.replace(network=f"{OF_CONTAINER}{row.id}", hostname=hostname)


def why_not_bridge(store: Store) -> str:
    """Why a container is not on a bridge by default; empty if it is."""
    return bridge_of(store).unavailable()


def _check_alone(request: RunRequest) -> None:
    """Refuses what only the owner of a network can decide, in docker's words."""
    given = {
        "hostname and the network mode": request.hostname,
        "dns and the network mode": request.dns or request.dns_search or request.dns_options,
        "custom host-to-IP mapping and the network mode": request.hosts,
        "mac-address and the network mode": request.mac,
        "ip address and the network mode": request.address,
        "port publishing and the container type network mode": (
            request.ports or request.publish_all
        ),
        "port exposing and the container type network mode": request.exposed,
    }
    for options, value in given.items():
        if value:
            raise UsageError(f"conflicting options: {options}")


class Joined:
    """The network of another container, as an attachment (see `runtime.network`) to it."""

    held: tuple[int, ...] = ()

    def __init__(self, namespace: int, endpoint: Endpoint) -> None:
        self.namespace = namespace
        self._endpoint = endpoint

    def wait(self) -> Endpoint:
        return self._endpoint

    def address(self) -> Endpoint:
        return self._endpoint

    def close(self) -> None:
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1


class ContainerNetwork:
    """The network of one container, from before its start until this process has started it.

    Context manager; what has been set up stays, unless `begin_leave` is called.
    """

    def __init__(
        self,
        store: Store,
        identifier: str,
        state: ContainerState,
        *,
        ports_later: bool = False,
    ) -> None:
        """With `ports_later`, ports need not be published before `complete` is called."""
        self._store = store
        self._ports_later = ports_later
        self._identifier = identifier
        self._state = state
        self._attachment: Attachment | Joined | None = None
        self._leaving: Leaving | None = None
        self._failure: TierceError | None = None
        self._owner = state
        """The state of the container whose network it is."""

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Begins before the container has a row in the store, which it has after the block.

        If it has not, by an exception, what was begun is undone. What `__enter__` raises, it does
        then: the container is there that could not be started.
        """
        # Until then, nobody else is to take what is noted of the network for left over.
        with self._store.locks.hold(lock_name(self._identifier)):
            try:
                try:
                    self.__enter__()
                except TierceError as error:
                    self._failure = error
                yield
            except BaseException:
                self.close()
                leave(self._store, self._identifier)
                raise

    def __enter__(self) -> ContainerNetwork:
        """Begins, unless that is done. Raises ContainerError, RuntimeUnavailable."""
        network = self._state.network
        if self._failure is not None:
            raise self._failure
        if self._attachment is not None:
            return self
        if network == BRIDGE:
            self._attachment = self._attach()
        elif network.startswith(OF_CONTAINER):
            self._attachment = self._join(network.removeprefix(OF_CONTAINER))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the network, which what was started on it keeps. Idempotent.

        Where it is being left, returns when that is done.
        """
        if self._attachment is not None:
            self._attachment.close()
        if self._leaving is not None:
            self._leaving.wait()

    @property
    def namespace(self) -> int:
        """A descriptor of the network namespace to join, or -1."""
        return -1 if self._attachment is None else self._attachment.namespace

    @property
    def held(self) -> tuple[int, ...]:
        """Descriptors that hold its published ports."""
        return () if self._attachment is None else self._attachment.held

    def endpoint(self) -> Endpoint:
        """What the container has, once it has it. Raises ContainerError."""
        if self._attachment is None:
            return Endpoint()
        return self._attachment.address() if self._ports_later else self._attachment.wait()

    def complete(self) -> None:
        """Returns when the container has all that it is to have. Raises ContainerError."""
        if self._attachment is not None:
            self._attachment.wait()

    def begin_leave(self) -> None:
        """Begins to release what the container had, which has ended; `close` is to follow."""
        self.close()
        if self._state.network == BRIDGE:
            self._leaving = bridge_of(self._store).begin_take_down(self._identifier)

    def files(
        self, hosts: Sequence[tuple[str, str]], *, host_network: bool
    ) -> tuple[TextFile, ...]:
        """resolv.conf, hosts and hostname; `hosts` are added names and addresses.

        Their content is asked for when the network is to be there.
        """
        owner, host = self._owner, host_network
        if owner is not self._state:
            host, hosts = owner.network in {HOST, DEFAULT}, owner.hosts

        def hosts_file() -> str:
            endpoint = self.endpoint()
            names = [(name, _gateway(owner, endpoint, address)) for name, address in hosts]
            return container_hosts(
                owner.hostname, names, host_network=host, address=endpoint.address
            )

        def resolver_file() -> str:
            return resolv_conf(
                host_network=host,
                servers=owner.dns,
                search=owner.dns_search,
                options=owner.dns_options,
            )

        return (
            TextFile("/etc/resolv.conf", resolver_file, read_only=False),
            TextFile("/etc/hosts", hosts_file, read_only=False),
            TextFile("/etc/hostname", f"{owner.hostname}\n", read_only=False),
        )

    def _attach(self) -> Attachment:
        leave(self._store, self._identifier)  # what one who was killed has left
        state, holder = self._state, Holder(self._store)
        asked = EndpointRequest(requests_of(state), state.address, state.mac)
        network = bridge_of(self._store)
        return network.attach(self._identifier, self._store.paths.database, asked, holder)

    def _join(self, identifier: str) -> Joined:
        row, state = _running(self._store, identifier)
        namespace = _namespace_of(self._store, row)
        self._owner = state
        for _ in range(_CHAIN_LIMIT):
            if not self._owner.network.startswith(OF_CONTAINER):
                break
            identifier = self._owner.network.removeprefix(OF_CONTAINER)
            found = find(self._store, identifier)
            if found is None:
                break
            self._owner = ContainerState.decode(found.state)
        network = self._owner.network
        known = bridge_of(self._store).endpoint(identifier) if network == BRIDGE else None
        return Joined(namespace, known or Endpoint())


class Holder:
    """Says who has a port of this machine, in words (see `runtime.ports`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, address: str, port: int, protocol: str) -> str:
        identifier = bridge_of(self._store).notes.publisher(address, port, protocol)
        if not identifier:
            return process_with(address, port, protocol)
        row = find(self._store, identifier)
        return f"container {row.name}" if row else f"container {identifier[:12]} of another store"


def exposed_of(request: RunRequest, image: Iterable[str]) -> tuple[str, ...]:
    """The ports that a container has to offer: its image's, --expose, and what is published."""
    published = [f"{port.container}/{port.protocol}" for port in request.ports]
    return tuple(dict.fromkeys([*image, *request.exposed, *published]))


def requests_of(state: ContainerState) -> tuple[PortRequest, ...]:
    """The ports to be published: those that are named, and with --publish-all all exposed."""
    named = [PortRequest(*port) for port in state.ports]
    done = {(port.container, port.protocol) for port in named}
    for text in state.exposed if state.publish_all else ():
        number, _, protocol = text.partition("/")
        # What an image says need not be a port.
        if not number.isdecimal() or not 0 < int(number) < 1 << 16:
            continue
        port = PortRequest(int(number), protocol or "tcp")
        if port.protocol in PROTOCOLS and (port.container, port.protocol) not in done:
            named.append(port)
    return tuple(named)


def _gateway(owner: ContainerState, endpoint: Endpoint, address: str) -> str:
    """An address for the hosts file: that of this machine is not known before."""
    if address != HOST_GATEWAY:
        return address
    if owner.network in {HOST, DEFAULT}:
        return _LOCALHOST
    if not endpoint.gateway:
        raise ContainerError(
            f"add host {HOST_GATEWAY}: a container with network {owner.network} has no gateway"
        )
    return endpoint.gateway


def _running(store: Store, identifier: str) -> tuple[ContainerRow, ContainerState]:
    row = find(store, identifier)
    if row is None:
        raise NotFound("container", identifier)
    state = ContainerState.decode(row.state)
    if state.status != RUNNING or not is_running(store, row, state):
        raise ContainerError(f"cannot join network of a non running container: {row.id}")
    return row, state


def _namespace_of(store: Store, row: ContainerRow) -> int:
    """A descriptor of the network namespace of a running container. Raises ContainerError."""
    with containers.Running(store, row) as running:
        try:
            namespace = os.open(f"/proc/{running.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise ContainerError(
                f"cannot join network of a non running container: {row.id}"
            ) from error
        if running.pid:
            return namespace
    # It ended before the namespace was held; the number may be another process's by now.
    os.close(namespace)
    raise ContainerError(f"cannot join network of a non running container: {row.id}")
