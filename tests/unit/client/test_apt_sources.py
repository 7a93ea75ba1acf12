"""Which apt sources of a machine go into a base image."""

from pathlib import Path

import pytest

from tierce.client.apt_sources import sources_of_release

DEB822 = """\
# A comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://elsewhere.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def uris(etc: Path, distribution: str = "debian", suite: str = "bookworm") -> list[str]:
    return [
        uri for source in sources_of_release(distribution, suite, str(etc)) for uri in source.uris
    ]


def test_stanzas_of_the_release_and_its_updates_are_taken(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    assert uris(etc) == ["http://mirror.example/debian", "http://mirror.example/debian-security"]


def test_stanza_is_kept_as_written_without_comments(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    [first, second] = sources_of_release("debian", "bookworm", str(etc))
    assert first.text.startswith("Types: deb deb-src\nURIs: http://mirror.example/debian\n")
    assert second.signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert not first.is_line


def test_lines_are_taken_with_their_options(etc: Path) -> None:
    (etc / "sources.list").write_text(
        "# deb http://no.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k/debian-archive.gpg] http://m.example/d bookworm main # c\n"
        "deb-src http://m.example/d bookworm main\n"
        "deb http://m.example/s bookworm-security main non-free\n"
        "deb http://m.example/s bookworm/updates main\n"
    )
    found = sources_of_release("debian", "bookworm", str(etc))
    assert [source.uris[0] for source in found] == ["http://m.example/d"] + 2 * [
        "http://m.example/s"
    ]
    assert found[0].is_line
    assert found[0].signed_by == "/k/debian-archive.gpg"
    assert "#" not in found[0].text


@pytest.mark.parametrize(
    "line",
    [
        "deb http://deb.example/node nodistro main",
        "deb http://download.example/linux/debian bookworm stable",
        "deb http://apt.example/pg bookworm-pgdg main",
        "deb [signed-by=/usr/share/keyrings/vendor.gpg] http://apt.example bookworm main",
        "deb http://deb.debian.org/debian trixie main",
        "deb http://deb.debian.org/debian ./",
    ],
)
def test_third_parties_and_other_releases_are_left_out(etc: Path, line: str) -> None:
    (etc / "sources.list").write_text(f"deb http://m.example/d bookworm main\n{line}\n")
    assert uris(etc) == ["http://m.example/d"]


def test_updates_alone_are_worth_nothing(etc: Path) -> None:
    (etc / "sources.list").write_text("deb http://m.example/s bookworm-security main\n")
    assert uris(etc) == []


def test_machine_without_apt_has_no_sources(tmp_path: Path) -> None:
    assert uris(tmp_path / "nothing") == []


def test_another_distribution_s_release_is_not_found(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    assert uris(etc, "ubuntu", "noble") == []
