"""A foreign registry, Debian's docker-registry, on the loopback interface."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = shutil.which("docker-registry") or "docker-registry"
USER, PASSWORD = "somebody", "a secret"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


class RunningRegistry:
    """`host` is its "127.0.0.1:port"; `log` says which requests there were."""

    def __init__(self, directory: Path, host: str, log: Path) -> None:
        self.directory = directory
        self.host = host
        self._log = log

    def requests(self) -> list[str]:
        """Each request so far: "GET /v2/ 401"."""
        found = []
        for line in self._log.read_text(errors="replace").splitlines():
            match = re.search(r'"([A-Z]+ \S+) HTTP/1\.1" (\d+)', line)
            if match:
                found.append(f"{match[1]} {match[2]}")
        return found

    @property
    def blobs(self) -> Path:
        return self.directory / "storage/docker/registry/v2/blobs"


@contextmanager
def running_registry(
    directory: Path,
    *,
    password: str = "",
    certificate: tuple[Path, Path] | None = None,
    client_ca: Path | None = None,
    extra: str = "",
) -> Iterator[RunningRegistry]:
    """A registry that runs while the block does; its storage is in the directory.

    With a password, it is for `USER` alone. A certificate comes with its key.
    """
    directory.mkdir(parents=True, exist_ok=True)
    storage = f"filesystem: {{rootdirectory: {directory}/storage}}, delete: {{enabled: true}}"
    lines = ["version: 0.1", "log: {level: info}", f"storage: {{{storage}}}"]
    http = ["addr: 127.0.0.1:0"]
    if certificate is not None:
        tls = f"certificate: {certificate[0]}, key: {certificate[1]}"
        if client_ca is not None:
            tls += f", clientcas: [{client_ca}]"
        http.append(f"tls: {{{tls}}}")
    lines.append(f"http: {{{', '.join(http)}}}")
    if password:
        hashed = subprocess.run(
            ["htpasswd", "-Bbn", "-C", "4", USER, password], capture_output=True, check=True
        ).stdout
        (directory / "htpasswd").write_bytes(hashed)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}")
    if extra:
        lines.append(extra)
    configuration = directory / "config.yml"
    configuration.write_text("\n".join(lines) + "\n")
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(configuration)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        yield RunningRegistry(directory, _await_host(log, process), log)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _await_host(log: Path, process: "subprocess.Popen[bytes]") -> str:
    waited = threading.Event()
    for _ in range(2000):
        if found := _LISTENING.search(log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        waited.wait(0.01)
    raise AssertionError(f"the registry does not start: {log.read_text()}")


class Authority:
    """A CA of a test's own, and certificates that it makes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", self._key, "-out", self.certificate, "-days", "2", "-subj", "/CN=test CA"),
        )

    def issue(self, name: str, subject: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path]:
        """A certificate for a name or an address, and its key."""
        certificate, key = self._directory / f"{name}.cert", self._directory / f"{name}.key"
        request = self._directory / f"{name}.csr"
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subject}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", request, "-subj", f"/CN={name}"),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-CAcreateserial", "-out", certificate, "-days", str(days), "-extfile", extensions),
        )
        return certificate, key


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
