"""A container's terminal, and ours while it is shown there."""

from __future__ import annotations

import os
import select

# The modules for sockets and terminals take 5 ms to import, and only -t needs them.

_START_SECONDS = 30.0


class ConsoleSocket:
    """Where the runtime sends the other end of the terminal that it makes for the container.

    See the runtimes' --console-socket. `path` is in a directory that only we can enter.
    """

    def __init__(self, directory: str) -> None:
        import socket  # see above

        self.path = f"{directory}/console"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # struct sockaddr_un has room for 107 bytes, and the directory's name may be longer.
        opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{opened}/console")
        finally:
            os.close(opened)
        self._listener.listen(1)

    def receive(self, ended: int) -> int:
        """The terminal's descriptor, or -1 when the runtime ended (`ended`) without sending one."""
        import array  # see above
        import socket

        readable, _, _ = select.select([self._listener.fileno(), ended], [], [], _START_SECONDS)
        if self._listener.fileno() not in readable:
            return -1
        connection, _ = self._listener.accept()
        with connection:
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        received = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received.frombytes(data)
        if not received:
            return -1
        os.set_inheritable(received[0], False)
        return received[0]

    def close(self) -> None:
        self._listener.close()
        os.unlink(self.path)


class RawMode:
    """Makes our terminal pass on every key as it is, until the block is left."""

    def __init__(self, descriptor: int) -> None:
        import termios  # see above

        self._descriptor = descriptor
        self._attributes = termios.tcgetattr(descriptor)

    def __enter__(self) -> RawMode:
        import termios  # see above
        import tty

        tty.setraw(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        import termios  # see above

        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._attributes)


def size_of(terminal: int) -> tuple[int, int] | None:
    """Rows and columns of a terminal; None when it has no size, or is none."""
    try:
        columns, rows = os.get_terminal_size(terminal)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


def copy_size(source: int, target: int) -> None:
    """Gives a terminal the size of another one, if that has one."""
    import fcntl  # see above
    import struct
    import termios

    if (size := size_of(source)) is not None:
        try:
            fcntl.ioctl(target, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        except OSError:  # closed meanwhile
            pass
