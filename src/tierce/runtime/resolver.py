"""/etc/resolv.conf and /etc/hosts of a container."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESOLV_CONF = "/etc/resolv.conf"
SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved lists the real servers, while /etc/resolv.conf names itself."""

_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")
"""Docker's, for hosts whose only servers are on loopback, where a container does not reach them."""

BUILD_HOSTNAME = "buildkitsandbox"
"""What BuildKit calls the machine of a RUN step; some packages write it into files."""


def resolv_conf(
    *,
    host_network: bool,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """The content of /etc/resolv.conf.

    With the host's network, loopback servers are reachable and the file is the host's. Otherwise
    they are left out, and public ones put in when none is left, as docker does. What is given
    takes the place of the host's; a `search` of "." is none.
    """
    own = _read(RESOLV_CONF)
    found = _servers(own)
    given = servers or search or options
    if host_network and found and not given:
        return own
    if found == ["127.0.0.53"] and not host_network:
        own = _read(SYSTEMD_RESOLV_CONF) or own
    replaced = {"nameserver": servers, "search": search, "domain": search, "options": options}
    kept = [
        line
        for line in own.splitlines()
        if (host_network or not _names_loopback(line))
        and not replaced.get((line.split() or [""])[0])
    ]
    kept += [f"nameserver {server}" for server in servers]
    if not _servers("\n".join(kept)):
        kept += [f"nameserver {server}" for server in _FALLBACK_SERVERS]
    if domains := [domain for domain in search if domain != "."]:
        kept.append(f"search {' '.join(domains)}")
    kept += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in kept)


def step_hosts(extra: Iterable[tuple[str, str]] = (), hostname: str = BUILD_HOSTNAME) -> str:
    """The content of /etc/hosts in a RUN step; `extra` holds (name, address)."""
    lines = [f"127.0.0.1\tlocalhost {hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    return _hosts(lines, extra)


def container_hosts(
    hostname: str,
    extra: Iterable[tuple[str, str]] = (),
    *,
    host_network: bool,
    address: str = "",
) -> str:
    """The content of /etc/hosts in a container: with the host's network, the host's own first.

    `address` is the container's own, if it has one.
    """
    if host_network and (own := _read("/etc/hosts")):
        lines = own.splitlines()
        if not any(hostname in line.split() for line in lines):
            lines.append(f"127.0.1.1\t{hostname}")
        return _hosts(lines, extra)
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        f"{address or '127.0.1.1'}\t{_names_of(hostname)}",
    ]
    return _hosts(lines, extra)


def _names_of(hostname: str) -> str:
    """A name with a domain is followed by the one without."""
    short, dot, _ = hostname.partition(".")
    return f"{hostname} {short}" if dot and short else hostname


def _hosts(lines: list[str], extra: Iterable[tuple[str, str]]) -> str:
    lines = [*lines, *[f"{address}\t{name}" for name, address in extra]]
    return "".join(f"{line}\n" for line in lines)


def _servers(text: str) -> list[str]:
    words = [line.split() for line in text.splitlines()]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def _names_loopback(line: str) -> bool:
    return any(
        server.startswith("127.") or server.partition("%")[0] == "::1" for server in _servers(line)
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
