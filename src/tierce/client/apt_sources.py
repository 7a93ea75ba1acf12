"""Which of this machine's apt sources belong to a Debian or Ubuntu release.

A base image made here should be able to `apt-get update` here: behind a company's mirror, in a
network without another way out. So it gets the sources that this machine uses for the release,
and only these: third parties' packages are nobody's base.
"""

from __future__ import annotations

import os
import re

from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>.*)"
)


class AptSource(Value):
    """One entry, as it stands in the file: a line, or a stanza in the deb822 form."""

    text: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    @property
    def is_line(self) -> bool:
        return self.text.startswith(("deb ", "deb\t"))

    def belongs_to(self, distribution: str, suite: str) -> bool:
        """Whether it is the distribution's own archive of that release or of its updates."""
        own = {suite, f"{suite}-updates", f"{suite}-security", f"{suite}-backports"}
        own.add(f"{suite}/updates")  # Debian's security archive up to buster
        # Third parties use the release's name as well, but sign with keys of their own.
        own_key = not self.signed_by or f"{distribution}-archive" in self.signed_by
        return own.issuperset(self.suites) and "main" in self.components and own_key


def sources_of_release(distribution: str, suite: str, etc_apt: str = "/etc/apt") -> list[AptSource]:
    """The entries below `etc_apt` for the release, in apt's order; none on a foreign machine.

    They are worth something only when the release itself is among them, and not its updates
    alone.
    """
    found = [
        source
        for path in _files(etc_apt)
        for source in _parsed(path)
        if source.belongs_to(distribution, suite)
    ]
    return found if any(suite in source.suites for source in found) else []


def _files(etc_apt: str) -> Iterator[str]:
    yield f"{etc_apt}/sources.list"
    try:
        names = sorted(os.listdir(f"{etc_apt}/sources.list.d"))
    except OSError:
        return
    yield from (
        f"{etc_apt}/sources.list.d/{name}" for name in names if name.endswith((".list", ".sources"))
    )


def _parsed(path: str) -> list[AptSource]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    return list(_stanzas(text) if path.endswith(".sources") else _lines(text))


def _lines(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        yield AptSource(
            match[0],
            (match["uri"],),
            (match["suite"],),
            tuple(match["rest"].split()),
            options.get("signed-by", ""),
        )


def _stanzas(text: str) -> Iterator[AptSource]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            if line[0] in " \t":  # goes on with the field above
                fields[name] = f"{fields.get(name, '')} {line.strip()}".strip()
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in {"no", "false", "0", "off", "disable"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        yield AptSource(
            "\n".join(lines),
            tuple(fields.get("uris", "").split()),
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            fields.get("signed-by", ""),
        )
