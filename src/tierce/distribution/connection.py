"""Connections to registries: made, kept for the next request, and ended when all is cancelled.

By `http.client`, with sockets that are made here: importing urllib3 takes 70 ms, half of what a
push of what is there already may take in all; and an upload can be sent by the kernel.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading

from tierce.distribution.failures import unreachable
from tierce.distribution.proxies import proxy_for
from tierce.errors import Cancelled, RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from threading import Event

    Tls = Callable[[str], ssl.SSLContext]
    """What a TLS connection to a host ("name:port", or "name" at the usual port) is made with."""

CONNECT_SECONDS = 30
SILENCE_SECONDS = 60
"""How long a server may say nothing, or take nothing, before it is given up."""

IDLE_AT_MOST = 8
"""Connections to one server that are kept open while nobody uses them."""

_PROXY_HEAD_LIMIT = 16 << 10
_PORTS = {"http": 80, "https": 443}


class Origin:
    """Where a connection leads: a scheme, a host and a port."""

    __slots__ = ("host", "key", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int | None) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port or _PORTS[scheme]
        self.key = (scheme, host, self.port)

    @property
    def authority(self) -> str:
        """As it is in the Host header, and in the names of directories with certificates."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Connection:
    """One connection. `used` says that it has carried a request before."""

    def __init__(self, origin: Origin, sock: socket.socket, proxy_headers: dict[str, str]) -> None:
        self.origin = origin
        self.socket = sock
        self.proxy_headers = proxy_headers
        """For each request, where a proxy takes these in the clear; it wants whole URLs then."""
        self.through_proxy = bool(proxy_headers)
        self.used = False
        self.client = http.client.HTTPConnection(origin.host, origin.port)
        self.client.sock = sock

    def close(self) -> None:
        self.client.close()
        self.socket.close()


class Connections:
    """The connections of one piece of work, to any number of hosts. Usable from all threads.

    Close it when the work is done. When `cancelled` is set and `interrupt` called, whatever waits
    for a server ends with Cancelled.
    """

    def __init__(self, environment: Mapping[str, str], tls: Tls, cancelled: Event) -> None:
        self._environment = environment
        self._tls = tls
        self.cancelled = cancelled
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._sockets: set[socket.socket] = set()

    def take(self, origin: Origin, *, fresh: bool = False) -> Connection:
        """A connection that nobody uses; a new one if there is none, or if it is to be `fresh`.

        Raises RegistryError, Cancelled.
        """
        self.check()
        if not fresh:
            with self._lock:
                idle = self._idle.get(origin.key)
                if idle:
                    return idle.pop()
        return self._connect(origin)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection, whose last answer was read to its end, for the next request."""
        connection.used = True
        with self._lock:
            idle = self._idle.setdefault(connection.origin.key, [])
            if len(idle) < IDLE_AT_MOST and not self.cancelled.is_set():
                idle.append(connection)
                return
        self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """End a connection."""
        with self._lock:
            self._sockets.discard(connection.socket)
        connection.close()

    def check(self) -> None:
        """Raises Cancelled if the work is cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("transfer image: cancelled")

    def interrupt(self) -> None:
        """Have everybody who waits for a server wait no longer."""
        self.cancelled.set()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself

    def close(self) -> None:
        """End all connections. Idempotent."""
        with self._lock:
            idle = [each for kept in self._idle.values() for each in kept]
            self._idle.clear()
        for each in idle:
            self.drop(each)

    def _connect(self, origin: Origin) -> Connection:
        proxy = proxy_for(origin.scheme, origin.host, origin.port, self._environment)
        proxy_host, proxy_port, proxy_headers = _parsed_proxy(proxy) if proxy else ("", 0, {})
        sock: socket.socket | None = None
        try:
            address = (proxy_host, proxy_port) if proxy else (origin.host, origin.port)
            sock = self._open(address)
            sock.settimeout(SILENCE_SECONDS)
            if origin.scheme == "https":
                if proxy:
                    _open_tunnel(sock, origin, proxy_headers)
                sock = self._secured(sock, origin)
                proxy_headers = {}
            return Connection(origin, sock, proxy_headers)
        except BaseException as error:
            if sock is not None:
                with self._lock:
                    self._sockets.discard(sock)
                sock.close()
            self.check()
            if isinstance(error, OSError):
                raise unreachable(origin, error, proxy) from error
            raise

    def _open(self, address: tuple[str, int]) -> socket.socket:
        """A connected socket. As `socket.create_connection`, but seen while it connects."""
        failure: OSError | None = None
        for family, kind, protocol, _, place in socket.getaddrinfo(
            *address, type=socket.SOCK_STREAM
        ):
            self.check()
            sock = socket.socket(family, kind, protocol)
            with self._lock:
                self._sockets.add(sock)
            try:
                sock.settimeout(CONNECT_SECONDS)
                sock.connect(place)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                failure = error
                with self._lock:
                    self._sockets.discard(sock)
                sock.close()
                continue
            return sock
        raise failure or OSError(f"no address for {address[0]}")

    def _secured(self, sock: socket.socket, origin: Origin) -> socket.socket:
        context = self._tls(origin.authority)
        secured = context.wrap_socket(
            sock, server_hostname=origin.host, do_handshake_on_connect=False
        )
        with self._lock:
            self._sockets.discard(sock)
            self._sockets.add(secured)
        try:
            secured.do_handshake()
        except BaseException:
            with self._lock:
                self._sockets.discard(secured)
            secured.close()
            raise
        return secured


def send_file(connection: Connection, descriptor: int, offset: int, size: int) -> int:
    """Send up to `size` bytes of a file; how many were sent.

    By the kernel where nothing is to be encrypted. Raises OSError.
    """
    sock = connection.socket
    if type(sock) is not socket.socket:
        data = os.pread(descriptor, min(size, 1 << 18), offset)
        sock.sendall(data)
        return len(data)
    # A socket with a timeout does not block, for the kernel.
    while True:
        try:
            return os.sendfile(sock.fileno(), descriptor, offset, size)
        except BlockingIOError:
            _wait_writable(sock)


def _wait_writable(sock: socket.socket) -> None:
    import select  # a shared object of its own, for uploads

    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(SILENCE_SECONDS * 1000):
        raise TimeoutError(f"nothing was taken for {SILENCE_SECONDS} seconds")


def _parsed_proxy(proxy: str) -> tuple[str, int, dict[str, str]]:
    """Host, port, and what a proxy wants in each request. Raises RegistryError."""
    from urllib.parse import unquote, urlsplit  # only behind a proxy

    try:
        parts = urlsplit(proxy)
        port = parts.port or 80
    except ValueError as error:
        raise RegistryError(f"use proxy {proxy}: {error}") from error
    if parts.scheme != "http" or not parts.hostname:
        raise RegistryError(
            f"use proxy {parts.scheme}://{parts.hostname or ''}: only http:// is supported",
            hint="see HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
        )
    headers = {"Proxy-Connection": "keep-alive"}
    if parts.username is not None:
        from binascii import b2a_base64  # as above

        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        encoded = b2a_base64(user.encode(), newline=False).decode()
        headers["Proxy-Authorization"] = f"Basic {encoded}"
    return parts.hostname, port, headers


def _open_tunnel(sock: socket.socket, origin: Origin, headers: Mapping[str, str]) -> None:
    """Ask a proxy for a way through to a host (RFC 9110, 9.3.6). Raises OSError."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    # Byte by byte: what comes behind the head is for TLS.
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte or len(head) > _PROXY_HEAD_LIMIT:
            raise OSError("the proxy does not open a tunnel")
        head += byte
    words = bytes(head).split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or words[1] != "200":
        raise OSError(f"the proxy answers {' '.join(words[1:])[:100]!a}")
