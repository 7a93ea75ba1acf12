"""The operations of a build, modelled on BuildKit's LLB.

An operation is a pure value. It names its inputs by position in its vertex: input 0 is always the
file system it works on; further inputs are where files come from. Paths inside a file system are
absolute, normalised, with `/` as separator.
"""

from __future__ import annotations

from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.values import Value


class Scratch(Value):
    """The empty file system. No inputs."""


class ImageSource(Value):
    """The file system of an image. No inputs.

    `reference` is canonical ("docker.io/library/alpine:3.15"), `manifest` the digest it resolved
    to for `platform`, `diff_ids` its layers, bottom first. Only the layers change the result.
    """

    reference: str
    manifest: Digest
    platform: Platform
    diff_ids: tuple[Digest, ...]


class LocalSource(Value):
    """A directory of the caller, by the name it has in the request ("context"). No inputs."""

    name: str


class BlobSource(Value):
    """Content of the store, as the only file `name` of a file system. No inputs."""

    digest: Digest
    name: str
    mode: int = 0o600


class HttpSource(Value):
    """One file, fetched from `url`, as the only file `name` of a file system. No inputs.

    `mode` holds its permission bits. `checksum` is the digest that its content must have, or
    empty.
    """

    url: str
    name: str
    checksum: str = ""
    mode: int = 0o600


class GitSource(Value):
    """The tree of a commit. No inputs.

    `remote` is what git can fetch from; `reference` a branch, tag, ref or commit, empty for the
    default branch; `subdirectory` the part of the tree that is wanted, relative. `checksum` is the
    commit, or the beginning of its name, that `reference` must stand for, or empty. With
    `fetch_by_commit` nobody looks whether it does: that commit is what is fetched. Files have the
    time of the commit with `commit_times`, else that of their arrival.
    """

    remote: str
    reference: str = ""
    subdirectory: str = ""
    keep_git_directory: bool = False
    checksum: str = ""
    submodules: bool = True
    fetch_by_commit: bool = False
    commit_times: bool = False


class Bind(Value):
    """Shows `source` inside input number `input` at `target`, for one Exec only.

    Writes to it, where it is not `read_only`, are thrown away.
    """

    target: str
    input: int
    source: str = "/"
    read_only: bool = True


class CacheMount(Value):
    """A directory at `target` that outlives the build, shared by all builds that say its `id`.

    `sharing` is "shared", "private" or "locked". When `input` is not 0, a new cache starts with
    what `source` inside that input holds.
    """

    target: str
    id: str
    sharing: str = "shared"
    read_only: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    input: int = 0
    source: str = "/"


class Tmpfs(Value):
    """An empty directory in memory at `target`, of `size` bytes at most (0: the kernel's limit)."""

    target: str
    size: int = 0
    read_only: bool = False


class Secret(Value):
    """The secret called `id`: as a file at `target`, as the variable `env`, or both.

    An empty `target` or `env` means not in that way. A secret that was not given is left out,
    unless it is `required`. What the secret is has no part in the digest.
    """

    id: str
    target: str = ""
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class Ssh(Value):
    """A socket at `target` of the agent that the caller calls `id`; see `Secret`."""

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount = Bind | CacheMount | Tmpfs | Secret | Ssh


class Ulimit(Value):
    """A limit of setrlimit(2) for a process; -1 is no limit."""

    name: str
    soft: int
    hard: int


class Limits(Value):
    """What a process may use at most; 0 and "" say nothing about it.

    `memory` and `memory_swap` (memory and swap together, -1: no limit) are bytes, `cpu_period` and
    `cpu_quota` microseconds, `cpu_shares` is relative to 1024; `cpuset_cpus` and `cpuset_mems` are
    lists as "0-3,7". `shm_size` is that of /dev/shm in bytes.
    """

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 0
    cgroup_parent: str = ""


class Exec(Value):
    """Runs a process on input 0; the result is input 0 with the changes it made.

    `env` holds (name, value) pairs in order; `user` is what USER says, unresolved ("", "app",
    "1000:1000"); `network` is "default", "host" or "none"; `hosts` are extra lines of
    /etc/hosts as (name, address). `cwd` is made when absent. `security` is "sandbox" or
    "insecure". `proxy` is put behind `env`; neither it nor the `limits` have a part in the
    digest: a build behind another proxy, or on a smaller machine, is the same build.
    """

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    security: str = "sandbox"
    proxy: tuple[tuple[str, str], ...] = ()
    limits: Limits = Limits()


class CopyPart(Value):
    """What a Copy takes out of its input number `input`.

    `sources` are paths below the root of that input. They may hold wildcards (Go's path.Match), a
    link at the end of one is followed, and one that names a directory means its contents. When
    they are `literal` they are names of what was made for this copy: no character has a meaning,
    and a directory that is not there yet is made with its mode and owner. `unpack` extracts
    tar archives, as ADD does. `includes` are patterns, in the form of .dockerignore, of what is
    taken of a directory; the directories that it is in come with it (`--parents`).
    """

    input: int
    sources: tuple[str, ...]
    literal: bool = False
    unpack: bool = False
    includes: tuple[str, ...] = ()


class Copy(Value):
    """Copies the parts, one after the other, to `destination` in input 0, as one layer.

    `destination` keeps its trailing "/", which makes it a directory. `owner` is what --chown
    says, unresolved, or empty to keep the owners of the source. `mode` is what --chmod says (see
    `modes`), or empty. `excludes` are patterns, in the form of .dockerignore, of what is left out
    of directories. No more than one of the inputs is a directory of the caller.
    """

    parts: tuple[CopyPart, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    excludes: tuple[str, ...] = ()


class MakeDirectory(Value):
    """Makes `path` and its parents in input 0, unless it is there already.

    `owner` is unresolved as in Copy; `mode` holds permission bits.
    """

    path: str
    mode: int = 0o755
    owner: str = ""


class MakeFile(Value):
    """Writes `content` to the file `path` in input 0, whose parents are made."""

    path: str
    content: bytes
    mode: int = 0o644


class Merge(Value):
    """Lays the layers of input 1, which was made on nothing, over input 0 (`COPY --link`)."""


Source = Scratch | ImageSource | LocalSource | BlobSource | HttpSource | GitSource
Op = Source | Exec | Copy | MakeDirectory | MakeFile | Merge
