"""DOCKER_BUILDKIT=0: builds in docker's classic form.

The expected texts are what docker 20.10 printed for the same Dockerfiles, but for ids and the name
of the base image.
"""

import re
from pathlib import Path

import pytest

from support.program import BASE, Outcome, Tierce

STAGES = f"""\
ARG BASE={BASE}
FROM ${{BASE}} AS one
ARG TOKEN=x
ENV A=b \\
    C=d
RUN echo hello && \\
    echo err >&2
WORKDIR /srv
COPY f /srv/
FROM scratch
COPY --from=one /srv /
LABEL x=y
CMD ["sh"]
"""

SHOWN = f"""\
Sending build context to Docker daemon  3.072kB\r\r
Step 1/11 : ARG BASE={BASE}
Step 2/11 : FROM ${{BASE}} AS one
 ---> <id>
Step 3/11 : ARG TOKEN=x
 ---> Running in <id>
Removing intermediate container <id>
 ---> <id>
Step 4/11 : ENV A=b     C=d
 ---> Running in <id>
Removing intermediate container <id>
 ---> <id>
Step 5/11 : RUN echo hello &&     echo err >&2
 ---> Running in <id>
hello
err
Removing intermediate container <id>
 ---> <id>
Step 6/11 : WORKDIR /srv
 ---> Running in <id>
Removing intermediate container <id>
 ---> <id>
Step 7/11 : COPY f /srv/
 ---> <id>
Step 8/11 : FROM scratch
 --->\x20
Step 9/11 : COPY --from=one /srv /
 ---> <id>
Step 10/11 : LABEL x=y
 ---> Running in <id>
Removing intermediate container <id>
 ---> <id>
Step 11/11 : CMD ["sh"]
 ---> Running in <id>
Removing intermediate container <id>
 ---> <id>
Successfully built <id>
Successfully tagged foo:bar
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "f").write_text("hi\n")
    return directory


def build(program: Tierce, context: Path, dockerfile: str, *flags: str, status: int = 0) -> Outcome:
    (context / "Dockerfile").write_text(dockerfile)
    return program.run(
        *("build", *flags, str(context)), status=status, environment={"DOCKER_BUILDKIT": "0"}
    )


def without_ids(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{12}\b", "<id>", text)


def images_of(text: str) -> list[str]:
    return re.findall(r"^ ---> ([0-9a-f]{12})$", text, re.MULTILINE)


def test_a_build_shows_what_docker_shows(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, STAGES, "-t", "foo:bar")
    # Python takes a carriage return before a newline away.
    assert without_ids(found.stdout) == SHOWN.replace("\r\r\n", "\n\n").replace("\r", "")
    assert found.stderr == ""


def test_a_second_build_uses_the_cache_and_makes_the_same_images(
    tierce: Tierce, context: Path
) -> None:
    first = build(tierce, context, STAGES).stdout
    second = build(tierce, context, STAGES).stdout
    assert images_of(second) == images_of(first)
    assert second.count(" ---> Using cache\n") == 8
    assert "Running in" not in second


def test_the_image_is_that_of_the_other_form(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, STAGES, "-q")
    assert found.stdout.strip() == tierce.image_id(context)


def test_every_step_runs_again_without_the_cache(tierce: Tierce, context: Path) -> None:
    build(tierce, context, STAGES)
    again = build(tierce, context, STAGES, "--no-cache").stdout
    assert "Using cache" not in again
    assert again.count("hello\n") == 1
    assert again.count("Running in") == 6


def test_a_failure_is_told_in_dockers_words_with_its_status(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, f"FROM {BASE}\nRUN echo out; exit 7\nRUN true\n", status=7)
    assert without_ids(found.stdout).splitlines()[-4:] == [
        *(" ---> <id>", "Step 2/3 : RUN echo out; exit 7", " ---> Running in <id>", "out")
    ]
    message, hint = found.stderr.splitlines()
    assert message == "The command '/bin/sh -c echo out; exit 7' returned a non-zero code: 7"
    container = re.findall("Running in ([0-9a-f]{12})", found.stdout)[0]
    assert hint == f"hint: look around in the step: tierce container run -it {container} sh"
    tierce.run("run", "--rm", container, "true")


def test_force_rm_keeps_nothing_of_a_failed_step(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, f"FROM {BASE}\nRUN false\n", "--force-rm", status=1)
    assert without_ids(found.stdout).endswith("Removing intermediate container <id>\n")
    assert "hint" not in found.stderr
    container = re.findall("Running in ([0-9a-f]{12})", found.stdout)[0]
    tierce.run("run", "--rm", container, "true", status=125)


def test_containers_are_not_said_to_be_removed_without_rm(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, f"FROM {BASE}\nRUN true\n", "--rm=false")
    assert "Running in" in found.stdout
    assert "Removing" not in found.stdout


def test_quiet_says_nothing_but_the_image_or_all_of_a_failure(
    tierce: Tierce, context: Path
) -> None:
    assert re.fullmatch(r"sha256:\w{64}\n", build(tierce, context, STAGES, "-q").stdout)
    found = build(tierce, context, f"FROM {BASE}\nRUN echo out; false\n", "-q", status=1)
    assert found.stdout == ""
    assert "Step 2/2 : RUN echo out; false\n" in found.stderr
    assert "out\nThe command" in found.stderr


def test_image_of_every_step_can_be_run(tierce: Tierce, context: Path) -> None:
    shown = build(tierce, context, f"FROM {BASE}\nENV A=b\nRUN echo 1 > /one\nENV A=c\n").stdout
    base, first, second, third = images_of(shown)
    script = "echo $A; ls /one"
    assert tierce.run("run", "--rm", first, "sh", "-c", script, status=1).stdout == "b\n"
    assert tierce.run("run", "--rm", second, "sh", "-c", script).stdout == "b\n/one\n"
    assert tierce.run("run", "--rm", third, "sh", "-c", script).stdout == "c\n/one\n"
    assert tierce.run("run", "--rm", base, "sh", "-c", "echo $A").stdout == "\n"


def test_images_of_steps_are_listed_with_all_only_and_go_with_their_image(
    tierce: Tierce, context: Path
) -> None:
    before = tierce.run("image", "ls", "-aq").stdout.split()
    shown = build(tierce, context, f"FROM {BASE}\nENV A=b\nRUN true\nENV C=d\n", "-t", "app").stdout
    _, first, second, last = images_of(shown)
    listed = tierce.run("image", "ls", "-q").stdout.split()
    assert last in listed
    assert not {first, second} & set(listed)
    assert {first, second, last} <= set(tierce.run("image", "ls", "-aq").stdout.split())
    history = tierce.run("history", "app", "-q").stdout.split()
    assert history[:3] == [last, second, first]
    tierce.run("image", "prune", "-f")
    assert {first, second} <= set(tierce.run("image", "ls", "-aq").stdout.split())
    refused = tierce.run("rmi", second, status=1)
    assert "image has dependent child images" in refused.stderr
    gone = tierce.run("rmi", "app").stdout
    assert [line[16:28] for line in gone.splitlines() if "Deleted" in line] == [last, second, first]
    assert tierce.run("image", "ls", "-aq").stdout.split() == before


def test_unnamed_image_goes_with_its_steps_when_images_are_pruned(
    tierce: Tierce, context: Path
) -> None:
    before = tierce.run("image", "ls", "-aq").stdout.split()
    shown = build(tierce, context, f"FROM {BASE}\nENV A=b\nENV C=d\n").stdout
    assert images_of(shown)[-1] in tierce.run("image", "ls", "-q").stdout
    tierce.run("image", "prune", "-f")
    assert tierce.run("image", "ls", "-aq").stdout.split() == before


def test_triggers_run_as_a_part_of_from(tierce: Tierce, context: Path) -> None:
    build(tierce, context, f"FROM {BASE}\nONBUILD RUN echo hi\nONBUILD ENV A=b\n", "-t", "parent")
    found = build(tierce, context, "FROM parent\nRUN echo last\n")
    assert without_ids(found.stdout).split("\n", 2)[2] == (
        "Step 1/2 : FROM parent\n# Executing 2 build triggers\n"
        " ---> Running in <id>\nhi\nRemoving intermediate container <id>\n"
        " ---> Running in <id>\nRemoving intermediate container <id>\n ---> <id>\n"
        "Step 2/2 : RUN echo last\n ---> Running in <id>\nlast\n"
        "Removing intermediate container <id>\n ---> <id>\nSuccessfully built <id>\n"
    )


def test_labels_of_the_command_line_are_steps_and_unused_arguments_are_told(
    tierce: Tierce, context: Path
) -> None:
    flags = ("--target", "one", "--label", "q=r", "--label", "ab=c d", "--build-arg", "ZZ=1")
    found = build(tierce, context, STAGES, *flags, "-t", "a:b", "-t", "c")
    assert "Step 8/9 : LABEL ab=c d\n" in found.stdout
    assert "Step 9/9 : LABEL q=r\n" in found.stdout
    assert without_ids(found.stdout).endswith(
        " ---> <id>\n[Warning] One or more build-args [ZZ] were not consumed\n"
        "Successfully built <id>\nSuccessfully tagged a:b\nSuccessfully tagged c:latest\n"
    )
    labels = tierce.run("inspect", "-f", "{{json .Config.Labels}}", "c").stdout
    assert labels == '{"ab":"c d","q":"r"}\n'


def test_label_that_is_no_text_becomes_one(tierce: Tierce, context: Path) -> None:
    build(tierce, context, "FROM scratch\nCOPY f /\n", "--label", "a=\udcff", "-t", "x")
    labels = tierce.run("inspect", "-f", "{{json .Config.Labels}}", "x").stdout
    assert labels == '{"a":"\ufffd"}\n'


def test_stages_before_the_target_are_built_needed_or_not(tierce: Tierce, context: Path) -> None:
    found = build(tierce, context, f"FROM {BASE}\nRUN echo unneeded\nFROM {BASE}\nFROM scratch\n"
                  "COPY f /\n", "-t", "x")  # fmt: skip
    assert "\nunneeded\n" in found.stdout


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("RUN --mount=type=cache,target=/x true", "the --mount option requires BuildKit"),
        ("RUN --network=none true", "the --network option requires BuildKit"),
        ("COPY --chmod=755 f f", "the --chmod option requires BuildKit"),
        ("COPY --link f f", "the --link option requires BuildKit"),
        ("RUN <<E\ntrue\nE", "the heredoc syntax requires BuildKit"),
        ("COPY <<E /x\ntrue\nE", "the heredoc syntax requires BuildKit"),
    ],
)
def test_what_needs_buildkit_is_refused_at_its_step(
    tierce: Tierce, context: Path, instruction: str, words: str
) -> None:
    found = build(tierce, context, f"FROM {BASE}\nENV A=b\n{instruction}\n", status=1)
    assert "Step 2/3 : ENV A=b\n" in found.stdout
    assert f"{words}. Refer to https://docs.docker.com/go/buildkit/" in found.stderr
    assert "Dockerfile:3" in found.stderr


def test_variable_that_is_no_boolean_is_refused(tierce: Tierce, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {BASE}\n")
    for value, status in (("maybe", 2), ("1", 0), ("", 0)):
        found = tierce.run(
            "build", str(context), status=status, environment={"DOCKER_BUILDKIT": value}
        )
        assert "Step 1/1" not in found.stdout
    assert tierce.run(
        "build", str(context), environment={"DOCKER_BUILDKIT": "f"}
    ).stdout.startswith("Sending build context to Docker daemon  3.072kB")
