"""A registry that keeps what came of an upload when the line broke, as the specification has it.

Debian's docker-registry gives such an upload up (distribution 2.8: "upload resumed at wrong
offset"), so that it cannot show that uploads are gone on with. Only uploads, and what a push asks
for besides, are here.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class KeepingRegistry:
    """`blobs` and `manifests` that were uploaded, and `uploads` as far as they have come."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[str] = []
        self.host = ""


@contextmanager
def keeping_registry() -> Iterator[KeepingRegistry]:
    """A server that runs while the block does."""
    kept = KeepingRegistry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", headers.get("Content_Length", "0"))
            self.end_headers()

        def _serve(self) -> None:
            url = urlsplit(self.path)
            kept.requests.append(f"{self.command} {url.path}")
            if url.path == "/v2/":
                self._answer(200)
            elif "/uploads/" in url.path:
                self._upload(url.path, parse_qs(url.query))
            elif "/manifests/" in url.path and self.command == "PUT":
                kept.manifests[url.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(201)
            else:
                there = kept.blobs.get(url.path.rpartition("/")[2])
                self.send_response(404 if there is None else 200)
                self.send_header("Content-Length", str(len(there or b"")))
                self.end_headers()

        def _upload(self, path: str, query: dict[str, list[str]]) -> None:
            if self.command == "POST":
                name = str(len(kept.uploads))
                kept.uploads[name] = bytearray()
                self._answer(202, Location=path + name)
                return
            name = path.rpartition("/")[2]
            content = kept.uploads[name]
            if self.command == "PATCH" and not self._append(content):
                self.close_connection = True
                return
            if self.command == "PUT":
                self._append(content)
                digest = query["digest"][0]
                if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
                    self._answer(400)
                    return
                kept.blobs[digest] = bytes(content)
                self._answer(201)
                return
            status = 202 if self.command == "PATCH" else 204
            self._answer(status, Location=path, Range=f"0-{max(len(content) - 1, 0)}")

        def _append(self, content: bytearray) -> bool:
            """What arrives is kept, all of it or not."""
            span = re.match(r"(\d+)-", self.headers.get("Content-Range", "0-"))
            assert span is not None
            assert int(span[1]) == (len(content) if self.command == "PATCH" else 0)
            left = int(self.headers.get("Content-Length", "0"))
            while left:
                data = self.rfile.read1(min(left, 1 << 16))
                if not data:
                    return False
                content += data
                left -= len(data)
            return True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
