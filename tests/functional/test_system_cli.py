"""The commands on the store as a whole, and version."""

import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.cli import Cli
from support.images import add_image
from tierce import __version__
from tierce.store import Store


def in_bytes(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)([kMG]?B)", text)
    assert match
    return float(match[1]) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[match[2]]


def test_version_has_dockers_layout_and_opens_no_store(cli: Cli, root: Path) -> None:
    text = cli("version")
    assert text.startswith(f"Client:\n Version:           {__version__}\n")
    assert cli("version", "-f", "{{.Client.Version}}") == f"{__version__}\n"
    assert cli("version", "--format", "{{.Server.Version}} {{.Server.Os}}").endswith(" linux\n")
    assert json.loads(cli("version", "--format", "json"))["Client"]["Context"] == "default"
    assert "can't evaluate" not in cli("version", "-f", "{{.Nope}}", status=1)
    assert not root.exists()


def test_info_names_runtime_storage_and_privilege(cli_store: Store, cli: Cli, root: Path) -> None:
    add_image(cli_store, "app")
    text = cli("info")
    assert " Images: 1\n" in text
    assert f" Docker Root Dir: {root}\n" in text
    assert re.search(r"^ Runtime: (crun|runc) \S+ \(/.*\)$", text, re.MULTILINE)
    assert re.search(r"^  Reason: .+$", text, re.MULTILINE)
    assert re.search(r"^ Storage Driver: (overlay|copy)$", text, re.MULTILINE)
    assert re.search(r"^  Large Layers: (mounted from tars by EROFS|unpacked)$", text, re.MULTILINE)
    assert re.search(r"^ Privilege: root with namespaces$", text, re.MULTILINE)
    assert re.search(r"^  conmon: \d[\d.]+ \(/.*/conmon\)$", text, re.MULTILINE)
    assert re.search(r"^  cgroups: (unified|legacy|hybrid)( \S+)+$", text, re.MULTILINE)
    assert cli("system", "info", "-f", "{{.Images}} {{.OSType}}") == "1 linux\n"
    document = json.loads(cli("info", "-f", "json"))
    assert document["DockerRootDir"] == str(root)
    assert document["NCPU"] == len(os.sched_getaffinity(0))
    assert {"crun", "conmon", "CNI bridge", "pasta", "overlay"} <= {
        part["Name"] for part in document["Parts"] if part["Without"]
    }
    assert cli("info", "-f", "{{.CPUCfsQuota}} {{.Swarm.LocalNodeState}}").endswith("inactive\n")


def test_df_adds_up_to_what_du_says(cli_store: Store, cli: Cli, root: Path) -> None:
    add_image(cli_store, "app", layers=[{"a": os.urandom(500_000)}])
    header, *rows = cli("system", "df").splitlines()
    assert header.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    cells = [re.split(r"\s{2,}", row) for row in rows]
    assert [row[0] for row in cells] == [
        "Images", "Containers", "Local Volumes", "Build Cache", "Other",
    ]  # fmt: skip
    assert cells[0][1:3] == ["1", "0"]
    assert cells[0][4].endswith(" (100%)")
    said = subprocess.run(["du", "-sB1", root], capture_output=True, text=True, check=True)
    total = int(said.stdout.split()[0])
    assert sum(in_bytes(row[3]) for row in cells) == pytest.approx(total, rel=0.01)


def test_df_takes_formats(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app")
    kinds = [json.loads(line)["Type"] for line in cli("system", "df", "--format=json").splitlines()]
    assert kinds[0] == "Images"
    table = cli("system", "df", "--format", r"table {{.Type}}\t{{.TotalCount}}")
    assert table.splitlines()[:2] == ["TYPE            TOTAL", "Images          1"]


def test_verbose_df_lists_everything(cli_store: Store, cli: Cli) -> None:
    shared = {"a": b"x" * 2000}
    add_image(cli_store, "one", layers=[shared])
    image = add_image(cli_store, "two", layers=[shared, {"b": b"y" * 1000}])
    state = '{"image_name":"two","args":["sh"],"volumes":[["data","/v",false,false,""]]}'
    cli_store.containers.add("c" * 64, "busy", image=str(image.id), snapshot=None, state=state)
    cli_store.volumes.create("data")
    cli_store.volumes.use("data", "c" * 64)
    cli_store.records.add(["key"], None, "[1/1] RUN true", b"")
    text = cli("system", "df", "-v")
    sections = (
        *("Images space usage:", "Containers space usage:", "Local Volumes space usage:"),
        "Build cache usage: 0B",
    )
    assert [line for line in text.splitlines() if line in sections] == list(sections)
    assert re.search(r"^two +latest +\w{12} +.* ago +3kB +2kB +1kB +1$", text, re.MULTILINE)
    row = r'^c{12} +two +"sh" +1 +0B \(virtual 3kB\) +.* ago +Created +busy$'
    assert re.search(row, text, re.MULTILINE)
    assert re.search(r"^data +1 +0B$", text, re.MULTILINE)
    assert "[1/1] RUN true" in text
    document = json.loads(cli("system", "df", "-v", "--format", "json"))
    assert list(document) == ["Images", "Containers", "Volumes", "BuildCache"]
    names = cli("system", "df", "-v", "--format", "{{range .Images}}{{.Repository}},{{end}}")
    assert sorted(names.strip().strip(",").split(",")) == ["one", "two"]


def test_prune_takes_images_and_cache(cli_store: Store, cli: Cli) -> None:
    unnamed = add_image(cli_store, author="a")
    named = add_image(cli_store, "app")
    cli_store.records.add(["key"], None, "[1/1] RUN true", b"")
    text = cli("system", "prune", "--force")
    assert f"deleted: {unnamed.id}\n" in text
    assert "Deleted build cache objects:\n" in text
    assert "[1/1] RUN true\n" in text
    assert re.search(r"^Total reclaimed space: [\d.]+k?B$", text, re.MULTILINE)
    assert f"deleted: {named.id}\n" in cli("system", "prune", "-af", "--volumes")
    assert cli("system", "prune", "-af") == "Total reclaimed space: 0B\n"


def test_prune_warns_of_what_it_will_do(
    cli_store: Store, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    image = add_image(cli_store)
    text = cli("system", "prune", "-a", "--filter", "until=24h")
    assert text.startswith(
        "WARNING! This will remove:\n"
        "  - all stopped containers\n"
        "  - all images without at least one container associated to them\n"
        "  - all build cache\n"
        "\n"
        "  Items to be pruned will be filtered with:\n"
        "  - until=24h\n"
        "\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert cli_store.images.get(image.manifest) == image


def test_prune_takes_no_time_for_volumes(cli: Cli) -> None:
    text = cli("system", "prune", "-f", "--volumes", "--filter", "until=24h", status=2)
    assert 'The "until" filter is not supported with "--volumes"' in text


def test_prune_by_label_leaves_the_cache_alone(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store)
    cli_store.records.add(["key"], None, "kept", b"")
    assert cli("system", "prune", "-f", "--filter", "label=x") == "Total reclaimed space: 0B\n"
    assert cli_store.records.has("key")


def test_check_of_a_sound_store_says_so(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app")
    text = cli("system", "check")
    assert re.fullmatch(
        r"checked 3 blobs, 1 snapshot, 1 image, 0 cache records; read [\d.]+k?B\n"
        r"the store is sound\n",
        text,
    )
    document = json.loads(cli("system", "check", "--format", "json"))
    assert document["Sound"] is True
    assert document["Findings"] == []


def test_check_names_what_is_lost_and_fails(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app")
    cli_store.paths.blob(image.config).unlink()
    before = cli("system", "check", "--repair=false", status=1)
    assert f"blob {image.config} its file is missing: can be repaired\n" in before
    after = cli("system", "check", status=1)
    assert f"image app:latest its config {image.config} is lost: lost\n" in after
    assert after.splitlines()[-1].startswith("the store is broken: 1 finding")
    assert cli("system", "check", "-f", "{{.Sound}} {{len .Findings}}", status=1) == "false 1\n"


def test_check_repairs_what_costs_nothing(cli_store: Store, cli: Cli, root: Path) -> None:
    stray = root / "blobs/sha256" / ("0" * 64)
    stray.write_bytes(b"left by a killed process")
    assert "nothing refers to it: repaired" in cli("system", "check")
    assert not stray.exists()
