"""What of a URL is shown."""

import pytest

from tierce.worker.urls import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a:b@host:1/c?d#e", "https://xxxxx:xxxxx@host:1/c?d#e"),
        ("https://token@host/c.git#main:sub", "https://xxxxx@host/c.git#main:sub"),
        ("https://:b@host/c", "https://:xxxxx@host/c"),
        ("https://a:b:c@d@host/c", "https://xxxxx:xxxxx@host/c"),
        ("ssh://git@host/c", "ssh://xxxxx@host/c"),
        ("http://a:b@[::1/c", "http://xxxxx@[::1/c"),
    ],
)
def test_names_and_passwords_are_hidden(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize("url", ["https://host/c@d:e", "http://[::1", "git@host:path.git", "a/b"])
def test_what_tells_nobody_is_shown(url: str) -> None:
    assert redacted(url) == url
