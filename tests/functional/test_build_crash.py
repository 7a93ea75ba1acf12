"""A build that is killed at any instant leaves a store that works, and nothing else."""

import json
import os
import random
import select
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import leftovers
from support.program import Tierce, outcome_of, write_context
from tierce.store import Store

KILLS = 100
STORES = 2
"""The kills are spread over two stores, which are worked on at the same time."""

DOCKERFILE = """\
FROM golden-base
COPY tree /tree
RUN --mount=type=cache,target=/cache cat /tree/changing > /one && touch /cache/used
RUN rm -r /data && ln /one /two && echo done
"""


def test_killed_build_leaves_a_sound_store_and_nothing_running(
    tmp_path: Path, stocked_root: Path
) -> None:
    def torture(number: int) -> None:
        root = tmp_path / f"root{number}"
        shutil.copytree(stocked_root, root, symlinks=True)
        context = write_context(tmp_path / f"context{number}", DOCKERFILE)
        (context / "tree").mkdir()
        for index in range(50):
            (context / "tree" / f"file{index}").write_text(str(index) * 1000)
        with Tierce(root) as program:
            _kill_often(program, context, random.Random(number), KILLS // STORES)

    with ThreadPoolExecutor(STORES) as pool:
        list(pool.map(torture, range(STORES)))


def _kill_often(program: Tierce, context: Path, chance: random.Random, times: int) -> None:
    changing = context / "tree/changing"
    durations = []
    for number in range(3):
        changing.write_text(f"before {number}")
        before = time.monotonic()
        program.image_id(context, "-t", "app")
        durations.append(time.monotonic() - before)
    duration = sorted(durations)[1]
    with Store.open(program.root) as store:
        bundles = Path(store.paths.bundles)
    for number in range(times):
        changing.write_text(f"kill {number}")
        # One instant in each of as many parts of the build, so that they reach all of it.
        instant = duration * (number + chance.random()) / times
        where = f"kill {number}, after {instant:.3f} of {duration:.3f} s"
        _killed_build(program, context, instant)
        _check(program, bundles, where)
        image = program.image_id(context, "-t", "app")
        if number % 10 == 0:
            assert program.output(image, "cat", "/two") == f"kill {number}", where


def _killed_build(program: Tierce, context: Path, seconds: float) -> None:
    process = program.start("build", "-q", "-t", "app", str(context))
    ended = os.pidfd_open(process.pid)
    try:
        with select.epoll() as poll:
            poll.register(ended, select.EPOLLIN)
            poll.poll(seconds)
        process.send_signal(signal.SIGKILL)
    finally:
        os.close(ended)
    # Its pipes end with the last process that has them, not before.
    with process:
        outcome_of(process)
    assert not leftovers.still_running(program.root)


def _check(program: Tierce, bundles: Path, where: str) -> None:
    launchers = os.listdir(bundles)
    found = json.loads(program.run("system", "check", "--format", "json").stdout)
    assert found["Sound"], where
    # Files without an owner cost space until the next collection; all else would be damage.
    damage = [each for each in found["Findings"] if each["Kind"] != "file"]
    assert not damage, where
    assert not os.listdir(bundles), where
    if launchers:
        cgroups = leftovers.tierce_cgroups()
        assert not [each for each in cgroups for name in launchers if name in each], where
