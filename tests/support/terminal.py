"""The real program on a real terminal."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping

from support.program import PROGRAM, Tierce


class Terminal:
    """A person at a terminal of 30 rows and 100 columns."""

    def __init__(
        self, program: Tierce, *words: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [str(PROGRAM), "--root", str(program.root), *words],
            env={**os.environ, **(environment or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.seen = ""

    def read_until(self, pattern: str) -> str:
        """What is on the screen, once the pattern is."""
        while not re.search(pattern, self.seen):
            readable, _, _ = select.select([self.master], [], [], 60)
            assert readable, f"nothing more after {self.seen!r}"
            self.seen += os.read(self.master, 1 << 16).decode()
        return self.seen

    def type(self, text: str) -> None:
        self.seen = ""
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Make the screen another size; the kernel tells the program by SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def restored(self) -> bool:
        """Whether the terminal's settings are those from before."""
        return termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        """End the program, if it has not ended by itself; the third signal kills a container."""
        while self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        os.close(self.master)
        os.close(self.slave)
