"""The bridge network, in a network namespace of the test's own."""

import os
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from tierce.errors import ContainerError, RuntimeUnavailable
from tierce.linux import mounts, namespaces
from tierce.runtime.endpoints import Endpoint, EndpointRequest, Note, Notes
from tierce.runtime.network import BridgeNetwork
from tierce.runtime.ports import PortRequest, Published

Result = TypeVar("Result")
ENVIRON = {"PATH": f"{os.defpath}:/usr/sbin:/sbin"}
BRIDGE = "tiercetest0"
PLAIN = EndpointRequest()


class Machine:
    """A network namespace that stands for a machine: no interface, no rules but what we make."""

    def __init__(self) -> None:
        self._namespace = -1

    def __enter__(self) -> "Machine":
        def work() -> None:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

        _in_thread(work)
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._namespace)

    def call(self, function: Callable[[], Result]) -> Result:
        """Calls a function on the machine: what it starts is there as well."""

        def work() -> Result:
            namespaces.setns(self._namespace, namespaces.CLONE_NEWNET)
            return function()

        return _in_thread(work)

    def run(self, *words: str) -> str:
        def work() -> str:
            return subprocess.run(
                words, capture_output=True, text=True, check=True, env=ENVIRON
            ).stdout

        return self.call(work)

    def rules(self) -> list[str]:
        return self.run("iptables-save").splitlines()


def _in_thread(function: Callable[[], Result]) -> Result:
    results: list[Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:  # raised again in the test's thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@pytest.fixture
def network(tmp_path: Path) -> BridgeNetwork:
    return BridgeNetwork(str(tmp_path / "networks"), ENVIRON, bridge=BRIDGE)


@pytest.fixture
def owner(tmp_path: Path) -> str:
    """The database of a store."""
    path = tmp_path / "tierce.db"
    path.touch()
    return str(path)


def addresses(tmp_path: Path) -> dict[str, str]:
    """Which container has which address, as host-local knows it."""
    found = (tmp_path / "networks/addresses/bridge").glob("[0-9]*")
    return {path.name: path.read_text().split()[0] for path in found}


def attach(
    machine: Machine,
    network: BridgeNetwork,
    identifier: str,
    owner: str,
    request: EndpointRequest = PLAIN,
) -> Endpoint:
    """Has a container attached whose processes end at once."""

    def work() -> Endpoint:
        with network.attach(identifier, owner, request) as attachment:
            return attachment.wait()

    return machine.call(work)


def test_address_and_rules_are_there_and_are_released(
    network: BridgeNetwork, owner: str, tmp_path: Path
) -> None:
    with Machine() as machine:
        endpoint = attach(machine, network, "one", owner)
        assert endpoint.address == "10.86.0.2"
        assert endpoint.gateway == "10.86.0.1"
        assert addresses(tmp_path) == {"10.86.0.2": "one"}
        assert network.endpoint("one") == endpoint
        rules = machine.rules()
        assert (
            f"-A POSTROUTING -s 10.86.0.0/16 ! -o {BRIDGE} "
            "-m comment --comment tierce -j MASQUERADE"
        ) in rules
        assert f"-A TIERCE-{BRIDGE} -i {BRIDGE} -j ACCEPT" in rules
        assert machine.call(lambda: network.take_down("one"))
        assert addresses(tmp_path) == {}
        assert network.endpoint("one") is None
        assert machine.call(lambda: network.take_down("one"))


def test_rules_are_there_once_and_again_when_a_firewall_has_dropped_them(
    network: BridgeNetwork, owner: str
) -> None:
    with Machine() as machine:
        attach(machine, network, "one", owner)
        before = [line for line in machine.rules() if line.startswith("-A")]
        attach(machine, network, "two", owner)
        assert [line for line in machine.rules() if line.startswith("-A")] == before
        machine.run("iptables", "-F")
        machine.run("iptables", "-t", "nat", "-F")
        attach(machine, network, "three", owner)
        assert sorted(line for line in machine.rules() if line.startswith("-A")) == sorted(before)
        for name in ("one", "two", "three"):
            machine.call(partial(network.take_down, name))


def test_ports_are_forwarded_and_released(network: BridgeNetwork, owner: str) -> None:
    with Machine() as machine:
        request = EndpointRequest((PortRequest(80, "tcp", "127.0.0.1", 8080, 8080),))
        attach(machine, network, "one", owner, request)
        assert any("--dport 8080" in line for line in machine.rules())
        machine.call(lambda: network.take_down("one"))
        assert not any("8080" in line for line in machine.rules())


def test_port_of_somebody_who_was_killed_is_taken_over(
    network: BridgeNetwork, owner: str, tmp_path: Path
) -> None:
    with Machine() as machine:
        request = EndpointRequest((PortRequest(80, "tcp", "", 8080, 8080),))
        attach(machine, network, "killed", str(tmp_path / "other.db"), request)
        attach(machine, network, "one", owner, request)
        assert network.endpoint("killed") is None
        assert not any("killed" in line for line in machine.rules())
        machine.call(lambda: network.take_down("one"))


def test_failure_of_a_plugin_is_told_and_leaves_nothing(
    network: BridgeNetwork, owner: str, tmp_path: Path
) -> None:
    with Machine() as machine:
        request = EndpointRequest(address="192.0.2.1")
        with pytest.raises(ContainerError, match=r"set up network: bridge ADD: .*192\.0\.2\.1"):
            attach(machine, network, "one", owner, request)
        machine.call(lambda: network.take_down("one"))
        assert addresses(tmp_path) == {}
        assert network.notes.names() == []


def test_plugin_that_is_missing_is_named_with_its_package(
    network: BridgeNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tierce.runtime.cni._DIRECTORIES", str(tmp_path))
    with pytest.raises(RuntimeUnavailable, match="apt-get install containernetworking-plugins"):
        network.attach("one", "", EndpointRequest())


def test_machine_that_may_not_forward_packets_has_no_bridge(network: BridgeNetwork) -> None:
    def work() -> str:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        namespaces.make_private()
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        mounts.mount("/proc/sys", "/proc/sys", None, mounts.MS_BIND)
        read_only = mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY
        mounts.mount(None, "/proc/sys", None, read_only)
        return network.unavailable()

    with Machine() as machine:
        assert machine.call(network.unavailable) == ""
        assert "net.ipv4.ip_forward is 0, and read-only" in machine.call(work)


def test_lock_without_a_note_goes_unless_it_is_held(tmp_path: Path) -> None:
    notes = Notes(str(tmp_path))
    for name in (".killed", ".killed.new", ".noted"):
        (tmp_path / name).touch()
    held = notes.lock("held")
    notes.unlock("noted", notes.lock("noted"))
    notes.write("noted", Note("x"))
    os.close(notes.lock("noted"))
    notes.remove_unused_locks(os.listdir(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".held", ".noted", "noted"]
    notes.unlock("held", held)


def test_notes_are_of_one_store_or_of_one_that_is_no_more(tmp_path: Path, owner: str) -> None:
    notes = Notes(str(tmp_path / "notes"))
    assert notes.names() == []
    other = tmp_path / "other.db"
    other.touch()
    ports = (Published(80, "tcp", "", 8080),)
    notes.unlock("mine", notes.lock("mine"))
    notes.write("mine", Note(owner, ports, Endpoint("10.86.0.2", 16, "10.86.0.1", "", ports)))
    notes.write("others", Note(str(other)))
    notes.write("lost", Note(str(tmp_path / "gone.db")))
    assert sorted(notes.left_by(owner, notes.names())) == ["lost", "mine"]
    assert notes.read("mine") == Note(
        owner, ports, Endpoint("10.86.0.2", 16, "10.86.0.1", "", ports)
    )
    assert notes.publisher("127.0.0.1", 8080, "tcp") == "mine"
    assert notes.publisher("127.0.0.1", 8080, "tcp", besides="mine") == ""
    notes.remove("mine")
    notes.remove("mine")
    assert notes.read("mine") is None
