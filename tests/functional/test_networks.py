"""Networks of containers and published ports, on real bridges."""

import http.client
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.containers import SeenContainers, nothing_outlives
from support.program import BASE, Tierce
from tierce.linux import namespaces
from tierce.store import Store

SERVE = "mkdir /w && echo {text} > /w/index.html && busybox httpd -p {port} -h /w && echo ready"
FOR_EVER = "while :; do sleep 600; done"


@pytest.fixture
def seen(shared: Tierce) -> Iterator[SeenContainers]:
    """No container outlives the test, and nothing of one is left, also on no network."""
    with nothing_outlives(shared) as found:
        yield found


@pytest.fixture
def program(shared: Tierce, seen: SeenContainers) -> Tierce:
    return shared


def serve(program: Tierce, *flags: str, port: int = 80, text: str = "hello") -> str:
    """Start a server of one page in the background; its id, once it listens."""
    command = f"{SERVE.format(text=text, port=port)}; {FOR_EVER}"
    identifier = program.run("run", "-d", *flags, BASE, "sh", "-c", command).stdout.strip()
    with program.running("logs", "-f", identifier) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    return identifier


def page(address: str, port: int) -> str:
    with closing(http.client.HTTPConnection(address, port, timeout=20)) as connection:
        connection.request("GET", "/index.html")
        return connection.getresponse().read().decode().strip()


def inside(program: Tierce, *words: str) -> str:
    """What a command in a container prints."""
    return program.run("run", "--rm", *words).stdout


def published(program: Tierce, name: str, port: str = "80/tcp") -> tuple[str, int]:
    """The address and port of this machine by which a container's port is reached."""
    address, _, number = program.run("port", name, port).stdout.strip().rpartition(":")
    return address, int(number)


def setting(program: Tierce, name: str, field: str) -> str:
    form = f"{{{{.NetworkSettings.{field}}}}}"
    return program.run("inspect", "-f", form, name).stdout.strip()


def subnet(program: Tierce) -> tuple[str, str]:
    """The bridge's addresses, and the machine's own among them."""
    form = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}"
    first, gateway = program.run("network", "inspect", "-f", form, "bridge").stdout.split()
    return first, gateway


@pytest.fixture
def free_port() -> int:
    """A port that nobody had a moment ago; outside of what is given out at random."""
    with closing(socket.socket()) as held:
        for port in range(20000 + os.getpid() % 9000, 32000):
            try:
                held.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


# The bridge


def test_container_has_an_address_of_the_bridge_and_knows_it(program: Tierce) -> None:
    identifier = serve(program)
    address = setting(program, identifier, "IPAddress")
    first, gateway = subnet(program)
    assert address.split(".")[:2] == first.split(".")[:2]
    assert setting(program, identifier, "Networks.bridge.Gateway") == gateway
    assert page(address, 80) == "hello"
    [line] = [
        line
        for line in inside(
            program, "--hostname", "host.of.mine", BASE, "cat", "/etc/hosts"
        ).splitlines()
        if "host.of.mine" in line
    ]
    assert re.fullmatch(r"[0-9.]+\thost\.of\.mine host", line)
    assert line.split(".")[:2] == first.split(".")[:2]


def test_containers_reach_each_other_and_the_machine(program: Tierce) -> None:
    identifier = serve(program)
    address = setting(program, identifier, "IPAddress")
    command = ("busybox", "wget", "-qO-", f"http://{address}/index.html")
    assert inside(program, BASE, *command) == "hello\n"
    _, gateway = subnet(program)
    with closing(socket.create_server((gateway, 0))) as server:
        port = server.getsockname()[1]
        with program.running(
            "run", "--rm", "--add-host", "machine:host-gateway", BASE,
            "sh", "-c", f"echo here | busybox nc machine {port}",
        ) as process:  # fmt: skip
            server.settimeout(20)
            connection, _ = server.accept()
            with closing(connection):
                assert connection.recv(100) == b"here\n"
            process.kill()


def test_loopback_of_a_container_is_its_own_and_up(program: Tierce) -> None:
    serve(program, "--name", "own")
    command = ("busybox", "wget", "-qO-", "http://127.0.0.1/index.html")
    found = program.run("run", "--rm", BASE, *command, status=1)
    assert "refused" in found.stderr
    assert inside(program, "--network", "container:own", BASE, *command) == "hello\n"


def test_address_and_mac_are_those_asked_for(program: Tierce) -> None:
    first, _ = subnet(program) if program.run("run", "--rm", BASE, "true").status == 0 else ("", "")
    wanted = ".".join([*first.split(".")[:2], "77", str(os.getpid() % 250 + 1)])
    flags = ("--ip", wanted, "--mac-address", "02:42:AC:11:00:07")
    serve(program, "--name", "chosen", *flags)
    assert setting(program, "chosen", "IPAddress") == wanted
    assert setting(program, "chosen", "MacAddress") == "02:42:ac:11:00:07"
    found = program.run("run", "--rm", "--ip", wanted, BASE, "true", status=125)
    assert "is not available" in found.stderr or "already" in found.stderr
    found = program.run("run", "--rm", "--ip", "192.0.2.77", BASE, "true", status=125)
    assert "192.0.2.77" in found.stderr


def test_ordinary_user_of_a_container_may_listen_on_port_80(program: Tierce) -> None:
    command = "busybox httpd -p 80 -h / && echo listens"
    assert inside(program, "--user", "1000:1000", BASE, "sh", "-c", command) == "listens\n"


# Published ports


def test_published_port_is_reached_on_every_address_of_the_machine(
    program: Tierce, free_port: int
) -> None:
    serve(program, "--name", "web", "-p", f"{free_port}:80")
    assert page("127.0.0.1", free_port) == "hello"
    assert page(subnet(program)[1], free_port) == "hello"
    assert published(program, "web") == ("0.0.0.0", free_port)
    assert program.run("port", "web").stdout == f"80/tcp -> 0.0.0.0:{free_port}\n"
    assert f"0.0.0.0:{free_port}->80/tcp" in program.run("ps").stdout


def test_container_reaches_its_own_published_port(program: Tierce, free_port: int) -> None:
    serve(program, "--name", "web", "-p", f"{free_port}:80")
    url = f"http://{subnet(program)[1]}:{free_port}/index.html"
    words = ("--network", "container:web", BASE, "busybox", "wget", "-qO-", url)
    assert inside(program, *words) == "hello\n"


def test_port_of_one_address_is_not_reached_by_another(program: Tierce, free_port: int) -> None:
    serve(program, "-p", f"127.0.0.1:{free_port}:80")
    assert page("127.0.0.1", free_port) == "hello"
    with pytest.raises(OSError, match="refused"):
        page(subnet(program)[1], free_port)


@pytest.mark.parametrize(
    "form", ["published={port},target=80", "mode=host,published={port},target=80,protocol=tcp"]
)
def test_long_form_publishes(program: Tierce, free_port: int, form: str) -> None:
    serve(program, "--publish", form.format(port=free_port))
    assert page("127.0.0.1", free_port) == "hello"


def test_random_port_is_told_and_kept_free_for_nobody_else(program: Tierce) -> None:
    serve(program, "--name", "one", "-p", "80", text="one")
    serve(program, "--name", "two", "-p", "127.0.0.1::80", text="two")
    first, second = published(program, "one"), published(program, "two")
    assert first[1] != second[1]
    assert page("127.0.0.1", first[1]) == "one"
    assert second[0] == "127.0.0.1"
    assert page(*second) == "two"
    with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
        other.bind(("0.0.0.0", first[1]))


def test_range_gives_a_port_of_it_that_is_free(program: Tierce, free_port: int) -> None:
    ports = f"{free_port}-{free_port + 20}"
    serve(program, "--name", "one", "-p", f"{ports}:80", text="one")
    serve(program, "--name", "two", "-p", f"{ports}:80", text="two")
    first, second = published(program, "one")[1], published(program, "two")[1]
    assert free_port <= first < second <= free_port + 20
    assert (page("127.0.0.1", first), page("127.0.0.1", second)) == ("one", "two")


def test_each_of_many_containers_is_reached_by_its_own_port(program: Tierce) -> None:
    names = [f"many{number}" for number in range(10)]
    for name in names:
        serve(program, "--name", name, "-p", "127.0.0.1::80", text=name)
    ports = {name: published(program, name)[1] for name in names}
    assert len(set(ports.values())) == len(names)
    assert {name: page("127.0.0.1", port) for name, port in ports.items()} == {
        name: name for name in names
    }
    assert len({setting(program, name, "IPAddress") for name in names}) == len(names)


def test_all_exposed_ports_are_published(program: Tierce) -> None:
    serve(program, "--name", "all", "-P", "--expose", "80", "--expose", "90-91/udp")
    lines = program.run("port", "all").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["80/tcp", "90/udp", "91/udp"]
    assert page("127.0.0.1", published(program, "all")[1]) == "hello"


def socket_inside(program: Tierce, name: str, port: int) -> socket.socket:
    """A socket for datagrams that is in the network namespace of a container."""
    pid = program.run("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    made: list[socket.socket] = []

    def work() -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        namespaces.setns(namespace, namespaces.CLONE_NEWNET)
        os.close(namespace)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    made[0].bind(("0.0.0.0", port))
    made[0].settimeout(20)
    return made[0]


def test_datagrams_are_published_both_ways(program: Tierce) -> None:
    program.run("run", "-d", "--name", "udp", "-p", "127.0.0.1::53/udp", BASE, "sh", "-c", FOR_EVER)
    with (
        closing(socket_inside(program, "udp", 53)) as inner,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as outer,
    ):
        outer.settimeout(20)
        outer.sendto(b"question", published(program, "udp", "53/udp"))
        data, sender = inner.recvfrom(100)
        assert data == b"question"
        inner.sendto(b"answer", sender)
        assert outer.recv(100) == b"answer"


def test_port_in_use_names_the_container_that_has_it(program: Tierce, free_port: int) -> None:
    serve(program, "--name", "first", "-p", f"{free_port}:80")
    for flags in ((), ("-d",)):
        found = program.run(
            "run", *flags, "--name", "second", "-p", f"{free_port}:80", BASE, "true", status=125
        )
        assert f"Bind for 0.0.0.0:{free_port} failed: port is already allocated" in found.stderr
        assert "(container first)" in found.stderr
        program.run("rm", "second")
    assert page("127.0.0.1", free_port) == "hello"


def test_port_in_use_names_the_process_that_has_it(program: Tierce) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        found = program.run("run", "--rm", "-p", f"{port}:80", BASE, "true", status=125)
        assert f"Bind for 0.0.0.0:{port} failed: port is already allocated" in found.stderr
        assert f"pid {os.getpid()})" in found.stderr


def test_address_that_the_machine_does_not_have_is_refused(program: Tierce) -> None:
    found = program.run("run", "--rm", "-p", "203.0.113.9:80:80", BASE, "true", status=125)
    assert "listen tcp 203.0.113.9:80: cannot assign requested address" in found.stderr


def test_port_is_free_again_after_the_end(program: Tierce, free_port: int) -> None:
    serve(program, "--name", "again", "-p", f"{free_port}:80")
    program.run("stop", "-t", "0", "again")
    with pytest.raises(OSError, match="refused"):
        page("127.0.0.1", free_port)
    assert program.run("port", "again").stdout == ""
    program.run("start", "again")
    assert published(program, "again") == ("0.0.0.0", free_port)
    program.run("rm", "-f", "again")
    program.run("run", "--rm", "-p", f"{free_port}:80", BASE, "true")


def test_process_gets_no_descriptor_of_a_published_port(program: Tierce) -> None:
    command = "echo /proc/1/fd/*"
    assert inside(program, "-p", "80", BASE, "sh", "-c", command) == inside(
        program, BASE, "sh", "-c", command
    )
    program.run("run", "-d", "--name", "fds", "-p", "80", BASE, "sh", "-c", FOR_EVER)
    pid = program.run("inspect", "-f", "{{.State.Pid}}", "fds").stdout.strip()
    links = [os.readlink(entry) for entry in os.scandir(f"/proc/{pid}/fd")]
    assert not [link for link in links if link.startswith("socket:")]


# Other networks


def test_network_none_has_nothing_but_loopback(program: Tierce) -> None:
    found = inside(program, "--network", "none", BASE, "ls", "/sys/class/net")
    assert found == "lo\n"


def test_network_host_is_the_machines(program: Tierce) -> None:
    found = inside(program, "--net", "host", BASE, "readlink", "/proc/self/ns/net").strip()
    assert found == os.readlink("/proc/self/ns/net")
    hostname = inside(program, "--network", "host", BASE, "cat", "/etc/hostname").strip()
    assert hostname == os.uname().nodename


def test_ports_of_host_and_none_are_discarded_and_that_is_said(program: Tierce) -> None:
    for network in ("host", "none"):
        found = program.run("run", "--rm", "--network", network, "-p", "80", BASE, "true")
        assert (
            found.stderr
            == f"WARNING: Published ports are discarded when using {network} network mode\n"
        )


def test_network_of_another_container_is_shared_with_its_names(program: Tierce) -> None:
    identifier = serve(
        program, "--name", "owner", "--hostname", "shown", "--add-host", "x:192.0.2.1",
        "--dns", "192.0.2.53",
    )  # fmt: skip
    shared = ("--network", f"container:{identifier[:8]}")
    hosts = inside(program, *shared, BASE, "cat", "/etc/hosts")
    assert "192.0.2.1\tx\n" in hosts
    assert f"{setting(program, 'owner', 'IPAddress')}\tshown\n" in hosts
    assert inside(program, *shared, BASE, "cat", "/etc/hostname") == "shown\n"
    assert "192.0.2.53" in inside(program, *shared, BASE, "cat", "/etc/resolv.conf")
    program.run("run", "-d", "--name", "guest", *shared, BASE, "sh", "-c", FOR_EVER)
    networks = "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}}"
    found = program.run("inspect", "-f", networks, "guest").stdout
    assert found == f"container:{identifier} 0\n"


def test_network_of_a_container_of_the_foreground_is_shared(program: Tierce) -> None:
    command = f"{SERVE.format(text='front', port=80)}; read line; true"
    with program.start(
        "run", "-i", "--rm", "--name", "front", BASE, "sh", "-c", command, stdin=-1
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        url = "http://127.0.0.1/index.html"
        words = ("--network", "container:front", BASE, "busybox", "wget", "-qO-", url)
        assert inside(program, *words) == "front\n"
        process.stdin.close()
        assert process.wait() == 0


def test_network_of_a_container_that_does_not_run_is_refused(program: Tierce) -> None:
    identifier = program.run("create", "--name", "still", BASE, "true").stdout.strip()
    found = program.run("run", "--rm", "--network", "container:still", BASE, "true", status=125)
    assert f"cannot join network of a non running container: {identifier}" in found.stderr
    found = program.run("run", "--rm", "--network", "container:gone", BASE, "true", status=125)
    assert "no such container: gone" in found.stderr.lower()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--hostname", "x"), "hostname and the network mode"),
        (("-p", "80"), "port publishing and the container type network mode"),
        (("--dns", "192.0.2.1"), "dns and the network mode"),
        (("--add-host", "x:192.0.2.1"), "custom host-to-IP mapping and the network mode"),
        (("--expose", "80"), "port exposing and the container type network mode"),
    ],
)
def test_what_only_the_owner_of_a_network_decides_is_refused(
    program: Tierce, flags: tuple[str, ...], message: str
) -> None:
    program.run("run", "-d", "--name", "owner", BASE, "sh", "-c", FOR_EVER)
    words = ("run", "--rm", "--network", "container:owner", *flags, BASE, "true")
    assert f"conflicting options: {message}" in program.run(*words, status=125).stderr


def test_network_that_is_not_there_is_refused(program: Tierce) -> None:
    found = program.run("run", "--rm", "--network", "mine", BASE, "true", status=125)
    assert "network mine not found" in found.stderr


def test_resolver_is_as_asked_for(program: Tierce) -> None:
    flags = ["--dns", "192.0.2.1", "--dns", "192.0.2.2", "--dns-search", "a.test"]
    flags += ["--dns-option", "ndots:2", "--dns-option", "rotate"]
    found = inside(program, *flags, BASE, "cat", "/etc/resolv.conf").splitlines()
    assert found == [
        "nameserver 192.0.2.1",
        "nameserver 192.0.2.2",
        "search a.test",
        "options ndots:2 rotate",
    ]


# Without what a bridge needs


def test_without_plugins_the_default_is_the_host_and_one_line_says_so(
    program: Tierce, tmp_path: Path
) -> None:
    """The plugins are hidden in a mount namespace of the command's own."""
    hide = 'mount -t tmpfs none /usr/lib/cni && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", hide, "sh")
    words = ("run", "--rm", BASE, "readlink", "/proc/self/ns/net")
    found = program.run(*words, prefix=prefix)
    assert found.stdout.strip() == os.readlink("/proc/self/ns/net")
    assert found.stderr.count("\n") == 1
    assert "containernetworking-plugins" in found.stderr
    found = program.run(
        "run", "--rm", "--network", "bridge", BASE, "true", prefix=prefix, status=125
    )
    assert "apt-get install containernetworking-plugins" in found.stderr


# Looking


def test_networks_are_listed_and_inspected(program: Tierce) -> None:
    identifier = serve(program, "--name", "listed")
    lines = program.run("network", "ls").stdout.splitlines()
    assert re.fullmatch("NETWORK ID +NAME +DRIVER +SCOPE", lines[0])
    assert [line.split()[1:] for line in lines[1:]] == [
        ["bridge", "bridge", "local"],
        ["host", "host", "local"],
        ["none", "null", "local"],
    ]
    words = ("network", "ls", "--filter", "driver=null", "--format", "{{.Name}}")
    assert program.run(*words).stdout == "none\n"
    [found] = json.loads(program.run("network", "inspect", "bridge").stdout)
    assert found["Driver"] == "bridge"
    assert found["Containers"][identifier]["Name"] == "listed"
    address = setting(program, "listed", "IPAddress")
    assert found["Containers"][identifier]["IPv4Address"] == f"{address}/16"
    assert program.run("network", "inspect", found["Id"][:12]).status == 0
    assert "network x not found" in program.run("network", "inspect", "x", status=1).stderr


def test_containers_are_filtered_by_network_and_ports(program: Tierce, free_port: int) -> None:
    web = serve(program, "-p", f"{free_port}:80", "--expose", "90-91")
    other = program.run("run", "-d", "--network", "none", BASE, "sh", "-c", FOR_EVER).stdout.strip()

    def found(*filters: str) -> set[str]:
        words = [word for text in filters for word in ("--filter", text)]
        return set(program.run("ps", "-q", "--no-trunc", *words).stdout.split())

    assert found("network=bridge") == {web}
    assert found("network=none") == {other}
    assert found(f"publish={free_port}") == {web}
    assert found(f"publish={free_port}/udp") == set()
    assert found("publish=80") == set()
    assert found("expose=80/tcp") == {web}
    assert found("expose=89-91") == {web}
    assert "not a port" in program.run("ps", "--filter", "expose=x", status=2).stderr


# What is left over


def notes(program: Tierce) -> Path:
    with Store.open(program.root) as store:
        return Path(store.paths.networks, "endpoints")


def test_what_a_killed_monitor_leaves_on_the_network_goes_with_the_next_command(
    program: Tierce, seen: SeenContainers, free_port: int
) -> None:
    identifier = serve(program, "-p", f"{free_port}:80")
    with Store.open(program.root) as store:
        monitor = int(Path(store.paths.detached, identifier, "monitor").read_text())
    ended = os.pidfd_open(monitor)
    signal.pidfd_send_signal(ended, signal.SIGKILL)
    os.close(ended)
    assert len(seen.networks()) > 2
    assert identifier[:12] in program.run("ps", "-aq").stdout
    assert seen.networks() == []
    program.run("run", "--rm", "-p", f"{free_port}:80", BASE, "true")


def test_what_a_killed_command_leaves_on_the_network_goes_with_the_next_one(
    program: Tierce, seen: SeenContainers
) -> None:
    words = ("run", "--rm", "-p", "80", BASE, "sh", "-c", f"echo ready; {FOR_EVER}")
    with program.start(*words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    assert len(seen.networks()) > 2
    program.run("ps")
    assert seen.networks() == []
    program.run("run", "--rm", BASE, "true")  # by which its control groups go as well
