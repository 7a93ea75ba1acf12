"""A build gives out no secret: in no layer, config, history and log."""

import base64
from pathlib import Path

import pytest

from support.program import BASE, Outcome, Tierce

VALUE = "mellon-mellon-mellon"
MOUNT = "--mount=type=secret,id=word"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "file").write_text("harmless\n")
    (tmp_path / "word").write_text(f"{VALUE}\n")
    return directory


def refused(program: Tierce, context: Path, dockerfile: str, *flags: str) -> str:
    """What a build is refused with, which names no value; nothing is left of it to be found."""
    (context / "Dockerfile").write_text(dockerfile)
    found = program.build(context, "-t", "leaky", *flags, status=1)
    program.run("image", "inspect", "leaky", status=1)
    [error] = [line for line in found.stderr.splitlines() if line.startswith("ERROR: ")]
    assert VALUE not in error
    return error


def with_secret(context: Path) -> tuple[str, str]:
    return ("--secret", f"id=word,src={context.parent / 'word'}")


def logs(program: Tierce) -> str:
    return "".join(path.read_text() for path in (program.root / "logs").iterdir())


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("cp /run/secrets/word /kept", "/kept"),
        ("mkdir /a; (echo; echo key=$(cat /run/secrets/word)) > /a/config", "/a/config"),
        ("base64 /run/secrets/word > /encoded", "/encoded"),
        ("printf user:%s $(cat /run/secrets/word) | base64 > /basic", "/basic"),
        ("(head -c 3000000 /dev/zero; cat /run/secrets/word) > /large", "/large"),
    ],
)
def test_secret_in_a_file_of_a_run_is_refused_with_step_and_path(
    tierce: Tierce, context: Path, command: str, path: str
) -> None:
    dockerfile = f"FROM {BASE}\nRUN true\nRUN {MOUNT} {command}\n"
    error = refused(tierce, context, dockerfile, *with_secret(context))
    assert error.startswith(("ERROR: [stage-0 3/3] RUN", "ERROR: [3/3] RUN"))
    assert error.endswith(f": the value of secret word is in the file {path}")


def test_secret_in_a_copied_file_is_refused(tierce: Tierce, context: Path) -> None:
    (context / "sub").mkdir()
    (context / "sub/.env").write_text(f"WORD={VALUE}\n")
    error = refused(tierce, context, f"FROM {BASE}\nCOPY . /app/\n", *with_secret(context))
    assert error.endswith("COPY . /app/: the value of secret word is in the file /app/sub/.env")


def test_secret_in_the_name_of_a_file_is_refused(tierce: Tierce, context: Path) -> None:
    dockerfile = f"FROM {BASE}\nRUN {MOUNT} touch /$(cat /run/secrets/word)\n"
    error = refused(tierce, context, dockerfile, *with_secret(context))
    assert error.endswith("the value of secret word is in the name or the attributes of a file")


def test_a_leak_is_not_found_in_the_cache_afterwards(tierce: Tierce, context: Path) -> None:
    for number, copied in enumerate(("", "FROM scratch\nCOPY --from=one /kept* /\n")):
        command = f"{MOUNT} cp /run/secrets/word /kept{number} || true"
        dockerfile = f"FROM {BASE} AS one\nRUN {command}\n{copied}"
        refused(tierce, context, dockerfile, *with_secret(context))
        # Without the secret, the step that leaked would otherwise be found.
        assert "CACHED" not in tierce.build(context).stderr


def test_layers_from_the_cache_are_searched_too(tierce: Tierce, context: Path) -> None:
    (context / "word").write_text(VALUE)
    (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY word /word\nRUN cp word copy\n")
    tierce.build(context)
    error = refused(
        tierce, context, f"FROM {BASE}\nCOPY word /word\nRUN cp word copy\n", *with_secret(context)
    )
    assert "COPY word /word: the value of secret word is in the file /word" in error


def test_a_secret_in_a_stage_that_is_left_behind_is_no_leak(tierce: Tierce, context: Path) -> None:
    (context / "Dockerfile").write_text(
        f"FROM {BASE} AS one\nRUN {MOUNT} cp /run/secrets/word /kept\nRUN echo > /made\n"
        f"FROM {BASE}\nCOPY --from=one /made /\n"
    )
    tierce.build(context, *with_secret(context))


def test_secret_in_the_output_is_refused_and_not_logged(tierce: Tierce, context: Path) -> None:
    dockerfile = f"FROM {BASE}\nRUN echo harmless\nRUN {MOUNT} cat /run/secrets/word\n"
    error = refused(tierce, context, dockerfile, *with_secret(context))
    assert error.endswith("the value of secret word is in the output of the step")
    assert "harmless" in logs(tierce)
    assert VALUE not in logs(tierce)
    # Nor is what a step left that failed.
    failing = dockerfile + " && false\n"
    found = refused(tierce, context, failing.replace("\n &&", " &&"), *with_secret(context))
    assert "output of the step" in found
    assert VALUE not in logs(tierce)


def test_secret_in_the_config_is_refused_before_anything_runs(
    tierce: Tierce, context: Path
) -> None:
    for line, place in [
        (f"LABEL key={VALUE}", "the history"),
        (f"ENV KEY=x-{VALUE}", "the history"),
        (f'CMD ["{VALUE}"]', "the history"),
    ]:
        (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo is run\n{line}\n")
        found = tierce.build(context, *with_secret(context), status=1)
        assert f": the value of secret word is in {place}" in found.stderr
        assert "is run\n" not in found.stderr.replace("RUN echo is run", "")
    label = ("--label", f"key={VALUE}")
    error = refused(tierce, context, f"FROM {BASE}\n", *with_secret(context), *label)
    assert error == "ERROR: export image: the value of secret word is in the label key of the image"


def argument(program: Tierce, context: Path, dockerfile: str, status: int) -> Outcome:
    (context / "Dockerfile").write_text(dockerfile)
    flags = ("--build-arg", f"API_TOKEN={VALUE}", "--build-arg", f"OTHER={VALUE}")
    return program.build(context, *flags, status=status)


def test_secret_build_argument_in_the_history_is_refused(tierce: Tierce, context: Path) -> None:
    found = argument(tierce, context, f"FROM {BASE}\nARG API_TOKEN\nRUN true\n", 1)
    assert "the value of build argument API_TOKEN is in the history" in found.stderr
    assert "check=skip=SecretsUsedInArgOrEnv" in found.stderr
    error = found.stderr[found.stderr.index("ERROR:") :]
    assert VALUE not in error


@pytest.mark.parametrize(
    "dockerfile",
    [
        "# check=skip=SecretsUsedInArgOrEnv\nFROM {}\nARG API_TOKEN\nRUN true\n",
        "FROM {}\n# check=skip=SecretsUsedInArgOrEnv\nARG API_TOKEN\nRUN true\n",
        "FROM {}\nARG OTHER\nRUN true\n",  # by its name no secret
        "FROM {}\nRUN true\n",  # not asked for
    ],
)
def test_build_argument_that_is_accepted_builds(
    tierce: Tierce, context: Path, dockerfile: str
) -> None:
    argument(tierce, context, dockerfile.format(BASE), 0)


def test_a_short_value_refuses_no_build(tierce: Tierce, context: Path) -> None:
    (context.parent / "word").write_text("1234567\n")
    (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo 1234567 > /x\n")
    tierce.build(context, *with_secret(context))


def test_a_step_image_of_the_classic_form_holds_no_secret(tierce: Tierce, context: Path) -> None:
    (context / "word").write_text(base64.b64encode(VALUE.encode()).decode())
    (context / "Dockerfile").write_text(f"FROM {BASE}\nENV A=b\nCOPY word /\nENV C=d\n")
    before = tierce.run("image", "ls", "-aq").stdout
    found = tierce.run(
        *("build", *with_secret(context), str(context)),
        status=1,
        environment={"DOCKER_BUILDKIT": "0"},
    )
    assert "the value of secret word is in the file /word" in found.stderr
    assert len(tierce.run("image", "ls", "-aq").stdout.split()) == len(before.split()) + 1


def test_a_cache_that_is_taken_elsewhere_holds_no_secret(tierce: Tierce, context: Path) -> None:
    dockerfile = (
        f"FROM {BASE} AS one\nRUN {MOUNT} cp /run/secrets/word /kept\nRUN echo > /made\n"
        f"FROM {BASE}\nCOPY --from=one /made /\n"
    )
    cache = context.parent / "cache"
    flags = ("--cache-to", f"type=local,dest={cache},mode=max")
    error = refused(tierce, context, dockerfile, *with_secret(context), *flags)
    assert error.endswith("the value of secret word is in the file /kept")
    assert list(cache.glob("blobs/*/*")) == []
