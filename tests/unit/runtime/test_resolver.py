"""resolv.conf and hosts, for hosts with all kinds of resolvers."""

from pathlib import Path

import pytest

from tierce.runtime import resolver


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resolver, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(resolver, "SYSTEMD_RESOLV_CONF", str(tmp_path / "systemd.conf"))
    return tmp_path


def test_ordinary_file_is_kept(host: Path) -> None:
    text = "# mine\nnameserver 10.0.0.1\nsearch example.org\noptions ndots:2\n"
    (host / "resolv.conf").write_text(text)
    for host_network in (True, False):
        assert resolver.resolv_conf(host_network=host_network) == text


def test_loopback_servers_are_left_out_unless_the_network_is_the_hosts(host: Path) -> None:
    text = "nameserver 127.0.0.1\nnameserver ::1\nnameserver 10.0.0.1\n"
    (host / "resolv.conf").write_text(text)
    assert resolver.resolv_conf(host_network=True) == text
    assert resolver.resolv_conf(host_network=False) == "nameserver 10.0.0.1\n"


def test_systemds_own_file_replaces_its_stub(host: Path) -> None:
    (host / "resolv.conf").write_text("nameserver 127.0.0.53\nsearch example.org\n")
    (host / "systemd.conf").write_text("nameserver 10.0.0.7\n")
    assert resolver.resolv_conf(host_network=False) == "nameserver 10.0.0.7\n"


@pytest.mark.parametrize("text", ["", "nameserver 127.0.0.1\n", None])
def test_without_a_server_public_ones_are_used(host: Path, text: str | None) -> None:
    if text is not None:
        (host / "resolv.conf").write_text(text)
    assert "nameserver 8.8.8.8\n" in resolver.resolv_conf(host_network=False)


def test_hosts_of_a_container_know_its_name_and_the_added_ones() -> None:
    text = resolver.container_hosts("web", [("db", "10.0.0.2")], host_network=False)
    assert text.startswith("127.0.0.1\tlocalhost\n")
    assert text.endswith("\tweb\n10.0.0.2\tdb\n")


def test_what_is_given_takes_the_place_of_the_hosts(host: Path) -> None:
    (host / "resolv.conf").write_text("nameserver 10.0.0.1\nsearch a\noptions b\n")
    given = resolver.resolv_conf(host_network=True, servers=("1.2.3.4",))
    assert given == "search a\noptions b\nnameserver 1.2.3.4\n"
    given = resolver.resolv_conf(host_network=False, search=("x", "y"), options=("ndots:1",))
    assert given == "nameserver 10.0.0.1\nsearch x y\noptions ndots:1\n"
    assert resolver.resolv_conf(host_network=False, search=(".",)) == (
        "nameserver 10.0.0.1\noptions b\n"
    )


def test_loopback_server_that_is_asked_for_is_given(host: Path) -> None:
    (host / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    given = resolver.resolv_conf(host_network=False, servers=("127.0.0.1",))
    assert given == "nameserver 127.0.0.1\n"


def test_hosts_of_a_container_on_a_network_have_its_address() -> None:
    text = resolver.container_hosts("web.x.org", [], host_network=False, address="10.86.0.2")
    assert text.endswith("\n10.86.0.2\tweb.x.org web\n")
    assert "127.0.1.1" not in text
