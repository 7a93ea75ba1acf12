"""Trees of git repositories: which commit is taken, what of it, and what a stranger cannot do."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from support.servers import GitServer, Repository, file_server, git_server
from tierce.errors import BuildError, Cancelled, RuntimeUnavailable, StoreError
from tierce.graph.ops import GitSource
from tierce.store import Store
from tierce.worker.credentials import Credentials, SecretSource, SshSource
from tierce.worker.files import tree_of
from tierce.worker.urls import redacted
from unit.worker.remotes import Remotes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as running:
        yield running


@pytest.fixture
def repository(server: GitServer) -> Repository:
    made = server.repository("repo")
    made.commit({"a": "one", "dir/b": "B", "dir/sub/c": "C"})
    return made


@pytest.fixture
def url(server: GitServer, repository: Repository) -> str:
    return f"{server.url}/repo"


@pytest.fixture
def remotes(store: Store) -> Remotes:
    return Remotes(store)


def refusal(remotes: Remotes, op: GitSource) -> str:
    with pytest.raises(BuildError) as raised:
        remotes.solve(op)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_default_branch_is_taken_when_none_is_named(remotes: Remotes, url: str) -> None:
    assert set(remotes.files(GitSource(url))) == {"a", "dir", "dir/b", "dir/sub", "dir/sub/c"}


def test_branches_tags_refs_and_commits_are_found(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    first = repository.run("rev-parse", "HEAD")
    repository.run("tag", "-a", "annotated", "-m", "x")
    repository.run("tag", "light")
    repository.run("update-ref", "refs/pull/1/head", "HEAD")
    repository.commit({"a": "two"})
    for name in ("annotated", "light", "refs/tags/light", "refs/pull/1/head", first):
        assert remotes.files(GitSource(url, name))["a"].endswith("one"), name
    for name in ("main", "refs/heads/main", ""):
        assert remotes.files(GitSource(url, name))["a"].endswith("two"), name


def test_branch_wins_over_a_tag_of_the_same_name(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    repository.run("tag", "same")
    repository.run("checkout", "--quiet", "-b", "same")
    repository.commit({"a": "branch"})
    assert remotes.files(GitSource(url, "same"))["a"].endswith("branch")


def test_unchanged_branch_is_not_fetched_again(
    remotes: Remotes, url: str, server: GitServer
) -> None:
    first = remotes.solve(GitSource(url))
    before = len(server.requests())
    assert remotes.solve(GitSource(url)) == first
    # To ask for the default branch, and for the commit that it is.
    assert len(server.requests()) - before == 2
    assert remotes.starts == 1


def test_commit_that_is_known_needs_no_network(
    remotes: Remotes, url: str, server: GitServer, repository: Repository
) -> None:
    commit = repository.run("rev-parse", "HEAD")
    first = remotes.solve(GitSource(url, "main"))
    before = server.requests()
    assert remotes.solve(GitSource(url, commit)) == first
    assert server.requests() == before


def test_next_commit_brings_only_what_it_changed(
    remotes: Remotes, url: str, repository: Repository, store: Store
) -> None:
    repository.commit({"large": os.urandom(200_000).hex()})
    remotes.solve(GitSource(url))
    [kept] = store.paths.repositories.iterdir()
    size = _size(kept)
    repository.commit({"a": "two"})
    assert remotes.files(GitSource(url))["a"].endswith("two")
    assert _size(kept) - size < 50_000


def test_commit_of_the_history_is_found(remotes: Remotes, url: str, repository: Repository) -> None:
    first = repository.run("rev-parse", "HEAD")
    repository.commit({"a": "two"})
    remotes.solve(GitSource(url))  # what is here now has no history
    assert remotes.files(GitSource(url, first))["a"].endswith("one")


def test_ref_that_is_not_there_is_told(remotes: Remotes, url: str) -> None:
    message = f"repository does not contain ref nope: {url}"
    assert refusal(remotes, GitSource(url, "nope")) == message


def test_commit_that_is_not_there_is_told(remotes: Remotes, url: str) -> None:
    absent = "1" * 40
    assert "commit can not be found" in refusal(remotes, GitSource(url, absent))


def test_repository_that_is_not_there_is_told(remotes: Remotes, server: GitServer) -> None:
    message = refusal(remotes, GitSource(f"{server.url}/nope"))
    assert message.startswith(f"fetch repository {server.url}/nope: access denied")


def test_server_that_is_down_is_told(remotes: Remotes, tmp_path: Path) -> None:
    with git_server(tmp_path / "gone") as gone:
        url = f"{gone.url}/repo"
    assert "Connection refused" in refusal(remotes, GitSource(url))


def test_checksum_is_the_commit_or_its_beginning(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    commit = repository.run("rev-parse", "HEAD")
    for checksum in (commit, commit[:8]):
        assert "a" in remotes.files(GitSource(url, "main", checksum=checksum))
    message = refusal(remotes, GitSource(url, "main", checksum="0123"))
    assert message == f"expected checksum to match 0123, got {commit}"
    message = refusal(remotes, GitSource(url, commit, checksum="0123"))
    assert message == f"expected checksum to match 0123, got {commit}"


def test_checksum_of_a_tag_may_be_that_of_its_commit(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    repository.run("tag", "-a", "v1", "-m", "x")
    for name in ("v1", "v1^{commit}"):
        checksum = repository.run("rev-parse", name)
        assert "a" in remotes.files(GitSource(url, "v1", checksum=checksum))


def test_commit_can_be_fetched_without_asking_what_the_branch_is(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    first = repository.run("rev-parse", "HEAD")
    repository.commit({"a": "two"})
    source = GitSource(url, "main", checksum=first, fetch_by_commit=True)
    assert remotes.files(source)["a"].endswith("one")
    assert "requires a checksum" in refusal(remotes, GitSource(url, fetch_by_commit=True))


def test_subdirectory_is_all_there_is(remotes: Remotes, url: str) -> None:
    assert set(remotes.files(GitSource(url, subdirectory="dir/sub"))) == {"c"}
    assert set(remotes.files(GitSource(url, subdirectory="../../dir/./sub/"))) == {"c"}


@pytest.mark.parametrize("target", ["/etc", "dir", "../../..", "."])
def test_subdirectory_cannot_escape_by_a_symlink(
    remotes: Remotes, url: str, repository: Repository, target: str
) -> None:
    (repository.path / "link").symlink_to(target)
    repository.commit({})
    for wanted, inside in (("link", "link"), ("link/sub", "link")):
        message = refusal(remotes, GitSource(url, subdirectory=wanted))
        assert message == (
            f'invalid subdir {wanted}: git subpath "{wanted}" contains non-directory "{inside}"'
        )


def test_subdirectory_that_is_absent_or_a_file_is_refused(remotes: Remotes, url: str) -> None:
    assert "no such directory" in refusal(remotes, GitSource(url, subdirectory="nope"))
    assert "non-directory" in refusal(remotes, GitSource(url, subdirectory="a"))


def test_links_of_a_repository_stay_links(
    remotes: Remotes, url: str, repository: Repository
) -> None:
    (repository.path / "passwd").symlink_to("/etc/passwd")
    repository.commit({})
    assert "-> /etc/passwd" in remotes.files(GitSource(url))["passwd"]


def test_git_directory_is_kept_when_asked_for(remotes: Remotes, url: str, store: Store) -> None:
    tree = tree_of(store, remotes.solve(GitSource(url, "main", keep_git_directory=True)))
    found = {entry.path for entry in tree.walk()}
    assert found >= {".git/HEAD", ".git/index", ".git/refs/heads/main", "a"}
    entry = tree.lookup(".git/config")
    assert entry is not None
    content = tree.content(entry)
    text = Path(content.path).read_bytes()[content.offset :][: content.size].decode()
    assert f"url = {url}" in text
    assert str(store.paths.root) not in text


def test_times_of_files_are_those_of_the_commit_when_asked_for(
    remotes: Remotes, url: str, store: Store
) -> None:
    tree = tree_of(store, remotes.solve(GitSource(url, commit_times=True)))
    assert {entry.mtime_ns for entry in tree.walk()} == {1577934245 * 10**9}


def test_submodules_come_along_unless_they_are_declined(
    remotes: Remotes, url: str, server: GitServer, repository: Repository
) -> None:
    server.repository("part").commit({"inner": "I"})
    _add_submodule(repository, f"{server.url}/part")
    assert "module/inner" in remotes.files(GitSource(url))
    assert "module/inner" not in remotes.files(GitSource(url, submodules=False))


def test_relative_submodules_are_beside_the_remote(
    remotes: Remotes, url: str, server: GitServer, repository: Repository
) -> None:
    server.repository("part").commit({"inner": "I"})
    _add_submodule(repository, f"{server.url}/part", written="../part")
    assert "module/inner" in remotes.files(GitSource(url))


# What strangers may try


@pytest.mark.parametrize("field", ["reference", "remote"])
def test_names_cannot_be_options_of_git(remotes: Remotes, url: str, field: str) -> None:
    hostile = "--upload-pack=touch owned"
    op = GitSource(url).replace(**{field: hostile})
    assert refusal(remotes, op).startswith("invalid git re")
    assert not remotes.store.paths.repositories.exists() or not os.listdir(
        remotes.store.paths.repositories
    )


def test_names_cannot_have_control_characters(remotes: Remotes, url: str) -> None:
    assert "control characters" in refusal(remotes, GitSource(url, "main\nx"))


@pytest.mark.parametrize(
    "remote", ["ext::sh -c 'touch {}'", "file://{}", "{}", "ssh://-oProxyCommand=touch{}"]
)
def test_remote_cannot_run_commands_or_read_this_machine(
    remotes: Remotes, tmp_path: Path, remote: str
) -> None:
    """The front end makes no such source; the worker does not count on that."""
    owned = tmp_path / "owned"
    message = refusal(remotes, GitSource(remote.format(owned), "main"))
    assert message.startswith("invalid git remote")
    assert not owned.exists()


@pytest.mark.parametrize("written", ["ext::sh -c touch% {}", "file://{}", "{}"])
def test_submodule_cannot_run_commands_or_read_this_machine(
    remotes: Remotes,
    url: str,
    server: GitServer,
    repository: Repository,
    tmp_path: Path,
    written: str,
) -> None:
    private = Repository(tmp_path / "private")
    private.commit({"secret": "S"})
    target = tmp_path / "owned" if written.startswith("ext") else private.path
    server.repository("part").commit({"inner": "I"})
    _add_submodule(repository, f"{server.url}/part", written=written.format(target))
    message = refusal(remotes, GitSource(url))
    assert "not allowed" in message or "not allowed" in remotes.log()
    assert not (tmp_path / "owned").exists()


def test_configuration_of_the_user_is_not_read(
    remotes: Remotes, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned = tmp_path / "owned"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = touch {owned}\n\tsshCommand = touch {owned}\n"
        f'[url "http://127.0.0.1:1/"]\n\tinsteadOf = {url}\n'
    )
    remotes.environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_SSH_COMMAND": f"touch {owned}",
        "GIT_EXTERNAL_DIFF": f"touch {owned}",
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_TEMPLATE_DIR": str(tmp_path / "templates"),
    }
    assert "a" in remotes.files(GitSource(url))
    assert not owned.exists()


def test_hooks_left_in_what_is_kept_do_not_run(
    remotes: Remotes, url: str, repository: Repository, store: Store, tmp_path: Path
) -> None:
    remotes.solve(GitSource(url))
    [kept] = store.paths.repositories.iterdir()
    owned = tmp_path / "owned"
    for hooks in kept.glob("*/hooks"):
        for name in ("post-checkout", "reference-transaction", "post-merge"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {owned}\n")
            (hooks / name).chmod(0o755)
    repository.commit({"a": "two"})
    remotes.solve(GitSource(url))
    assert not owned.exists()


def test_cancelling_ends_git_and_its_helpers(remotes: Remotes, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    started = tmp_path / "started"
    os.mkfifo(started)
    (programs / "git").write_text(f"#!/bin/sh\necho > {started}\nsleep 1000\n")
    (programs / "git").chmod(0o755)
    remotes.environment = {"PATH": f"{programs}:{os.environ['PATH']}"}

    def cancel() -> None:
        started.read_text()
        remotes.cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(Cancelled):
            remotes.solve(GitSource("git://127.0.0.1:1/x", "main"))
    finally:
        thread.join()


def test_machine_without_git_is_told_what_to_install(remotes: Remotes, tmp_path: Path) -> None:
    remotes.environment = {"PATH": str(tmp_path)}
    with pytest.raises(RuntimeUnavailable) as raised:
        remotes.solve(GitSource("git://127.0.0.1:1/x", "main"))
    assert raised.value.hint == "install the package git"


def test_ssh_without_an_agent_is_refused_before_anything_is_started(remotes: Remotes) -> None:
    message = refusal(remotes, GitSource("git@127.0.0.1:repo.git", "main"))
    assert 'no SSH key "default" forwarded from the client' in message


def test_ssh_is_given_the_agent_of_the_caller_and_no_configuration(
    remotes: Remotes, url: str, server: GitServer, tmp_path: Path
) -> None:
    """An ssh that runs the command here stands for a server that lets the key in."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\necho "$SSH_AUTH_SOCK $*" >> {tmp_path}/called\n'
        f'for last; do :; done\ncd {server.directory} && eval "$last"\n'
    )
    (programs / "ssh").chmod(0o755)
    remotes.environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        remotes.credentials = Credentials([], [SshSource("default", (str(tmp_path / "agent"),))])
        assert "a" in remotes.files(GitSource("git@127.0.0.1:repo"))
    called = (tmp_path / "called").read_text().splitlines()
    assert called
    assert all(line.startswith(f"{tmp_path}/agent -F /dev/null ") for line in called)


def test_token_goes_to_the_server_and_is_in_no_argument_and_no_file(
    remotes: Remotes, tmp_path: Path, store: Store
) -> None:
    """A git that notes what it was given stands for the real one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nenv >> {tmp_path}/environment\nexit 1\n'
    )
    (programs / "git").chmod(0o755)
    remotes.environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    remotes.credentials = Credentials([SecretSource("GIT_AUTH_TOKEN", content=b"t0ken\n")])
    refusal(remotes, GitSource("https://host.test/x.git", "main"))
    given = (tmp_path / "environment").read_text()
    assert "http.https://host.test/x.git.extraheader" in given
    assert "Authorization: basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=" in given
    assert "basic" not in (tmp_path / "arguments").read_text()


def test_password_of_a_remote_is_not_shown(remotes: Remotes, server: GitServer) -> None:
    url = server.url.replace("git://", "http://user:secret@") + "/x.git"
    message = refusal(remotes, GitSource(url, "main"))
    assert "secret" not in message
    assert redacted(url) in message
    assert "secret" not in remotes.log()


def test_token_that_is_given_as_a_name_is_not_shown(remotes: Remotes) -> None:
    def refuse(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="x"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with file_server() as web:
        url = web.put_answer("/x.git/info/refs?service=git-upload-pack", refuse)
        url = url.partition("/info")[0].replace("http://", "http://t0ken@")
        message = refusal(remotes, GitSource(url, "main"))
    assert "could not read Password" in message
    assert "t0ken" not in message + remotes.log()


def test_store_that_cannot_be_written_to_is_told(remotes: Remotes, url: str, store: Store) -> None:
    store.paths.repositories.rmdir()
    store.paths.repositories.write_text("in the way")
    with pytest.raises(StoreError, match=f"fetch repository {url}: file exists"):
        remotes.solve(GitSource(url))


def test_what_a_killed_build_left_is_removed(
    remotes: Remotes, url: str, repository: Repository, store: Store
) -> None:
    remotes.solve(GitSource(url))
    [kept] = store.paths.repositories.iterdir()
    (kept / "checkouts/left").mkdir()
    (kept / "sha1/shallow.lock").write_text("")
    repository.commit({"a": "two"})
    assert remotes.files(GitSource(url))["a"].endswith("two")
    assert os.listdir(kept / "checkouts") == []


def test_broken_repository_in_the_store_is_made_again(
    remotes: Remotes, url: str, repository: Repository, store: Store
) -> None:
    remotes.solve(GitSource(url))
    [kept] = store.paths.repositories.iterdir()
    shutil.rmtree(kept / "sha1/objects")
    (kept / "sha1/HEAD").unlink()
    repository.commit({"a": "two"})
    assert remotes.files(GitSource(url))["a"].endswith("two")


def _add_submodule(repository: Repository, url: str, *, written: str = "") -> None:
    """A submodule at `module`; `written` is what .gitmodules says instead of its URL."""
    repository.run("submodule", "--quiet", "add", url, "module")
    if written:
        repository.run("config", "--file", ".gitmodules", "submodule.module.url", written)
    repository.commit({})


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
