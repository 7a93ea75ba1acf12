"""Base images without a registry: a Debian or Ubuntu root file system from its own packages.

mmdebstrap does the work (debootstrap where only that is installed), with the apt sources of this
machine, and its tar goes into the store as it is written.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import threading
import time

from tierce.archive.filesystem import import_filesystem
from tierce.client.bootstrap_programs import BootstrapRequest, Release, program_for
from tierce.errors import ArchiveError, InvalidValue, RuntimeUnavailable, TierceError, UsageError
from tierce.export.history import timestamp
from tierce.oci.config import ContainerConfig
from tierce.oci.platform import Platform
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from tierce.store import Store
    from tierce.store.images import Image

    Report = Callable[[str], None]

__all__ = ["VARIANTS", "BootstrapRequest", "bootstrap", "parse_release"]

VARIANTS = ("minbase", "essential", "apt", "required", "buildd", "important", "standard")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RELEASES = {
    "debian": {"latest": "stable", "11": "bullseye", "12": "bookworm", "13": "trixie"},
    "ubuntu": {"latest": "noble", "20.04": "focal", "22.04": "jammy", "24.04": "noble"},
}
"""Tags that are not the name of a suite."""

_READ_SIZE = 1 << 20
_ARCHITECTURES = {
    "armel": "arm/v5",
    "armhf": "arm/v7",
    "i386": "386",
    "mips64el": "mips64le",
    "ppc64el": "ppc64le",
}
"""Debian's names that are not the image specification's."""


def parse_release(name: str) -> Release:
    """Raises UsageError for a name that is no release of Debian or Ubuntu, or no name at all."""
    try:
        reference = Reference.parse(name).with_default_tag()
    except InvalidValue as error:
        raise UsageError(error.message, hint=error.hint) from error
    distribution = reference.path.rpartition("/")[2]
    tag = reference.tag or ""
    if distribution not in RELEASES or reference.digest is not None:
        raise UsageError(
            f"bootstrap {name}: only Debian and Ubuntu are made this way",
            hint="name it debian:SUITE or ubuntu:SUITE, as in debian:bookworm",
        )
    suite = tag.removesuffix("-slim")
    return Release(
        reference, distribution, RELEASES[distribution].get(suite, suite), tag.endswith("-slim")
    )


def bootstrap(store: Store, request: BootstrapRequest, report: Report = lambda line: None) -> Image:
    """Make the image and give it its name; `report` is told of progress, a line at a time.

    The store changes only when all has gone well. Raises UsageError, RuntimeUnavailable when
    neither program is installed, TierceError with the program's last words when it fails.
    """
    release = parse_release(request.name)
    if request.variant not in VARIANTS:
        raise UsageError(
            f"bootstrap {request.name}: no such variant: {request.variant}",
            hint=f"one of {', '.join(VARIANTS)}",
        )
    with tempfile.TemporaryDirectory(prefix="tierce-bootstrap-") as directory:
        command, shown = program_for(request, release, directory)
        report(f"making {release.reference.familiar} with {shown}")
        created = time.time() if request.epoch is None else request.epoch
        with _Output(request, command, shown, report) as output:
            image = import_filesystem(
                store,
                io.BufferedReader(output, _READ_SIZE),
                created=timestamp(created),
                name=release.reference,
                config=ContainerConfig(env=(f"PATH={PATH}",), cmd=("bash",)),
                message=f"{release.distribution} {release.suite}, {request.variant}, by {shown}",
                platform=_platform(request.architecture),
            )
    return image


def _platform(architecture: str) -> Platform | None:
    if not architecture:
        return None
    return Platform.parse(f"linux/{_ARCHITECTURES.get(architecture, architecture)}")


class _Output(io.RawIOBase):
    """What a program writes, as a stream whose end is an error when the program has failed.

    A reader so never takes a file system for whole that the program could not finish.
    """

    def __init__(
        self, request: BootstrapRequest, command: Sequence[str], shown: str, report: Report
    ) -> None:
        self._doing = f"bootstrap {request.name}"
        self._shown = shown
        self._report = report
        self._last_words: list[str] = []
        environment = dict(os.environ)
        if request.epoch is not None:
            environment["SOURCE_DATE_EPOCH"] = str(request.epoch)
        try:
            self._process = subprocess.Popen(
                command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
            )
        except OSError as error:
            raise RuntimeUnavailable(f"{self._doing}: run {shown}: {error.strerror}") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def readinto(self, buffer: Any) -> int:
        size = self._stdout.readinto(buffer)
        if not size:
            self._check()
        return size

    def readable(self) -> bool:
        return True

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.terminate()  # it takes its mounts down before it ends
        self._stdout.close()
        self._process.wait()
        self._listener.join()
        if kind is not None and issubclass(kind, ArchiveError):
            self._check()

    @property
    def _stdout(self) -> io.FileIO:
        stdout = self._process.stdout
        assert isinstance(stdout, io.FileIO)  # unbuffered: the reader has a buffer of its own
        return stdout

    def _check(self) -> None:
        status = self._process.wait()
        self._listener.join()
        if status:
            # The first error is the cause; those after it tell who gave up because of it.
            errors = [line[3:] for line in self._last_words if line.startswith("E: ")]
            cause = (errors or self._last_words[-1:] or [f"exit status {status}"])[0]
            raise TierceError(f"{self._doing}: {self._shown} failed: {cause}", hint=self._hint())

    def _hint(self) -> str:
        words = " ".join(self._last_words).lower()
        if "could not resolve" in words or "failed to fetch" in words or "connect" in words:
            return "the package archive cannot be reached; --mirror names another"
        if "keyring" in words or "no_pubkey" in words or "not signed" in words:
            return "the archive's keys are in the package debian-archive-keyring or ubuntu-keyring"
        if "permission denied" in words or "unshare" in words:
            return "it works as root, and otherwise where user namespaces are allowed"
        return ""

    def _listen(self) -> None:
        """Pass on what the program says; the last lines are why it failed, if it does."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for raw in stream:
                line = raw.decode(errors="replace").strip()
                text = line.removeprefix("I: ")
                if text == line:
                    self._last_words = [*self._last_words[-99:], line]
                elif text.endswith("...") and "tempdir" not in text and "signal" not in text:
                    self._report(text)
