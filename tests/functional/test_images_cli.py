"""The commands on images, as a user types them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cli import Cli
from support.images import add_image, add_index
from tierce.oci.config import ContainerConfig, Healthcheck, History
from tierce.store import Store

# ls


def test_ls_has_a_row_for_each_name(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app:1", "app:2", layers=[{"a": b"x" * 1500}])
    short = image.id.short
    for words in (["image", "ls"], ["images"], ["image", "list"]):
        header, *rows = cli(*words).splitlines()
        assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
        assert [row.split()[:3] for row in rows] == [["app", "1", short], ["app", "2", short]]
        assert all(row.endswith("1.5kB") and " ago " in row for row in rows)


def test_ls_of_nothing_is_a_headline(cli: Cli) -> None:
    assert cli("images") == "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n"


def test_image_without_a_name_has_none(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, created=None)
    [_, row] = cli("images").splitlines()
    assert row.split() == ["<none>", "<none>", image.id.short, "N/A", "6B"]


def test_quiet_shows_each_image_once(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app:1", "app:2")
    assert cli("images", "-q") == f"{image.id.short}\n"
    assert cli("images", "-q", "--no-trunc") == f"{image.id}\n"


def test_ls_takes_a_name_a_filter_and_a_pattern(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app:1", "tool:1")
    assert len(cli("images", "app").splitlines()) == 2
    assert len(cli("images", "app:2").splitlines()) == 1
    assert len(cli("images", "docker.io/library/app:1").splitlines()) == 2
    assert len(cli("images", "-f", "reference=t*", "--filter=dangling=false").splitlines()) == 2
    assert "invalid filter 'x'" in cli("images", "-f", "x=y", status=2)
    assert "requires at most 1 argument" in cli("images", "a", "b", status=2)


def test_ls_takes_formats(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app:1")
    short = image.id.short
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}") == f"app:1 {short}\n"
    table = cli("images", "--format", r"table {{.ID}}\t{{.Repository}}")
    assert table == f"IMAGE ID       REPOSITORY\n{short}   app\n"
    document = json.loads(cli("images", "--format", "json"))
    assert list(document) == sorted(document)
    assert (document["ID"], document["Tag"]) == (short, "1")
    assert document["CreatedAt"] == "2024-05-01 10:00:00 +0000 UTC"
    assert json.loads(cli("images", "--format", "{{json .}}")) == document
    refused = cli("images", "--format", "{{.Nope}}", status=1)
    assert refused == (
        'tierce: template parsing error: template: :1:2: executing "" at <.Nope>: '
        "can't evaluate field Nope in type *formatter.imageContext\n"
    )


def test_digests_have_a_column_and_rows_of_their_own(cli_store: Store, cli: Cli) -> None:
    known, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    add_image(cli_store, "app:1", f"app@{known}", f"mirror/app@{other}")
    rows = [line.split()[:3] for line in cli("images", "--digests").splitlines()]
    assert rows == [
        ["REPOSITORY", "TAG", "DIGEST"],
        ["app", "1", known],
        ["mirror/app", "<none>", other],
    ]
    plain = [line.split()[:2] for line in cli("images").splitlines()[1:]]
    assert plain == [["app", "1"], ["mirror/app", "<none>"]]
    assert cli("images", "--format", "{{.Digest}}", "app") == f"{known}\n"


def test_multi_platform_image_has_one_row(cli_store: Store, cli: Cli) -> None:
    here, there = add_image(cli_store), add_image(cli_store, architecture="s390x")
    add_index(cli_store, "app", here, there)
    assert len(cli("images").splitlines()) == 2
    assert len(cli("images", "-a").splitlines()) == 3


# inspect

CONFIG = ContainerConfig(
    user="me",
    exposed_ports=("80/tcp",),
    env=("A=b",),
    entrypoint=("/run",),
    cmd=("a", "<b>"),
    volumes=("/data",),
    working_dir="/w",
    labels=(("maintainer", "anna@example.com"),),
    stop_signal="SIGINT",
    healthcheck=Healthcheck(("CMD", "true"), interval_ns=5_000_000_000, retries=3),
    shell=("/bin/bash", "-c"),
)


def test_inspect_has_dockers_document(cli_store: Store, cli: Cli) -> None:
    image = add_image(
        cli_store, "app:1", "x/app:2", layers=[{"low": b"1"}, {"up": b"2"}], config=CONFIG
    )
    text = cli("image", "inspect", "app:1")
    [document] = json.loads(text)
    assert text.startswith('[\n    {\n        "Id": "sha256:')
    assert '\n                "maintainer": "anna@example.com"\n' in text
    assert document["Id"] == str(image.id)
    assert document["RepoTags"] == ["app:1", "x/app:2"]
    assert document["RepoDigests"] == []
    assert document["Created"] == "2024-05-01T10:00:00Z"
    assert (document["Architecture"], document["Os"]) == ("amd64", "linux")
    assert "Variant" not in document
    assert document["Size"] == 2
    assert len(document["RootFS"]["Layers"]) == 2
    assert document["RootFS"]["Type"] == "layers"
    assert document["Metadata"]["LastTagTime"].startswith("20")
    assert list(document["Config"].items()) == [
        ("Hostname", ""), ("Domainname", ""), ("User", "me"), ("AttachStdin", False),
        ("AttachStdout", False), ("AttachStderr", False), ("ExposedPorts", {"80/tcp": {}}),
        ("Tty", False), ("OpenStdin", False), ("StdinOnce", False), ("Env", ["A=b"]),
        ("Cmd", ["a", "<b>"]),
        ("Healthcheck", {"Test": ["CMD", "true"], "Interval": 5000000000, "Retries": 3}),
        ("Image", ""), ("Volumes", {"/data": {}}), ("WorkingDir", "/w"), ("Entrypoint", ["/run"]),
        ("OnBuild", None), ("Labels", {"maintainer": "anna@example.com"}),
        ("StopSignal", "SIGINT"), ("Shell", ["/bin/bash", "-c"]),
    ]  # fmt: skip


def test_bare_config_has_nulls_where_docker_has_them(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "bare", layers=[], created=None)
    [document] = json.loads(cli("image", "inspect", "bare"))
    config = document["Config"]
    for name in ("Cmd", "Entrypoint", "Volumes", "Labels", "OnBuild", "Env"):
        assert config[name] is None
    assert "ExposedPorts" not in config
    assert document["GraphDriver"]["Data"] is None
    assert document["Created"] == "0001-01-01T00:00:00Z"


def test_graph_driver_names_directories_with_the_files_of_each_layer(
    cli_store: Store, cli: Cli
) -> None:
    add_image(cli_store, "app", layers=[{"low": b"1"}, {"mid": b"2"}, {"up": b"3"}])
    [document] = json.loads(cli("image", "inspect", "app"))
    data = document["GraphDriver"]["Data"]
    assert document["GraphDriver"]["Name"]
    assert list(data) == ["LowerDir", "MergedDir", "UpperDir", "WorkDir"]
    assert (Path(data["UpperDir"]) / "up").read_bytes() == b"3"
    mid, low = map(Path, data["LowerDir"].split(":"))
    assert (mid / "mid").read_bytes() == b"2"
    assert (low / "low").read_bytes() == b"1"
    assert Path(data["MergedDir"]).is_dir()


def test_layers_are_unpacked_only_for_who_asks_where_they_are(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app")
    cli("image", "inspect", "-f", "{{.Id}}", "app")
    snapshot = cli_store.snapshots.for_layers(cli_store.images.config(image).diff_ids)
    assert snapshot is not None
    assert not cli_store.snapshots.get(snapshot.id).unpacked
    cli("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "app")
    assert cli_store.snapshots.get(snapshot.id).unpacked


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "{id}"),
        ("{{.ID}}", "{id}"),
        ("{{.Config.Labels.maintainer}}", "anna@example.com"),
        ('{{index .Config.Labels "nope"}}|', "|"),
        ("{{.Config.Labels.nope}}", "<no value>"),
        ("{{json .Config.Cmd}}", '["a","<b>"]'),
        ('{{join .Config.Env ","}} {{len .RootFS.Layers}}', "A=b 1"),
        ("{{range $p, $_ := .Config.ExposedPorts}}{{$p}}{{end}}", "80/tcp"),
        ("{{.Config.OnBuild}} {{.Config.User | upper}}", "[] ME"),
        (r"{{.Os}}\t{{.Size}}", r"linux\t6"),
        ("{{if .Config.Tty}}tty{{else}}none{{end}}", "none"),
    ],
)
def test_inspect_takes_templates(cli_store: Store, cli: Cli, template: str, text: str) -> None:
    image = add_image(cli_store, "app", config=CONFIG)
    assert cli("image", "inspect", "-f", template, "app") == f"{text}\n".replace(
        "{id}", str(image.id)
    )


def test_mistake_in_a_template_is_told_in_gos_words(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app")
    assert cli("image", "inspect", "-f", "{{.Config.Nope}}", "app", status=1) == (
        'tierce: template parsing error: template: :1:9: executing "" at <.Config.Nope>: '
        'map has no entry for key "Nope"\n'
    )
    assert cli("image", "inspect", "-f", "{{.Config", "app", status=1) == (
        "tierce: template: :1: unclosed action\n"
    )


def test_what_is_missing_is_told_after_what_is_there(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app")
    text = cli("image", "inspect", "-f", "{{.Id}}", "nope", "app", "app", status=1)
    assert text == f"{image.id}\n{image.id}\ntierce: no such image: nope\n"
    assert cli("image", "inspect", "nope", status=1) == "[]\ntierce: no such image: nope\n"
    text = cli("image", "inspect", "--format", "json", "app")
    assert text.startswith('[{"Id":')


def test_inspect_of_anything_finds_images(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app")
    assert cli("inspect", "-f", "{{.Id}}", "app") == f"{image.id}\n"
    assert "no such object: nope" in cli("inspect", "-f", "{{.Id}}", "nope", status=1)
    assert "no such image: nope" in cli("inspect", "--type", "image", "nope", status=1)
    assert "unknown type: spoon" in cli("inspect", "--type", "spoon", "app", status=2)


# history

LONG = "RUN /bin/sh -c apt-get update && apt-get install -y everything # buildkit"


@pytest.fixture
def with_history(cli_store: Store) -> str:
    steps = [
        History("2024-05-01T10:00:00Z", LONG, "buildkit.dockerfile.v0"),
        History("1970-01-01T00:00:00Z", "COPY a\tb\nc", "buildkit.dockerfile.v0"),
        History("2024-05-01T10:00:00Z", 'CMD ["sh"]', "", empty_layer=True),
    ]
    image = add_image(cli_store, "app", layers=[{"a": b"x" * 1500}, {"b": b""}], history=steps)
    return str(image.id)


def test_history_has_a_row_for_each_step(with_history: str, cli: Cli) -> None:
    header, *rows = cli("image", "history", "app").splitlines()
    columns = [
        header.index(name) for name in ("IMAGE", "CREATED ", "CREATED BY", "SIZE", "COMMENT")
    ]
    cells = [
        [row[a:b].strip() for a, b in zip(columns, [*columns[1:], None], strict=True)]
        for row in rows
    ]
    assert [row[0] for row in cells] == [with_history[7:19], "<missing>", "<missing>"]
    assert cells[1][1] == "N/A"
    assert cells[2][1].endswith(" ago")
    assert [row[2] for row in cells] == ['CMD ["sh"]', "COPY a b c", LONG[:44] + "…"]
    assert [row[3] for row in cells] == ["0B", "0B", "1.5kB"]
    assert [row[4] for row in cells] == ["", *["buildkit.dockerfile.v0"] * 2]


def test_history_is_whole_exact_or_short_on_request(with_history: str, cli: Cli) -> None:
    text = cli("history", "--no-trunc", "app")
    assert LONG in text
    assert with_history in text
    exact = cli("history", "--human=false", "--format", "{{.CreatedSince}} {{.Size}}", "app")
    assert exact.splitlines()[::2] == ["2024-05-01T10:00:00Z 0", "2024-05-01T10:00:00Z 1500"]
    assert cli("history", "-q", "app").split() == [with_history[7:19], "<missing>", "<missing>"]
    documents = [json.loads(line) for line in cli("history", "--format=json", "app").splitlines()]
    assert list(documents[0]) == sorted(documents[0])
    assert "no such image: nope" in cli("history", "nope", status=1)


# tag, rm, prune


def test_tag_says_nothing(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app")
    assert cli("tag", "app", "me/app:2") == ""
    assert "me/app" in cli("images")
    assert "no such image: nope" in cli("tag", "nope", "x", status=1)
    assert cli("tag", "app", "UPPER", status=1).startswith("tierce: ")


def test_rm_says_what_it_took_away(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app:1", "app:2")
    assert cli("rmi", "app:1") == "Untagged: app:1\n"
    assert cli("image", "rm", "app:2") == f"Untagged: app:2\nDeleted: {image.id}\n"


def test_rm_goes_on_after_what_it_cannot_remove(cli_store: Store, cli: Cli) -> None:
    add_image(cli_store, "app")
    text = cli("rmi", "nope", "app", status=1)
    assert text.startswith("Untagged: app:latest\n")
    assert text.endswith("tierce: no such image: nope\n")
    assert cli("rmi", "--force", "nope") == "tierce: no such image: nope\n"


def test_rm_refuses_an_image_that_is_used_or_has_several_names(cli_store: Store, cli: Cli) -> None:
    image = add_image(cli_store, "app:1", "other:1")
    assert "must be forced" in cli("rmi", image.id.short, status=1)
    cli_store.containers.add("c" * 64, "busy", image=str(image.id), snapshot=None, state="{}")
    cli_store.images.untag(cli_store.images.names(image)[1])
    assert "container cccccccccccc" in cli("rmi", "app:1", status=1)
    assert f"Deleted: {image.id}\n" in cli("rmi", "-f", image.id.short)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return give


def test_prune_asks_and_says_what_it_freed(
    cli_store: Store, cli: Cli, answer: Callable[[str], None]
) -> None:
    image = add_image(cli_store)
    add_image(cli_store, "app", author="x")
    for no in ("n\n", "\n", ""):
        answer(no)
        text = cli("image", "prune")
        assert text.startswith("WARNING! This will remove all dangling images.\nAre you sure")
        assert "reclaimed" not in text
    answer("y\n")
    text = cli("image", "prune")
    assert f"Deleted Images:\ndeleted: {image.id}\n\nTotal reclaimed space: " in text
    assert cli("image", "prune", "-f") == "Total reclaimed space: 0B\n"


def test_prune_of_all_takes_what_no_container_uses(
    cli_store: Store, cli: Cli, answer: Callable[[str], None]
) -> None:
    image = add_image(cli_store, "app")
    answer("Y\n")
    text = cli("image", "prune", "--all")
    assert "all images without at least one container associated to them" in text
    assert f"untagged: app:latest\ndeleted: {image.id}\n" in text
    assert "invalid filter 'dangling'" in cli(
        "image", "prune", "-f", "--filter", "dangling=true", status=2
    )
