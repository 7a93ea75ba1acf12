"""Caches that leave the store: to a directory, into an image, and back into an empty store."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.program import Outcome, Tierce, write_context
from tierce.oci.manifest import Manifest, parse
from tierce.store import Store

DOCKERFILE = """\
FROM golden-base AS build
ARG VERSION=1
COPY src /src
RUN cat /src/* > /out; echo $VERSION >> /out; echo ran the first
FROM golden-base
COPY --from=build /out /app
RUN echo last > /last; echo ran the second
"""
FILES = {"src/a": "one\n", "src/b": "two\n"}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_context(tmp_path / "context", DOCKERFILE, FILES)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def elsewhere(tmp_path: Path, base_archive: Path) -> Iterator[Tierce]:
    """Another store, which has only the base images."""
    with Tierce(tmp_path / "elsewhere") as program:
        program.run("load", "-q", "-i", str(base_archive))
        yield program


def ran(outcome: Outcome) -> list[str]:
    """What the steps that were run have said, in order."""
    return re.findall(r"^#\d+ [\d.]+ ran the (\w+)$", outcome.stderr, re.MULTILINE)


def to(cache: Path, *attributes: str) -> str:
    return ",".join(["--cache-to=type=local", f"dest={cache}", *attributes])


def source(cache: Path, *attributes: str) -> str:
    return ",".join(["--cache-from=type=local", f"src={cache}", *attributes])


def blobs(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("blobs/sha256/*")}


def manifest_of(cache: Path, tag: str = "latest") -> dict[str, list[dict[str, object]]]:
    listed = json.loads((cache / "index.json").read_text())
    [found] = [
        each
        for each in listed["manifests"]
        if each["annotations"]["org.opencontainers.image.ref.name"] == tag
    ]
    digest = found["digest"].removeprefix("sha256:")
    document: dict[str, list[dict[str, object]]] = json.loads(
        (cache / "blobs/sha256" / digest).read_text()
    )
    return document


def layers_of(cache: Path) -> set[str]:
    return {str(layer["digest"]).removeprefix("sha256:") for layer in manifest_of(cache)["layers"]}


# To a directory and back


@pytest.mark.parametrize("mode", ["min", "max"])
def test_build_from_a_cache_runs_nothing_and_makes_the_same_image(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path, mode: str
) -> None:
    tierce.build(context, "-t", "app", to(cache, f"mode={mode}"))
    built = elsewhere.build(context, "-t", "app", source(cache))
    assert ran(built) == []
    assert built.stderr.count(" CACHED\n") == 4
    ids = [
        program.run("images", "-q", "--no-trunc", "app").stdout for program in (tierce, elsewhere)
    ]
    assert ids[0] == ids[1]
    assert elsewhere.output("app", "cat", "/app", "/last") == "one\ntwo\n1\nlast\n"


def test_layers_that_the_result_does_not_need_stay_where_they_are(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    elsewhere.build(context, source(cache))
    [steps] = [elsewhere.run("builder", "du", "--format", "{{.Description}}").stdout]
    assert "RUN echo last" in steps
    assert "COPY src" not in steps


def test_min_has_the_layers_of_the_image_and_max_all(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    tierce.build(context, to(tmp_path / "min"), to(tmp_path / "max", "mode=max"))
    few, many = (len(manifest_of(tmp_path / name)["layers"]) for name in ("min", "max"))
    assert many == few + 2


def test_max_has_what_a_changed_result_needs_of_other_stages(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    (context / "Dockerfile").write_text(DOCKERFILE.replace("/app", "/renamed"))
    built = elsewhere.build(context, "-t", "app", source(cache))
    assert ran(built) == ["second"]
    assert elsewhere.output("app", "cat", "/renamed") == "one\ntwo\n1\n"


def test_min_runs_other_stages_when_the_result_needs_them(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache))
    (context / "Dockerfile").write_text(DOCKERFILE.replace("/app", "/renamed"))
    built = elsewhere.build(context, "-t", "app", source(cache))
    assert ran(built) == ["first", "second"]
    assert elsewhere.output("app", "cat", "/renamed") == "one\ntwo\n1\n"


def test_what_was_imported_is_the_stores_own_from_then_on(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    (context / "Dockerfile").write_text("FROM golden-base\nCOPY src /src\nRUN echo ran the first\n")
    tierce.build(context, to(cache))
    elsewhere.build(context, source(cache))
    shutil.rmtree(cache)
    assert elsewhere.build(context).stderr.count(" CACHED\n") == 1
    # A step whose result nobody needed was not fetched.


def test_second_export_writes_nothing_that_is_there(
    tierce: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    before = blobs(cache)
    outcome = tierce.build(context, to(cache, "mode=max"))
    assert blobs(cache) == before
    assert "writing layer" not in outcome.stderr


def test_reset_leaves_what_the_caches_need(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    before = layers_of(cache)
    (context / "src/a").write_text("other\n")
    tierce.build(context, to(cache, "mode=max", "reset=true"))
    assert len(blobs(cache)) == len(layers_of(cache)) + 2
    assert not before <= set(blobs(cache))
    assert ran(elsewhere.build(context, source(cache))) == []


def test_cache_is_exported_again_without_being_fetched(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path, tmp_path: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    again = tmp_path / "again"
    elsewhere.build(context, source(cache), to(again, "mode=max"))
    assert layers_of(again) == layers_of(cache)
    assert layers_of(again) <= set(blobs(again))


def test_tags_tell_caches_of_one_directory_apart(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "tag=one"))
    (context / "src/a").write_text("other\n")
    tierce.build(context, to(cache, "tag=two"))
    assert ran(elsewhere.build(context, source(cache, "tag=two"))) == []
    (context / "src/a").write_text("one\n")
    built = elsewhere.build(context, source(cache))
    assert "there is no cache with the tag latest" in built.stderr
    document = json.loads((cache / "index.json").read_text())
    digest = document["manifests"][0]["digest"]
    assert ran(elsewhere.build(context, source(cache, f"digest={digest}"))) == []


@pytest.mark.parametrize("compression", ["zstd", "uncompressed"])
def test_layers_are_compressed_as_asked(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path, compression: str
) -> None:
    tierce.build(context, to(cache, f"compression={compression}", "force-compression=true"))
    endings = {str(layer["mediaType"]).rpartition(".")[2] for layer in manifest_of(cache)["layers"]}
    assert endings == {"tar+zstd" if compression == "zstd" else "tar"}
    assert ran(elsewhere.build(context, source(cache))) == []


def test_builds_that_export_at_once_leave_a_cache_that_works(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context)
    running = [
        tierce.start("build", "-q", to(cache, "mode=max", f"tag={tag}"), str(context))
        for tag in ("a", "b", "c")
    ]
    for process in running:
        process.communicate()
        assert process.returncode == 0
    for tag in ("a", "b", "c"):
        assert manifest_of(cache, tag)["layers"]
    assert not list(cache.glob("**/*.partial"))
    assert ran(elsewhere.build(context, source(cache, "tag=b"))) == []


# Caches that are not what they should be


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replaced_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def named_wrongly(path: Path) -> None:
    path.write_text(path.read_text().replace('"sha256:', '"sha256:../', 1))


def each_blob(damage: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda cache: [damage(path) for path in cache.glob("blobs/sha256/*")]


def index(damage: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda cache: damage(cache / "index.json")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no directory": shutil.rmtree,
    "no index": index(Path.unlink),
    "index is no JSON": index(lambda path: path.write_text("{")),
    "index is a directory": index(replaced_by_directory),
    "index leads outside": index(named_wrongly),
    "all blobs cut": each_blob(cut),
    "all blobs changed": each_blob(flipped),
    "no blobs": lambda cache: shutil.rmtree(cache / "blobs"),
    "blobs are fifos": each_blob(replaced_by_fifo),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_cache_is_a_warning_and_the_build_goes_on(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path, name: str
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    DAMAGE[name](cache)
    built = elsewhere.build(context, "-t", "app", source(cache))
    assert re.search(r"warnings? found", built.stderr)
    assert ran(built) == ["first", "second"]
    assert elsewhere.output("app", "cat", "/app", "/last") == "one\ntwo\n1\nlast\n"


def test_layer_that_is_not_what_it_should_be_is_made_again_and_written_again(
    tierce: Tierce, elsewhere: Tierce, context: Path, cache: Path
) -> None:
    tierce.build(context, to(cache, "mode=max"))
    for name in layers_of(cache):
        flipped(cache / "blobs/sha256" / name)
    built = elsewhere.build(context, "-t", "app", source(cache), to(cache, "mode=max"))
    assert "verify" in built.stderr
    assert ran(built) == ["first", "second"]
    assert elsewhere.output("app", "cat", "/app", "/last") == "one\ntwo\n1\nlast\n"
    for name in layers_of(cache):
        assert hashlib.sha256((cache / "blobs/sha256" / name).read_bytes()).hexdigest() == name


def test_cache_of_another_tool_is_passed_over(tierce: Tierce, context: Path, cache: Path) -> None:
    tierce.build(context, to(cache))
    listed = (cache / "index.json").read_text()
    [digest] = re.findall(r'"digest":"sha256:(\w+)"', listed)
    text = (cache / "blobs/sha256" / digest).read_bytes()
    text = text.replace(b"vnd.tierce.cache.config.v1+json", b"vnd.buildkit.cacheconfig.v0")
    other = hashlib.sha256(text).hexdigest()
    (cache / "blobs/sha256" / other).write_bytes(text)
    (cache / "index.json").write_text(listed.replace(digest, other))
    built = tierce.build(context, source(cache), "--no-cache")
    assert "it is no cache that tierce wrote" in built.stderr


# Where it goes wrong


def test_directory_that_cannot_be_written_is_refused_before_the_build(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    failed = tierce.build(context, to(tmp_path / "file/cache"), status=1)
    assert f"export cache to {tmp_path}/file/cache: not a directory" in failed.stderr
    assert ran(failed) == []
    built = tierce.build(context, to(tmp_path / "file/cache", "ignore-error=true"))
    assert "not a directory; ignored (ignore-error)" in built.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--cache-to=type=local", "dest is missing"),
        ("--cache-from=type=local", "src is missing"),
        ("--cache-from=src=x", "type is missing"),
        ("--cache-to=type=nothing,dest=x", "no such type of cache"),
        ("--cache-to=type=gha", "not supported yet"),
        ("--cache-to=type=registry", "ref is missing"),
        ("--cache-to=type=local,dest=x,mode=all", "mode=all"),
        ("--cache-to=type=local,dest=x,compression=estargz", "not supported"),
        ("--cache-to=type=local,dest=x,compression-level=10", "compression-level=10"),
        ("--cache-to=type=local,dest=x,ignore-error=maybe", "must be true or false"),
        ("--cache-from=type=local,src", "src has no value"),
        ('--cache-from=type=local,"src=x', "invalid --cache-from"),
    ],
)
def test_flags_that_say_nothing_sensible_are_refused(
    tierce: Tierce, context: Path, flag: str, message: str
) -> None:
    assert message in tierce.build(context, flag, status=2).stderr


def test_full_disk_beneath_the_cache_is_told(tierce: Tierce, context: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], check=True)
    try:
        failed = tierce.build(context, "-t", "app", to(mount / "cache"), status=1)
        assert f"export cache to {mount}/cache: no space left on device" in failed.stderr
        assert not list(mount.glob("**/*.partial"))
        assert not (mount / "cache/index.json").exists()
        # The image was there before.
        assert tierce.output("app", "cat", "/last") == "last\n"
    finally:
        subprocess.run(["umount", mount], check=True)


# In an image


def test_cache_in_an_image_is_used_where_that_is_loaded(
    tierce: Tierce, elsewhere: Tierce, context: Path, tmp_path: Path
) -> None:
    tierce.build(context, "-t", "app", "--cache-to=type=inline")
    tierce.run("save", "-o", str(tmp_path / "app.tar"), "app")
    elsewhere.run("load", "-q", "-i", str(tmp_path / "app.tar"))
    built = elsewhere.build(context, "-t", "again", "--cache-from", "app")
    assert ran(built) == []
    assert built.stderr.count(" CACHED\n") == 4
    assert elsewhere.output("again", "cat", "/app", "/last") == "one\ntwo\n1\nlast\n"


def test_cache_in_a_reproducible_image_gives_that_image_again(
    tierce: Tierce, elsewhere: Tierce, context: Path, tmp_path: Path
) -> None:
    flags = ("--build-arg", "SOURCE_DATE_EPOCH=1000000000", "--cache-to=type=inline", "-t", "app")
    tierce.build(context, *flags)
    tierce.run("save", "-o", str(tmp_path / "app.tar"), "app")
    elsewhere.run("load", "-q", "-i", str(tmp_path / "app.tar"))
    built = elsewhere.build(context, *flags, "--cache-from", "app")
    assert ran(built) == []
    images = [
        program.run("inspect", "app", "--format", "{{json .RootFS.Layers}}").stdout
        for program in (tierce, elsewhere)
    ]
    assert images[0] == images[1]


def test_layers_of_a_squashed_image_are_no_results(
    tierce: Tierce, elsewhere: Tierce, context: Path, tmp_path: Path
) -> None:
    tierce.build(context, "-t", "app", "--squash", "--cache-to=type=inline")
    tierce.run("save", "-o", str(tmp_path / "app.tar"), "app")
    elsewhere.run("load", "-q", "-i", str(tmp_path / "app.tar"))
    built = elsewhere.build(context, "-t", "again", "--cache-from", "app")
    assert ran(built) == ["first", "second"]
    assert elsewhere.output("again", "cat", "/app", "/last") == "one\ntwo\n1\nlast\n"


def test_argument_of_old_asks_for_a_cache_in_the_image(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app", "--build-arg", "BUILDKIT_INLINE_CACHE=1")
    assert "warning" not in tierce.build(context, "--cache-from=type=registry,ref=app").stderr


def test_image_upon_one_with_a_cache_has_none(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app", "--cache-to=type=inline")
    (context / "Dockerfile").write_text("FROM app\nENV A=b\n")
    tierce.build(context, "-t", "child")
    built = tierce.build(context, "--cache-from", "child")
    assert "the image has no cache in it" in built.stderr


def test_image_that_is_not_here_is_a_warning(tierce: Tierce, context: Path) -> None:
    built = tierce.build(context, "--cache-from", "no-such-image,another")
    assert "there is no such image in the store" in built.stderr
    assert "2 warnings found" in built.stderr


# Parts of the cache


def test_steps_of_filtered_stages_run_again(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    built = tierce.build(context, "--no-cache-filter", "build,other")
    assert ran(built) == ["first"]
    both = tierce.build(context, "--no-cache", "--no-cache-filter", "build", status=2)
    assert "cannot be used together" in both.stderr


# Layers that came compressed, as those of caches do


def test_layers_of_a_base_that_came_compressed_have_their_plain_sizes(
    tierce: Tierce, elsewhere: Tierce, context: Path, tmp_path: Path
) -> None:
    archive = str(tmp_path / "base.tar")
    tierce.build(context, "-o", f"type=oci,dest={archive},name=docker.io/library/packed:latest")
    elsewhere.run("load", "-q", "-i", archive)
    child = write_context(tmp_path / "child", "FROM packed\nCOPY file /file\n", {"file": "x"})
    elsewhere.build(child, "-t", "child")
    with Store.open(elsewhere.root) as store:
        image = store.images.resolve("child")
        manifest = parse(store.blobs.read(image.manifest))
        assert isinstance(manifest, Manifest)
        for layer in manifest.layers:
            with store.layers.open_tar(layer.digest) as tar:
                assert layer.size == len(tar.read())
