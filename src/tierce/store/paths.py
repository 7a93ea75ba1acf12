"""Every path of a store, and what is at it. No other module joins names to the root.

<root>/                       0711; what is in it is 0700: layers hold setuid programs
├── tierce.db  -wal  -shm     what is true about everything else here (`database`)
├── turns                     who may write to the database now (`turns`)
├── reserve                   space to be used while a full disk is emptied (`reserve`)
├── collected                 empty; its time says when the cache was last collected (`cache_gc`)
├── leases                    one byte per living lease, held with file locks (`leases`)
├── locks/<name>              locks between processes, there while somebody wants one (`locks`)
├── blobs/<alg>/<hex>         content by its digest; `.<lease>-<n>` while it is written
├── indexes/<alg>/<hex>       what the layer with this diff id holds; can be made again
├── snapshots/<n>/fs          the files of one layer, with overlayfs's whiteouts
├── snapshots/<n>/tree        the files of a layer and of all beneath (copy)
├── snapshots/<n>/work        the kernel's work directory for overlayfs
├── snapshots/<n>/merged      an empty directory to mount the snapshot at
├── snapshots/<n>/erofs       an image by which the layer is mounted from its tar; can be made again
├── snapshots/<n>/lower       an empty directory to mount that at
├── snapshots/empty           a directory for ever empty, beneath layers without a parent
├── containers/<id>/log      what a container has written; `log.1` … before that, if it is bounded
├── containers/<id>/health   the last answers of its health check
├── volumes/<name>/_data      the files of a volume
├── cache-mounts/<n>/         contents of RUN --mount=type=cache
├── contexts/<name>           what the last walk over a build context found; a cache
├── git/<name>/               what was fetched of a git repository; a cache
├── logs/                     complete output of build steps
├── transfers/                what comes in or goes out, and is not complete (`transfers`)
├── reports/                  where an unexpected error wrote what it knew
└── trash/                    things on their way out

<run>/                        0711, gone after a reboot
├── mounts/<name>/            mount points, in private mount namespaces
├── bundles/<id>/             OCI bundles of running containers and steps
├── containers/<id>/          what a container in the background needs while it runs
├── networks/                 who is on a network; for root, one for all stores in /run/tierce
├── layers-<who>              how layers can be mounted here; can be found out again
└── runtime.json              which OCI runtime works here; can be found out again
"""

from __future__ import annotations

import errno
import os
import stat

from tierce.lean.path import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from tierce.oci.digest import Digest

ROOT_VARIABLE = "TIERCE_ROOT"
NAMESPACE_VARIABLE = "TIERCE_USER_NAMESPACE"
"""Set in a user namespace that tierce has entered, for what it starts: "uid:gid" outside."""

SYSTEM_ROOT = "/var/lib/tierce"
SYSTEM_RUN = "/run/tierce"


class Paths:
    """The paths of one store. Nothing is created here; see `create`.

    What lists and builds open in any case is text. Everything else is a `Path`, and none is made
    before the first one is asked for.
    """

    root: Path
    run: Path
    locks: Path
    blobs: Path
    indexes: Path
    snapshots: Path
    containers: Path
    volumes: Path
    cache_mounts: Path
    contexts: Path
    repositories: Path
    logs: Path
    reports: Path
    trash: Path
    mounts: Path
    runtime: Path

    def __init__(self, root: Path | str, run: Path | str, networks: str = "") -> None:
        self._root = os.fspath(root)
        self._run = os.fspath(run)
        self.database = f"{self._root}/tierce.db"
        self.turns = f"{self._root}/turns"
        self.reserve = f"{self._root}/reserve"
        self.collected = f"{self._root}/collected"
        self.leases = f"{self._root}/leases"
        self.lock_files = f"{self._root}/locks"
        self.transfers = f"{self._root}/transfers"
        self.bundles = f"{self._run}/bundles"
        self.detached = f"{self._run}/containers"
        self.networks = f"{networks or self._run}/networks"

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """The paths above, which are missing only before the first one is asked for."""
            if name not in Paths.__annotations__ or "root" in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self._make()
            return getattr(self, name)

    def _make(self) -> None:
        run = Path(self._run)
        self.run = run
        self.mounts = run / "mounts"
        self.runtime = run / "runtime.json"
        root = Path(self._root)
        self.locks = Path(self.lock_files)
        self.blobs = root / "blobs"
        self.indexes = root / "indexes"
        self.snapshots = root / "snapshots"
        self.containers = root / "containers"
        self.volumes = root / "volumes"
        self.cache_mounts = root / "cache-mounts"
        self.contexts = root / "contexts"
        self.repositories = root / "git"
        self.logs = root / "logs"
        self.reports = root / "reports"
        self.trash = root / "trash"
        self.root = root  # the last one, for another thread that asks meanwhile

    def of_store(self) -> list[str]:
        """All that can be in the root but the database."""
        names = [name for name in Paths.__annotations__ if name not in {"root", "run", "runtime"}]
        directories = [os.fspath(getattr(self, name)) for name in names if name != "mounts"]
        return [
            *directories,
            *(self.turns, self.reserve, self.collected, self.leases, self.transfers),
            f"{self._root}/run",
        ]

    def exist(self) -> bool:
        """Whether the store is there: its database is the last thing that is made."""
        return os.path.exists(self.database)

    def run_exist(self) -> bool:
        """Whether the directories are there that a reboot takes away, and are ours."""
        return _is_ours(self.bundles) and _is_ours(self.detached)

    def create(self) -> None:
        """Make the store's directories. Idempotent. Raises OSError."""
        # The parents keep the caller's umask; the modes below must not depend on it.
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for directory in (
            self.snapshots,
            self.snapshots / "empty",
            self.containers,
            self.cache_mounts,
            self.locks,
            self.blobs,
            self.blobs / "sha256",
            self.blobs / "sha512",
            self.indexes,
            self.indexes / "sha256",
            self.indexes / "sha512",
            self.contexts,
            self.repositories,
            self.logs,
            self.reports,
            self.trash,
        ):
            _make_directory(directory, 0o700)

    def create_run(self) -> None:
        """Make the directories that a reboot takes away. Idempotent. Raises OSError.

        They are for nobody else to prepare: $XDG_RUNTIME_DIR may be where others can write.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        above = self.run.parent
        if not os.lstat(above).st_mode & stat.S_ISVTX:
            _check_owner(above, os.geteuid(), 0)
        _check_owner(self.run, os.geteuid())
        self.run.chmod(0o711)
        for directory in (self.mounts, self.bundles, self.detached):
            _make_directory(directory, 0o711)
            _check_owner(directory, os.geteuid())

    def blob(self, digest: Digest) -> Path:
        """The file with this content."""
        return self.blobs / digest.algorithm / digest.hex

    def blob_file(self, digest: Digest) -> str:
        """The same as text."""
        return f"{self._root}/blobs/{digest.algorithm}/{digest.hex}"

    def index(self, diff_id: Digest) -> Path:
        """The index of the layer with this diff id."""
        return self.indexes / diff_id.algorithm / diff_id.hex

    def snapshot(self, number: int) -> Path:
        """The directory of a snapshot; `snapshots.base` names what is in it."""
        return self.snapshots / str(number)

    def container(self, identifier: str) -> Path:
        """The directory of a container."""
        return self.containers / identifier

    def volume(self, name: str) -> Path:
        """The directory of a volume; `volumes` names what is in it."""
        return self.volumes / name

    def cache_mount(self, number: int) -> Path:
        """The directory of a cache mount."""
        return self.cache_mounts / str(number)

    def repository(self, name: str) -> Path:
        """What was fetched of a git repository; `name` is a hash of its address."""
        return self.repositories / name

    def context_cache(self, name: str) -> str:
        """What is remembered of a build context; `name` is a hash, never a path."""
        return f"{self._root}/contexts/{name}"


def is_privileged(environ: Mapping[str, str]) -> bool:
    """Whether this is root, and not an ordinary user in a namespace that tierce has entered."""
    return os.geteuid() == 0 and namespace_owner(environ) is None


def namespace_owner(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """The user and group, outside, whose user namespace tierce has entered; None elsewhere."""
    uid, _, gid = environ.get(NAMESPACE_VARIABLE, "").partition(":")
    if not (uid.isdigit() and gid.isdigit()):
        return None
    # Who has become root by sudo since has brought the variable along, and no namespace.
    with open("/proc/self/uid_map", encoding="ascii") as file:
        first = file.readline().split()
    return (int(uid), int(gid)) if first[:2] == ["0", uid] else None


def default_root(environ: Mapping[str, str], *, privileged: bool) -> str:
    """$TIERCE_ROOT, else /var/lib/tierce for root, else below $XDG_DATA_HOME."""
    if chosen := environ.get(ROOT_VARIABLE):
        return chosen
    if privileged:
        return SYSTEM_ROOT
    data = environ.get("XDG_DATA_HOME", "")
    # The base directory specification has relative paths ignored.
    if not data.startswith("/"):
        data = os.path.join(environ.get("HOME") or "/", ".local/share")
    return os.path.join(data, "tierce")


def default_run(root: str, environ: Mapping[str, str], *, privileged: bool) -> str:
    """Where the state of the store at `root`, which exists, is kept until the next boot.

    Each store has its own directory there, named by the identity of its root, so that one store
    reached by two names has one. Without $XDG_RUNTIME_DIR (a CI job has none) it is in the root.
    """
    if privileged:
        base = SYSTEM_RUN
    elif environ.get("XDG_RUNTIME_DIR", "").startswith("/"):
        base = os.path.join(environ["XDG_RUNTIME_DIR"], "tierce")
    else:
        return f"{root}/run"
    status = os.stat(root)
    return f"{base}/{status.st_dev:x}-{status.st_ino:x}"


def _is_ours(directory: str) -> bool:
    try:
        status = os.lstat(directory)
    except OSError:  # `create_run` will tell
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _check_owner(directory: Path | str, *owners: int) -> None:
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", os.fspath(directory))
    if status.st_uid not in owners:
        raise PermissionError(errno.EPERM, "it belongs to another user", os.fspath(directory))


def _make_directory(path: Path | str, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    os.chmod(path, mode)
