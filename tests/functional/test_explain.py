"""`tierce build --explain`: each kind of cause, said of the step that it is the cause of."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.program import Tierce, write_context

DOCKERFILE = """\
FROM golden-base
ARG VERSION=1
ENV MODE=fast
COPY --chmod=644 one /one
COPY src /src
RUN echo $VERSION > /version
RUN --mount=target=/context,source=bound cat /context/* > /bound
"""
FILES = {"one": "1", "src/a": "a", "src/b": "b", "src/sub/c": "c", "bound/x": "x"}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_context(tmp_path / "context", DOCKERFILE, FILES)


def explained(program: Tierce, context: Path, *flags: str) -> str:
    """What is printed after the progress."""
    text = program.build(context, "--explain", *flags).stderr
    return text[text.rindex("not cached:") :] if "not cached:" in text else text


def edited(context: Path, old: str, new: str) -> None:
    path = context / "Dockerfile"
    path.write_text(path.read_text().replace(old, new))


def linked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


CAUSES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "changed file": (
        lambda context: (context / "src/a").write_text("changed"),
        ("COPY src /src  (Dockerfile:5)", "changed file  src/a  sha256:", " → sha256:"),
    ),
    "mode": (
        lambda context: (context / "src/sub/c").chmod(0o755),
        ("mode of file  src/sub/c  0644 → 0755",),
    ),
    "new file": (
        lambda context: (context / "src/new").write_text("x"),
        ("new file  src/new  sha256:",),
    ),
    "removed file": (
        lambda context: (context / "src/b").unlink(),
        ("removed file  src/b  sha256:",),
    ),
    "type": (
        lambda context: linked(context / "src/b", "a"),
        ("type of file  src/b  file → symlink",),
    ),
    "file of a bind mount": (
        lambda context: (context / "bound/x").write_text("changed"),
        ("changed file  bound/x  sha256:",),
    ),
    "instruction": (
        lambda context: edited(context, "> /version", "> /v"),
        ("instruction  RUN echo ", " > /version → RUN echo "),
    ),
    "option": (
        lambda context: edited(context, "chmod=644", "chmod=600"),
        ("COPY --chmod=600 one /one", "644", "600"),
    ),
    "variable": (
        lambda context: edited(context, "MODE=fast", "MODE=slow"),
        ('ARG or ENV  MODE  "fast" → "slow"',),
    ),
    "new variable": (
        lambda context: edited(context, "MODE=fast", "MODE=fast MORE=yes"),
        ('ARG or ENV  MORE  new: "yes"',),
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_cause_is_named(tierce: Tierce, context: Path, name: str) -> None:
    tierce.build(context)
    change, expected = CAUSES[name]
    change(context)
    text = explained(tierce, context)
    for piece in expected:
        assert piece in text, text


def test_build_argument(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    text = explained(tierce, context, "--build-arg", "VERSION=2")
    assert 'ARG or ENV  VERSION  "1" → "2"' in text
    assert "COPY" not in text.partition("RUN echo")[0]


def test_new_base_image(tierce: Tierce, context: Path, tmp_path: Path) -> None:
    base = write_context(tmp_path / "base", "FROM golden-base\nCOPY mark /\n", {"mark": "1"})
    tierce.build(base, "-t", "golden-base")
    tierce.build(context)
    (base / "mark").write_text("2")
    edited(base, "golden-base", "golden-base")
    tierce.build(base, "-t", "golden-base")
    text = explained(tierce, context)
    assert "base image  docker.io/library/golden-base:latest sha256:" in text


def test_what_follows_is_told_apart_from_what_changed(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    (context / "one").write_text("2")
    text = explained(tierce, context)
    assert "4 steps" in text or text.count("it follows from:") == 3
    assert "it follows from: " in text
    assert "COPY --chmod=644 one /one" in text.partition("it follows from: ")[2]


def test_cached_build_says_so(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    assert explained(tierce, context).endswith("\nEvery step was cached.\n")


def test_first_build_knows_nothing_to_compare_with(tierce: Tierce, context: Path) -> None:
    assert explained(tierce, context).count("no step like it is known") == 4


def test_build_without_the_cache_says_that(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    assert explained(tierce, context, "--no-cache").count("the cache was not asked") == 4


def test_build_that_fails_is_explained_until_there(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    (context / "src/a").write_text("changed")
    edited(context, "RUN --mount", "RUN false\nRUN --mount")
    text = tierce.build(context, "--explain", status=1).stderr
    assert "changed file  src/a" in text


def test_records_of_another_machine_are_compared_with(
    tierce: Tierce, context: Path, tmp_path: Path, elsewhere: Tierce
) -> None:
    tierce.build(context, f"--cache-to=type=local,dest={tmp_path}/cache")
    (context / "src/a").write_text("changed")
    text = explained(elsewhere, context, f"--cache-from=type=local,src={tmp_path}/cache")
    assert "changed file  src/a  sha256:" in text


@pytest.fixture
def elsewhere(tmp_path: Path, base_archive: Path) -> Iterator[Tierce]:
    with Tierce(tmp_path / "elsewhere") as program:
        program.run("load", "-q", "-i", str(base_archive))
        yield program


def test_secret_values_are_not_shown_nor_kept(tierce: Tierce, tmp_path: Path) -> None:
    # Without the directive, a build that has it in the name of a file is refused.
    dockerfile = (
        "# check=skip=SecretsUsedInArgOrEnv\nFROM golden-base\nARG API_TOKEN\nARG URL\n"
        "RUN echo hello > /made\nCOPY file $URL/\n"
    )
    context = write_context(tmp_path / "context", dockerfile, {"file": "x"})
    cache = f"--cache-to=type=local,dest={tmp_path}/cache,mode=max"
    first = ("--build-arg", "API_TOKEN=hunter22a", "--build-arg", "URL=/x-hunter22a")
    second = ("--build-arg", "API_TOKEN=hunter22b", "--build-arg", "URL=/x-hunter22b")
    tierce.build(context, cache, *first)
    text = explained(tierce, context, cache, *second)
    assert "API_TOKEN" in text
    assert "hunter22" not in text
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [content for content in kept if b"hunter22" in content]
    assert "hunter22" not in tierce.run("builder", "du", "--verbose").stdout


def test_raw_json_has_explanations_as_events(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    (context / "src/a").write_text("changed")
    text = tierce.run("build", "--progress", "rawjson", "--explain", str(context)).stderr
    events = [json.loads(line) for line in text.splitlines()]
    [first, *_] = [each["explanations"][0] for each in events if "explanations" in each]
    assert first["reason"] == "differs"
    assert first["name"].endswith("COPY src /src")
    [difference] = first["differences"]
    assert (difference["kind"], difference["subject"]) == ("file", "src/a")
