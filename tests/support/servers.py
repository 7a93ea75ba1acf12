"""Servers on the loopback interface for what builds fetch: files by HTTP, repositories by git."""

import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMITTER = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_AUTHOR_DATE": "2020-01-02T03:04:05Z",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_COMMITTER_DATE": "2020-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}


class File:
    """What a path gives: `headers` beside the content, or an answer of its own."""

    def __init__(
        self,
        content: bytes,
        headers: dict[str, str] | None = None,
        answer: Callable[[BaseHTTPRequestHandler], None] | None = None,
    ) -> None:
        self.content = content
        self.headers = headers or {}
        self.answer = answer


class FileServer:
    """Serves `files` by path, and notes each request as "GET /path"."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def put(self, path: str, content: bytes, **headers: str) -> str:
        """Serve content; returns its URL. Underscores in names of headers are hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.files[path] = File(content, named)
        return self.url + path

    def put_answer(self, path: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        """Serve whatever a function writes; returns the URL."""
        self.files[path] = File(b"", answer=answer)
        return self.url + path


@contextmanager
def file_server(certificate: Path | None = None) -> Iterator[FileServer]:
    """A server that runs while the block does; with a certificate and its key, it speaks TLS."""
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            served.requests.append(f"{self.command} {self.path}")
            served.headers.append({name.title(): each for name, each in self.headers.items()})
            file = served.files.get(self.path)
            if file is None:
                self.send_error(404)
            elif file.answer is not None:
                file.answer(self)
            else:
                self._send(file)

        do_GET = do_HEAD = _serve

        def _send(self, file: File) -> None:
            etag = file.headers.get("ETag")
            unchanged = etag is not None and self.headers.get("If-None-Match") == etag
            self.send_response(304 if unchanged else 200)
            for name, value in file.headers.items():
                self.send_header(name, value)
            if unchanged:
                self.end_headers()
                return
            if "Content-Length" not in file.headers:
                self.send_header("Content-Length", str(len(file.content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(file.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    served.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Repository:
    """A git repository that a test writes; `run` runs git in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.run("init", "--quiet", "-b", "main")

    def run(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**COMMITTER, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: dict[str, str], message: str = "commit") -> str:
        """Write files and commit all; returns the commit's id."""
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.run("add", "--all")
        self.run("commit", "--quiet", "--allow-empty", "-m", message)
        return self.run("rev-parse", "HEAD")


class GitServer:
    """A directory of repositories, and the URL at which it is served."""

    def __init__(self, directory: Path, url: str, log: Path) -> None:
        self.directory = directory
        self.url = url
        self._log = log

    def repository(self, name: str) -> Repository:
        return Repository(self.directory / name)

    def requests(self) -> list[str]:
        """The requests there were, as "upload-pack /name" (fetching) or "ls-remote"."""
        lines = self._log.read_text().splitlines()
        return [line.partition("Request ")[2] for line in lines if "Request " in line]


@contextmanager
def git_server(directory: Path) -> Iterator[GitServer]:
    """`git daemon` over a directory, on a port that is free, while the block runs."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory.parent / f"{directory.name}.log"
    with log.open("wb") as errors:
        # Port 0 is whichever is free; the daemon does not tell which, the kernel does.
        port = _free_port()
        process = subprocess.Popen(
            [
                *("git", "daemon", "--reuseaddr", "--verbose", "--export-all"),
                *(f"--base-path={directory}", "--listen=127.0.0.1", f"--port={port}"),
                str(directory),
            ],
            stderr=errors,
            env=COMMITTER,
            start_new_session=True,
        )
        try:
            _await_line(log, "Ready to rumble", process)
            yield GitServer(directory, f"git://127.0.0.1:{port}", log)
        finally:
            # The daemon is a child of git, and a group of its own with it.
            os.killpg(process.pid, 15)
            process.wait()


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])


def _await_line(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    waited = threading.Event()
    for _ in range(1000):
        if text in log.read_text():
            return
        assert process.poll() is None, log.read_text()
        waited.wait(0.01)
    raise AssertionError(f"git daemon does not start: {log.read_text()}")
