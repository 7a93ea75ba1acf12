"""URLs as they are shown and kept: without who logs in, and how."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_MASK = "xxxxx"


def redacted(url: str) -> str:
    """A URL without the name and the password in it; a token is often given as the name.

    As BuildKit's urlutil.RedactCredentials. What is no URL, as git@host:path, stays as it is.
    """
    try:
        parts = urlsplit(url)
        name, password = parts.username, parts.password
    except ValueError:
        return re.sub("//[^/@]*@", f"//{_MASK}@", url)
    if not name and password is None:
        return url
    masks = [_MASK if name else "", *([] if password is None else [_MASK])]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{':'.join(masks)}@{host}"))
