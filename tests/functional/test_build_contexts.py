"""`tierce build` with contexts that are no plain directory: how they are told apart, what counts.

None of them needs a network but the loopback interface.
"""

import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.golden import base
from support.golden.contexts import compress, tar_of
from support.program import Outcome, Tierce, outcome_of, write_context
from support.servers import FileServer, GitServer, file_server, git_server
from tierce.oci.platform import Platform

COPY_ALL = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as running:
        yield running


def build(tierce: Tierce, *words: str, status: int = 0, stdin: bytes | None = None) -> Outcome:
    """Build; what is piped in comes as it is, bytes and not text."""
    command = ("build", "--progress", "plain", *words)
    if stdin is None:
        return tierce.run(*command, status=status)
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        with tierce.start(*command, stdin=file.fileno()) as process:
            outcome = outcome_of(process)
    assert outcome.status == status, outcome
    assert "Traceback" not in outcome.stderr
    return outcome


def files_of(tierce: Tierce, *words: str, stdin: bytes | None = None) -> dict[str, Any]:
    """The files of the image that is built, as members of a tar by their paths."""
    target = tierce.root.parent / "result.tar"
    build(tierce, "-o", f"type=tar,dest={target}", *words, stdin=stdin)
    with tarfile.open(target) as tar:
        return {member.name.rstrip("/"): member for member in tar}


def context_tar(*members: dict[str, Any], dockerfile: str = COPY_ALL) -> bytes:
    return tar_of([{"path": "Dockerfile", "text": dockerfile}, *members])


# Standard input


def test_dockerfile_on_standard_input_has_no_context(shared: Tierce) -> None:
    assert files_of(shared, "-", stdin=b"FROM scratch\nWORKDIR /made\n").keys() == {"made"}
    message = build(shared, "-", stdin=COPY_ALL.replace(".", "a").encode(), status=1).stderr
    assert '"/a": not found' in message


@pytest.mark.parametrize("form", ["none", "gzip", "bzip2", "xz"])
def test_archive_on_standard_input_is_the_context(shared: Tierce, form: str) -> None:
    raw = compress(context_tar({"path": "a", "text": "A", "owner": [5, 6]}), form)
    found = files_of(shared, "-", stdin=raw)
    assert found.keys() == {"Dockerfile", "a"}
    # As with BuildKit: what is unpacked keeps its owners, unlike a directory of the caller.
    assert (found["a"].uid, found["a"].gid) == (5, 6)


def test_dockerfile_of_an_archive_is_named_from_its_top(shared: Tierce) -> None:
    raw = context_tar({"path": "sub/other", "text": "FROM scratch\nCOPY sub/other /\n"})
    assert files_of(shared, "-f", "sub/other", "-", stdin=raw).keys() == {"other"}
    message = build(shared, "-f", "nope", "-", stdin=raw, status=1).stderr
    assert "read Dockerfile: nope: no such file in the archive" in message


def test_ignore_file_of_an_archive_does_not_count(shared: Tierce) -> None:
    raw = context_tar({"path": "a", "text": "A"}, {"path": ".dockerignore", "text": "a"})
    assert "a" in files_of(shared, "-", stdin=raw)


def test_standard_input_cannot_be_two_things(shared: Tierce) -> None:
    message = build(shared, "-f", "-", "-", stdin=b"", status=2).stderr
    assert "can't use stdin for both build context and dockerfile" in message
    message = build(shared, "-f", "x", "-", stdin=b"FROM scratch\n", status=2).stderr
    assert "both stdin and flag correspond to Dockerfiles" in message


def test_same_archive_is_found_in_the_cache(tierce: Tierce) -> None:
    raw = context_tar({"path": "a", "text": "A"})
    build(tierce, "-", stdin=raw)
    shown = build(tierce, "-", stdin=raw).stderr
    assert shown.count("CACHED") == 2


# Hostile archives


@pytest.mark.parametrize("name", ["../escaped", "/../escaped", "a/../../escaped"])
def test_archive_cannot_write_above_its_top(shared: Tierce, tmp_path: Path, name: str) -> None:
    message = build(shared, "-", stdin=context_tar({"path": name, "text": "x"}), status=1).stderr
    assert "ERROR" in message
    assert not [path for path in shared.root.rglob("escaped*") if path.exists()]
    assert not (tmp_path / "escaped").exists()


def test_absolute_names_of_an_archive_are_below_its_top(shared: Tierce) -> None:
    raw = context_tar({"path": "/etc/passwd", "text": "x"})
    assert files_of(shared, "-", stdin=raw)["etc/passwd"].size == 1


def test_link_of_an_archive_cannot_lead_out_when_it_is_copied(shared: Tierce) -> None:
    members = [
        {"path": "out", "symlink": "/etc"},
        {"path": "up", "symlink": "../../../../../../etc"},
    ]
    for name in ("out", "up"):
        raw = context_tar(*members, dockerfile=f"FROM scratch\nCOPY {name}/passwd /\n")
        message = build(shared, "-", stdin=raw, status=1).stderr
        assert "not found" in message


def test_dockerfile_of_an_archive_cannot_be_a_file_of_the_host(shared: Tierce) -> None:
    raw = tar_of([{"path": "Dockerfile", "symlink": "/etc/passwd"}])
    assert "no such file in the archive" in build(shared, "-", stdin=raw, status=1).stderr


def test_archive_that_is_cut_short_is_refused(shared: Tierce) -> None:
    raw = context_tar({"path": "a", "text": os.urandom(500_000).hex()})
    message = build(shared, "-", stdin=raw[:300_000], status=1).stderr
    assert "ERROR: add context: " in message
    message = build(shared, "-", stdin=gzip.compress(raw)[:300], status=1).stderr
    assert "ERROR: unpack build context: the archive is damaged, or cut short" in message


def test_archive_with_too_long_a_header_is_refused(shared: Tierce) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"comment": "x" * (2 << 20)}
        tar.addfile(info)
    assert "ERROR: add context: " in build(shared, "-", stdin=buffer.getvalue(), status=1).stderr


# Addresses of files


def test_archive_at_a_url_is_the_context(shared: Tierce, server: FileServer) -> None:
    url = server.put("/c.tar.gz", gzip.compress(context_tar({"path": "a", "text": "A"})))
    assert files_of(shared, url).keys() == {"Dockerfile", "a"}


def test_dockerfile_at_a_url_is_a_context_of_its_own(shared: Tierce, server: FileServer) -> None:
    url = server.put("/anything", COPY_ALL.encode())
    # As with BuildKit, which calls it so.
    assert files_of(shared, url).keys() == {"context"}


def test_unchanged_context_at_a_url_is_not_fetched_again(
    tierce: Tierce, server: FileServer
) -> None:
    url = server.put("/c.tar", context_tar(), ETag='"1"')
    build(tierce, url)
    shown = build(tierce, url).stderr
    assert server.requests == ["GET /c.tar", "HEAD /c.tar"]
    assert shown.count("CACHED") == 2


def test_url_that_is_not_there_is_told(shared: Tierce, server: FileServer) -> None:
    message = build(shared, f"{server.url}/nope.tar", status=1).stderr
    assert f"ERROR: fetch {server.url}/nope.tar: invalid response status 404" in message


def test_dockerfile_may_be_at_a_url(shared: Tierce, server: FileServer, tmp_path: Path) -> None:
    url = server.put("/df", b"FROM scratch\nCOPY a /by-url\n")
    context = write_context(tmp_path / "context", "FROM nothing", {"a": "A"})
    assert files_of(shared, "-f", url, str(context)).keys() == {"by-url"}


def test_dockerfile_from_standard_input_uses_the_remote_context(
    shared: Tierce, server: FileServer
) -> None:
    url = server.put("/c.tar", context_tar({"path": "a", "text": "A"}))
    assert files_of(shared, "-f", "-", url, stdin=b"FROM scratch\nCOPY a /b\n").keys() == {"b"}


# Repositories


def test_repository_is_the_context(shared: Tierce, repositories: GitServer) -> None:
    made = repositories.repository("repo")
    made.commit({"Dockerfile": COPY_ALL, "a": "A"})
    made.run("checkout", "--quiet", "-b", "dev")
    made.commit({"sub/Dockerfile": COPY_ALL, "sub/b": "B"})
    made.run("checkout", "--quiet", "main")
    url = f"{repositories.url}/repo"
    assert files_of(shared, url).keys() == {"Dockerfile", "a"}
    assert files_of(shared, f"{url}#dev:sub").keys() == {"Dockerfile", "b"}
    assert files_of(shared, f"{url}?branch=dev&subdir=sub").keys() == {"Dockerfile", "b"}


def test_git_directory_of_a_context_is_kept_by_a_build_argument(
    shared: Tierce, repositories: GitServer
) -> None:
    repositories.repository("repo").commit({"Dockerfile": COPY_ALL})
    keep = ("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
    assert ".git/HEAD" in files_of(shared, *keep, f"{repositories.url}/repo")


def test_ref_of_a_context_that_is_not_there_is_told(
    shared: Tierce, repositories: GitServer
) -> None:
    repositories.repository("repo").commit({"Dockerfile": COPY_ALL})
    message = build(shared, f"{repositories.url}/repo#nope", status=1).stderr
    assert "ERROR: repository does not contain ref nope" in message


def test_directory_that_looks_like_an_address_is_a_directory(
    shared: Tierce, tmp_path: Path
) -> None:
    write_context(tmp_path / "github.com/a/b", COPY_ALL)
    done = shared.run("build", "-q", "github.com/a/b", cwd=tmp_path)
    assert done.stdout.startswith("sha256:")


# Ignore files


def test_ignore_file_of_the_dockerfile_goes_before_that_of_the_context(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path / "context",
        COPY_ALL,
        {"a": "", "b": "", ".dockerignore": "a\n", "df/x": COPY_ALL, "df/x.dockerignore": "b\n"},
    )
    elsewhere = write_context(tmp_path / "elsewhere", COPY_ALL)
    (elsewhere / "Dockerfile.dockerignore").write_text("a\nb\n")
    assert "b" in files_of(shared, str(context))
    assert "a" not in files_of(shared, str(context))
    assert "b" not in files_of(shared, "-f", "df/x", str(context))
    found = files_of(shared, "-f", str(elsewhere / "Dockerfile"), str(context))
    assert not {"a", "b"} & found.keys()


def test_dockerfile_from_standard_input_has_no_ignore_file_of_its_own(
    shared: Tierce, tmp_path: Path
) -> None:
    ignored = {"a": "", "b": "", ".dockerignore": "a\n", "Dockerfile.dockerignore": "b\n"}
    context = write_context(tmp_path / "context", "FROM nothing", ignored)
    found = files_of(shared, "-f", "-", str(context), stdin=COPY_ALL.encode())
    assert "b" in found
    assert "a" not in found


def test_dockerfile_may_be_in_small_letters(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", COPY_ALL, {"a": ""})
    (context / "Dockerfile").rename(context / "dockerfile")
    (context / "dockerfile.dockerignore").write_text("a")
    assert files_of(shared, str(context)).keys() == {"dockerfile", "dockerfile.dockerignore"}


# Contexts with names


def named(**contexts: object) -> list[str]:
    return [f"--build-context={name}={value}" for name, value in contexts.items()]


def test_directory_with_a_name_is_copied_from_mounted_and_built_on(
    shared: Tierce, tmp_path: Path
) -> None:
    other = write_context(tmp_path / "other", "", {"b": "B", "no": "", ".dockerignore": "no"})
    context = write_context(
        tmp_path / "context",
        "FROM golden-base AS run\nRUN --mount=from=files,target=/m cp -r /m /copied\n"
        "FROM files\nCOPY --from=run /copied/b /mounted\nCOPY --from=files b /again\n",
    )
    found = files_of(shared, *named(files=other), str(context))
    assert {"b", "mounted", "again"} <= found.keys()
    assert "no" not in found


def test_repository_and_url_with_names(
    shared: Tierce, tmp_path: Path, repositories: GitServer, server: FileServer
) -> None:
    repositories.repository("repo").commit({"sub/a": "A"})
    context = write_context(
        tmp_path / "context", "FROM scratch\nCOPY --from=r / /\nCOPY --from=u context /file\n"
    )
    contexts = named(r=f"{repositories.url}/repo#:sub", u=server.put("/x", b"X"))
    assert files_of(shared, *contexts, str(context)).keys() == {"a", "file"}


@pytest.mark.parametrize("name", ["alpine", "docker.io/library/alpine", "alpine:latest"])
@pytest.mark.parametrize("written", ["alpine", "docker.io/library/alpine:latest"])
def test_image_is_replaced_under_any_of_its_names(
    shared: Tierce, tmp_path: Path, name: str, written: str
) -> None:
    context = write_context(tmp_path / "context", f"FROM {written}\n")
    arguments = (f"--build-context={name}=docker-image://golden-app", str(context))
    build(shared, "-t", "replaced", *arguments)
    [image] = json.loads(shared.run("inspect", "replaced").stdout)
    assert image["Config"]["User"] == "app"


def test_other_tags_of_an_image_are_not_replaced(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM alpine:3\n")
    done = build(shared, *named(alpine="docker-image://golden-app"), str(context), status=1)
    assert "docker.io/library/alpine:3: not found" in done.stderr


def test_stage_is_replaced_with_all_its_steps(shared: Tierce, tmp_path: Path) -> None:
    other = write_context(tmp_path / "other", "", {"b": "B"})
    context = write_context(
        tmp_path / "context",
        "FROM absent AS part\nRUN false\nFROM scratch\nCOPY --from=part b /\n",
    )
    assert files_of(shared, *named(part=other), str(context)).keys() == {"b"}


def test_stage_stands_in_for_an_image(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context",
        "FROM scratch AS mine\nCOPY a /a\nFROM theirs\nCOPY --from=theirs a /b\n",
        {"a": "A"},
    )
    assert files_of(shared, *named(theirs="target:mine"), str(context)).keys() == {"a", "b"}
    done = build(shared, *named(theirs="target:nope"), str(context), status=1)
    assert "failed to find target nope for context theirs" in done.stderr


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An OCI layout with two images that have no names of their own in it."""
    directory = tmp_path_factory.mktemp("layouts") / "layout"
    digests = base.write_base_layout(directory, Platform.host().architecture)
    index = json.loads((directory / "index.json").read_text())
    for manifest, tag in zip(index["manifests"], ("one", "two"), strict=True):
        manifest["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (directory / "index.json").write_text(json.dumps(index))
    return directory, digests


@pytest.mark.parametrize("by", ["digest", "tag"])
def test_image_of_a_layout_is_built_on(
    tierce: Tierce, tmp_path: Path, layout: tuple[Path, dict[str, str]], by: str
) -> None:
    directory, digests = layout
    which = f"@{digests['golden-app']}" if by == "digest" else ":two"
    context = write_context(tmp_path / "context", "FROM base\nUSER root\nRUN id -u > /id\n")
    build(tierce, "-t", "made", *named(base=f"oci-layout://{directory}{which}"), str(context))
    [image] = json.loads(tierce.run("inspect", "made").stdout)
    assert image["Config"]["WorkingDir"] == "/srv/app"
    # What was only built on is no image of the user's.
    assert "<none>" not in tierce.run("image", "ls", "-a").stdout
    tierce.run("system", "prune", "-f")
    assert tierce.run("system", "check").status == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/absent", "failed to get build context x: /absent: no such file or directory"),
        ("/etc/passwd", "failed to get build context x: /etc/passwd: not a directory"),
        ("ftp://host/x", "failed to get build context x: ftp://host/x: no such file"),
        ("docker-image://absent", "docker.io/library/absent:latest: not found in the store"),
        ("docker-image://UPPER", "repository name"),
        ("oci-layout:///absent", "/absent"),
        ("git://127.0.0.1:1/x?what=1", 'unexpected query "what"'),
    ],
)
def test_context_that_is_not_there_is_refused(
    shared: Tierce, tmp_path: Path, value: str, message: str
) -> None:
    context = write_context(tmp_path / "context", "FROM scratch\nCOPY --from=x / /\n")
    assert message in build(shared, *named(x=value), str(context), status=1).stderr


def test_layout_without_such_an_image_is_refused(
    shared: Tierce, tmp_path: Path, layout: tuple[Path, dict[str, str]]
) -> None:
    context = write_context(tmp_path / "context", "FROM x\n")
    done = build(shared, *named(x=f"oci-layout://{layout[0]}:nope"), str(context), status=1)
    assert "failed to resolve digest" in done.stderr


def test_context_that_nothing_uses_is_not_opened(
    shared: Tierce, tmp_path: Path, server: FileServer
) -> None:
    context = write_context(tmp_path / "context", "FROM scratch\nWORKDIR /x\n")
    build(shared, *named(unused=f"{server.url}/x", y="docker-image://absent"), str(context))
    assert server.requests == []


@pytest.mark.parametrize("flag", ["novalue", "UPPER CASE=x"])
def test_context_needs_a_name_and_a_value(shared: Tierce, tmp_path: Path, flag: str) -> None:
    context = write_context(tmp_path / "context", "FROM scratch\n")
    done = shared.start("build", f"--build-context={flag}", str(context))
    with done as process:
        outcome = outcome_of(process)
    assert outcome.status in (1, 2)
    assert "invalid context" in outcome.stderr


def test_layout_of_a_failed_build_leaves_no_image(
    tierce: Tierce, tmp_path: Path, layout: tuple[Path, dict[str, str]]
) -> None:
    context = write_context(tmp_path / "context", "FROM x\nUSER root\nRUN false\n")
    build(tierce, *named(x=f"oci-layout://{layout[0]}:one"), str(context), status=1)
    assert "<none>" not in tierce.run("image", "ls", "-a").stdout


# ADD


def test_secret_token_is_in_no_layer_and_no_output(
    tierce: Tierce, tmp_path: Path, server: FileServer
) -> None:
    url = server.put("/a", b"text")
    context = write_context(tmp_path / "context", f"FROM scratch\nADD {url} /a\n")
    secret = tmp_path / "secret"
    secret.write_text("t0ken-of-mine")
    done = build(tierce, f"--secret=id=HTTP_AUTH_TOKEN_127.0.0.1,src={secret}", str(context))
    assert server.headers[0]["Authorization"] == "Bearer t0ken-of-mine"
    assert "t0ken" not in done.stderr
    for path in tierce.root.rglob("*"):
        assert not path.is_file() or b"t0ken-of-mine" not in path.read_bytes(), path


def test_add_of_what_is_unchanged_is_cached(
    tierce: Tierce, tmp_path: Path, server: FileServer, repositories: GitServer
) -> None:
    repositories.repository("repo").commit({"b": "B"})
    url = server.put("/a", b"text", ETag='"1"')
    context = write_context(
        tmp_path / "context", f"FROM scratch\nADD {url} /\nADD {repositories.url}/repo /r/\n"
    )
    first = tierce.image_id(context)
    shown = build(tierce, str(context)).stderr
    assert shown.count("CACHED") == 2
    assert tierce.image_id(context) == first


@pytest.mark.parametrize("path", ["x.git", "x.tar"])
def test_addresses_are_shown_and_kept_without_who_logs_in(
    tierce: Tierce, tmp_path: Path, server: FileServer, path: str
) -> None:
    url = f"{server.url}/{path}".replace("http://", "http://s0me:t0ken@")
    write_context(tmp_path / "c", "FROM scratch\nCOPY --from=n . /\n")
    for words in (
        (url,),
        ("-f", url.replace(".git", ".tar"), str(tmp_path / "c")),
        ("--build-context", f"n={url}", str(tmp_path / "c")),
    ):
        shown = build(tierce, *words, status=1)
        assert "xxxxx" in shown.stderr
        assert "t0ken" not in shown.stdout + shown.stderr
        assert "s0me" not in shown.stdout + shown.stderr


# SOURCE_DATE_EPOCH

TELL_EPOCH = """\
ARG SOURCE_DATE_EPOCH=1
FROM golden-base
ARG SOURCE_DATE_EPOCH
RUN echo "epoch is ${SOURCE_DATE_EPOCH-unset}"
"""


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ((), {}, "1"),
        ((), {"SOURCE_DATE_EPOCH": "1600000000"}, "1600000000"),
        (("SOURCE_DATE_EPOCH=7",), {"SOURCE_DATE_EPOCH": "1600000000"}, "7"),
        (("SOURCE_DATE_EPOCH",), {"SOURCE_DATE_EPOCH": "1600000000"}, "1600000000"),
        (("SOURCE_DATE_EPOCH=context",), {}, "unset"),
    ],
)
def test_epoch_of_the_environment_is_a_build_argument(
    shared: Tierce,
    tmp_path: Path,
    words: tuple[str, ...],
    environment: dict[str, str],
    expected: str,
) -> None:
    context = str(write_context(tmp_path / "context", TELL_EPOCH))
    arguments = [f"--build-arg={word}" for word in words]
    outcome = shared.run(
        "build", "--no-cache", "--progress", "plain", *arguments, context, environment=environment
    )
    assert f"epoch is {expected}\n" in outcome.stderr


def test_epoch_is_the_time_of_an_archive_on_standard_input(shared: Tierce) -> None:
    raw = tar_of(
        [
            {"path": "Dockerfile", "text": TELL_EPOCH, "mtime": 1500000000},
            {"path": "a", "text": "A", "mtime": 1500000001},
        ]
    )
    words = ("--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=context", "-")
    assert "epoch is 1500000001\n" in build(shared, *words, stdin=raw).stderr


def test_source_of_the_epoch_is_fetched_once(tierce: Tierce, server: FileServer) -> None:
    url = server.put("/a", b"text", Last_Modified="Wed, 01 Jan 2020 00:00:00 GMT")
    text = f"""\
ARG SOURCE_DATE_EPOCH=source
FROM scratch AS source
ADD {url} /
FROM scratch
COPY --from=source /a /
"""
    build(tierce, "-t", "app", "-", stdin=text.encode())
    assert server.requests == ["GET /a"]
    [image] = json.loads(tierce.run("image", "inspect", "app").stdout)
    assert image["Created"] == "2020-01-01T00:00:00Z"


def test_secret_token_of_the_epochs_source_is_not_shown(
    tierce: Tierce, tmp_path: Path, server: FileServer
) -> None:
    for path in ("x.git", "x.tar"):
        url = f"{server.url}/{path}".replace("http://", "http://s0me:t0ken@")
        text = (
            "ARG SOURCE_DATE_EPOCH=source\nFROM scratch AS source\nARG U\nADD $U /\nFROM scratch\n"
        )
        words = ("--build-arg", f"U={url}", str(write_context(tmp_path / "c", text)))
        shown = build(tierce, *words, status=1)
        assert "xxxxx" in shown.stderr
        assert "t0ken" not in shown.stdout + shown.stderr
