"""The rules by which the kernel forwards the packets of a bridge network, by iptables.

They are those of docker's default bridge: packets of the subnet leave the machine under its own
address, those of connections that a container began come back, and so do those to published
ports. That matters where the machine forwards nothing else, as one with docker does.
"""

from __future__ import annotations

import fcntl
import os

from tierce.errors import RuntimeUnavailable
from tierce.runtime.cni import Process, find_program

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping

_WAIT = ("-w", "10")
"""Seconds that iptables waits for another one that is at work."""


class Firewall:
    """The rules for one bridge and its subnet.

    They are looked for at each start of a container, since whoever loads a firewall anew drops
    them; that takes 2 ms, beside other work.
    """

    def __init__(self, bridge: str, subnet: str, lock: str, environ: Mapping[str, str]) -> None:
        """`lock` is a file for who changes the rules."""
        self._bridge = bridge
        self._chain = f"TIERCE-{bridge}"
        self._masquerade = (
            *("POSTROUTING", "-s", subnet, "!", "-o", bridge),
            *("-m", "comment", "--comment", "tierce", "-j", "MASQUERADE"),
        )
        self._jump = ("FORWARD", "-m", "comment", "--comment", "tierce", "-j", self._chain)
        self._lock = lock
        self._path = find_program("iptables", environ)
        self._environment = {"PATH": f"{environ.get('PATH', '')}:/usr/sbin:/sbin".strip(":")}
        self._looking: list[Process] = []

    def begin(self) -> None:
        """Starts to look for the rules. Raises RuntimeUnavailable."""
        self._looking = [
            self._iptables("-t", "nat", "-C", *self._masquerade),
            self._iptables("-t", "filter", "-C", *self._jump),
        ]

    def ensure(self) -> None:
        """Sees to it that they are there. Raises RuntimeUnavailable."""
        looking, self._looking = self._looking, []
        found = [process.wait()[0] == 0 for process in looking]
        if all(found):
            return
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._add()
        finally:
            os.close(lock)

    def abandon(self) -> None:
        """Waits for what was started, whatever it finds. Idempotent."""
        looking, self._looking = self._looking, []
        for process in looking:
            process.wait()

    def _add(self) -> None:
        """Adds what is missing, for who holds the lock: it may have been added meanwhile."""
        if self._iptables("-t", "nat", "-C", *self._masquerade).wait()[0]:
            self._run("-t", "nat", "-A", *self._masquerade)
        if not self._iptables("-t", "filter", "-C", *self._jump).wait()[0]:
            return
        self._iptables("-t", "filter", "-N", self._chain).wait()  # it may be there
        self._run("-t", "filter", "-F", self._chain)
        self._run("-t", "filter", "-A", self._chain, "-i", self._bridge, "-j", "ACCEPT")
        states = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT")
        self._run("-t", "filter", "-A", self._chain, "-o", self._bridge, *states, "-j", "ACCEPT")
        # First, as the CNI plugin firewall has it: before a rule that refuses everything.
        chain, *rest = self._jump
        self._run("-t", "filter", "-I", chain, "1", *rest)

    def _iptables(self, *words: str) -> Process:
        return Process(self._path, [*_WAIT, *words], self._environment)

    def _run(self, *words: str) -> None:
        status, _, errors = self._iptables(*words).wait()
        if status:
            said = errors.strip().split("\n")[0] or f"status {status}"
            raise RuntimeUnavailable(
                f"iptables {' '.join(words)}: {said}",
                hint="does this kernel have netfilter's NAT? --network host does without",
            )
