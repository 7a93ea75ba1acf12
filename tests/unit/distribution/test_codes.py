"""What registries say went wrong, in one line."""

import json

import pytest

from tierce.distribution.codes import CodedError, described, parse_errors


def body(*errors: dict[str, object]) -> bytes:
    return json.dumps({"errors": errors}).encode()


def test_codes_and_messages_are_read() -> None:
    found = parse_errors(body({"code": "MANIFEST_UNKNOWN", "message": "gone", "detail": {"x": 1}}))
    assert found == (CodedError("MANIFEST_UNKNOWN", "gone"),)
    assert str(found[0]) == "manifest unknown: gone"


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"[]", b'{"errors": 1}', b'{"errors": [{"code": 7}]}', b'{"errors":[{}]}'],
)
def test_what_is_no_error_document_has_no_errors(raw: bytes) -> None:
    assert parse_errors(raw) == ()


def test_message_cannot_write_to_the_terminal() -> None:
    raw = body({"code": "DENIED", "message": "\x1b[2J\r\nnext line" + "x" * 1000})
    shown = described(403, "Forbidden", "application/json", raw)
    assert shown.startswith("denied: ")
    assert shown.isprintable()
    assert len(shown) < 600


def test_equal_errors_are_said_once() -> None:
    error: dict[str, object] = {"code": "DENIED", "message": "no"}
    assert described(403, "", "application/json", body(error, error)) == "denied: no"


def test_web_page_is_not_shown_but_named() -> None:
    shown = described(200, "OK", "text/html; charset=utf-8", b"<html>hello</html>")
    assert shown == "200 OK, with a web page: this may be no registry"


def test_plain_text_is_shown() -> None:
    assert (
        described(502, "Bad Gateway", "text/plain", b"try later\n") == "502 Bad Gateway: try later"
    )
