"""What went wrong beneath a request, in one line, and what can be done about it."""

from __future__ import annotations

import http.client
import socket
import sys

from tierce.errors import RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.distribution.connection import Origin

_CERTS = "/etc/docker/certs.d"


class Unreachable(RegistryError):
    """No answer: nothing was connected, or what was, broke.

    `final` says that there is none to be had by trying again: no such host, a certificate that is
    not to be trusted (`untrusted`: then nothing else is tried either).
    """

    final = False
    untrusted = False


def unreachable(origin: Origin, error: OSError, proxy: str = "") -> Unreachable:
    """The error to raise when no connection can be made."""
    if isinstance(error, socket.gaierror):
        nowhere = Unreachable(
            f"connect to {origin.host}: no such host", hint="is the registry's name right?"
        )
        nowhere.final = True
        return nowhere
    # `ssl` is there if a certificate was looked at; to import it for this would take 15 ms.
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(error, ssl.SSLCertVerificationError):
        found = Unreachable(
            f"connect to {origin}: certificate: {error.verify_message}",
            hint=_certificate_hint(origin, error.verify_message),
        )
        found.final = found.untrusted = True
        return found
    if ssl is not None and isinstance(error, ssl.SSLError):
        reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        found = Unreachable(f"connect to {origin}: TLS: {reason}")
        if reason in {"wrong version number", "record layer failure", "http request"}:
            found.final = True
            found.message = f"connect to {origin}: server gave HTTP response to HTTPS client"
            found.hint = (
                f"a registry without TLS has to be marked: [[registry]] location = "
                f'"{origin.authority}", insecure = true in /etc/containers/registries.conf'
            )
        return found
    where = f"{origin} by proxy" if proxy else f"{origin}"
    hint = "see HTTP_PROXY, HTTPS_PROXY and NO_PROXY" if proxy else ""
    return Unreachable(f"connect to {where}: {reason_of(error)}", hint=hint)


def broken(origin: Origin, error: Exception) -> Unreachable:
    """The error to raise when a connection breaks during a request."""
    return Unreachable(f"talk to {origin}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """The system's words for what went wrong."""
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server hung up without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    if isinstance(error, http.client.HTTPException):
        return f"no HTTP: {type(error).__name__} {str(error)[:100]!a}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split())[:200].lower() or type(error).__name__


def _certificate_hint(origin: Origin, message: str) -> str:
    if "expired" in message or "not yet valid" in message:
        return "the registry needs a new certificate; or is this machine's clock wrong?"
    if "match" in message and ("hostname" in message or "IP address" in message):
        return "the certificate is for another name; use that name, or have it made for this one"
    return f"to trust it, put the certificate of its CA at {_CERTS}/{origin.authority}/ca.crt"
