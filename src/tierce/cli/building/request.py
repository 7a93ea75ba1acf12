"""From the flags of `tierce image build` to the request that they make."""

from __future__ import annotations

import os

from tierce.cli.limitflags import LIMIT_NAMES
from tierce.cli.table import load_module
from tierce.client.builds import BuildRequest
from tierce.errors import UsageError
from tierce.oci.epoch import EPOCH

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.cli.flags import Parsed
    from tierce.cli.session import Session
    from tierce.export.outputs import Output

NETWORKS = ("default", "host", "none")
_CACHE_FLAGS = ("cache-from", "cache-to", "no-cache-filter")
_LENDING_FLAGS = ("allow", "secret", "ssh")
_HOST_GATEWAY = "host-gateway"
_LOOPBACK = "127.0.0.1"
"""Where the host is for steps, which have its network."""

_INLINE_CACHE = "BUILDKIT_INLINE_CACHE"
_OUTPUT_FLAGS = ("annotation", "attest", "load", "output", "provenance", "push", "sbom")


def request_of(options: Parsed, session: Session) -> BuildRequest:
    """What the flags ask for. Raises UsageError."""
    context, dockerfile, text = options.arguments[0], options.text("file"), None
    fields: dict[str, Any] = {}
    if context == "-":
        contexts = load_module("tierce.cli.building.contexts")  # one of a few
        text, fields["context_tar"] = contexts.from_stdin(session.stdin.buffer, dockerfile)
        context = ""
    elif dockerfile == "-":
        text, dockerfile = session.stdin.buffer.read(), ""
    if options.given("build-context"):
        named = load_module("tierce.cli.building.contexts")  # as above
        fields["contexts"] = named.named_contexts(options.texts("build-context"))
    if options.text("network") not in NETWORKS:
        raise UsageError(
            f"network {options.text('network')}: not supported in builds",
            hint=f"one of {', '.join(NETWORKS)}",
        )
    environ = session.environ
    return BuildRequest(
        context=context,
        dockerfile=found_dockerfile(context, dockerfile),
        dockerfile_text=text,
        tags=tuple(options.texts("tag")),
        build_args=_arguments(options, session),
        labels=tuple((name, value or "") for name, value in options.pairs("label")),
        target=options.text("target"),
        platform=options.text("platform"),
        no_cache=options.flag("no-cache"),
        pull=options.flag("pull"),
        network=options.text("network"),
        add_hosts=tuple(host_of(text) for text in options.texts("add-host")),
        environment=tuple(environ.items()),
        outputs=_outputs(options, session),
        squash=options.flag("squash"),
        explain=options.flag("explain"),
        **fields,
        **_caches(options),
        **_lent(options),
    )


def _lent(options: Parsed) -> dict[str, Any]:
    """What steps are lent, allowed, and may use at most. Raises UsageError."""
    fields: dict[str, Any] = {}
    if any(options.given(name) for name in _LENDING_FLAGS):
        fields |= load_module("tierce.cli.building.secrets").lent(options)
    if any(options.given(name) for name in (*LIMIT_NAMES, "isolation", "resource")):
        limits = load_module("tierce.cli.limits")
        fields["isolation"] = limits.check_build_isolation(options.text("isolation"))
        if fields["isolation"] == "chroot":
            # Nothing else can be run on; the store is opened later.
            os.environ.setdefault("TIERCE_SNAPSHOTTER", "copy")
        fields["limits"] = limits.limits_of(options, options.texts("resource"))
    return fields


def _caches(options: Parsed) -> dict[str, Any]:
    """What of the cache is used and kept besides the store's own. Raises UsageError."""
    arguments = {name for name, _ in options.pairs("build-arg")}
    if not any(options.given(name) for name in _CACHE_FLAGS) and _INLINE_CACHE not in arguments:
        return {}
    caching = load_module("tierce.cli.building.caching")  # most builds say nothing of it
    return {
        "no_cache_stages": caching.uncached_stages(options),
        "cache_from": caching.cache_sources(options),
        "cache_to": caching.cache_exports(options),
    }


def _outputs(options: Parsed, session: Session) -> tuple[Output, ...]:
    """What is made besides an image in the store, or instead. Raises UsageError."""
    if not any(options.given(name) for name in _OUTPUT_FLAGS):
        return ()
    # Most builds make an image in the store, and load nothing for this.
    found: tuple[Output, ...] = load_module("tierce.cli.building.outputs").outputs_of(
        options, session
    )
    return found


def found_dockerfile(context: str, given: str) -> str:
    """The path of the Dockerfile: as given or, as docker has it, below the context."""
    if given and context and not os.path.exists(given):
        below = os.path.join(context, given)
        if os.path.exists(below):
            return below
    return given


def host_of(text: str) -> tuple[str, str]:
    """(name, address) of `name=address` or `name:address`, as buildx has it. Raises UsageError."""
    import socket  # 3 ms, for who adds a host

    name, found, address = text.partition("=" if "=" in text else ":")
    if address == _HOST_GATEWAY:
        address = _LOOPBACK
    if len(address) > 2 and address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if found and name:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                packed = socket.inet_pton(family, address)
            except (OSError, ValueError):
                continue
            return name.lower(), socket.inet_ntop(family, packed)
    raise UsageError(f"invalid host: {text}", hint="write it as name:address")


def _arguments(options: Parsed, session: Session) -> tuple[tuple[str, str | None], ...]:
    """The build arguments; as with buildx, SOURCE_DATE_EPOCH is one of them where it is set."""
    given = tuple(options.pairs("build-arg"))
    if session.environ.get(EPOCH) and EPOCH not in dict(given):
        return (*given, (EPOCH, None))
    return given
