"""Bootstrapping, with a program in mmdebstrap's place that needs no network."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from support.golden.contexts import tar_of
from tierce.client.bootstrap import BootstrapRequest, bootstrap, parse_release
from tierce.errors import RuntimeUnavailable, TierceError, UsageError
from tierce.layer.view import Tree

FILES: list[dict[str, Any]] = [
    {"path": "./etc/debian_version", "text": "12.0\n"},
    {"path": "./bin", "symlink": "usr/bin"},
    {"path": "./usr/bin/bash", "text": "#!", "mode": 0o755},
]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts programs of the given text into a PATH of their own."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    (tmp_path / "rootfs.tar").write_bytes(tar_of(FILES))

    def make(text: str, name: str = "mmdebstrap") -> None:
        path = directory / name
        path.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"here = {str(tmp_path)!r}\n"
            "open(here + '/arguments', 'w').write(chr(10).join(sys.argv[1:]))\n"
            "tar = open(here + '/rootfs.tar', 'rb').read()\n"
            "def write(data):\n"
            "    sys.stdout.buffer.write(data)\n"
            "    sys.stdout.flush()\n"
            "def fail(status):\n"
            "    print('E: apt-get update failed', file=sys.stderr)\n"
            "    sys.exit(status)\n"
            f"{text}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def arguments(tmp_path: Path) -> list[str]:
    return (tmp_path / "arguments").read_text().splitlines()


GOOD = "print('I: running it...', file=sys.stderr)\nwrite(tar)"


def test_image_has_the_files_and_starts_a_shell(store: Any, program: Any) -> None:
    program(GOOD)
    lines: list[str] = []
    image = bootstrap(store, BootstrapRequest("debian:bookworm"), lines.append)
    config = store.images.config(image)
    assert config.config.cmd == ("bash",)
    assert [name.partition("=")[0] for name in config.config.env] == ["PATH"]
    assert store.images.resolve("debian:bookworm") == image
    assert lines == ["making debian:bookworm with mmdebstrap", "running it..."]
    tree: Tree = store.snapshots.view(store.snapshots.for_layers(config.diff_ids).id)
    assert [entry.path for entry in tree.children("usr/bin")] == ["usr/bin/bash"]


def test_request_becomes_the_program_s_words(store: Any, program: Any, tmp_path: Path) -> None:
    program(GOOD)
    bootstrap(
        store,
        BootstrapRequest(
            "ubuntu:22.04-slim",
            variant="buildd",
            include=("curl", "git"),
            architecture="arm64",
            mirror="https://mirror.example/ubuntu",
        ),
    )
    words = arguments(tmp_path)
    assert words[-3:] == ["jammy", "-", "https://mirror.example/ubuntu"]
    assert "--variant=buildd" in words
    assert "--architectures=arm64" in words
    assert "--dpkgopt=path-exclude=/usr/share/doc/*" in words
    assert [word for word in words if word.startswith("--include=")] == [
        "--include=curl",
        "--include=git",
        "--include=ca-certificates",
    ]
    assert store.images.config(store.images.resolve("ubuntu:22.04-slim")).architecture == "arm64"


def test_same_epoch_gives_the_same_image(store: Any, program: Any) -> None:
    program(GOOD + "\nassert os.environ['SOURCE_DATE_EPOCH'] == '1700000000'")
    request = BootstrapRequest("debian:bookworm", epoch=1700000000)
    first = bootstrap(store, request)
    assert bootstrap(store, request).manifest == first.manifest
    assert store.images.config(first).created == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    "text",
    [
        "fail(25)",
        "write(tar[:700]); fail(25)",
        "write(tar); fail(25)",
    ],
    ids=["nothing written", "half written", "all written"],
)
def test_failed_program_leaves_no_image(store: Any, program: Any, text: str) -> None:
    program(text)
    with pytest.raises(TierceError, match="mmdebstrap failed: apt-get update failed"):
        bootstrap(store, BootstrapRequest("debian:bookworm"))
    assert not store.images.list()


def test_unreachable_archive_has_a_hint(store: Any, program: Any) -> None:
    program("sys.stderr.write(\"Err: Could not resolve 'mirror'\\n\"); sys.exit(1)")
    with pytest.raises(TierceError) as raised:
        bootstrap(store, BootstrapRequest("debian:bookworm"))
    assert "--mirror" in raised.value.hint


def test_missing_programs_are_named_with_their_package(store: Any, program: Any) -> None:
    with pytest.raises(RuntimeUnavailable) as raised:
        bootstrap(store, BootstrapRequest("debian:bookworm"))
    assert "apt-get install mmdebstrap" in raised.value.hint


@pytest.mark.parametrize("name", ["fedora:40", "debian@sha256:" + 64 * "a", "Debian", "library"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_release(name)


def test_unknown_variant_is_refused(store: Any, program: Any) -> None:
    with pytest.raises(UsageError, match="no such variant: tiny"):
        bootstrap(store, BootstrapRequest("debian:bookworm", variant="tiny"))


@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("debian", "stable"),
        ("debian:12", "bookworm"),
        ("debian:trixie-slim", "trixie"),
        ("ubuntu:24.04", "noble"),
        ("registry.example/team/debian:sid", "sid"),
    ],
)
def test_tag_names_a_suite(name: str, suite: str) -> None:
    assert parse_release(name).suite == suite


def test_debootstrap_fills_a_directory_that_is_packed(
    store: Any, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        "root = sys.argv[3]\n"
        "os.makedirs(root + '/etc/apt/apt.conf.d'); os.makedirs(root + '/dev')\n"
        "open(root + '/etc/hostname', 'w').write('machine')\n"
        "open(root + '/dev/null', 'w').write('')\n"
        "print('I: Base system installed successfully.')",
        "debootstrap",
    )
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: name[0] == "d")
    image = bootstrap(store, BootstrapRequest("debian:bookworm", mirror="http://m.example/d"))
    diff_ids = store.images.config(image).diff_ids
    tree: Tree = store.snapshots.view(store.snapshots.for_layers(diff_ids).id)
    paths = [entry.path for entry in tree.walk()]
    assert "etc/apt/apt.conf.d/99bootstrap" in paths
    assert "etc/hostname" not in paths
    assert "dev/null" not in paths
    assert arguments(tmp_path)[-1] == "http://m.example/d"
