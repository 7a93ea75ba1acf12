"""A page that says who serves it; `/health` answers "ok". Listens on $HOST:$PORT."""

import itertools
import os
import platform
import signal
import string
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = string.Template(Path(__file__).with_name("templates").joinpath("page.html").read_text())
VISITS = itertools.count(1)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(200, "text/html; charset=utf-8", self.page())
        elif self.path == "/health":
            self.answer(200, "text/plain", "ok\n")
        else:
            self.answer(404, "text/plain", "not found\n")

    def page(self) -> str:
        return PAGE.substitute(
            version=os.environ.get("VERSION", "unknown"),
            system=f"{platform.freedesktop_os_release()['PRETTY_NAME']} on {platform.machine()}",
            process=f"{os.getpid()}, Python {platform.python_version()}",
            visits=next(VISITS),
        )

    def answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    address = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    # Process 1 has no default handler for SIGTERM: without this, stopping would take a SIGKILL.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ThreadingHTTPServer(address, Hello) as server:
        print(f"listening on {address[0]}:{address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
