import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest, new_hash, sha256_hex

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_text_of_a_digest_parses_to_the_same_digest(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest == Digest.parse(str(digest))
    assert hash(digest) == hash(Digest.parse(str(digest)))
    assert digest.hex == hashlib.new(algorithm, data).hexdigest()


def test_short_form_has_twelve_digits() -> None:
    assert Digest.parse(EMPTY).short == "e3b0c44298fc"


def test_digests_of_other_algorithms_are_unequal() -> None:
    assert Digest("sha256", "aa") != Digest("sha512", "aa")
    assert Digest("sha256", "aa") != "sha256:aa"


def test_hash_object_gives_its_digest() -> None:
    digester = new_hash("sha512")
    digester.update(b"content")
    assert Digest.from_hash(digester) == Digest.of(b"content", "sha512")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no algorithm"),
        ("e3b0c44298fc", "no algorithm"),
        ("sha256:", "0 digits instead of 64"),
        ("sha256:abc", "3 digits instead of 64"),
        (EMPTY + "0", "65 digits instead of 64"),
        (EMPTY.upper().replace("SHA256", "sha256"), "not lower-case hexadecimal"),
        ("sha256:" + "g" * 64, "not lower-case hexadecimal"),
        ("sha256:" + "\u0661" * 64, "not lower-case hexadecimal"),
        ("sha384:" + "0" * 96, 'unsupported algorithm "sha384"'),
        ("md5:" + "0" * 32, 'unsupported algorithm "md5"'),
        ("SHA256:" + "0" * 64, "unsupported algorithm"),
        ("sha512:" + "0" * 64, "64 digits instead of 128"),
        ("../../etc/passwd:x", "unsupported algorithm"),
        ("a\nb:c", "unsupported algorithm"),
    ],
)
def test_malformed_digest_is_refused_with_its_reason(text: str, cause: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Digest.parse(text)
    assert caught.value.message.startswith("parse digest ")
    assert cause in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.value == text


@given(st.text())
def test_any_text_is_a_digest_or_an_invalid_value(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except InvalidValue:
        return
    assert str(digest) == text


def test_unsupported_algorithm_has_no_hash() -> None:
    with pytest.raises(InvalidValue, match="unsupported algorithm"):
        new_hash("md5")


@pytest.mark.parametrize("size", [0, 1, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, 1 << 20])
def test_short_and_long_content_have_the_same_digest_as_by_openssl(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert sha256_hex(data[:size]) == hashlib.sha256(data[:size]).hexdigest()
    assert sha256_hex(memoryview(data)[:size]) == Digest.of(data[:size]).hex
