"""Certificates of registries, where docker and podman look for them.

A directory that is called like the host, with its port if that is not 443, has the certificates of
CAs (`*.crt`) and pairs for logging in (`NAME.cert` and `NAME.key`); see docker's "Verify
repository client with certificates" and containers-certs.d(5).
"""

from __future__ import annotations

import os

from tierce.errors import RegistryError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence


def has_directory(directories: Sequence[str], authority: str) -> bool:
    """Whether somebody has put certificates for a host."""
    return any(os.path.isdir(os.path.join(each, authority)) for each in directories)


def tls_context(directories: Sequence[str], authority: str, *, verify: bool) -> ssl.SSLContext:
    """What to connect with: the system's CAs and the host's own. Raises RegistryError."""
    import ssl  # 15 ms, for those who meet TLS

    if verify:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    for directory in directories:
        own = os.path.join(directory, authority)
        try:
            names = sorted(os.listdir(own))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unusable(own, error) from error
        for name in names:
            _load(context, own, name, names)
    return context


def _load(context: ssl.SSLContext, directory: str, name: str, names: Sequence[str]) -> None:
    path = os.path.join(directory, name)
    stem, dot, kind = name.rpartition(".")
    key = os.path.join(directory, f"{stem}.key")
    try:
        if dot and kind == "crt":
            context.load_verify_locations(cafile=path)
        elif dot and kind == "cert":
            if f"{stem}.key" not in names:
                raise RegistryError(f"use certificate {path}: there is no {stem}.key beside it")
            context.load_cert_chain(path, key)
        elif dot and kind == "key" and f"{stem}.cert" not in names:
            raise RegistryError(
                f"use key {path}: there is no {stem}.cert beside it",
                hint="certificates of CAs end in .crt, certificates of clients in .cert",
            )
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> RegistryError:
    cause = getattr(error, "reason", None) or error.strerror or str(error)
    return RegistryError(f"use certificates {path}: {str(cause).replace('_', ' ').lower()}")
