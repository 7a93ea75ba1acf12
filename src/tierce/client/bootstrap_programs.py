"""The programs that fill a Debian root file system, and how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from tierce.client.apt_sources import AptSource, sources_of_release
from tierce.errors import RuntimeUnavailable, UsageError
from tierce.oci.reference import Reference
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEFT_OUT_OF_SLIM = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
KEPT_IN_SLIM = ("/usr/share/doc/*/copyright",)
EXTRA_CERTIFICATES = "/usr/local/share/ca-certificates"
INHERITED_APT_SETTINGS = (
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)
"""What makes this machine's sources work, so that they work in the image as well."""


class BootstrapRequest(Value):
    """`name` is "debian:SUITE" or "ubuntu:SUITE"; "-slim" after the suite leaves documents out.

    `include` are more packages, `architecture` is Debian's name of another one than this
    machine's, `mirror` an archive to use in place of this machine's sources. `epoch` (seconds,
    SOURCE_DATE_EPOCH) makes equal packages give equal images.
    """

    name: str
    variant: str = "minbase"
    include: tuple[str, ...] = ()
    architecture: str = ""
    mirror: str = ""
    epoch: int | None = None


class Release(Value):
    """What a request asks for, understood."""

    reference: Reference
    distribution: str
    suite: str
    slim: bool


def program_for(
    request: BootstrapRequest, release: Release, directory: str
) -> tuple[list[str], str]:
    """The words of a program that writes the file system as a tar to its output, and its name."""
    if shutil.which("mmdebstrap"):
        return _mmdebstrap(request, release, directory), "mmdebstrap"
    if shutil.which("debootstrap"):
        return _debootstrap(request, release, directory), "debootstrap"
    raise RuntimeUnavailable(
        f"bootstrap {request.name}: neither mmdebstrap nor debootstrap is installed",
        hint="install one, as root: apt-get install mmdebstrap",
    )


def _mmdebstrap(request: BootstrapRequest, release: Release, directory: str) -> list[str]:
    sources = [] if request.mirror else sources_of_release(release.distribution, release.suite)
    include = list(request.include)
    hooks = ['rm -f "$1/etc/hostname" "$1/etc/resolv.conf"']  # copied from here for the chroot
    for key in sorted({source.signed_by for source in sources}):
        # A key outside of what the distribution installs would not be there for a later update.
        if key.startswith("/") and not key.startswith("/usr/share/keyrings/"):
            hooks += [f'copy-in "{key}" "{os.path.dirname(key)}"']
    if _uses_https(sources, request.mirror):
        include.append("ca-certificates")
        hooks += _certificate_hooks()
    command = ["mmdebstrap", f"--variant={request.variant}", "--format=tar", "--skip=output/dev"]
    command += [f"--include={package}" for package in include]
    command += [f"--customize-hook={hook}" for hook in hooks]
    command += [f"--aptopt={setting}" for setting in _apt_settings()]
    command += [f"--dpkgopt={option}" for option in _dpkg_options(release)]
    if request.architecture:
        command.append(f"--architectures={request.architecture}")
    command += [release.suite, "-"]
    return command + (
        [request.mirror] if request.mirror else _as_mirrors(release, sources, directory)
    )


def _as_mirrors(release: Release, sources: Sequence[AptSource], directory: str) -> list[str]:
    """The sources as mmdebstrap takes them: lines as words, stanzas in a file."""
    mirrors = [source.text for source in sources if source.is_line]
    stanzas = [source.text for source in sources if not source.is_line]
    if stanzas:
        path = os.path.join(directory, f"{release.distribution}.sources")  # its name in the image
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n\n".join(stanzas) + "\n")
        mirrors.append(path)
    return mirrors


def _debootstrap(request: BootstrapRequest, release: Release, directory: str) -> list[str]:
    """A shell script: debootstrap knows one mirror and fills a directory."""
    if os.geteuid() != 0:
        raise RuntimeUnavailable(
            f"bootstrap {request.name}: debootstrap needs root",
            hint="as root, or without: apt-get install mmdebstrap",
        )
    if request.variant not in {"minbase", "buildd"}:
        raise UsageError(
            f"bootstrap {request.name}: debootstrap has no variant {request.variant}",
            hint="apt-get install mmdebstrap",
        )
    sources = [] if request.mirror else sources_of_release(release.distribution, release.suite)
    root = os.path.join(directory, "root")
    words = ["debootstrap", f"--variant={request.variant}"]
    if request.include:
        words.append(f"--include={','.join(request.include)}")
    if request.architecture:
        words.append(f"--arch={request.architecture}")
    words += [release.suite, root]
    mirror = request.mirror or next((source.uris[0] for source in sources if source.uris), "")
    if mirror:
        words.append(mirror)
    listed = "\n".join(_as_line(source) for source in sources)
    epoch = int(time.time()) if request.epoch is None else request.epoch
    script = f"""
        "$@" >&2
        cd {_quoted(root)}
        if [ -n "$SOURCES" ]; then printf '%s\\n' "$SOURCES" >etc/apt/sources.list; fi
        printf '%s\\n' "$SETTINGS" >etc/apt/apt.conf.d/99bootstrap
        rm -rf etc/hostname etc/resolv.conf var/log/bootstrap.log var/log/dpkg.log \\
            var/log/alternatives.log var/cache/apt/*.bin var/cache/apt/archives/*.deb \\
            var/cache/ldconfig/aux-cache var/lib/apt/lists/* dev
        mkdir dev
        exec tar --create --numeric-owner --one-file-system --xattrs --sort=name \\
            --mtime=@{epoch} --clamp-mtime --pax-option=delete=atime,delete=ctime .
    """
    settings = "".join(f"{setting}\n" for setting in _apt_settings())
    environment = ["env", f"SOURCES={listed}", f"SETTINGS={settings}"]
    return [*environment, "sh", "-euc", script, "bootstrap", *words]


def _as_line(source: AptSource) -> str:
    if source.is_line:
        return source.text
    options = f"[signed-by={source.signed_by}] " if source.signed_by.startswith("/") else ""
    places = [f"{uri} {suite}" for uri in source.uris for suite in source.suites]
    return "\n".join(f"deb {options}{place} {' '.join(source.components)}" for place in places)


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _uses_https(sources: Sequence[AptSource], mirror: str) -> bool:
    return any(uri.startswith("https:") for source in sources for uri in source.uris) or (
        mirror.startswith("https:")
    )


def _certificate_hooks() -> Iterator[str]:
    """The certificates that this machine trusts beyond the common ones."""
    try:
        names = sorted(os.listdir(EXTRA_CERTIFICATES))
    except OSError:
        names = []
    for name in names:
        if name.endswith(".crt"):
            yield f'copy-in "{EXTRA_CERTIFICATES}/{name}" {EXTRA_CERTIFICATES}'
    if names:
        yield 'chroot "$1" update-ca-certificates >/dev/null 2>&1'


def _apt_settings() -> list[str]:
    """Lines of apt.conf for the image."""
    settings = ['Acquire::Languages "none";']
    for key in INHERITED_APT_SETTINGS:
        command = ["apt-config", "dump", "--no-empty", key]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:  # mmdebstrap runs on machines without apt's own programs too
            return settings
        settings += done.stdout.splitlines()
    return settings


def _dpkg_options(release: Release) -> Iterator[str]:
    # An image is made again after a crash of the machine; a sync after each file buys nothing.
    yield "force-unsafe-io"
    if release.slim:
        yield from (f"path-exclude={pattern}" for pattern in LEFT_OUT_OF_SLIM)
        yield from (f"path-include={pattern}" for pattern in KEPT_IN_SLIM)
