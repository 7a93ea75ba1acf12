"""Fetches trees of commits with the `git` program.

Repositories come from strangers, and so do their names and those of their branches: `gitprogram`
says what git is kept from.

What is fetched is kept in a bare repository for each remote, so that the next commit costs what it
changed. It has objects and nothing to be configured by: every checkout begins with a fresh one that
borrows its objects.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager

from tierce.errors import BuildError
from tierce.store.failures import reported
from tierce.values import Value
from tierce.worker import files
from tierce.worker.context import LocalTree
from tierce.worker.digests import DigestCache
from tierce.worker.gitprogram import Expected, Git, scrubbed
from tierce.worker.urls import redacted

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tierce.graph.ops import GitSource
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.worker.access import Access
    from tierce.worker.results import FileSystem

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_REMOTE = re.compile(r"(?i:https?|ssh|git)://[^-]|\w[\w-]*@[a-zA-Z0-9.][a-zA-Z0-9.-]*:", re.ASCII)
_HEX = re.compile("[0-9a-fA-F]+")


class Commit(Value):
    """What a source stands for: an object's `id`, of a commit or of a tag that is kept as one.

    `reference` is the full name that it has at the remote, empty when only the commit was named.
    `key` tells the tree that is made of it from every other.
    """

    id: str
    reference: str
    key: tuple[str, ...]


class GitFetcher:
    """Resolves and fetches git sources. May be used from several threads."""

    def __init__(
        self,
        store: Store,
        environment: Mapping[str, str],
        access: Access,
    ) -> None:
        self._store = store
        self._environment = environment
        self._access = access

    def resolve(self, op: GitSource, step: Step) -> Commit:
        """The commit that a source stands for; the remote is asked unless it is named.

        Raises BuildError, Cancelled, RuntimeUnavailable without git.
        """
        _refuse_options(op)
        if op.checksum and not _HEX.fullmatch(op.checksum):
            raise BuildError(
                f"invalid checksum {op.checksum} for Git URL, expected hex commit hash"
            )
        if _COMMIT.fullmatch(op.reference):
            if not op.reference.startswith(op.checksum):
                raise _mismatch(op.checksum, op.reference)
            return _commit(op, op.reference, "", op.reference)
        if op.fetch_by_commit:
            return self._trusted(op)
        return self._asked(op, step)

    def fetch(self, op: GitSource, commit: Commit, step: Step) -> FileSystem:
        """The tree of a commit that was resolved. Raises as `resolve`, and StoreError."""
        repository = self._store.paths.repository(_name(op.remote))
        with self._brought(op, commit, step) as (bare, git):
            # What a killed build left here has no other use.
            shutil.rmtree(repository / "checkouts", ignore_errors=True)
            (repository / "checkouts").mkdir()
            with tempfile.TemporaryDirectory(dir=repository / "checkouts") as directory:
                tree = _Checkout(directory, bare, git, op, commit).make()
                if op.commit_times:
                    _set_times(tree, git.commit_time(bare.directory, commit.id))
                return files.gather(self._store, LocalTree(tree, None, DigestCache("")), "/")

    def commit_time(self, op: GitSource, commit: Commit, step: Step) -> int:
        """When a commit was made, in seconds since 1970. Raises as `fetch`."""
        with self._brought(op, commit, step) as (bare, git):
            return git.commit_time(bare.directory, commit.id)

    @contextmanager
    def _brought(self, op: GitSource, commit: Commit, step: Step) -> Iterator[tuple[_Bare, Git]]:
        """The repository with a commit in it, for nobody else while the block runs."""
        repository = self._store.paths.repository(_name(op.remote))
        with (
            self._store.locks.hold_unless(step.cancelled, f"git-{repository.name}"),
            self._access.agent(op.remote) as agent,
            reported(f"fetch repository {redacted(op.remote)}"),
        ):
            git = self._program(op, step, agent)
            bare = _Bare(repository, git, len(commit.id))
            bare.bring(op, commit)
            yield bare, git

    def _trusted(self, op: GitSource) -> Commit:
        """The commit of the checksum, without a look at what the reference stands for."""
        if not op.checksum:
            raise BuildError("fetch-by-commit requires a checksum or a commit SHA ref")
        if not _COMMIT.fullmatch(op.checksum):
            raise BuildError(
                f'fetch-by-commit requires a full commit SHA checksum, got "{op.checksum}"'
            )
        reference = op.reference
        if reference and not reference.startswith("refs/"):
            reference = f"refs/heads/{reference}"
        return _commit(op, op.checksum, reference, op.checksum)

    def _asked(self, op: GitSource, step: Step) -> Commit:
        with self._access.agent(op.remote) as agent:
            git = self._program(op, step, agent)
            reference = op.reference or self._default_branch(git, op.remote)
            listed = git.run("ls-remote", "--", op.remote, reference, reference + "^{}")
        found = {name: commit for commit, _, name in _lines(listed)}
        tag = "refs/tags/" + reference.removeprefix("refs/tags/")
        candidates = (
            "refs/" + reference.removeprefix("refs/"),
            # git checkout prefers branches where a name is ambiguous.
            "refs/heads/" + reference.removeprefix("refs/heads/"),
            tag,
        )
        full = next((name for name in candidates if name in found), "")
        if not full:
            raise BuildError(
                f"repository does not contain ref {reference}: {redacted(op.remote)}",
                hint="name a branch, a tag or a whole commit id",
            )
        commit = found[full]
        peeled = found.get(tag + "^{}", "") if full == tag else ""
        if not _COMMIT.fullmatch(commit):
            raise BuildError(f'invalid commit sha "{commit}"')
        names = [commit, peeled] if peeled else [commit]
        if op.checksum and not any(each.startswith(op.checksum) for each in names):
            raise _mismatch(op.checksum, " or ".join(names))
        return _commit(op, commit, full, commit if op.keep_git_directory else names[-1])

    def _program(self, op: GitSource, step: Step, agent: str) -> Git:
        environment = scrubbed(self._environment, self._access.git_config(op.remote))
        if agent:
            environment["SSH_AUTH_SOCK"] = agent
        return Git(environment, step, op.remote)

    def _default_branch(self, git: Git, remote: str) -> str:
        listed = git.run("ls-remote", "--symref", "--", remote, "HEAD")
        found = re.search(r"refs/heads/(\S+)", listed)
        if found is None or found[1].startswith("-"):
            raise BuildError(f"could not find default branch for repository: {redacted(remote)}")
        return found[1]


class _Bare:
    """The repository that has what was fetched of one remote."""

    def __init__(self, path: Path, git: Git, digits: int) -> None:
        self.directory = os.fspath(path / ("sha256" if digits == 64 else "sha1"))
        self._git = git
        if not os.path.exists(f"{self.directory}/HEAD"):
            shutil.rmtree(self.directory, ignore_errors=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            form = "sha256" if digits == 64 else "sha1"
            git.run("init", "--quiet", "--bare", f"--object-format={form}", "--", self.directory)
        os.utime(path)  # the last use, for whoever prunes

    def bring(self, op: GitSource, commit: Commit) -> None:
        """Have the commit here. Raises BuildError."""
        if self._has(commit.id):
            return
        for name in ("shallow.lock", "index.lock"):
            if os.path.lexists(f"{self.directory}/{name}"):
                os.unlink(f"{self.directory}/{name}")
        if commit.reference and not op.fetch_by_commit:
            self._fetch(op.remote, f"+{commit.reference}:refs/tierce/head", shallow=True)
        else:
            self._fetch(op.remote, commit.id, shallow=op.fetch_by_commit)
        if not self._has(commit.id) and not op.fetch_by_commit:
            # The reference has moved since it was asked for.
            self._fetch(op.remote, commit.id, shallow=False)
        if not self._has(commit.id):
            raise BuildError(
                f"fetched ref {op.reference or commit.reference} does not match expected commit"
                f" {commit.id} and commit can not be found in the repository"
            )

    def _has(self, id: str) -> bool:
        return self._git.works("cat-file", "-e", f"{id}^{{commit}}", directory=self.directory)

    def _fetch(self, remote: str, wanted: str, *, shallow: bool) -> None:
        arguments = ["fetch"]
        if shallow:
            arguments += ["--depth=1", "--no-tags"]
        else:
            arguments.append("--tags")
            if os.path.exists(f"{self.directory}/shallow"):
                arguments.append("--unshallow")
        everything = ["+refs/heads/*:refs/tierce/heads/*", "+refs/tags/*:refs/tierce/tags/*"]
        # Servers that cannot cut history off, and those that give no commit by its name alone.
        attempts = [
            ([*arguments, "--", remote, wanted], ("--depth", "shallow", "not our ref", "unadvert")),
            (["fetch", "--no-tags", "--", remote, *everything], ()),
        ]
        for attempt, ignored in attempts:
            try:
                self._git.run(*attempt, directory=self.directory, ignore=ignored)
                return
            except Expected:
                continue


class _Checkout:
    """The files of a commit in a temporary directory."""

    def __init__(self, directory: str, bare: _Bare, git: Git, op: GitSource, commit: Commit):
        self._directory = directory
        self._bare = bare
        self._git = git
        self._op = op
        self._commit = commit
        self._files = f"{directory}/files"

    def make(self) -> str:
        """The directory that holds the wanted files. Raises BuildError."""
        os.mkdir(self._files, 0o755)
        subdirectory = os.path.normpath(f"/{self._op.subdirectory}").lstrip("/")
        if self._op.keep_git_directory and not subdirectory:
            self._clone()
        else:
            self._check_out()
        if subdirectory:
            _check_directories(self._files, subdirectory)
        return os.path.join(self._files, subdirectory) if subdirectory else self._files

    def _check_out(self) -> None:
        directory = f"{self._directory}/git"
        form = "sha256" if len(self._commit.id) == 64 else "sha1"
        self._git.run("init", "--quiet", "--bare", f"--object-format={form}", "--", directory)
        with open(f"{directory}/objects/info/alternates", "w", encoding="utf-8") as file:
            file.write(f"{self._bare.directory}/objects\n")
        if os.path.exists(f"{self._bare.directory}/shallow"):
            shutil.copy(f"{self._bare.directory}/shallow", f"{directory}/shallow")
        git = self._git.within(self._files, GIT_DIR=directory)
        git.run("checkout", "--quiet", "--no-overlay", self._commit.id, "--", ".")
        self._update_submodules(git)

    def _clone(self) -> None:
        """A checkout that is a repository: as BuildKit's, with one commit and one name."""
        directory = f"{self._files}/.git"
        git = self._git.within(self._files, GIT_DIR=directory)
        form = ["--object-format=sha256"] if len(self._commit.id) == 64 else []
        git.run("init", "--quiet", *form)
        # A URL, so that git speaks to the other repository instead of copying its files.
        git.run("remote", "add", "origin", f"file://{self._bare.directory}")
        name = self._commit.reference
        kept = "refs/tierce/checkout"
        self._git.run("update-ref", kept, self._commit.id, directory=self._bare.directory)
        wanted = f"{kept}:{name}" if name else kept
        git.run("fetch", "--quiet", "-u", "--depth=1", "--", "origin", wanted)
        git.run("checkout", "--quiet", "FETCH_HEAD")
        if name and not name.startswith("refs/tags/"):
            # BuildKit fetches into a tag that is called as the reference was; so it is here, too.
            asked = self._op.reference or name.removeprefix("refs/heads/")
            asked = name if self._op.fetch_by_commit else asked
            git.run("update-ref", f"refs/tags/{asked}", self._commit.id)
        git.run("remote", "set-url", "origin", redacted(self._op.remote))
        git.run("reflog", "expire", "--all", "--expire=now")
        if os.path.exists(f"{directory}/FETCH_HEAD"):
            os.unlink(f"{directory}/FETCH_HEAD")
        self._update_submodules(git)

    def _update_submodules(self, git: Git) -> None:
        if self._op.submodules and os.path.lexists(f"{self._files}/.gitmodules"):
            # What is relative in .gitmodules is so to the remote.
            url = f"remote.origin.url={self._op.remote}"
            git.run("-c", url, "submodule", "update", "--init", "--recursive", "--depth=1")


def _refuse_options(op: GitSource) -> None:
    """Names that git would take for options."""
    if op.reference.startswith("-"):
        raise BuildError(f'invalid git ref "{op.reference}"')
    if not _REMOTE.match(op.remote):
        raise BuildError(f'invalid git remote "{redacted(op.remote)}"')
    if any(ord(each) < 32 for each in op.remote + op.reference):
        raise BuildError("invalid git remote: it has control characters")


def _commit(op: GitSource, id: str, reference: str, tree: str) -> Commit:
    key = [tree]
    if op.keep_git_directory:
        key.append(f".git#{reference or id}")
    if op.subdirectory:
        key.append(f":{op.subdirectory}")
    if not op.submodules:
        key.append("(skip-submodules)")
    if op.commit_times:
        key.append("(mtime=commit)")
    return Commit(id, reference, tuple(key))


def _mismatch(expected: str, actual: str) -> BuildError:
    return BuildError(f"expected checksum to match {expected}, got {actual}")


def _name(remote: str) -> str:
    return hashlib.sha256(remote.encode("utf-8", "surrogateescape")).hexdigest()


def _lines(listed: str) -> Iterator[tuple[str, str, str]]:
    for line in listed.splitlines():
        yield line.partition("\t")


def _check_directories(root: str, path: str) -> None:
    """Refuse a subdirectory that a link leads to: it may lead anywhere."""
    at = root
    for part in path.split("/"):
        at = f"{at}/{part}"
        try:
            mode = os.lstat(at).st_mode
        except FileNotFoundError:
            raise BuildError(
                f"invalid subdir {path}: the repository has no such directory"
            ) from None
        if not stat.S_ISDIR(mode):
            inside = at[len(root) + 1 :]
            raise BuildError(
                f'invalid subdir {path}: git subpath "{path}" contains non-directory "{inside}"'
            )


def _set_times(root: str, seconds: int) -> None:
    when = (seconds * 10**9, seconds * 10**9)
    for directory, _, names in os.walk(root, topdown=False):
        for name in names:
            os.utime(f"{directory}/{name}", ns=when, follow_symlinks=False)
        os.utime(directory, ns=when)
