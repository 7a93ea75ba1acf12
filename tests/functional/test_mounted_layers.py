"""Builds and containers upon layers that are mounted from their tars."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.erofs import need_images
from support.program import Tierce, write_context
from tierce.store import Store
from tierce.store.snapshots.base import IMAGE_NAME

FILES = 300


@pytest.fixture(autouse=True)
def _images(tmp_path: Path) -> None:
    need_images(tmp_path)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A COPY that is worthwhile to mount, and steps upon it that read, change and remove."""
    directory = write_context(
        tmp_path / "context",
        "FROM golden-base\n"
        "COPY tree /tree\n"
        "RUN cat /tree/d*/* | wc -c > /bytes && stat -c '%a %u' /tree/run > /mode && /tree/run\n"
        "RUN echo more >> /tree/d1/1 && rm -r /tree/d2 && chmod 700 /tree/d3 && mv /tree/d4 /d5\n",
    )
    for number in range(FILES):
        file = directory / f"tree/d{number % 7}/{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * number)
    (directory / "tree/run").write_text("#!/bin/sh\necho ran >> /ran\n")
    (directory / "tree/run").chmod(0o4755)
    return directory


def images_in(program: Tierce) -> list[Path]:
    return sorted(program.root.glob(f"snapshots/*/{IMAGE_NAME}"))


def test_steps_upon_a_mounted_layer_give_what_they_give_upon_an_unpacked_one(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    tierce.run("build", "-q", "-t", "mounted", str(context))
    made = images_in(tierce)
    assert made
    unpacking = {"TIERCE_SNAPSHOTTER": "overlay"}
    tierce.run("build", "-q", "--no-cache", "-t", "unpacked", str(context), environment=unpacking)
    assert images_in(tierce) == made
    listings = []
    script = "cat /bytes /mode /ran && find / -xdev ! -path /bytes -exec ls -ldn {} + | sort -k9"
    for image in ("mounted", "unpacked"):
        found = tierce.run("run", "--rm", image, "sh", "-c", f"cd / && {script}").stdout
        listings.append([line for line in found.splitlines() if "/tree" in line or "/d5" in line])
    assert listings[0] == listings[1]
    total = sum(len(f"{number}\n") * number for number in range(FILES))
    said = tierce.run("run", "--rm", "mounted", "cat", "/bytes", "/mode", "/ran").stdout
    assert said.split() == [str(total), "4755", "0", "ran"]


def test_inspect_gives_directories_of_what_is_only_mounted(tierce: Tierce, context: Path) -> None:
    tierce.run("build", "-q", "-t", "app", str(context))
    [document] = json.loads(tierce.run("inspect", "app").stdout)
    lower = document["GraphDriver"]["Data"]["LowerDir"].split(":")
    [tree] = [Path(path, "tree") for path in lower if Path(path, "tree/d6").is_dir()]
    assert (tree / "d6/6").read_text() == "6\n" * 6


def test_container_runs_on_while_everything_is_pruned(tierce: Tierce, context: Path) -> None:
    tierce.run("build", "-q", "-t", "app", str(context))
    script = "echo ready; read line; cat /tree/d6/6 /tree/d5/5; ls /tree/d0 | wc -l"
    with tierce.start("run", "--rm", "-i", "app", "sh", "-c", script, stdin=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        tierce.run("system", "prune", "-a", "-f")
        out, _ = run.communicate("go\n")
    assert out == "6\n" * 6 + "5\n" * 5 + "43\n"
    tierce.run("system", "prune", "-a", "-f")
    assert images_in(tierce) == []


def test_check_finds_a_store_with_mounted_layers_sound(tierce: Tierce, context: Path) -> None:
    tierce.run("build", "-q", "-t", "app", str(context))
    images = images_in(tierce)
    for image in images:
        with open(image, "r+b") as file:
            file.seek(5000)
            file.write(b"damage")
    tierce.run("system", "check")
    assert images_in(tierce) == []
    assert tierce.run("run", "--rm", "app", "cat", "/tree/d6/6").stdout == "6\n" * 6
    assert images_in(tierce) == images


def test_loaded_image_runs_without_being_unpacked(
    tierce: Tierce, context: Path, tmp_path: Path
) -> None:
    tierce.run("build", "-q", "-t", "app", str(context))
    archive = tmp_path / "app.tar"
    tierce.run("save", "-o", str(archive), "app")
    with Tierce(tmp_path / "other") as other:
        other.run("load", "-q", "-i", str(archive))
        assert other.run("run", "--rm", "app", "cat", "/tree/d6/6").stdout == "6\n" * 6
        with Store.open(other.root) as store:
            mounted = [each for each in store.snapshots.list() if not each.unpacked]
            assert [store.paths.snapshot(each.id) / IMAGE_NAME for each in mounted] == images_in(
                other
            )
            assert mounted
        assert os.listdir(other.root / "trash") == []
