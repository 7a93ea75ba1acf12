import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.oci.document import Fields
from tierce.oci.platform import Platform, best_match


@pytest.fixture
def amd64_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))


@pytest.mark.usefixtures("amd64_host")
@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("linux", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("x86-64", "linux/amd64"),
        ("i386", "linux/386"),
        ("armhf", "linux/arm/v7"),
        ("armel", "linux/arm/v6"),
        ("arm", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/9.0", "linux/arm64/v9"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("Linux/AMD64", "linux/amd64"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/riscv64", "linux/riscv64"),
        ("linux/s390x", "linux/s390x"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("plan9/unheard", "plan9/unheard"),
    ],
)
def test_platform_is_normalized(text: str, normalized: str) -> None:
    platform = Platform.parse(text)
    assert str(platform) == normalized
    assert platform.normalized() == platform
    assert Platform.parse(normalized) == platform


@pytest.mark.parametrize(
    "text",
    ["", "/", "linux/", "/amd64", "unheard", "linux/*", "linux/amd64/v1/x", "lin ux/amd64",
     "linux/é", "windows(10.0/amd64", "linux\n"],
)  # fmt: skip
def test_malformed_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Platform.parse(text)
    assert caught.value.message.startswith("parse platform ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("i686", "linux/386"),
        ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"),
        ("riscv64", "linux/riscv64"),
        ("loongarch64", "linux/loong64"),
        ("mips64", "linux/mips64le"),
    ],
)
def test_host_is_named_as_go_names_it(
    machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))
    monkeypatch.setattr("sys.byteorder", "little")
    assert str(Platform.host()) == expected


@pytest.mark.parametrize(
    ("wanted", "candidates", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/arm64", "linux/386"], "linux/386"),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/amd64/v3", ["linux/amd64/v4", "linux/amd64"], "linux/amd64"),
        ("linux/386", ["linux/amd64"], None),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64"], "linux/arm64"),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm64", ["linux/arm64/v8.1"], None),
        ("linux/arm64/v9.1", ["linux/arm64", "linux/arm64/v8.6"], "linux/arm64/v8.6"),
        ("linux/arm64/v9.1", ["linux/arm64/v8.7", "linux/arm64/v9"], "linux/arm64/v9"),
        ("linux/arm64/odd", ["linux/arm64"], None),
        ("linux/arm64/odd", ["linux/arm64/odd"], "linux/arm64/odd"),
        ("linux/amd64", ["windows/amd64"], None),
        ("windows(10.0.17763)/amd64", ["windows(10.0.20348.1)/amd64"], None),
        (
            "windows(10.0.17763)/amd64",
            ["windows(10.0.17763.99)/amd64"],
            "windows(10.0.17763.99)/amd64",
        ),
    ],
)
def test_best_candidate_is_what_the_processor_runs_best(
    wanted: str, candidates: list[str], expected: str | None
) -> None:
    platforms = [Platform.parse(text) for text in candidates]
    place = best_match(Platform.parse(wanted), platforms)
    assert (None if place is None else str(platforms[place])) == expected


def test_candidate_in_other_words_is_found() -> None:
    assert best_match(Platform("linux", "arm64"), [None, Platform("linux", "aarch64", "v8")]) == 1
    assert Platform("linux", "arm").matches(Platform("linux", "arm", "v7"))


def test_attestation_matches_no_platform() -> None:
    assert best_match(Platform.parse("linux/amd64"), [Platform("unknown", "unknown")]) is None


def test_hostile_variant_is_not_counted_down() -> None:
    assert not Platform("linux", "arm", "v" + "9" * 50).matches(Platform("linux", "arm", "v7"))
    assert not Platform("linux", "amd64", "v٣").matches(Platform("linux", "arm", "v7"))


_word = st.text("abcdefgh0123456789.", max_size=6)


@given(_word, _word, _word, _word, st.lists(_word, max_size=3).map(tuple))
def test_json_form_keeps_the_words_of_a_platform(
    system: str, architecture: str, variant: str, version: str, features: tuple[str, ...]
) -> None:
    platform = Platform(system, architecture, variant, version, features)
    assert Platform.from_json(Fields(platform.to_json(), "platform")) == platform


@given(st.text())
def test_any_text_is_a_platform_or_an_invalid_value(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except InvalidValue:
        return
    assert platform.normalized() == platform
