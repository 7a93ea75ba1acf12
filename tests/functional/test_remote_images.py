"""Manifests, tags and images in a registry: looked at, listed together, copied, removed."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce, write_context
from support.registries import RunningRegistry, running_registry


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TIERCE_OFFLINE")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def second(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path / "second") as running:
        yield running


def pushed(tierce: Tierce, directory: Path, name: str, text: str) -> str:
    """Build and push an image; the digest of its manifest."""
    context = write_context(directory / text, f"FROM {BASE}\nRUN echo {text} >/made\n")
    tierce.build(context, "--push", "-t", name)
    [found] = json.loads(tierce.run("image", "inspect", name).stdout)
    digest: str = found["RepoDigests"][0].partition("@")[2]
    return digest


def raw(name: str) -> str:
    done = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_manifest_is_shown_as_the_registry_has_it(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    name = f"{registry.host}/app"
    pushed(tierce, tmp_path, name, "one")
    shown = tierce.run("manifest", "inspect", name).stdout
    assert json.loads(shown) == json.loads(raw(name))
    verbose = json.loads(tierce.run("manifest", "inspect", "-v", name).stdout)
    assert verbose["Ref"] == f"{name}:latest"
    assert verbose["Descriptor"]["platform"]["os"] == "linux"
    assert verbose["OCIManifest"] == json.loads(shown)


def test_list_is_made_annotated_and_pushed(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    host = registry.host
    first = pushed(tierce, tmp_path, f"{host}/app:one", "one")
    second = pushed(tierce, tmp_path, f"{host}/other:two", "two")
    made = tierce.run("manifest", "create", f"{host}/app:all", f"{host}/app:one")
    assert made.stdout == f"Created manifest list {host}/app:all\n"
    refused = tierce.run("manifest", "create", f"{host}/app:all", f"{host}/other:two", status=1)
    assert "refusing to amend an existing manifest list" in refused.stderr
    tierce.run("manifest", "create", "--amend", f"{host}/app:all", f"{host}/other:two")
    tierce.run(
        *("manifest", "annotate", "--arch", "arm", "--variant", "v7"),
        *(f"{host}/app:all", f"{host}/other:two"),
    )
    digest = tierce.run("manifest", "push", "--purge", f"{host}/app:all").stdout.strip()
    index = json.loads(raw(f"{host}/app@{digest}"))
    assert [each["digest"] for each in index["manifests"]] == [first, second]
    assert index["manifests"][1]["platform"] == {
        "architecture": "arm",
        "os": "linux",
        "variant": "v7",
    }
    assert json.loads(raw(f"{host}/app@{second}"))["layers"]
    gone = tierce.run("manifest", "rm", f"{host}/app:all", status=1)
    assert "no such manifest list" in gone.stderr


def test_annotating_what_is_not_listed_is_refused(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    name = f"{registry.host}/app"
    pushed(tierce, tmp_path, name, "one")
    tierce.run("manifest", "create", f"{name}:all", name)
    done = tierce.run("manifest", "annotate", "--os", "x", f"{name}:all", f"{name}:no", status=1)
    assert f"manifest for image {name}:no does not exist in {name}:all" in done.stderr
    assert tierce.run("manifest", "inspect", f"{name}:all", name).stdout
    tierce.run("manifest", "rm", f"{name}:all")


def test_image_is_copied_to_another_registry_with_all_its_platforms(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry, second: RunningRegistry
) -> None:
    host = registry.host
    pushed(tierce, tmp_path, f"{host}/app:one", "one")
    pushed(tierce, tmp_path, f"{host}/app:two", "two")
    tierce.run("manifest", "create", f"{host}/app:all", f"{host}/app:one", f"{host}/app:two")
    tierce.run("manifest", "annotate", "--arch", "arm64", f"{host}/app:all", f"{host}/app:two")
    digest = tierce.run("manifest", "push", f"{host}/app:all").stdout.strip()
    target = f"{second.host}/copy/app"
    copied = tierce.run("image", "copy", f"{host}/app:all", target).stdout
    assert f"all: digest: {digest} size: " in copied
    index = json.loads(raw(f"{target}:all"))
    for each in index["manifests"]:
        assert raw(f"{target}@{each['digest']}") == raw(f"{host}/app@{each['digest']}")
    again = tierce.run("image", "copy", f"{host}/app:all", target).stdout
    assert ": Copied" not in again
    assert tierce.run("system", "check").status == 0


def test_copy_within_a_registry_mounts(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    host = registry.host
    pushed(tierce, tmp_path, f"{host}/app", "one")
    copied = tierce.run("image", "copy", f"{host}/app", f"{host}/moved:x").stdout
    assert "Mounted from app" in copied
    assert ": Copied" not in copied
    assert raw(f"{host}/moved:x") == raw(f"{host}/app")


def test_tags_are_listed_and_removed_in_the_registry(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    name = f"{registry.host}/app"
    digest = pushed(tierce, tmp_path, f"{name}:one", "one")
    pushed(tierce, tmp_path, f"{name}:two", "two")
    assert tierce.run("tag", "ls", name).stdout == "one\ntwo\n"
    removed = tierce.run("image", "rm", "--remote", f"{name}:one")
    assert removed.stdout == f"Deleted: {name}@{digest}\n"
    assert tierce.run("image", "tags", name).stdout == "two\n"
    assert f"{name}" in tierce.run("images").stdout, "what is here stays"
    done = tierce.run("image", "rm", "--remote", f"{name}:one", status=1)
    assert "not found" in done.stderr
    done = tierce.run("tag", "ls", f"{registry.host}/absent", status=1)
    assert "repository name not known" in done.stderr


def test_tag_still_names_images(tierce: Tierce) -> None:
    tierce.run("tag", BASE, "ls")
    assert "ls " in tierce.run("images").stdout


def test_referrers_are_found_by_the_tag_of_registries_without_a_list(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry
) -> None:
    name = f"{registry.host}/app"
    digest = pushed(tierce, tmp_path, name, "one")
    assert tierce.run("image", "referrers", "--format", "{{.Digest}}", name).stdout == ""
    tierce.run("manifest", "create", f"{name}:{digest.replace(':', '-')}", name)
    tierce.run("manifest", "push", f"{name}:{digest.replace(':', '-')}")
    found = tierce.run("image", "referrers", "--format", "{{.Digest}}", name).stdout
    assert found == f"{digest}\n"
    filtered = tierce.run("image", "referrers", "--artifact-type", "none/such", name).stdout
    assert filtered.split() == ["DIGEST", "ARTIFACT", "TYPE", "SIZE"]
