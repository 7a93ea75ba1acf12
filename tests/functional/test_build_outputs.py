"""`tierce build -o`: what becomes of a build besides an image in the store."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.program import PROGRAM, Tierce, outcome_of, write_context
from tierce import Client
from tierce.client.builds import BuildRequest
from tierce.export.outputs import ArchiveOutput, CacheOnly, ImageOutput, LocalOutput, TarballOutput

EPOCH = "1600000000"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"

FILES = """\
FROM golden-base AS made
RUN mkdir -p /out/owned /out/plain && cd /out && echo data > file && ln file plain/again \\
 && ln -s file link && mkfifo fifo && mknod null c 1 3 && chmod 4755 file \\
 && chown 33:44 owned && chmod 2770 owned && echo private > owned/file && chmod 600 owned/file
FROM scratch
COPY --from=made /out /
COPY --from=made /data/noted /data/capable /attributes/
"""


@pytest.fixture(scope="module")
def files(shared: Tierce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context whose build has a file of every kind; it is in the cache."""
    context = write_context(tmp_path_factory.mktemp("files"), FILES)
    shared.build(context, "-o", "type=cacheonly")
    return context


@pytest.fixture(scope="module")
def app(shared: Tierce, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context whose build adds two layers to the base."""
    text = "FROM golden-base\nCOPY one /one\nRUN echo two > /two\nLABEL a=b\n"
    context = write_context(tmp_path_factory.mktemp("app"), text, {"one": "one" * 1000})
    shared.build(context, "-o", "type=cacheonly")
    return context


class Layout:
    """The image of an OCI layout, in a directory or in a tar."""

    def __init__(self, path: Path) -> None:
        self._read: Callable[[str], bytes] = lambda name: (path / name).read_bytes()
        if path.is_file():
            with tarfile.open(path) as tar:
                members = {
                    member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
                    for member in tar
                    if member.isfile()
                }
            self.names = sorted(members)
            self._read = members.__getitem__
        self.index = json.loads(self._read("index.json"))["manifests"]
        self.manifest = json.loads(self.blob(self.index[0]))
        self.config = json.loads(self.blob(self.manifest["config"]))

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        data = self._read("blobs/" + descriptor["digest"].replace(":", "/"))
        assert len(data) == descriptor["size"]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        return data

    def names_of_image(self) -> list[str]:
        return [each["annotations"]["io.containerd.image.name"] for each in self.index]

    def layers(self) -> list[tuple[str, int]]:
        """Media types and sizes; gzip is what the diff ids say when it is inflated."""
        for descriptor, diff_id in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"]):
            if descriptor["mediaType"].endswith("gzip"):
                tar = gzip.decompress(self.blob(descriptor))
                assert "sha256:" + hashlib.sha256(tar).hexdigest() == diff_id
        return [(each["mediaType"], each["size"]) for each in self.manifest["layers"]]

    def types(self) -> list[str]:
        return [kind for kind, _ in self.layers()]


def images(program: Tierce) -> list[str]:
    listed = program.run("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}")
    return sorted(listed.stdout.splitlines())


def described(directory: Path) -> dict[str, tuple[object, ...]]:
    """All that is in a directory, by path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        xattrs = (
            {name: os.getxattr(path, name) for name in os.listxattr(path)}
            if path.is_file() and not path.is_symlink()
            else {}
        )
        found[str(path.relative_to(directory))] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_rdev,
            os.readlink(path) if path.is_symlink() else "",
            xattrs,
        )
    return found


# Directories


def test_local_output_has_every_kind_of_file_and_belongs_to_who_builds(
    shared: Tierce, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    before = images(shared)
    shared.build(files, "-o", str(out))
    found = described(out)
    assert {path: entry[0] for path, entry in found.items()} == {
        "attributes": "0o40755",
        "attributes/capable": "0o100644",
        "attributes/noted": "0o100644",
        "fifo": "0o10644",
        "file": "0o104755",
        "link": "0o120777",
        "null": "0o20644",
        "owned": "0o42770",
        "owned/file": "0o100600",
        "plain": "0o40755",
        "plain/again": "0o104755",
    }
    assert {entry[1:3] for entry in found.values()} == {(os.geteuid(), os.getegid())}
    assert (out / "file").samefile(out / "plain/again")
    assert found["link"][4] == "file"
    assert found["null"][3] == os.makedev(1, 3)
    assert found["attributes/noted"][5] == {"user.note": b"base"}
    assert found["attributes/capable"][5] == {}, "capabilities stay in images"
    assert oct(out.stat().st_mode) == "0o40700"
    assert images(shared) == before


def test_local_output_keeps_what_is_there_and_replaces_what_has_the_same_name(
    shared: Tierce, tmp_path: Path
) -> None:
    text = (
        "FROM scratch\nCOPY a /a\nCOPY a /was-directory\nCOPY a /was-file/b\nCOPY a /was-link/c\n"
    )
    context = write_context(tmp_path / "context", text, {"a": "new"})
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "was-directory").mkdir(parents=True)
    (out / "was-directory" / "gone").touch()
    (out / "was-link").symlink_to(elsewhere)
    for name in ("a", "kept", "was-file"):
        (out / name).write_text("old")
    os.link(out / "a", out / "other-name-of-a")
    out.chmod(0o711)
    shared.build(context, "-o", str(out))
    assert {path: (out / path).is_dir() or (out / path).read_text() for path in described(out)} == {
        "a": "new",
        "kept": "old",
        "other-name-of-a": "old",
        "was-directory": "new",
        "was-file": True,
        "was-file/b": "new",
        "was-link": True,
        "was-link/c": "new",
    }
    assert not list(elsewhere.iterdir())
    assert oct(out.stat().st_mode) == "0o40711"


def test_mode_delete_removes_what_is_not_in_the_result(shared: Tierce, tmp_path: Path) -> None:
    write_context(tmp_path / "context", "FROM scratch\nCOPY a /d/a\n", {"a": "new"})
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for directory in (out / "d/sub", elsewhere):
        directory.mkdir(parents=True)
        (directory / "file").touch()
    (out / "link").symlink_to(elsewhere)
    words = ("build", "-q", "-o", "type=local,dest=out,mode=delete", "context")
    shared.run(*words, cwd=tmp_path)
    assert list(described(out)) == ["d", "d/a"]
    assert list(described(elsewhere)) == ["file"]


def test_platform_split_makes_a_directory_named_by_the_platform(
    shared: Tierce, files: Path, tmp_path: Path
) -> None:
    shared.build(files, "-o", f"type=local,dest={tmp_path},platform-split=true")
    [top] = tmp_path.iterdir()
    assert top.name.startswith("linux_")
    assert (top / "file").samefile(top / "plain/again")
    assert top.stat().st_mtime == 0


def test_local_output_without_privilege(tmp_path: Path, shared: Tierce) -> None:
    """Everything belongs to the user, and only device nodes cannot be made."""
    text = "FROM scratch\nCOPY --chown=7:8 --chmod=4750 a /d/a\n"
    context = write_context(tmp_path / "context", text, {"a": "data"})
    root, out = tmp_path / "root", tmp_path / "out"
    tmp_path.chmod(0o777)
    for path in (*tmp_path.parents, *context.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o755)
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [
            *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", str(PROGRAM)),
            *("--root", str(root), "build", "-q", "-o", str(out), str(context)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    status = (out / "d/a").stat()
    assert (status.st_uid, status.st_gid, oct(status.st_mode)) == (12345, 12345, "0o104750")


def test_destinations_of_the_wrong_kind_are_refused_before_anything_is_built(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN false\n")
    file = tmp_path / "file"
    file.write_text("mine")
    for text, cause in (
        (str(file), f"{file} is a file, not a directory"),
        (f"type=oci,tar=false,dest={file}", f"{file} is a file, not a directory"),
        (f"type=tar,dest={tmp_path}", f"{tmp_path} is a directory"),
        (
            f"type=oci,dest={tmp_path}/no/x",
            f"{tmp_path}/no/x: directory {tmp_path}/no is not there",
        ),
    ):
        outcome = shared.build(context, "-o", text, status=1)
        assert f"write output: {cause}" in outcome.stderr
        assert "RUN" not in outcome.stderr
    assert file.read_text() == "mine"


def test_directory_without_permission_is_refused_and_nothing_is_left(
    shared: Tierce, app: Path, tmp_path: Path
) -> None:
    """Root may write anywhere but where nobody may."""
    for text in ("/proc/out", "type=oci,dest=/proc/out.tar", "type=tar,dest=/proc/out.tar"):
        outcome = shared.build(app, "-o", text, status=1)
        assert "write archive: /proc/out" in outcome.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for half a megabyte."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_full_disk_leaves_no_half_written_file(
    shared: Tierce, tmp_path: Path, small_disk: Path
) -> None:
    context = tmp_path / "context"
    write_context(context, "FROM scratch\nCOPY . /\n", {"a": "small"})
    (context / "b").write_bytes(os.urandom(1 << 20))
    (small_disk / "b").write_text("mine")
    for text in (
        f"type=tar,dest={small_disk}/x.tar",
        f"type=oci,dest={small_disk}/x.tar",
        f"type=docker,dest={small_disk}/x.tar",
        str(small_disk),
    ):
        outcome = shared.build(context, "-o", text, status=1)
        assert "no space left on device" in outcome.stderr
        assert (small_disk / "b").read_text() == "mine"
        assert {path.name for path in small_disk.iterdir()} <= {"a", "b", "Dockerfile"}
    shared.build(context, "-o", f"type=oci,tar=false,dest={small_disk}/layout", status=1)
    assert not (small_disk / "layout" / "index.json").exists()


def test_sparse_files_of_a_base_are_copied_whole(tierce: Tierce, tmp_path: Path) -> None:
    """Their bytes are not in one piece in the tar that the base came as."""
    (tmp_path / "files").mkdir()
    with (tmp_path / "files/hole").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    tar = tmp_path / "base.tar"
    subprocess.run(["tar", "--sparse", "-C", tmp_path / "files", "-cf", tar, "hole"], check=True)
    assert tar.stat().st_size < 1 << 20
    tierce.run("import", str(tar), "sparse-base")
    copied = "FROM scratch AS copied\nCOPY --from=base /hole /copied\n"
    text = f"FROM sparse-base AS base\n{copied}FROM base\n"
    context = write_context(tmp_path / "context", text)
    tierce.build(context, "-o", f"{tmp_path}/out")
    tierce.build(context, "--target", "copied", "-o", f"{tmp_path}/out")
    expected = (tmp_path / "files/hole").read_bytes()
    assert (tmp_path / "out/hole").read_bytes() == expected
    assert (tmp_path / "out/copied").read_bytes() == expected


# Tars


def test_tar_has_the_owners_and_times_of_the_result(
    shared: Tierce, files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.tar"
    shared.build(files, "-o", f"type=tar,dest={path}")
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
    assert list(members)[:3] == ["attributes", "attributes/capable", "attributes/noted"]
    assert (members["owned"].uid, members["owned"].gid) == (33, 44)
    assert oct(members["owned"].mode) == "0o2770"
    assert (members["plain/again"].islnk(), members["plain/again"].linkname) == (True, "file")
    assert members["null"].ischr()
    assert members["attributes/noted"].pax_headers["SCHILY.xattr.user.note"] == "base"


def test_standard_output_has_the_tar_and_nothing_else(shared: Tierce, app: Path) -> None:
    for flags in ((), ("-q",), ("--progress=rawjson",)):
        done = subprocess.run(
            [PROGRAM, "--root", shared.root, "build", *flags, "-o", "-", app],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            assert {"one", "two", "bin"} <= {member.name for member in tar}
        assert len(done.stdout) % 512 == 0


def test_reader_that_goes_away_ends_the_build_quietly(shared: Tierce, app: Path) -> None:
    done = subprocess.run(
        f"{PROGRAM} --root {shared.root} build -q -o - {app} | head -c 100 | wc -c",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "100"
    assert "Traceback" not in done.stderr


# Archives


def test_oci_archive_is_compressed_and_has_the_names(
    shared: Tierce, app: Path, tmp_path: Path
) -> None:
    path, before = tmp_path / "image.tar", images(shared)
    shared.build(app, "-t", "app", "-t", "example.com/app:1", "-o", f"type=oci,name=x,dest={path}")
    layout = Layout(path)
    assert layout.names_of_image() == ["docker.io/library/app:latest", "example.com/app:1"]
    assert layout.names[-2:] == ["index.json", "oci-layout"]
    assert set(layout.types()[-2:]) == {GZIP}
    assert layout.config["config"]["Labels"] == {"a": "b"}
    assert images(shared) == before, "an archive is no image in the store"


def test_docker_archive_can_be_loaded(tierce: Tierce, tmp_path: Path) -> None:
    text = "FROM golden-base\nRUN echo hello > /hello\n"
    context = write_context(tmp_path / "context", text)
    path = tmp_path / "image.tar"
    tierce.build(context, "-t", "hello", "-o", f"type=docker,dest={path}")
    with tarfile.open(path) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed is not None
        assert json.load(listed)[0]["RepoTags"] == ["hello:latest"]
    tierce.run("load", "-i", str(path))
    assert tierce.output("hello", "cat", "/hello") == "hello\n"


@pytest.mark.parametrize(
    ("attributes", "source"),
    [
        ("type=docker", "docker-archive:{}:app:1"),
        ("type=docker,oci-mediatypes=false,compression=uncompressed", "docker-archive:{}:app:1"),
        ("type=oci", "oci-archive:{}"),
        ("type=oci,compression=zstd", "oci-archive:{}:1"),
        ("type=oci,tar=false", "oci:{}:1"),
    ],
)
def test_archives_are_read_by_another_tool(
    shared: Tierce, app: Path, tmp_path: Path, attributes: str, source: str
) -> None:
    path = tmp_path / "image"
    shared.build(app, "-t", "app:1", "-o", f"{attributes},dest={path}")
    subprocess.run(
        ["skopeo", "copy", "-q", source.format(path), f"dir:{tmp_path}/copied"], check=True
    )


def test_docker_output_without_a_file_is_an_image_in_the_store(tierce: Tierce, app: Path) -> None:
    loaded = tierce.image_id(app, "-o", "type=docker", "-t", "loaded")
    assert loaded == tierce.image_id(app, "-t", "usual")
    assert tierce.image_id(app, "--load") == loaded


def test_layout_that_is_there_gets_one_more_image(
    shared: Tierce, app: Path, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "layout"
    for context, name in ((app, "one"), (files, "two"), (files, "one")):
        shared.build(context, "-o", f"type=oci,tar=false,dest={out},name={name}")
    layout = Layout(out)
    assert layout.names_of_image() == [
        f"docker.io/library/{name}:latest" for name in ("two", "one")
    ]
    assert layout.index[0]["digest"] == layout.index[1]["digest"]
    (out / "index.json").write_text("{")
    outcome = shared.build(app, "-o", f"type=oci,tar=false,dest={out}", status=1)
    assert f"read layout {out}" in outcome.stderr


def test_images_that_are_added_to_a_layout_at_once_are_all_in_it(
    shared: Tierce, app: Path, tmp_path: Path
) -> None:
    out, names = tmp_path / "layout", [f"i{number}:1" for number in range(6)]
    running = [
        shared.start("build", "-o", f"type=oci,tar=false,dest={out},name={name}", str(app))
        for name in names
    ]
    assert [outcome_of(process).status for process in running] == [0] * len(names)
    found = {each["annotations"]["io.containerd.image.name"] for each in Layout(out).index}
    assert found == {f"docker.io/library/{name}" for name in names}


def test_equal_builds_give_equal_archives(shared: Tierce, app: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shared.build(app, "-t", "x", "-o", f"type=oci,dest={tmp_path}/{name}")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# Compression


def test_new_layers_are_compressed_as_asked(shared: Tierce, app: Path, tmp_path: Path) -> None:
    sizes = {}
    for kind, attributes, media_type in (
        ("gzip", "compression=gzip", GZIP),
        ("level 0", "compression=gzip,compression-level=0", GZIP),
        ("level 9", "compression-level=9", GZIP),
        ("zstd", "compression=zstd", ZSTD),
        ("plain", "compression=uncompressed", PLAIN),
    ):
        shared.build(app, "-o", f"type=oci,tar=false,dest={tmp_path / kind},{attributes}")
        layout = Layout(tmp_path / kind)
        assert layout.types()[-2:] == [media_type] * 2
        sizes[kind] = sum(size for _, size in layout.layers()[-2:])
    assert sizes["level 9"] < sizes["gzip"] < sizes["level 0"]
    assert sizes["zstd"] < sizes["plain"]
    assert len({Layout(tmp_path / kind).manifest["config"]["digest"] for kind in sizes}) == 1


def test_layers_of_the_base_stay_as_they_came_unless_it_is_forced(
    tierce: Tierce, tmp_path: Path
) -> None:
    base = write_context(tmp_path / "base", "FROM scratch\nCOPY a /a\n", {"a": "a" * 1000})
    archive = tmp_path / "base.tar"
    tierce.build(base, "-t", "zstd-base", "-o", f"type=oci,compression=zstd,dest={archive}")
    tierce.run("load", "-i", str(archive))
    came = Layout(archive).manifest["layers"][0]["digest"]
    context = write_context(tmp_path / "app", "FROM zstd-base\nCOPY b /b\n", {"b": "b" * 1000})
    for attributes, expected in (
        ("compression=gzip", [ZSTD, GZIP]),
        ("compression=gzip,force-compression=true", [GZIP, GZIP]),
        ("compression=uncompressed", [ZSTD, PLAIN]),
        ("compression=uncompressed,force-compression=true", [PLAIN, PLAIN]),
        ("oci-mediatypes=false", [
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ]),
    ):  # fmt: skip
        tierce.build(context, "-o", f"type=oci,dest={archive},{attributes}")
        layout = Layout(archive)
        assert layout.types() == expected
        reused = layout.manifest["layers"][0]["digest"] == came
        assert reused == (expected[0] == ZSTD or "oci-mediatypes" in attributes)


def test_layer_is_compressed_once(tierce: Tierce, tmp_path: Path) -> None:
    text = "FROM scratch\nCOPY a /a\n"
    context = write_context(tmp_path / "context", text, {"a": "a" * 100_000})
    tierce.build(context, "-t", "app", "-o", "type=image,compression=gzip")
    blobs = tierce.root / "blobs" / "sha256"
    before = {path.name: path.stat().st_ino for path in blobs.iterdir()}
    tierce.build(context, "-o", f"type=oci,dest={tmp_path}/x.tar")
    assert {path.name: path.stat().st_ino for path in blobs.iterdir()} == before
    assert set(Layout(tmp_path / "x.tar").names) >= {
        f"blobs/sha256/{each['digest'][7:]}"
        for each in Layout(tmp_path / "x.tar").manifest["layers"]
    }


def test_image_of_the_store_with_compressed_layers_runs(tierce: Tierce, app: Path) -> None:
    for kind in ("gzip", "zstd"):
        tierce.build(app, "-o", f"type=image,name={kind},compression={kind}")
        assert tierce.output(kind, "cat", "/two") == "two\n"
    tierce.run("system", "prune", "-f")
    assert tierce.output("zstd", "cat", "/two") == "two\n"
    tierce.run("system", "check")


# Names, annotations, descriptions


def test_several_outputs_of_one_build(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN date > /x\n")
    meta = tmp_path / "meta.json"
    outcome = tierce.build(
        context,
        *("-t", "several", "-o", f"{tmp_path}/local", "-o", f"type=oci,dest={tmp_path}/x.tar"),
        *("-o", "type=image", "-o", "type=cacheonly", "--metadata-file", str(meta)),
    )
    assert outcome.stderr.count("RUN date > /x") == 1
    config = Layout(tmp_path / "x.tar").manifest["config"]["digest"]
    assert json.loads(meta.read_text())["containerimage.config.digest"] == config
    content = (tmp_path / "local/x").read_text()
    assert tierce.output("several", "cat", "/x") == content


def test_metadata_and_id_of_images(shared: Tierce, app: Path, tmp_path: Path) -> None:
    meta, iid, path = tmp_path / "meta.json", tmp_path / "iid", tmp_path / "x.tar"
    files = ("--metadata-file", str(meta), "--iidfile", str(iid))
    shared.build(app, *files, "-t", "a", "-t", "b:1", "-o", f"type=oci,dest={path}")
    found, layout = json.loads(meta.read_text()), Layout(path)
    descriptor = {key: layout.index[0][key] for key in ("mediaType", "digest", "size", "platform")}
    descriptor["annotations"] = {
        "org.opencontainers.image.created": layout.config["created"].partition(".")[0].rstrip("Z")
        + "Z"
    }
    assert found == {
        "containerimage.config.digest": layout.manifest["config"]["digest"],
        "containerimage.descriptor": descriptor,
        "containerimage.digest": layout.index[0]["digest"],
        "image.name": "docker.io/library/a:latest,docker.io/library/b:1",
    }
    assert iid.read_text() == layout.manifest["config"]["digest"]
    shared.build(app, *files[:2], "-t", "a")
    assert json.loads(meta.read_text())["containerimage.config.digest"] == iid.read_text()
    shared.build(app, *files[:2], "-o", str(tmp_path / "local"))
    assert json.loads(meta.read_text()) == {}
    shared.build(app, *files[2:], "-o", "type=cacheonly")
    assert iid.read_text() == ""


def test_annotations_of_manifest_and_descriptor(shared: Tierce, app: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    shared.build(
        app,
        *("--annotation", "a=1", "--annotation", "manifest-descriptor:b=2"),
        *("-o", f"type=oci,dest={path},annotation.c=3"),
    )
    layout = Layout(path)
    assert layout.manifest["annotations"] == {"a": "1", "c": "3"}
    assert layout.index[0]["annotations"]["b"] == "2"
    outcome = shared.build(app, "--annotation", "index:a=1", status=1)
    assert "an image for one platform has no index" in outcome.stderr
    outcome = shared.build(app, "--annotation", "manifest[windows/amd64]:a=1", status=1)
    assert "not for windows/amd64" in outcome.stderr


def test_annotated_image_of_the_store_is_saved_with_its_annotations(
    tierce: Tierce, app: Path, tmp_path: Path
) -> None:
    tierce.build(app, "-t", "noted", "--annotation", "a=1")
    tierce.run("save", "-o", str(tmp_path / "x.tar"), "noted")
    assert Layout(tmp_path / "x.tar").manifest["annotations"] == {"a": "1"}


def test_further_names_by_digest(tierce: Tierce, app: Path, tmp_path: Path) -> None:
    meta = tmp_path / "meta.json"
    text = "type=image,name=named,name-canonical=true,dangling-name-prefix=loose"
    tierce.build(app, "--metadata-file", str(meta), "-o", text)
    found = json.loads(meta.read_text())
    digest = found["containerimage.digest"]
    for name in ("named", f"named@{digest}", f"loose@{digest}"):
        tierce.run("image", "inspect", name)
    before = images(tierce)
    tierce.build(app, "--annotation", "x=y", "-o", "type=image,name=unseen,store=false")
    assert images(tierce) == before


def test_names_move_when_all_other_outputs_are_there(tierce: Tierce, app: Path) -> None:
    before = images(tierce)
    words = ("-t", "app", "-o", "type=image", "-o", "type=tar,dest=/proc/x")
    tierce.build(app, *words, status=1)
    assert images(tierce) == before


# Reproducible builds


def test_source_date_epoch_is_the_time_of_all_files_that_are_written(
    shared: Tierce, files: Path, tmp_path: Path
) -> None:
    environment = {"SOURCE_DATE_EPOCH": EPOCH}
    out, path = tmp_path / "out", tmp_path / "x.tar"
    shared.build(files, "-o", str(out), "-o", f"type=tar,dest={path}", environment=environment)
    assert {found.lstat().st_mtime for found in out.rglob("*")} == {int(EPOCH)}
    with tarfile.open(path) as tar:
        assert {member.mtime for member in tar} == {int(EPOCH)}
    shared.build(files, "-o", f"type=tar,dest={path},source-date-epoch=", environment=environment)
    with tarfile.open(path) as tar:
        assert {member.mtime for member in tar} != {int(EPOCH)}


def test_times_in_layers_are_cut_off_unless_that_is_turned_off(
    shared: Tierce, tmp_path: Path
) -> None:
    text = "FROM golden-base\nCOPY old new /x/\nRUN touch /y\n"
    context = write_context(tmp_path / "context", text, {"old": "", "new": ""})
    os.utime(context / "old", (1_500_000_000, 1_500_000_000))
    os.utime(context / "new", (1_700_000_000, 1_700_000_000))
    times: dict[str, dict[str, int]] = {}
    for rewrite in ("true", "false"):
        path = tmp_path / rewrite
        shared.build(
            context,
            *("-o", f"type=oci,tar=false,rewrite-timestamp={rewrite},dest={path}"),
            environment={"SOURCE_DATE_EPOCH": EPOCH},
        )
        layout = Layout(path)
        times[rewrite] = {}
        for descriptor in layout.manifest["layers"][-2:]:
            with tarfile.open(fileobj=io.BytesIO(layout.blob(descriptor))) as tar:
                times[rewrite] |= {member.name: int(member.mtime) for member in tar}
        created = {entry["created"] for entry in layout.config["history"][-2:]}
        assert created == {"2020-09-13T12:26:40Z"}
    assert times["true"]["x/old"] == times["false"]["x/old"] == 1_500_000_000
    assert times["true"]["x/new"] == times["true"]["y"] == int(EPOCH)
    assert times["false"]["x/new"] == 1_700_000_000
    assert times["false"]["y"] > 1_700_000_000


# Squashing


def test_squashed_image_has_one_layer_upon_its_base_and_the_same_files(
    tierce: Tierce, tmp_path: Path
) -> None:
    text = (
        "FROM golden-base\nRUN echo big > /big && echo kept > /kept\n"
        "RUN rm /big /data/file && rm -r /data/dir && mkdir /data/dir\nENV A=b\n"
    )
    context = write_context(tmp_path / "context", text)
    plain = tierce.image_id(context, "-t", "plain")
    outcome = tierce.build(context, "--squash", "-t", "squashed")
    assert outcome.stderr.count("CACHED") == 2
    for name in ("plain", "squashed"):
        tierce.run("save", "--format", "oci", "-o", str(tmp_path / name), name)
    before, after = Layout(tmp_path / "plain"), Layout(tmp_path / "squashed")
    assert after.config["rootfs"]["diff_ids"][:-1] == before.config["rootfs"]["diff_ids"][:-2]
    with tarfile.open(fileobj=io.BytesIO(after.blob(after.manifest["layers"][-1]))) as tar:
        names = {member.name for member in tar}
    assert names >= {"kept", "data/.wh.file", "data/dir/.wh..wh..opq"}
    assert not {name for name in names if "big" in name}
    *_, rm, env, squash = after.config["history"]
    assert rm["empty_layer"] is env["empty_layer"] is True
    base = json.loads(tierce.run("inspect", "golden-base").stdout)[0]["Id"]
    assert squash["comment"] == f"merge {plain} to {base}"
    assert "empty_layer" not in squash
    assert after.config["config"] == before.config["config"]
    listing = ("find", "/", "-xdev", "-not", "-path", "/proc*", "-not", "-path", "/sys*")
    assert tierce.output("plain", *listing) == tierce.output("squashed", *listing)


def test_squash_without_a_base_and_in_an_archive(shared: Tierce, tmp_path: Path) -> None:
    text = "FROM scratch\nCOPY a /a\nCOPY b /b\n"
    context = write_context(tmp_path / "context", text, {"a": "a", "b": "b"})
    path = tmp_path / "x.tar"
    shared.build(
        context,
        *("--squash", "-o", f"type=oci,dest={path}"),
        environment={"SOURCE_DATE_EPOCH": EPOCH},
    )
    layout = Layout(path)
    assert layout.types() == [GZIP]
    last = layout.config["history"][-1]
    assert last["comment"].startswith("create new from sha256:")
    assert last["created"] == layout.config["created"] == "2020-09-13T12:26:40Z"


def test_squash_of_what_adds_no_layer_is_the_image_itself(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nENV A=b\n")
    assert shared.image_id(context, "--squash") == shared.image_id(context)


# From Python


def test_library_takes_typed_outputs_and_tells_what_became_of_them(
    tierce: Tierce, app: Path, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    request = BuildRequest(
        context=str(app),
        tags=("app",),
        outputs=(
            ImageOutput(),
            LocalOutput(str(tmp_path / "out")),
            TarballOutput(stream),
            ArchiveOutput(dest=str(tmp_path / "x.tar")),
        ),
    )
    with Client(tierce.root) as client:
        client.builds.build(request.replace(outputs=(CacheOnly(),)))
        result = client.builds.build(request)
    image, local, tarball, archive = result.exports
    assert (result.image_id, result.manifest) == (
        image.image_id,
        image.manifest and image.manifest.digest,
    )
    assert (local.path, local.image_id) == (str(tmp_path / "out"), None)
    assert (tarball.path, archive.path) == ("", str(tmp_path / "x.tar"))
    assert archive.image_id == image.image_id
    assert archive.names == ("docker.io/library/app:latest",)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        assert "one" in tar.getnames()
