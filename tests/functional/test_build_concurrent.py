"""Builds at the same time: of the same steps, beside prunes, in parallel stages, interrupted.

Steps wait for each other, or for the test, at pipes in a cache mount. Nothing depends on time.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support import leftovers
from support.program import Tierce, outcome_of, write_context

PIPES = """\
FROM golden-base
RUN --mount=type=cache,target=/meet mkfifo /meet/go /meet/one /meet/two
"""
WAITING = """\
FROM golden-base
COPY file /file
RUN --mount=type=cache,target=/meet echo first >> /meet/count && read line < /meet/go
RUN --mount=type=cache,target=/meet echo second >> /meet/count
RUN --mount=type=cache,target=/meet echo third >> /meet/count && echo made > /made
"""


def make_pipes(program: Tierce, tmp_path: Path) -> Path:
    """The pipes at which steps wait; returns the directory of their cache mount."""
    program.build(write_context(tmp_path / "pipes", PIPES))
    [pipe] = program.root.glob("cache-mounts/*/go")
    return pipe.parent


def read_until(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what the process says on standard error, up to a line with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"the build ended without: {words}")


@contextmanager
def answering(pipe: Path, times: int) -> Iterator[None]:
    """Lets so many readers of the pipe go on."""
    # For reading too, so that it opens though nobody reads yet.
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        os.write(descriptor, b"go\n" * times)
        yield
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("processes", [2, 4])
def test_builds_at_once_run_each_step_once(tierce: Tierce, tmp_path: Path, processes: int) -> None:
    meeting = make_pipes(tierce, tmp_path)
    context = write_context(tmp_path / "context", WAITING, {"file": "x"})
    with ExitStack() as stack:
        builds = [
            stack.enter_context(
                tierce.running(
                    *("build", "--progress=plain", "-t", f"app{number}"),
                    *("--iidfile", str(tmp_path / f"id{number}"), str(context)),
                )
            )
            for number in range(processes)
        ]
        for build in builds:
            read_until(build, "] RUN --mount=type=cache,target=/meet echo first")
        with answering(meeting / "go", processes):
            outcomes = [outcome_of(build) for build in builds]
    assert [outcome.status for outcome in outcomes] == [0] * processes, outcomes
    assert (meeting / "count").read_text() == "first\nsecond\nthird\n"
    assert len({(tmp_path / f"id{number}").read_text() for number in range(processes)}) == 1
    for number in range(processes):
        assert tierce.output(f"app{number}", "cat", "/made") == "made\n"


def test_failed_step_is_tried_by_who_waits_for_it(tierce: Tierce, tmp_path: Path) -> None:
    meeting = make_pipes(tierce, tmp_path)
    context = write_context(
        tmp_path / "context",
        "FROM golden-base\n"
        "RUN --mount=type=cache,target=/meet echo x >> /meet/count; read word < /meet/go; $word\n",
    )
    with ExitStack() as stack:
        builds = [
            stack.enter_context(tierce.running("build", "--progress=plain", str(context)))
            for _ in range(2)
        ]
        for build in builds:
            read_until(build, "] RUN --mount=type=cache,target=/meet echo x")
        pipe = stack.enter_context(open(meeting / "go", "r+b", buffering=0))
        pipe.write(b"false\ntrue\n")
        statuses = [outcome_of(build).status for build in builds]
    assert sorted(statuses) == [0, 1]
    assert (meeting / "count").read_text() == "x\nx\n"


def test_stages_without_need_of_each_other_run_at_once(tierce: Tierce, tmp_path: Path) -> None:
    make_pipes(tierce, tmp_path)
    dockerfile = """\
FROM golden-base AS one
RUN --mount=type=cache,target=/meet echo from one > /meet/one && cat /meet/two > /got
FROM golden-base AS two
RUN --mount=type=cache,target=/meet cat /meet/one > /got && echo from two > /meet/two
FROM golden-base
COPY --from=one /got /one
COPY --from=two /got /two
"""
    tierce.build(write_context(tmp_path / "context", dockerfile), "-t", "app")
    assert tierce.output("app", "cat", "/one", "/two") == "from two\nfrom one\n"


def test_equal_steps_of_two_stages_run_once(tierce: Tierce, tmp_path: Path) -> None:
    meeting = make_pipes(tierce, tmp_path)
    step = "RUN --mount=type=cache,target=/meet echo x >> /meet/count && cp /meet/count /file\n"
    dockerfile = f"""\
FROM golden-base AS one
{step}
FROM golden-base AS two
{step}
FROM golden-base
COPY --from=one /file /one
COPY --from=two /file /two
"""
    tierce.build(write_context(tmp_path / "context", dockerfile), "-t", "app")
    assert (meeting / "count").read_text() == "x\n"
    assert tierce.output("app", "cat", "/one", "/two") == "x\nx\n"


def test_prune_in_a_loop_breaks_no_build(tierce: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base AS made
COPY changing /copied
RUN --mount=type=cache,target=/cache cp /copied /cache/kept && cp /cache/kept /made
FROM golden-base
WORKDIR /work
COPY --from=made /made copied
RUN --mount=type=bind,target=/context cat copied /context/changing > both
"""
    contexts = [write_context(tmp_path / f"context{number}", dockerfile) for number in range(2)]
    failures: list[BaseException] = []
    prunes = 0

    def build(number: int) -> None:
        try:
            for turn in range(6):
                # Two of three contents are new; the builds of both threads share some of them.
                content = f"{turn // 2} {number if turn % 2 else 'both'}\n"
                (contexts[number] / "changing").write_text(content)
                image = tierce.image_id(contexts[number], "-t", f"app{number}")
                assert tierce.output(image, "cat", "/work/both") == content * 2
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        tierce.run("system", "prune", "-f")
        prunes += 1
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert prunes > 1
    assert tierce.run("system", "check").stdout.endswith("the store is sound\n")


def _expect_nothing_left(program: Tierce) -> None:
    assert not leftovers.still_running(program.root)
    found = program.run("system", "check", "--repair=false", "--format", "json").stdout
    assert '"Sound":true' in found, found
    assert '"Findings":[]' in found, found


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_interrupted_build_leaves_nothing(
    tierce: Tierce, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    meeting = make_pipes(tierce, tmp_path)
    context = write_context(tmp_path / "context", WAITING, {"file": "x"})
    # The first runs the step, the second waits for it.
    with ExitStack() as stack:
        builds = []
        for _ in range(2):
            command = ("build", "--progress=plain", "-t", "app", str(context))
            builds.append(stack.enter_context(tierce.running(*command)))
            read_until(builds[-1], "] RUN --mount=type=cache,target=/meet echo first")
        for build in reversed(builds):
            build.send_signal(number)
            outcome = outcome_of(build)
            assert outcome.status == status, outcome
            assert "Traceback" not in outcome.stderr
            assert "CANCELED" in outcome.stderr
    _expect_nothing_left(tierce)
    assert "app" not in tierce.run("images").stdout.split()
    with answering(meeting / "go", 1):
        tierce.build(context, "-t", "app")
    assert tierce.output("app", "cat", "/made") == "made\n"


def test_second_interrupt_ends_at_once(tierce: Tierce, tmp_path: Path) -> None:
    make_pipes(tierce, tmp_path)
    context = write_context(tmp_path / "context", WAITING, {"file": "x"})
    with tierce.running("build", "--progress=plain", str(context)) as build:
        read_until(build, "] RUN --mount=type=cache,target=/meet echo first")
        build.send_signal(signal.SIGINT)
        build.send_signal(signal.SIGINT)
        assert outcome_of(build).status == 130
    assert not leftovers.still_running(tierce.root)
    tierce.run("system", "check")
    _expect_nothing_left(tierce)
