"""A bad line between a client and a server: a proxy that spoils what goes through it.

Works on bytes, not on HTTP, except where it answers itself. What it does to which connection or
answer is decided by a `Plan`, so that a seed gives the same faults each time.
"""

import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CHUNK = 1 << 14


class Fault:
    """What happens to one request: `cut_after` bytes of the answer (or of the request, `up`) the
    connection ends; byte number `flip` of the answer's body is another; the proxy answers with
    `status` itself; `lie` changes a header of the answer."""

    def __init__(
        self,
        *,
        cut_after: int = -1,
        up: bool = False,
        flip: int = -1,
        status: int = 0,
        headers: str = "",
        lie: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.cut_after = cut_after
        self.up = up
        self.flip = flip
        self.status = status
        self.headers = headers
        self.lie = lie

    def __repr__(self) -> str:
        return f"Fault({vars(self)})"


Plan = Callable[[str, str], Fault | None]
"""Given method and target of a request, what is to go wrong with it, if anything."""


class FaultProxy:
    """`host` is where it listens. `requests` are those that were made, with their faults."""

    def __init__(self, upstream: str, plan: Plan) -> None:
        name, _, port = upstream.partition(":")
        self._upstream = (name, int(port))
        self.plan = plan
        self.requests: list[tuple[str, str, Fault | None]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                _hang_up(each)
        for thread in self._threads:
            thread.join()

    def _carry(self, client: socket.socket) -> None:
        """One connection: request after request, each with its fault."""
        server: socket.socket | None = None
        with self._lock:
            self._open.add(client)
        try:
            server = socket.create_connection(self._upstream)
            with self._lock:
                self._open.add(server)
            while self._exchange(client, server):
                pass
        except OSError:
            pass
        finally:
            for each in (client, server):
                if each is not None:
                    with self._lock:
                        self._open.discard(each)
                    each.close()

    def _exchange(self, client: socket.socket, server: socket.socket) -> bool:
        head, rest = _read_head(client)
        if not head:
            return False
        method, target = head.split(b" ", 2)[:2]
        fault = self.plan(method.decode(), target.decode())
        with self._lock:
            self.requests.append((method.decode(), target.decode(), fault))
        if fault is not None and fault.status:
            _drain(client, _length(head) - len(rest))
            lines = f"HTTP/1.1 {fault.status} Fault\r\n{fault.headers}Content-Length: 0\r\n\r\n"
            client.sendall(lines.encode())
            return True
        budget = fault.cut_after if fault is not None and fault.up else -1
        server.sendall(head)
        if not _pass_on(client, server, rest, _length(head), budget, -1):
            return False
        answer, rest = _read_head(server)
        if not answer:
            return False
        if fault is not None and fault.lie is not None:
            answer = answer.replace(*fault.lie)
        client.sendall(answer)
        size = 0 if method == b"HEAD" else _length(answer)
        cut = fault.cut_after if fault is not None and not fault.up else -1
        flip = fault.flip if fault is not None else -1
        return _pass_on(server, client, rest, size, cut, flip)


def _pass_on(
    source: socket.socket, target: socket.socket, first: bytes, size: int, cut: int, flip: int
) -> bool:
    """Pass on `size` bytes, of which `first` are here; False when it was cut."""
    done = 0
    data = first[:size]
    while done < size or data:
        if not data:
            data = source.recv(min(_CHUNK, size - done))
            if not data:
                return False
        if 0 <= cut < done + len(data):
            target.sendall(data[: cut - done])
            return False
        if done <= flip < done + len(data):
            spoiled = bytearray(data)
            spoiled[flip - done] ^= 0x10
            data = bytes(spoiled)
        target.sendall(data)
        done += len(data)
        data = b""
    return True


def _read_head(source: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = source.recv(_CHUNK)
        if not piece:
            return b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _drain(source: socket.socket, size: int) -> None:
    while size > 0 and (data := source.recv(min(_CHUNK, size))):
        size -= len(data)


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def fault_proxy(upstream: str, plan: Plan) -> Iterator[FaultProxy]:
    """A proxy that runs while the block does."""
    proxy = FaultProxy(upstream, plan)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


def seeded_plan(seed: int, body: int, share: float = 0.3) -> Plan:
    """Faults of every kind, on that share of the requests; `body` is about how long answers are."""
    rnd = random.Random(seed)
    lock = threading.Lock()

    def plan(method: str, target: str) -> Fault | None:
        with lock:
            if rnd.random() > share:
                return None
            kind = rnd.randrange(7)
            place = rnd.randrange(body)
        if kind == 0:
            return Fault(cut_after=place)
        if kind == 1:
            return Fault(cut_after=place, up=True)
        if kind == 2:
            return Fault(flip=place)
        if kind == 3:
            return Fault(status=500)
        if kind == 4:
            return Fault(status=503, headers="Retry-After: 0\r\n")
        if kind == 5:
            return Fault(status=429, headers="Retry-After: 0\r\n")
        return Fault(lie=(b"Docker-Content-Digest: sha256:", b"Docker-Content-Digest: sha256:0"))

    return plan
