"""Has the build cache collected while nobody waits."""

from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = "from tierce.cli.main import main; raise SystemExit(main())"


def start(root: os.PathLike[str]) -> None:
    """Start `tierce builder prune --automatic` in a session of its own, and let go of it.

    It reports to nobody: what it cannot do, the next one tries.
    """
    words = ("--root", os.fspath(root), "builder", "prune", "--automatic")
    subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
