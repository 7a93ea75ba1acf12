"""`tierce builder du` and `tierce builder prune`."""

import json
import os
import time
from pathlib import Path

import pytest

from support.program import Tierce, write_context
from tierce.store import Store

DOCKERFILE = """\
FROM golden-base
COPY file /file
RUN --mount=type=cache,target=/cache,id=downloads head -c 50000 /dev/zero > /cache/kept; echo > /a
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_context(tmp_path / "context", DOCKERFILE, {"file": "content"})


def items(program: Tierce, *flags: str) -> list[dict[str, object]]:
    text = program.run("builder", "du", "--format", "json", *flags).stdout
    return [json.loads(line) for line in text.splitlines()]


def types(program: Tierce, *flags: str) -> list[str]:
    return sorted(str(item["Type"]) for item in items(program, *flags))


def test_du_lists_steps_and_cache_mounts_with_sums(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app")
    text = tierce.run("builder", "du").stdout
    lines = text.splitlines()
    assert lines[0].split() == ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED"]
    assert [line.partition(":")[0] for line in lines[-4:]] == [
        "Shared",
        "Private",
        "Reclaimable",
        "Total",
    ]
    [mount] = items(tierce, "--filter", "type=exec.cachemount")
    assert mount["Description"] == "cached mount downloads from exec"
    assert int(str(mount["Size"])) >= 50_000
    assert mount["Mutable"] is True
    pretty = tierce.run("builder", "du", "--verbose").stdout
    assert "2/3] COPY file /file\n" in pretty
    assert "Usage count:  0\n" in pretty


def test_private_bytes_are_the_build_cache_of_system_df(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app")
    sums = dict(line.split(":", 1) for line in tierce.run("builder", "du").stdout.splitlines()[-4:])
    form = "{{.Type}}: {{.Size}}"
    lines = tierce.run("system", "df", "--format", form).stdout.splitlines()
    assert f"Build Cache: {sums['Private'].strip()}" in lines


def test_filters_say_what_is_shown(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app")
    assert types(tierce, "--filter", "shared") == ["regular", "regular"]
    assert types(tierce, "--filter", "type!=regular", "--filter", "mutable") == [
        "exec.cachemount",
        "source.local",
        "source.local",
    ]
    assert types(tierce, "--filter", "description~=^cached mount") == ["exec.cachemount"]
    assert types(tierce, "--filter", "until=1h") == []
    assert types(tierce, "--filter", "inuse") == []
    assert "invalid filter" in tierce.run("builder", "du", "--filter", "no=x", status=2).stderr
    assert "invalid filter" in tierce.run("builder", "du", "--filter", "id~=(", status=2).stderr


def test_prune_by_type_frees_the_cache_mount_alone(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app")
    text = tierce.run("builder", "prune", "-f", "--filter", "type=exec.cachemount").stdout
    assert text.splitlines()[-1].startswith("Total:\t")
    assert list(tierce.root.glob("cache-mounts/*")) == []
    assert tierce.build(context, "-t", "app").stderr.count(" CACHED\n") == 2


def test_prune_by_bytes_takes_no_more_than_it_must(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    # The cache mount is larger than the limit; what is left after it is not.
    tierce.run("builder", "prune", "-f", "--max-used-space", "60kb")
    assert "exec.cachemount" not in types(tierce)
    assert "source.local" in types(tierce) or "regular" in types(tierce)
    before = types(tierce)
    assert tierce.run("builder", "prune", "-f", "--max-used-space", "1g").stdout == "Total:\t0B\n"
    assert tierce.run("builder", "prune", "-f", "--keep-storage", "1g").stdout == "Total:\t0B\n"
    assert types(tierce) == before


def test_prune_of_all_makes_the_next_build_run_again(tierce: Tierce, context: Path) -> None:
    tierce.build(context, "-t", "app")
    tierce.run("builder", "prune", "-f")
    assert types(tierce) == ["regular", "regular"]
    tierce.run("builder", "prune", "-a", "-f")
    assert types(tierce) == []
    assert tierce.build(context, "-t", "app").stderr.count(" CACHED\n") == 0
    assert tierce.output("app", "cat", "/file") == "content"


def test_prune_asks_first(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    asked = tierce.run("builder", "prune", text="n\n")
    assert "WARNING! This will remove all dangling build cache." in asked.stderr
    assert asked.stdout == ""
    assert "regular" in types(tierce)


# By itself


def let_a_day_pass(program: Tierce) -> None:
    yesterday = time.time() - 100_000
    os.utime(program.root / "collected", (yesterday, yesterday))


def test_builds_collect_once_a_day(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    stamp = tierce.root / "collected"
    first = stamp.stat().st_mtime_ns
    tierce.build(context)
    assert stamp.stat().st_mtime_ns == first
    let_a_day_pass(tierce)
    tierce.build(context, environment={"TIERCE_CACHE_GC": "0"})
    assert stamp.stat().st_mtime < time.time() - 90_000
    # What is started in the background, in the foreground.
    with Store.open(tierce.root) as store:
        store.database.execute("UPDATE cache_mounts SET last_used = 1")
    tierce.run("builder", "prune", "--automatic")
    assert "exec.cachemount" not in types(tierce)
    assert types(tierce).count("regular") == 2


def test_collection_in_the_background_ends_by_itself(tierce: Tierce, context: Path) -> None:
    tierce.build(context)
    let_a_day_pass(tierce)
    with Store.open(tierce.root) as store:
        store.database.execute("UPDATE cache_mounts SET last_used = 1")
        store.database.execute("UPDATE records SET last_used = 1")
        # The build finds its steps, and uses them; the cache mount it does not.
        tierce.build(context)
        while store.cache_mounts.list():
            os.sched_yield()
        with store.lock("collect-cache"):
            pass
    assert types(tierce, "--filter", "type=exec.cachemount") == []
