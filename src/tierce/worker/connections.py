"""The connections of an HTTP request, which end when it is cancelled, whatever they wait for."""

from __future__ import annotations

import socket
import threading

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from threading import Event

    from urllib3 import PoolManager

_WAIT_SECONDS = 0.05


class Connections:
    """A context manager: at its end, no connection is watched any more."""

    def __init__(self, cancelled: Event) -> None:
        self._cancelled = cancelled
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._wait, name="http-cancel", daemon=True)

    def __enter__(self) -> Connections:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for each in self._open:
            each.close()

    def watch(self, manager: PoolManager) -> None:
        """See every connection that is made from now on."""
        connections = self

        # Not at the end of `connect`: a server may stay silent when TLS begins, too.
        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return connections.add(super()._new_conn())

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return connections.add(super()._new_conn())

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def add(self, connected: socket.socket) -> socket.socket:
        """Watch a connection, and return it."""
        with self._lock:
            # A duplicate: TLS takes the descriptor away from the socket that it is given.
            self._open.append(connected.dup())
        return connected

    def _wait(self) -> None:
        while not self._done.wait(_WAIT_SECONDS):
            if not self._cancelled.is_set():
                continue
            with self._lock:
                for each in self._open:
                    try:
                        each.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass  # it has ended by itself
