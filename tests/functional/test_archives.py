"""save, load and import as a user calls them, and what other tools make of the archives."""

import functools
import gzip
import http.server
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.archives import (
    INDEX_TYPE,
    ImageParts,
    blob_name,
    descriptor,
    docker_archive,
    index_of,
    layer,
    layout,
    names,
    old_docker_archive,
    tar,
)
from tierce.store import Store

STANDINS = Path("~/.cache/tierce-standins").expanduser()

PROGRAM = [sys.executable, "-c", "from tierce.cli.main import entry; entry()"]

Tierce = Callable[..., "subprocess.CompletedProcess[bytes]"]

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


@pytest.fixture
def tierce(tmp_path: Path) -> Tierce:
    """Runs the command line on a store of the test's own; fails when it does not end with 0."""

    def run(
        *arguments: object, status: int = 0, **options: object
    ) -> "subprocess.CompletedProcess[bytes]":
        words = [*PROGRAM, *map(str, arguments)]
        environ = os.environ | {"TIERCE_ROOT": str(tmp_path / "root"), "NO_COLOR": "1"}
        options = {"capture_output": True, "env": environ} | options
        done = subprocess.run(words, check=False, **options)  # type: ignore[call-overload]
        assert done.returncode == status, done.stderr
        return done  # type: ignore[no-any-return]

    return run


def skopeo(*words: object) -> bytes:
    done = subprocess.run(["skopeo", *map(str, words)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


PARTS = ImageParts(layer(), layer({"bin/app": b"#!/bin/sh\n"}, padding=400_000))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "app.tar"
    path.write_bytes(tar(docker_archive(PARTS, "app:1", "app:latest")))
    return path


def test_load_prints_each_name(tierce: Tierce, archive: Path) -> None:
    loaded = b"Loaded image: app:1\nLoaded image: app:latest\n"
    assert tierce("load", "-i", archive).stdout == loaded
    with archive.open("rb") as file:
        assert tierce("image", "load", stdin=file).stdout == loaded
    assert tierce("load", input=archive.read_bytes()).stdout == loaded
    assert tierce("load", "--quiet", input=gzip.compress(archive.read_bytes())).stdout == loaded


def test_load_prints_the_id_of_an_image_without_a_name(tierce: Tierce, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(docker_archive(PARTS)))
    done = tierce("load", "--input", tmp_path / "a.tar")
    assert done.stdout.decode() == f"Loaded image ID: {PARTS.id}\n"


def test_saved_image_is_the_loaded_one(tierce: Tierce, archive: Path, tmp_path: Path) -> None:
    tierce("load", "-i", archive)
    tierce("save", "-o", tmp_path / "file.tar", "app:1", "app:latest")
    (tmp_path / "stdout.tar").write_bytes(tierce("save", "app").stdout)
    assert (tmp_path / "file.tar").read_bytes() == (tmp_path / "stdout.tar").read_bytes()
    with tarfile.open(tmp_path / "file.tar") as saved:
        manifest = saved.extractfile(blob_name(PARTS.manifest))
        assert manifest is not None
        assert manifest.read() == PARTS.manifest


def test_pipe_from_save_to_load_loses_nothing(tierce: Tierce, archive: Path) -> None:
    tierce("load", "-i", archive)
    saved = tierce("save", "app:1").stdout
    tierce("rmi", "app:1", "app:latest")
    assert tierce("load", input=saved).stdout == b"Loaded image: app:1\n"


def test_save_refuses_a_terminal(tierce: Tierce, archive: Path) -> None:
    tierce("load", "-i", archive)
    main, terminal = pty.openpty()
    done = tierce(
        "save", "app:1", status=1, capture_output=False, stdout=terminal, stderr=subprocess.PIPE
    )
    os.close(terminal)
    os.close(main)
    assert done.stderr.decode() == (
        "tierce: cowardly refusing to save to a terminal. Use the -o flag or redirect\n"
    )


def test_load_refuses_a_terminal(tierce: Tierce) -> None:
    main, terminal = pty.openpty()
    done = tierce("load", status=1, stdin=terminal)
    os.close(terminal)
    os.close(main)
    assert b"requested load from stdin, but stdin is empty" in done.stderr


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "archive"),
        (b"text\n" * 1000, "archive"),
        (tar({"a": b"b"}), "neither a docker archive nor an OCI layout"),
        (tar(docker_archive(PARTS, "app:1"))[:200_000], "cut short"),
        (
            tar(docker_archive(PARTS, "app:1") | {blob_name(PARTS.layers[0]): bytes(10)}),
            "10 bytes instead of",
        ),
    ],
)
def test_bad_archive_is_one_line_and_no_image(data: bytes, cause: str, tierce: Tierce) -> None:
    done = tierce("load", input=data, status=1)
    error, *hints = done.stderr.decode().splitlines()
    assert error.startswith("tierce: read archive: ")
    assert cause in error
    assert all(hint.startswith("hint: ") for hint in hints)
    assert tierce("image", "ls", "-q").stdout == b""


def test_file_that_is_not_there_is_named(tierce: Tierce) -> None:
    done = tierce("load", "-i", "/absent.tar", status=1)
    assert done.stderr == b"tierce: read archive: /absent.tar: no such file or directory\n"


def test_saving_what_is_not_here_leaves_no_file(tierce: Tierce, tmp_path: Path) -> None:
    done = tierce("save", "-o", tmp_path / "a.tar", "absent:1", status=1)
    assert b"no such image: absent:1" in done.stderr
    assert not (tmp_path / "a.tar").exists()


def test_platforms_can_be_chosen(tierce: Tierce, tmp_path: Path) -> None:
    amd64, arm64 = ImageParts(), ImageParts(layer({"arm": b""}), architecture="arm64")
    index = index_of(amd64, arm64)
    target = descriptor(index, INDEX_TYPE) | names("docker.io/library/app:1")[0]
    members = amd64.members() | arm64.members() | {blob_name(index): index} | layout(target)
    (tmp_path / "a.tar").write_bytes(tar(members))
    tierce("load", "-i", tmp_path / "a.tar")
    saved = tierce("save", "--platform", "linux/arm64/v8", "app:1").stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as opened:
        manifest = opened.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["Config"] == blob_name(arm64.config)
    done = tierce("load", "-i", tmp_path / "a.tar", "--platform", "linux/s390x", status=1)
    assert done.stderr == b"tierce: read archive: it has no image for linux/s390x\n"
    done = tierce("load", "-i", tmp_path / "a.tar", "--platform", "nonsense", status=1)
    assert b"unknown operating system or architecture" in done.stderr


def test_import_makes_an_image_of_a_file_system(tierce: Tierce, tmp_path: Path) -> None:
    root = layer({"etc/os-release": b"ID=test\n"})
    (tmp_path / "root.tar").write_bytes(root)
    done = tierce(
        "import", "-c", "CMD /bin/sh", "--change", "ENV A=1 B=2", "-m", "made by hand",
        "--platform", "linux/arm64", tmp_path / "root.tar", "base:1",
    )  # fmt: skip
    image_id = done.stdout.decode().strip()
    (found,) = json.loads(tierce("image", "inspect", "base:1").stdout)
    assert found["Id"] == image_id
    assert found["Architecture"] == "arm64"
    assert found["Config"]["Cmd"] == ["/bin/sh", "-c", "/bin/sh"]
    assert found["Config"]["Env"] == ["A=1", "B=2"]
    assert found["RootFS"]["Layers"] == [ImageParts(root).diff_ids[0]]
    assert found["Comment"] == "made by hand"


def test_import_with_an_epoch_is_reproducible(
    tierce: Tierce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (tierce("import", "-", input=layer()).stdout for _ in range(2))
    assert first == second
    (found,) = json.loads(tierce("image", "inspect", first.decode().strip()).stdout)
    assert found["Created"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress])
def test_import_takes_a_pipe(compress: Callable[[bytes], bytes], tierce: Tierce) -> None:
    done = tierce("import", "-", "base", input=compress(layer()))
    assert done.stdout.startswith(b"sha256:")
    (found,) = json.loads(tierce("image", "inspect", "base:latest").stdout)
    assert found["RootFS"]["Layers"] == [ImageParts(layer()).diff_ids[0]]
    assert found["Comment"] == "Imported from -"


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """The address of a server for the files in the directory `www`."""
    (tmp_path / "www").mkdir()
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the standard error of the tests."""


def test_import_downloads_from_a_url(tierce: Tierce, website: str, tmp_path: Path) -> None:
    (tmp_path / "www/root.tar.gz").write_bytes(gzip.compress(layer()))
    tierce("import", f"{website}/root.tar.gz", "base:1")
    (found,) = json.loads(tierce("inspect", "base:1").stdout)
    assert found["RootFS"]["Layers"] == [ImageParts(layer()).diff_ids[0]]
    assert found["Comment"] == f"Imported from {website}/root.tar.gz"
    done = tierce("import", f"{website}/absent.tar", "base:2", status=1)
    assert (
        done.stderr.decode() == f"tierce: download {website}/absent.tar: HTTP 404 File not found\n"
    )


def test_import_of_what_is_no_tar_is_refused(tierce: Tierce) -> None:
    done = tierce("import", "-", "base", input=b"text\n" * 1000, status=1)
    assert done.stderr.startswith(b"tierce: read archive: ")
    assert tierce("images", "-q").stdout == b""


def test_killed_load_leaves_a_store_that_works(tierce: Tierce, tmp_path: Path) -> None:
    parts = ImageParts(layer(padding=8 << 20))
    data = tar(docker_archive(parts, "app:1"))
    environ = os.environ | {"TIERCE_ROOT": str(tmp_path / "root")}
    with subprocess.Popen([*PROGRAM, "load"], stdin=subprocess.PIPE, env=environ) as process:
        assert process.stdin is not None
        # More than a pipe holds: once it is written, the layer is on its way into the store.
        process.stdin.write(data[: 5 << 20])
        process.kill()
    assert tierce("images", "-q").stdout == b""
    with Store.open(tmp_path / "root", tmp_path / "run") as store:
        store.collect()
        assert [path for path in store.paths.blobs.rglob("*") if path.is_file()] == []
    assert tierce("load", input=data).stdout == b"Loaded image: app:1\n"


@needs_skopeo
def test_skopeo_reads_a_saved_archive(tierce: Tierce, archive: Path, tmp_path: Path) -> None:
    tierce("load", "-i", archive)
    tierce("save", "-o", tmp_path / "saved.tar", "app:1")
    found = json.loads(skopeo("inspect", f"docker-archive:{tmp_path}/saved.tar:app:1"))
    assert found["Layers"] == PARTS.diff_ids
    config = json.loads(skopeo("inspect", "--config", f"docker-archive:{tmp_path}/saved.tar"))
    assert config == json.loads(PARTS.config)


@needs_skopeo
def test_skopeo_reads_a_saved_layout(tierce: Tierce, archive: Path, tmp_path: Path) -> None:
    tierce("load", "-i", archive)
    tierce("save", "--format", "oci", "-o", tmp_path / "saved.tar", "app:1")
    raw = skopeo("inspect", "--raw", f"oci-archive:{tmp_path}/saved.tar:1")
    assert raw == PARTS.manifest
    (tmp_path / "layout").mkdir()
    tierce("save", "--format", "oci", "-o", tmp_path / "layout", "app:1")
    assert skopeo("inspect", "--raw", f"oci:{tmp_path}/layout:1") == PARTS.manifest


@needs_skopeo
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes_is_loaded(
    form: str, tierce: Tierce, archive: Path, tmp_path: Path
) -> None:
    skopeo(
        "copy", "--insecure-policy", f"docker-archive:{archive}:app:1",
        f"{form}:{tmp_path}/written:docker.io/library/copied:1",
    )  # fmt: skip
    done = tierce("load", "-i", tmp_path / "written")
    assert done.stdout == b"Loaded image: copied:1\n"
    (found,) = json.loads(tierce("inspect", "copied:1").stdout)
    assert found["RootFS"]["Layers"] == PARTS.diff_ids
    assert found["Config"]["Cmd"] == ["/bin/sh"]


def test_archive_of_an_older_docker_is_loaded(tierce: Tierce, tmp_path: Path) -> None:
    members, links = old_docker_archive(PARTS, "app:1")
    (tmp_path / "a.tar").write_bytes(tar(members, links))
    assert tierce("load", "-i", tmp_path / "a.tar").stdout == b"Loaded image: app:1\n"
    (found,) = json.loads(tierce("inspect", "app:1").stdout)
    assert found["Id"] == PARTS.id


@pytest.mark.skipif(not STANDINS.is_dir(), reason="the stand-ins of base images are not made")
def test_base_image_is_loaded_and_saved_byte_for_byte(tierce: Tierce, tmp_path: Path) -> None:
    done = tierce("load", "-i", STANDINS / "alpine-3.15.tar")
    assert done.stdout == b"Loaded image: alpine:3.15\nLoaded image: alpine:latest\n"
    tierce("save", "-o", tmp_path / "saved.tar", "alpine")
    with (
        tarfile.open(STANDINS / "alpine-3.15.tar") as ours,
        tarfile.open(tmp_path / "saved.tar") as saved,
    ):
        blobs = {each.name for each in ours if each.name.startswith("blobs/")}
        assert blobs <= {each.name for each in saved}
