import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference, is_valid_tag

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("alpine", "docker.io/library/alpine", "alpine"),
        ("alpine:3.15", "docker.io/library/alpine:3.15", "alpine:3.15"),
        ("alpine:5000", "docker.io/library/alpine:5000", "alpine:5000"),
        ("team/app", "docker.io/team/app", "team/app"),
        ("library/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/team/app:1", "docker.io/team/app:1", "team/app:1"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("docker.io:443/alpine", "docker.io:443/alpine", "docker.io:443/alpine"),
        ("localhost", "docker.io/library/localhost", "localhost"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("host.example/a/b/c:t", "host.example/a/b/c:t", "host.example/a/b/c:t"),
        ("Upper/app", "Upper/app", "Upper/app"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app", "127.0.0.1:5000/app"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("[2001:db8::1]/app", "[2001:db8::1]/app", "[2001:db8::1]/app"),
        ("xn--n3h.example/app", "xn--n3h.example/app", "xn--n3h.example/app"),
        ("a_b/c__d/e-f/g--h/i.j", "docker.io/a_b/c__d/e-f/g--h/i.j", "a_b/c__d/e-f/g--h/i.j"),
        ("app:_x.y-Z", "docker.io/library/app:_x.y-Z", "app:_x.y-Z"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}", f"app:1@{DIGEST}"),
        (HEX[:63], f"docker.io/library/{HEX[:63]}", HEX[:63]),
        (f"team/{HEX}", f"docker.io/team/{HEX}", f"team/{HEX}"),
    ],
)
def test_reference_has_a_canonical_and_a_familiar_form(
    text: str, canonical: str, familiar: str
) -> None:
    reference = Reference.parse(text)
    assert str(reference) == canonical
    assert reference.familiar == familiar
    assert Reference.parse(canonical) == reference
    assert Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "the name is empty"),
        (":tag", "repository name is empty"),
        (f"@{DIGEST}", "repository name is empty"),
        (HEX, "64 hexadecimal digits are an image ID"),
        ("Alpine", 'repository name "Alpine" must be lowercase'),
        ("team/App:1", 'repository name "team/App" must be lowercase'),
        ("localhost:5000/App", 'repository name "App" must be lowercase'),
        ("app:", "the tag is empty"),
        ("app:-x", 'invalid tag "-x"'),
        ("app:a b", 'invalid tag "a b"'),
        ("app:é", "invalid tag"),
        ("app:1:2", 'invalid tag "1:2"'),
        ("app:" + "t" * 129, "the tag is longer than 128 characters"),
        ("a//b", "invalid reference format"),
        ("/app", "invalid reference format"),
        ("app/", "invalid reference format"),
        ("-app", "invalid reference format"),
        ("app-", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a._b", "invalid reference format"),
        ("../etc", "is not a host name"),
        ("a/../b", "invalid reference format"),
        ("é", "invalid reference format"),
        ("app name", "invalid reference format"),
        ("app\n", "invalid reference format"),
        ("app:1\n", "invalid tag"),
        ("-host.example/app", "is not a host name"),
        ("host.example:port/app", "is not a host name"),
        ("host.example:/app", "is not a host name"),
        ("[::1/app", "is not a host name"),
        ("[fe80::1%eth0]/app", "is not a host name"),
        ("user@host.example/app", "no algorithm"),
        ("https://host.example/app", "is not a host name"),
        ("app@", "no algorithm"),
        ("app@sha256:abc", "3 digits instead of 64"),
        (f"app@{DIGEST.upper()}", "unsupported algorithm"),
        (f"app@sha256:{HEX.upper()}", "not lower-case hexadecimal"),
        (f"app@{DIGEST}:1", "instead of 64"),
        ("host.example/" + "a" * 256, "longer than 255 characters"),
        ("a" * 3000, "longer than 2048 characters"),
    ],
)
def test_malformed_reference_is_refused_with_its_reason(text: str, cause: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Reference.parse(text)
    assert caught.value.message.startswith("parse reference ")
    assert cause in caught.value.message
    assert "\n" not in caught.value.message


def test_repository_path_may_have_255_characters() -> None:
    assert len(Reference.parse("host.example/" + "a" * 255).path) == 255


def test_long_name_is_refused_without_backtracking() -> None:
    # Would take longer than the universe lasts if the pattern of a component were ambiguous.
    for text in ("a-" * 1000, "a." * 1000, "a" * 2000 + "!", "a__" * 600 + "A"):
        with pytest.raises(InvalidValue):
            Reference.parse(text)


def test_default_tag_is_added_only_to_a_bare_name() -> None:
    assert Reference.parse("app").with_default_tag().tag == "latest"
    assert Reference.parse("app:1").with_default_tag().tag == "1"
    assert Reference.parse(f"app@{DIGEST}").with_default_tag().tag is None


def test_tag_and_digest_can_be_replaced() -> None:
    reference = Reference.parse("app:1")
    assert reference.tagged
    assert reference.with_tag("2").familiar == "app:2"
    assert not reference.with_tag(None).tagged
    assert reference.with_digest(Digest.parse(DIGEST)).familiar == f"app:1@{DIGEST}"
    with pytest.raises(InvalidValue, match="invalid tag"):
        reference.with_tag("a/b")


def test_tag_is_checked_without_a_name() -> None:
    assert is_valid_tag("v1.0_x-y")
    assert not is_valid_tag(".hidden")
    assert not is_valid_tag("")


_alphanumeric = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
_component = st.lists(_alphanumeric, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", "_", "__", "-", "---"]).map(lambda sep: sep.join(parts))
)
_path = st.lists(_component, min_size=1, max_size=4).map("/".join)
_domain = st.sampled_from(["docker.io", "localhost", "a.example", "a.example:80", "[::1]:5000"])
_tag = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@given(_domain, _path, st.none() | _tag, st.none() | st.just(Digest.parse(DIGEST)))
def test_every_reference_survives_both_of_its_forms(
    domain: str, path: str, tag: str | None, digest: Digest | None
) -> None:
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    reference = Reference(domain, path, tag, digest)
    assert Reference.parse(str(reference)) == reference
    # A first component such as "a.b" would be a host in the short form, as in docker.
    first = reference.familiar.partition("/")[0]
    if domain != "docker.io" or "/" not in reference.familiar_name or "." not in first:
        if reference.familiar_name.startswith("localhost/") and domain == "docker.io":
            return
        if len(reference.familiar) != 64:
            assert Reference.parse(reference.familiar) == reference


# The grammar as distribution/reference has it, in regular expressions.
_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_WORD = r"[a-z0-9]++(?:(?:[._]|__|-++)[a-z0-9]++)*+"
_GRAMMAR = re.compile(rf"{_HOST}/{_WORD}(?:/{_WORD})*+(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?")


@given(st.text("aZ09._-:/[]é\n", max_size=24))
def test_reference_is_what_the_grammar_says(rest: str) -> None:
    """A dot in the first component makes it a host, whatever follows."""
    text = f"a.{rest}"
    fits = "/" in text and _GRAMMAR.fullmatch(text) is not None
    if "/" not in text:
        fits = _GRAMMAR.fullmatch(f"docker.io/library/{text}") is not None
    try:
        Reference.parse(text)
    except InvalidValue:
        assert not fits
    else:
        assert fits


@given(st.text("aZ09._-:/[]é\n", min_size=1, max_size=16), st.text("a0._-", max_size=12))
def test_host_and_path_are_what_the_grammar_says(host: str, path: str) -> None:
    text = f"{host}:1/{path}" if "/" not in host else f"{host}/{path}"
    if text.startswith("/"):
        return
    first = text.partition("/")[0]
    if "." not in first and ":" not in first and first.islower() and first != "localhost":
        text = f"docker.io/{text}"
    try:
        Reference.parse(text)
    except InvalidValue:
        assert _GRAMMAR.fullmatch(text) is None
    else:
        assert _GRAMMAR.fullmatch(text) is not None or first == text


@given(st.text())
def test_any_text_is_a_reference_or_an_invalid_value(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidValue:
        return
    assert Reference.parse(str(reference)) == reference
