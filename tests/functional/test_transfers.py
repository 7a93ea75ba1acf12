"""Images to a real registry and back, and what other tools make of them."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.program import BASE, Tierce, write_context
from support.registries import RunningRegistry, running_registry
from tierce.client import Client
from tierce.oci.reference import Reference


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the registry of the tests, and nobody's credentials."""
    monkeypatch.delenv("TIERCE_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Tierce]:
    """The program on an empty store: another machine."""
    with Tierce(tmp_path / "other") as program:
        yield program


@pytest.fixture
def name(registry: RunningRegistry, request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    own = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{registry.host}/tests/{own}"


def built(tierce: Tierce, directory: Path, name: str, text: str = "hello") -> str:
    """An image with three layers; its ID."""
    context = write_context(
        directory, f"FROM {BASE}\nCOPY file /file\nRUN echo {text} >/made\n", {"file": text}
    )
    return tierce.image_id(context, "-t", name)


def digest_of(output: str) -> str:
    found = re.search("sha256:[0-9a-f]{64}", output)
    assert found, output
    return found[0]


def test_pushed_image_is_pulled_and_runs(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    image = built(tierce, tmp_path / "context", name)
    pushed = tierce.run("push", name).stdout
    assert pushed.splitlines()[:2] == [
        "Using default tag: latest",
        f"The push refers to repository [{name}]",
    ]
    assert re.search("^[0-9a-f]{12}: Pushed$", pushed, re.MULTILINE)
    digest = digest_of(pushed)
    assert re.search(rf"^latest: digest: {digest} size: \d+$", pushed, re.MULTILINE)

    pulled = other.run("pull", name).stdout.splitlines()
    path = name.partition("/")[2]
    assert pulled[:2] == ["Using default tag: latest", f"latest: Pulling from {path}"]
    assert pulled[-3:] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]
    assert sum(line.endswith(": Pull complete") for line in pulled) >= 3
    [found] = json.loads(other.run("image", "inspect", name).stdout)
    assert found["Id"] == image
    assert found["RepoDigests"] == [f"{name}@{digest}"]
    assert other.output(name, "cat", "/made") == "hello\n"


def test_second_push_sends_nothing(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    first = digest_of(tierce.run("push", name).stdout)
    before = len(registry.requests())
    again = tierce.run("push", name).stdout
    assert digest_of(again) == first
    assert "Pushed" not in again
    assert re.search("^[0-9a-f]{12}: Layer already exists$", again, re.MULTILINE)
    methods = [each.split()[0] for each in registry.requests()[before:]]
    assert set(methods) == {"GET", "HEAD", "PUT"}
    assert methods.count("PUT") == methods.count("GET") == 1


def test_second_pull_asks_for_the_digest_alone(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    digest = digest_of(tierce.run("push", name).stdout)
    before = len(registry.requests())
    again = tierce.run("pull", name).stdout
    assert f"Digest: {digest}\nStatus: Image is up to date for {name}:latest\n" in again
    assert [each.split()[0] for each in registry.requests()[before:]] == ["GET", "HEAD"]


def test_layers_that_another_repository_has_are_mounted(
    tierce: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", f"{name}/first")
    tierce.run("push", f"{name}/first")
    tierce.run("tag", f"{name}/first", f"{name}/second")
    pushed = tierce.run("push", f"{name}/second").stdout
    first = f"{name}/first".partition("/")[2]
    assert re.search(f"^[0-9a-f]{{12}}: Mounted from {first}$", pushed, re.MULTILINE)
    assert ": Pushed" not in pushed


def test_only_layers_that_are_missing_are_fetched(
    tierce: Tierce, other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    built(tierce, tmp_path / "one", f"{name}:1", "one")
    built(tierce, tmp_path / "two", f"{name}:2", "two")
    tierce.run("push", "--all-tags", name)
    other.run("pull", f"{name}:1")
    before = len(registry.requests())
    pulled = other.run("pull", f"{name}:2").stdout
    assert len(re.findall(": Already exists$", pulled, re.MULTILINE)) >= 1
    assert len(re.findall(": Pull complete$", pulled, re.MULTILINE)) == 2
    blobs = [each for each in registry.requests()[before:] if "/blobs/" in each]
    assert len(blobs) == 3  # and the config


def test_all_tags_are_pushed_and_pulled(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "one", f"{name}:1", "one")
    built(tierce, tmp_path / "two", f"{name}:2", "two")
    pushed = tierce.run("push", "-a", name).stdout
    assert re.findall(r"^(\d): digest: ", pushed, re.MULTILINE) == ["1", "2"]
    pulled = other.run("pull", "-a", name).stdout
    # In the order of the registry, which sorts nothing.
    found = re.findall(r"^Status: Downloaded newer image for \S+:(\d)$", pulled, re.MULTILINE)
    assert sorted(found) == ["1", "2"]
    assert other.output(f"{name}:2", "cat", "/made") == "two\n"


def test_quiet_says_the_name_alone(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    assert tierce.run("push", "-q", name).stdout == f"{name}:latest\n"
    assert other.run("pull", "-q", name).stdout == f"{name}:latest\n"


def test_image_is_pulled_by_its_digest(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    digest = digest_of(tierce.run("push", name).stdout)
    pulled = other.run("pull", f"{name}@{digest}").stdout
    assert pulled.endswith(f"Status: Downloaded newer image for {name}@{digest}\n{name}@{digest}\n")
    [found] = json.loads(other.run("image", "inspect", f"{name}@{digest}").stdout)
    assert found["RepoTags"] == []


def test_tag_that_is_not_there_is_named(tierce: Tierce, tmp_path: Path, name: str) -> None:
    built(tierce, tmp_path / "context", name)
    tierce.run("push", name)
    done = tierce.run("pull", f"{name}:absent", status=1)
    assert f"manifest for {name}:absent not found: manifest unknown" in done.stderr
    done = tierce.run("push", f"{name}:absent", status=1)
    assert f"An image does not exist locally with the tag: {name}" in done.stderr


def test_tag_with_all_tags_is_refused(tierce: Tierce, name: str) -> None:
    for verb in ("push", "pull"):
        done = tierce.run(verb, "-a", f"{name}:x", status=2)
        assert "tag can't be used with --all-tags/-a" in done.stderr


def test_local_name_means_the_pushed_form(tierce: Tierce, tmp_path: Path, name: str) -> None:
    image = built(tierce, tmp_path / "context", name)
    tierce.run("tag", name, "another-name")
    digest = digest_of(tierce.run("push", name).stdout)
    [found] = json.loads(tierce.run("image", "inspect", "another-name").stdout)
    assert found["Id"] == image
    assert found["RepoDigests"] == [f"{name}@{digest}"]


# Others


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[RunningRegistry]:
    """A registry of the test's own: skopeo remembers of others in which form they have a layer."""
    with running_registry(tmp_path / "fresh") as running:
        yield running


@pytest.mark.parametrize(
    ("form", "compression"), [("oci", "gzip"), ("oci", "zstd"), ("v2s2", "gzip")]
)
def test_what_skopeo_pushed_keeps_its_digest_through_pull_and_push(
    tierce: Tierce,
    other: Tierce,
    tmp_path: Path,
    fresh: RunningRegistry,
    form: str,
    compression: str,
) -> None:
    name = f"{fresh.host}/app"
    built(tierce, tmp_path / "context", "mine")
    tierce.run("save", "-o", str(tmp_path / "mine.tar"), "mine")
    target = f"docker://{name}:first"
    flags = ["--format", form, "--dest-tls-verify=false"]
    flags += ["--dest-compress-format", compression]
    skopeo("copy", *flags, f"docker-archive:{tmp_path}/mine.tar", target)
    before = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", target))
    pulled = other.run("pull", f"{name}:first").stdout
    [found] = json.loads(other.run("image", "inspect", f"{name}:first").stdout)
    assert found["Id"] == before["config"]["digest"]
    other.run("tag", f"{name}:first", f"{name}:second")
    pushed = other.run("push", f"{name}:second").stdout
    assert digest_of(pushed) == digest_of(pulled)
    after = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}:second"))
    assert before == after
    assert other.output(f"{name}:first", "cat", "/made") == "hello\n"


def test_skopeo_reads_what_was_pushed(tierce: Tierce, tmp_path: Path, name: str) -> None:
    image = built(tierce, tmp_path / "context", name)
    digest = digest_of(tierce.run("push", name).stdout)
    layout = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{layout}:x")
    found = json.loads((layout / "index.json").read_text())["manifests"][0]
    assert found["digest"] == digest
    manifest = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())
    assert manifest["config"]["digest"] == image
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]} == {"gzip"}


# In builds and containers


def test_build_pulls_the_base_that_is_not_here(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    tierce.run("push", name)
    context = write_context(tmp_path / "next", f"FROM {name}\nRUN cat /made >/again\n")
    shown = other.build(context, "-t", "next")
    assert f"[internal] load metadata for {name}:latest" in shown.stderr
    assert other.output("next", "cat", "/again") == "hello\n"


def test_build_copies_from_an_image_that_is_not_here(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    tierce.run("push", name)
    context = write_context(tmp_path / "next", f"FROM scratch\nCOPY --from={name} /made /made\n")
    other.build(context, "-o", str(tmp_path / "result"))
    assert (tmp_path / "result/made").read_text() == "hello\n"


def test_build_with_pull_takes_the_newest_base(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "one", name, "one")
    tierce.run("push", name)
    context = write_context(tmp_path / "next", f"FROM {name}\nRUN cat /made >/again\n")
    other.build(context, "-t", "next")
    built(tierce, tmp_path / "two", name, "two")
    tierce.run("push", name)
    other.build(context, "-t", "next")
    assert other.output("next", "cat", "/again") == "one\n"
    other.build(context, "--pull", "-t", "next")
    assert other.output("next", "cat", "/again") == "two\n"


def test_build_names_a_base_that_is_nowhere(other: Tierce, tmp_path: Path, name: str) -> None:
    context = write_context(tmp_path / "next", f"FROM {name}:absent\n")
    shown = other.build(context, status=1)
    assert f"manifest for {name}:absent not found" in shown.stderr


def test_run_pulls_what_is_missing(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    tierce.run("push", name)
    words = ("--rm", "--network", "none", name, "cat", "/made")
    done = other.run("run", *words)
    assert done.stdout == "hello\n"
    assert f"Unable to find image '{name}:latest' locally" in done.stderr
    assert f"Status: Downloaded newer image for {name}:latest" in done.stderr
    assert other.run("run", *words).stderr == ""
    again = other.run("run", "--pull=always", *words)
    assert f"Status: Image is up to date for {name}:latest" in again.stderr
    assert other.run("run", "--pull=always", "--quiet", *words).stderr == ""


def test_run_that_never_pulls_says_what_is_missing(other: Tierce, name: str) -> None:
    done = other.run("run", "--pull", "never", name, "true", status=125)
    assert f"no such image: {name}" in done.stderr


def test_run_of_what_is_nowhere_is_refused(other: Tierce, name: str) -> None:
    done = other.run("run", name, "true", status=125)
    assert f"manifest for {name}:latest not found" in done.stderr


def test_offline_reaches_no_registry(
    tierce: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    before = registry.requests()
    environment = {"TIERCE_OFFLINE": "1"}
    for words in (("push", name), ("pull", f"{name}:absent"), ("run", f"{name}:absent")):
        process = tierce.start(*words, environment=environment)
        assert "offline" in process.communicate()[1]
        assert process.returncode in {1, 125}
    tierce.run("tag", BASE, f"{name}:here")
    pulled = tierce.run("pull", "--offline", f"{name}:here").stdout
    assert f"Status: Image is up to date for {name}:here" in pulled
    done = tierce.run("pull", "--offline", f"{name}:absent", status=1)
    assert f"reach {name}:absent: offline" in done.stderr
    assert registry.requests() == before


def test_build_pushes_what_it_made(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    context = write_context(tmp_path / "context", f"FROM {BASE}\nRUN echo built >/made\n")
    shown = tierce.build(context, "--push", "-t", f"{name}:1", "-t", f"{name}:2")
    assert f"pushing {name}:2 with manifest sha256:" in shown.stderr
    assert other.run("pull", "-q", f"{name}:1").stdout == f"{name}:1\n"
    assert other.output(f"{name}:1", "cat", "/made") == "built\n"
    [here] = json.loads(tierce.run("image", "inspect", f"{name}:2").stdout)
    [there] = json.loads(other.run("image", "inspect", f"{name}:1").stdout)
    assert (here["Id"], here["RepoDigests"]) == (there["Id"], there["RepoDigests"])
    assert "Layer already exists" in tierce.run("push", f"{name}:1").stdout


def test_build_pushes_by_digest_without_a_tag(
    tierce: Tierce, other: Tierce, tmp_path: Path, name: str
) -> None:
    context = write_context(tmp_path / "context", f"FROM {BASE}\nRUN echo built >/made\n")
    output = f"type=image,name={name},push=true,push-by-digest=true,store=false"
    shown = tierce.build(context, "-o", output, "--metadata-file", str(tmp_path / "metadata"))
    assert name not in tierce.run("images").stdout, shown
    digest = json.loads((tmp_path / "metadata").read_text())["containerimage.digest"]
    other.run("pull", f"{name}@{digest}")
    other.run("pull", name, status=1)


def test_build_without_a_name_cannot_push(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", f"FROM {BASE}\nRUN echo x >/x\n")
    shown = tierce.build(context, "--push", status=1)
    assert "tag is needed when pushing to registry" in shown.stderr


def test_build_that_cannot_push_keeps_its_image(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", f"FROM {BASE}\nRUN echo x >/x\n")
    shown = tierce.build(context, "--push", "-t", "127.0.0.1:1/x", status=1)
    assert "failed to push 127.0.0.1:1/x:latest: connect to" in shown.stderr
    assert "127.0.0.1:1/x" in tierce.run("images").stdout


# Mirrors


def test_pull_takes_a_mirror_and_else_the_registry_itself(
    tierce: Tierce, other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    """A mirror that is down, one that lacks the image, and one that has it."""
    built(tierce, tmp_path / "context", f"{name}/there/app")
    tierce.run("push", f"{name}/there/app")
    path = name.partition("/")[2]
    conf = tmp_path / "registries.conf"
    conf.write_text(
        '[[registry]]\nprefix = "registry.invalid"\n'
        '[[registry.mirror]]\nlocation = "127.0.0.1:1"\n'
        f'[[registry.mirror]]\nlocation = "{registry.host}/{path}/empty"\n'
        f'[[registry.mirror]]\nlocation = "{registry.host}/{path}/there"\n'
    )
    environment = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    pulled = other.run("pull", "registry.invalid/app", environment=environment).stdout
    assert "Status: Downloaded newer image for registry.invalid/app:latest" in pulled
    done = other.run("pull", "registry.invalid/absent", environment=environment, status=1)
    assert "connect to registry.invalid: no such host" in done.stderr


def test_blocked_registry_is_not_asked(
    other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
    before = registry.requests()
    environment = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    done = other.run("pull", name, environment=environment, status=1)
    assert f"is blocked in {conf}" in done.stderr
    assert registry.requests() == before


# Killed


def wait_for(check: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    waited = threading.Event()
    while not check():
        assert process.poll() is None, process.communicate()
        waited.wait(0.005)


def test_killed_pull_is_gone_on_with(
    tierce: Tierce, other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/large").write_bytes(os.urandom(4 << 20))
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    tierce.build(tmp_path / "context", "--push", "-t", name)
    transfers = other.root / "transfers"

    def has_begun() -> bool:
        return transfers.exists() and any(
            each.stat().st_size > 1 << 20 for each in transfers.iterdir()
        )

    with other.start("pull", "--bandwidth", "2m", name) as process:
        wait_for(has_begun, process)
        process.kill()
    before = len(registry.requests())
    other.run("pull", name)
    statuses = [each.split()[-1] for each in registry.requests()[before:] if "/blobs/" in each]
    assert "206" in statuses
    assert list(transfers.iterdir()) == []
    check = other.run("system", "check")
    assert check.status == 0


def test_killed_push_leaves_nothing_half(
    tierce: Tierce, other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/large").write_bytes(os.urandom(4 << 20))
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    tierce.build(tmp_path / "context", "-t", name)
    with tierce.start("push", "--bandwidth", "2m", name) as process:
        wait_for(
            lambda: (
                (tierce.root / "transfers").exists()
                and any(
                    each.name.startswith("upload-")
                    for each in (tierce.root / "transfers").iterdir()
                )
            ),
            process,
        )
        process.kill()
    other.run("pull", name, status=1)
    digest = digest_of(tierce.run("push", name).stdout)
    assert digest in other.run("pull", name).stdout
    assert list((tierce.root / "transfers").iterdir()) == []


def test_two_pulls_at_once_fetch_each_layer_once(
    tierce: Tierce, other: Tierce, tmp_path: Path, registry: RunningRegistry, name: str
) -> None:
    built(tierce, tmp_path / "context", name)
    tierce.run("push", name)
    before = len(registry.requests())
    with (
        other.start("pull", "--bandwidth", "300k", name) as first,
        other.start("pull", "--bandwidth", "300k", name) as second,
    ):
        for process in (first, second):
            _, errors = process.communicate()
            assert process.returncode == 0, errors
    [manifest] = json.loads(tierce.run("image", "inspect", name).stdout)
    gets = [
        each
        for each in registry.requests()[before:]
        if each.startswith("GET") and "/blobs/" in each
    ]
    layers = [each for each in gets if manifest["Id"] not in each]
    assert len(layers) == len(set(layers)) == len(manifest["RootFS"]["Layers"])


# Caches of builds


def ran(shown: str) -> list[str]:
    """Which steps ran, of those that say so."""
    return re.findall(r"^#\d+ [\d.]+ (step-\w+)$", shown, re.MULTILINE)


def cache_context(directory: Path) -> Path:
    text = f"FROM {BASE} AS first\nRUN echo step-one; echo 1 >/first\nFROM {BASE}\n"
    text += "COPY --from=first /first /one\nRUN echo step-two; echo 2 >/two\n"
    return write_context(directory, text)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_cache_goes_to_a_registry_and_comes_from_it(
    tierce: Tierce, base_archive: Path, other: Tierce, tmp_path: Path, name: str, mode: str
) -> None:
    context = cache_context(tmp_path / "context")
    other.run("load", "-q", "-i", str(base_archive))
    first = tierce.build(context, "-t", "app", f"--cache-to=type=registry,ref={name}:c,mode={mode}")
    assert sorted(ran(first.stderr)) == ["step-one", "step-two"]
    assert "exporting cache to registry" in first.stderr
    second = other.build(context, "-t", "app", f"--cache-from=type=registry,ref={name}:c")
    assert ran(second.stderr) == []
    [here] = json.loads(tierce.run("image", "inspect", "app").stdout)
    [there] = json.loads(other.run("image", "inspect", "app").stdout)
    assert here["Id"] == there["Id"]
    assert other.output("app", "cat", "/one", "/two") == "1\n2\n"


def test_cache_in_an_image_of_a_registry_is_used(
    tierce: Tierce, base_archive: Path, other: Tierce, tmp_path: Path, name: str
) -> None:
    context = cache_context(tmp_path / "context")
    other.run("load", "-q", "-i", str(base_archive))
    tierce.build(context, "--push", "-t", name, "--cache-to=type=inline")
    second = other.build(context, "-t", "app", f"--cache-from={name}")
    assert ran(second.stderr) == []
    assert other.output("app", "cat", "/two") == "2\n"


def test_cache_that_is_nowhere_is_a_warning(tierce: Tierce, tmp_path: Path, name: str) -> None:
    context = cache_context(tmp_path / "context")
    shown = tierce.build(context, f"--cache-from=type=registry,ref={name}:absent")
    assert f"import cache from {name}:absent: manifest for {name}:absent not found" in shown.stderr
    assert sorted(ran(shown.stderr)) == ["step-one", "step-two"]


def test_cache_that_cannot_be_written_fails_unless_that_is_ignored(
    tierce: Tierce, tmp_path: Path
) -> None:
    context = cache_context(tmp_path / "context")
    flag = "--cache-to=type=registry,ref=127.0.0.1:1/x"
    failed = tierce.build(context, flag, status=1)
    assert "connect to" in failed.stderr
    ignored = tierce.build(context, f"{flag},ignore-error=true")
    assert "ignored (ignore-error)" in ignored.stderr


def test_library_pulls_and_pushes(tierce: Tierce, other: Tierce, tmp_path: Path, name: str) -> None:
    built(tierce, tmp_path / "context", name)
    steps: list[str] = []
    reference = Reference.parse(name).with_default_tag()
    with Client(tierce.root) as client:
        pushed = client.pushes.push(reference, report=lambda step: steps.append(step.text))
    assert "Pushed" in steps
    with Client(other.root) as client:
        pulled = client.pulls.pull(reference)
        assert pulled.digest == pushed.digest
        assert pulled.is_new
        assert not client.pulls.pull(reference).is_new
        assert client.images.inspect(name).image.id == pulled.image.id
