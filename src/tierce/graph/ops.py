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


Mount = Bind | CacheMount


class Exec(Value):
    """Runs a process on input 0; the result is input 0 with the changes it made.

    `env` holds (name, value) pairs in order; `user` is what USER says, unresolved ("", "app",
    "1000:1000"); `network` is "default", "host" or "none"; `hosts` are extra lines of
    /etc/hosts as (name, address). `cwd` is made when absent. `proxy` is put behind `env`, but a
    build behind another proxy is the same build: it has no part in the digest.
    """

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    proxy: tuple[tuple[str, str], ...] = ()


class Copy(Value):
    """Copies `sources` out of input 1 to `destination` in input 0.

    Sources are paths below the root of input 1 and may hold wildcards (Go's path.Match); one
    that ends in "/" or names a directory means its contents. `destination` keeps its trailing "/",
    which makes it a directory. `owner` is what --chown says, unresolved, or empty to keep
    the owners of the source. `mode` is what --chmod says (see `modes`), or empty. `unpack` extracts
    local tar archives, as ADD does.
    """

    sources: tuple[str, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    unpack: bool = False


class MakeDirectory(Value):
    """Makes `path` and its parents in input 0, unless it is there already.

    `owner` is unresolved as in Copy; `mode` holds permission bits.
    """

    path: str
    mode: int = 0o755
    owner: str = ""


Op = Scratch | ImageSource | LocalSource | Exec | Copy | MakeDirectory
