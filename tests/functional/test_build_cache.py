"""What is found in the cache, and what makes it be missed.

Steps that run add a line to a file in a cache mount, so that it is counted what was run.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import Tierce, write_context

COUNTED = "RUN --mount=type=cache,target=/count"

DOCKERFILE = f"""\
FROM golden-base
COPY tree /tree
{COUNTED} echo ran >> /count/runs
"""
FILES = {"tree/file": "content", "tree/other": "content", "tree/dir/deep": "deep"}


def runs(program: Tierce) -> list[str]:
    """The lines that steps have written so far."""
    return [
        line
        for path in program.root.glob("cache-mounts/*/runs")
        for line in path.read_text().splitlines()
    ]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = write_context(tmp_path / "context", DOCKERFILE, FILES)
    (directory / "tree/link").symlink_to("file")
    return directory


# The context


def replaced(path: Path) -> None:
    """Another inode, time and directory order; the same content."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def linked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def written_anew(path: Path, content: str) -> None:
    path.unlink()
    path.write_text(content)


UNCHANGED: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _context: None,
    "touched": lambda context: os.utime(context / "tree/file", (1, 1)),
    "touched directory": lambda context: os.utime(context / "tree", (1, 1)),
    "replaced": lambda context: replaced(context / "tree/file"),
    "file that is not copied": lambda context: (context / "new").write_text("x"),
    "ignored file": lambda context: (
        (context / ".dockerignore").write_text("**/*.log\n"),
        (context / "tree/a.log").write_text("x"),
    ),
    "comment": lambda context: (context / "Dockerfile").write_text(f"# comment\n\n{DOCKERFILE}"),
    "owner": lambda context: os.chown(context / "tree/file", 12, 34),
}
CHANGED: dict[str, Callable[[Path], object]] = {
    "content": lambda context: (context / "tree/file").write_text("changed"),
    "content of the same size": lambda context: (context / "tree/file").write_text("CONTENT"),
    "mode": lambda context: (context / "tree/file").chmod(0o755),
    "mode of a directory": lambda context: (context / "tree/dir").chmod(0o700),
    "link target": lambda context: linked(context / "tree/link", "other"),
    "link made a file": lambda context: written_anew(context / "tree/link", "content"),
    "added file": lambda context: (context / "tree/new").write_text(""),
    "added directory": lambda context: (context / "tree/empty").mkdir(),
    "removed file": lambda context: (context / "tree/new").unlink(),
    "renamed file": lambda context: (context / "tree/file").rename(context / "tree/renamed"),
    "ignored now": lambda context: (context / ".dockerignore").write_text("tree/other\n"),
}


def test_what_leaves_the_content_alone_keeps_the_cache(tierce: Tierce, context: Path) -> None:
    image = tierce.image_id(context)
    for name, change in UNCHANGED.items():
        change(context)
        assert tierce.image_id(context) == image, name
        assert runs(tierce) == ["ran"], name
    assert tierce.build(context).stderr.count(" CACHED\n") == 2


def test_every_change_of_what_is_copied_misses_the_cache(tierce: Tierce, context: Path) -> None:
    images = [tierce.image_id(context)]
    for number, (name, change) in enumerate(CHANGED.items(), start=1):
        change(context)
        images.append(tierce.image_id(context))
        assert len(runs(tierce)) == number + 1, name
    assert len(set(images)) == len(images)


def test_file_changed_within_its_timestamp_is_seen(tierce: Tierce, context: Path) -> None:
    file = context / "tree/file"
    status = file.stat()
    tierce.build(context)
    # The same size and mtime, set back on purpose: ctime tells.
    file.write_text("CONTENT")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    tierce.build(context, "-t", "app")
    assert len(runs(tierce)) == 2
    assert tierce.output("app", "cat", "/tree/file") == "CONTENT"


def test_going_back_finds_the_first_build_again(tierce: Tierce, context: Path) -> None:
    first = tierce.image_id(context)
    (context / "tree/file").write_text("changed")
    tierce.build(context)
    (context / "tree/file").write_text("content")
    assert tierce.image_id(context) == first
    assert len(runs(tierce)) == 2


def test_bind_mounts_count_by_their_content(tierce: Tierce, tmp_path: Path) -> None:
    dockerfile = (
        f"FROM golden-base\n{COUNTED} --mount=target=/c,source=tree wc /c/* >> /count/runs\n"
    )
    context = write_context(tmp_path / "context", dockerfile, {"tree/a": "a", "other": "x"})
    tierce.build(context)
    (context / "other").write_text("y")
    os.utime(context / "tree/a", (1, 1))
    tierce.build(context)
    assert len(runs(tierce)) == 1
    (context / "tree/a").write_text("b")
    tierce.build(context)
    assert len(runs(tierce)) == 2


# Stages


def test_changed_stage_with_the_same_output_keeps_what_follows(
    tierce: Tierce, tmp_path: Path
) -> None:
    dockerfile = f"""\
FROM golden-base AS first
COPY source /source
{COUNTED} echo first >> /count/runs && head -n 1 /source > /made
FROM golden-base
COPY --from=first /made /made
{COUNTED} echo second >> /count/runs
"""
    context = write_context(tmp_path / "context", dockerfile, {"source": "kept\nold\n"})
    image = tierce.image_id(context)
    (context / "source").write_text("kept\nnew\n")
    assert tierce.image_id(context) == image
    assert runs(tierce) == ["first", "second", "first"]
    (context / "source").write_text("changed\nnew\n")
    assert tierce.image_id(context) != image
    assert runs(tierce) == ["first", "second", "first", "first", "second"]


def test_stages_that_nobody_needs_are_not_run(tierce: Tierce, tmp_path: Path) -> None:
    dockerfile = f"""\
FROM golden-base AS needed
{COUNTED} echo needed >> /count/runs
FROM golden-base AS unneeded
COPY nothing-like-it /
{COUNTED} echo unneeded >> /count/runs
FROM golden-base AS last
COPY --from=needed /data/file /
"""
    context = write_context(tmp_path / "context", dockerfile)
    tierce.build(context)
    assert runs(tierce) == ["needed"]
    # When all is cached, nothing of a stage is looked at that is not in the result.
    tierce.build(context, "--target", "needed")
    assert runs(tierce) == ["needed"]


def test_equal_stages_are_run_once(tierce: Tierce, tmp_path: Path) -> None:
    step = f"WORKDIR /work\n{COUNTED} echo ran >> /count/runs; echo > /made\n"
    dockerfile = (
        f"FROM golden-base AS one\n{step}FROM golden-base AS two\n{step}"
        "FROM golden-base\nCOPY --from=one /made /one\nCOPY --from=two /made /two\n"
    )
    tierce.build(write_context(tmp_path / "context", dockerfile))
    assert runs(tierce) == ["ran"]


# Arguments, and other Dockerfiles


def test_arguments_count_from_where_they_are_declared(tierce: Tierce, tmp_path: Path) -> None:
    dockerfile = f"""\
FROM golden-base
{COUNTED} echo before >> /count/runs
ARG VERSION=1
{COUNTED} echo after >> /count/runs
"""
    context = write_context(tmp_path / "context", dockerfile)
    tierce.build(context)
    tierce.build(context, "--build-arg", "VERSION=1")
    tierce.build(context, "--build-arg", "http_proxy=http://localhost:1")
    assert runs(tierce) == ["before", "after"]
    tierce.build(context, "--build-arg", "VERSION=2")
    assert runs(tierce) == ["before", "after", "after"]
    tierce.build(context, "--build-arg", "VERSION=2", "--label", "x=y", "-t", "app")
    assert len(runs(tierce)) == 3


def test_instructions_that_change_the_environment_count(tierce: Tierce, tmp_path: Path) -> None:
    step = f"{COUNTED} echo ran >> /count/runs\n"
    ran = 0
    for before, runs_again in (
        ("", True),
        ("LABEL a=b\nEXPOSE 80\nCMD x\n", False),
        ("ENV A=b\n", True),
        ("USER app\nUSER root\n", True),
        ("WORKDIR /w\n", True),
        ('SHELL ["/bin/sh", "-e", "-c"]\n', True),
        ("ENV A=c\nENV A=b\n", False),
    ):
        tierce.build(write_context(tmp_path, f"FROM golden-base\n{before}{step}"))
        ran += runs_again
        assert len(runs(tierce)) == ran, before


def test_no_cache_runs_everything_again_and_is_found_later(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    fresh = tierce.image_id(context, "--no-cache")
    assert len(runs(tierce)) == 2
    assert tierce.image_id(context) == fresh
    assert len(runs(tierce)) == 2


# Images that go


def test_build_after_removing_its_image_uses_the_cache(tierce: Tierce, context: Path) -> None:
    image = tierce.image_id(context, "-t", "app")
    tierce.run("image", "rm", "app")
    assert image not in tierce.run("images", "-aq", "--no-trunc").stdout
    assert tierce.image_id(context, "-t", "app") == image
    assert runs(tierce) == ["ran"]
    assert tierce.output("app", "cat", "/tree/dir/deep") == "deep"


def test_prune_takes_the_cache_of_images_that_are_gone(
    tierce: Tierce, context: Path, base_archive: Path
) -> None:
    tierce.build(context, "-t", "app")
    tierce.run("system", "prune", "-f")
    # Of images with names it takes nothing; the cache mount goes, which nobody uses.
    assert tierce.build(context, "-t", "app").stderr.count(" CACHED\n") == 2
    assert runs(tierce) == []
    tierce.run("system", "prune", "-a", "-f")
    assert tierce.run("images", "-aq").stdout == ""
    tierce.run("load", "-q", "-i", str(base_archive))
    tierce.build(context, "-t", "app")
    assert runs(tierce) == ["ran"]
    assert tierce.run("history", "-q", "app").stdout
    assert tierce.output("app", "cat", "/tree/dir/deep") == "deep"


def test_new_base_of_the_same_name_is_built_upon(tierce: Tierce, tmp_path: Path) -> None:
    base = write_context(tmp_path / "base", "FROM golden-base\nCOPY mark /mark\n", {"mark": "1"})
    context = write_context(
        tmp_path / "context", f"FROM own-base\n{COUNTED} cat /mark >> /count/runs\n"
    )
    tierce.build(base, "-t", "own-base")
    tierce.build(context)
    tierce.build(context)
    (base / "mark").write_text("2")
    tierce.build(base, "-t", "own-base")
    tierce.build(context)
    assert runs(tierce) == ["12"]
