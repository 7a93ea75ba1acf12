"""Serves what golden cases fetch, from the loopback interface.

    web = { "/a.txt" = "text", "/b" = { text = "…", headers = { ETag = '"1"' } } }
    repositories = { name = [ { files = { … }, tag = "v1" }, { branch = "dev", files = { … } } ] }

What a file of the web holds is written down as in a context. The commits of a repository come one
after the other; each may go to a new branch, and have a tag. `@WEB@`, `@GIT@` and `@DIR@` in a
Dockerfile and in `contexts` and `main` stand for the two servers and the context's directory. In
what is recorded the servers are called so, too: their ports are others each time.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.golden.contexts import content_of
from support.servers import FileServer, GitServer, Repository, file_server, git_server

if TYPE_CHECKING:
    from support.golden.cases import Case

_WEB, _GIT, _DIRECTORY = "@WEB@", "@GIT@", "@DIR@"


class Remotes:
    """The two servers, with what one case at a time has on them."""

    def __init__(self, web: FileServer, git: GitServer) -> None:
        self._web = web
        self._git = git

    def serve(self, case: "Case", context: Path) -> "Case":
        """Serve what a case fetches; the case with the addresses put in."""
        for path, entry in case.web.items():
            table: dict[str, Any] = {"text": entry} if isinstance(entry, str) else entry
            self._web.put(path, content_of(table), **table.get("headers", {}))
        for name, commits in case.repositories.items():
            shutil.rmtree(self._git.directory / name, ignore_errors=True)
            _write(self._git.repository(name), commits)

        def filled(text: str) -> str:
            found = text.replace(_WEB, self._web.url).replace(_GIT, self._git.url)
            return found.replace(_DIRECTORY, str(context))

        return case._replace(
            dockerfile=filled(case.dockerfile),
            main=filled(case.main),
            contexts={name: filled(value) for name, value in case.contexts.items()},
        )

    def hidden(self, result: dict[str, Any]) -> dict[str, Any]:
        """A result without what is another one each time."""
        text = json.dumps(result)
        for url, name in ((self._web.url, _WEB), (self._git.url, _GIT)):
            text = text.replace(url, name).replace(url.partition("//")[2], name)
        hidden: dict[str, Any] = json.loads(text)
        return hidden


@contextmanager
def remotes(directory: Path) -> Iterator[Remotes]:
    """Both servers, with their files below a directory, while the block runs."""
    with file_server() as web, git_server(directory / "repositories") as git:
        yield Remotes(web, git)


def _write(repository: Repository, commits: list[dict[str, Any]]) -> None:
    for commit in commits:
        if "branch" in commit:
            repository.run("checkout", "--quiet", "-b", commit["branch"])
        for path, target in commit.get("links", {}).items():
            (repository.path / path).symlink_to(target)
        repository.commit(commit.get("files", {}))
        for path in commit.get("programs", []):
            (repository.path / path).chmod(0o755)
            repository.commit({})
        if "tag" in commit:
            repository.run("tag", "-a", commit["tag"], "-m", "x")
    repository.run("checkout", "--quiet", "main")
