"""A step that failed is kept, and a container can be run in its place."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce
from support.terminal import Terminal
from tierce.store import Store

FAILING = f"""
FROM {BASE}
ARG ARGUMENT=given
ENV VARIABLE=set
WORKDIR /srv
RUN chmod 777 /srv
USER app
RUN --mount=type=cache,target=/cache,uid=1000 \\
    --mount=type=bind,target=/context \\
    --mount=type=tmpfs,target=/memory \\
    --mount=type=secret,id=word,target=/secret \\
    echo kept > /cache/file && echo gone > /memory/file && cat /context/file > copied && false
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "file").write_text("of the context\n")
    return directory


def failed_step(program: Tierce, context: Path, dockerfile: str, *flags: str) -> str:
    """The id that the error of a build names."""
    (context / "Dockerfile").write_text(dockerfile)
    stderr = program.build(context, *flags, status=1).stderr
    found = re.search(
        r"^hint: look around in the step: tierce container run -it (\w{12}) sh$",
        stderr,
        re.MULTILINE,
    )
    assert found, stderr
    return found[1]


def kept_steps(program: Tierce) -> list[str]:
    with Store.open(program.root) as store:
        return [step.short for step in store.failed_steps.list()]


def test_container_in_place_of_a_failed_step_is_where_it_failed(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "word").write_text("mellon-mellon")
    step = failed_step(tierce, context, FAILING, "--secret", f"id=word,src={tmp_path / 'word'}")
    script = "pwd; id -un; echo $ARGUMENT $VARIABLE; cat copied /cache/file; ls /context /memory"
    found = tierce.run("container", "run", "--rm", step, "sh", "-c", script)
    assert found.stdout.splitlines() == [
        *("/srv", "app", "given set", "of the context", "kept"),
        *("/context:", "Dockerfile", "file", "", "/memory:"),
    ]
    tierce.run("run", "--rm", step, "touch", "/context/new", status=1)
    # Looking around changes nothing.
    tierce.run("run", "--rm", step, "rm", "copied")
    tierce.run("run", "--rm", step, "cat", "copied")


def test_secrets_are_not_kept_with_a_failed_step(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "word").write_text("mellon-mellon")
    dockerfile = (
        f"FROM {BASE}\nRUN --mount=type=secret,id=word,env=WORD --mount=type=secret,id=word false\n"
    )
    step = failed_step(tierce, context, dockerfile, "--secret", f"id=word,src={tmp_path / 'word'}")
    found = tierce.run("run", "--rm", step, "sh", "-c", "echo [$WORD]; cat /run/secrets/word; env")
    assert found.stdout.startswith("[]\n")
    assert "mellon" not in found.stdout
    for path in tierce.root.rglob("*"):
        assert not path.is_file() or b"mellon" not in path.read_bytes(), path


def test_without_a_command_a_shell_runs(tierce: Tierce, context: Path) -> None:
    step = failed_step(tierce, context, f"FROM {BASE}\nRUN false\n")
    found = tierce.run("run", "-i", "--rm", step, text="echo $0; exit 4\n", status=4)
    assert found.stdout == "/bin/sh\n"


def test_flags_replace_what_the_step_had(tierce: Tierce, context: Path) -> None:
    step = failed_step(tierce, context, FAILING.replace("--mount=type=secret", "--mount=type=tmpfs")
                       .replace(",id=word", ""))  # fmt: skip
    words = ("-w", "/tmp", "-u", "0", "-e", "VARIABLE=other")
    found = tierce.run("run", "--rm", *words, step, "sh", "-c", "pwd; id -u; echo $VARIABLE")
    assert found.stdout == "/tmp\n0\nother\n"


def test_state_before_a_failed_copy_is_kept(tierce: Tierce, context: Path) -> None:
    dockerfile = f"FROM {BASE}\nARG A=1\nWORKDIR /srv\nRUN echo > made\nCOPY absent file ./\n"
    step = failed_step(tierce, context, dockerfile)
    found = tierce.run("run", "--rm", step, "sh", "-c", "pwd; ls; echo $A")
    assert found.stdout == "/srv\nmade\n1\n"
    # In a store in which the steps before it are cached as well.
    assert failed_step(tierce, context, dockerfile) != step


def test_next_success_of_the_build_removes_what_was_kept(tierce: Tierce, context: Path) -> None:
    step = failed_step(tierce, context, f"FROM {BASE}\nRUN false\n")
    (context / "other").write_text(f"FROM {BASE}\n")
    tierce.build(context, "-f", str(context / "other"))
    assert kept_steps(tierce) == [step]
    (context / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\n")
    tierce.build(context)
    assert kept_steps(tierce) == []
    tierce.run("run", "--rm", step, "true", status=125)


def test_cache_that_one_may_use_at_a_time_is_refused_while_it_is_used(
    tierce: Tierce, context: Path
) -> None:
    mount = "--mount=type=cache,id=one,target=/cache,sharing=locked"
    step = failed_step(tierce, context, f"FROM {BASE}\nRUN {mount} false\n")
    with Store.open(tierce.root) as store, store.lock("cache-mount-use one"):
        found = tierce.run("run", "--rm", step, "true", status=125)
    assert "mount cache one: it is in use" in found.stderr
    tierce.run("run", "--rm", step, "ls", "/cache")


def test_caches_with_a_beginning_and_caches_mounted_twice_are_those_of_the_step(
    tierce: Tierce, context: Path
) -> None:
    mounts = (
        "--mount=type=cache,id=one,target=/a,sharing=locked"
        " --mount=type=cache,id=one,target=/b,sharing=locked"
        " --mount=type=cache,id=two,target=/c,from=files,source=/d"
        " --mount=type=cache,id=three,target=/passwd,from=files,source=/file"
    )
    script = "echo 1 > /a/one; echo 2 >> /c/two; echo 3 > /passwd; false"
    files = "FROM scratch AS files\nCOPY file /d/\nCOPY file /\n"
    step = failed_step(tierce, context, f"{files}FROM {BASE}\nRUN {mounts} {script}\n")
    found = tierce.run("run", "--rm", step, "sh", "-c", "cat /b/one /c/file /c/two /passwd")
    assert found.stdout == "1\nof the context\n2\n3\n"


def test_container_of_a_failed_step_outlives_it(tierce: Tierce, context: Path) -> None:
    step = failed_step(tierce, context, f"FROM {BASE}\nRUN echo > /left; false\n")
    tierce.run("run", "--name", "looking", step, "touch", "/new")
    tierce.run("system", "prune", "-f")
    assert kept_steps(tierce) == []
    tierce.run("system", "check")


def test_builder_prune_removes_failed_steps(tierce: Tierce, context: Path) -> None:
    step = failed_step(tierce, context, f"FROM {BASE}\nRUN echo > /left; false\n")
    assert step in tierce.run("builder", "du", "--verbose").stdout
    tierce.run("builder", "prune", "-f")
    assert kept_steps(tierce) == []


# On a terminal


@pytest.fixture
def broken(tierce: Tierce, context: Path) -> Iterator[Terminal]:
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\nENV PS1='in\\w# '\nWORKDIR /srv\nRUN echo > left; exit 3\n"
    )
    terminal = Terminal(tierce, "build", "--on-error=shell", str(context))
    yield terminal
    terminal.close()


def test_on_error_shell_opens_where_the_step_failed(broken: Terminal) -> None:
    shown = broken.read_until("in/srv# ")
    assert "exit code: 3" in shown
    assert shown.index("Dockerfile:4") < shown.index("this is a shell in the step")
    broken.type("ls; exit 0\n")
    broken.read_until("left\r\n")
    assert broken.process.wait(60) == 1


def test_on_error_shell_is_refused_without_a_terminal(tierce: Tierce, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {BASE}\n")
    found = tierce.build(context, "--on-error=shell", status=2)
    assert "--on-error=shell: standard input and output are not a terminal" in found.stderr
    assert "unknown" in tierce.build(context, "--on-error=ask", status=2).stderr
