import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.errors import InvalidValue
from tierce.oci.document import Fields, dump, load, load_object

LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"9" * 5000, "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b" " * (LIMIT + 1), "more than 1048576"),
    ],
)
def test_hostile_document_is_an_invalid_value(raw: bytes, cause: str) -> None:
    with pytest.raises(InvalidValue, match=cause):
        load(raw, "thing", size_limit=LIMIT)


def test_document_that_is_no_object_is_refused() -> None:
    for raw, kind in [(b"[]", "a list"), (b"null", "null"), (b"1.5", "a number"), (b'"x"', "a st")]:
        with pytest.raises(InvalidValue, match=f"parse thing: expected an object, not {kind}"):
            load_object(raw, "thing", size_limit=LIMIT)


def test_byte_order_mark_is_skipped() -> None:
    assert load(b"\xef\xbb\xbf[1]", "thing", size_limit=LIMIT) == [1]


@pytest.mark.parametrize(
    ("value", "method", "cause"),
    [
        (1, "text", "expected a string, not a number"),
        ("1", "integer", "expected an integer, not a string"),
        (1.0, "integer", "expected an integer, not a number"),
        (True, "integer", "expected an integer, not a boolean"),
        (1 << 63, "integer", "expected a 64-bit integer"),
        (0, "flag", "expected true or false, not a number"),
        ("a", "texts", "expected a list of strings, not a string"),
        (["a", None], "texts", "expected a list of strings, not null"),
        ([], "text_map", "expected an object of strings, not a list"),
        ({"a": 1}, "text_map", "expected an object of strings, not a number"),
        ([], "keys", "expected an object, not a list"),
        ([], "object", "expected an object, not a list"),
        ({}, "objects", "expected a list, not an object"),
        (["x"], "objects", r"member\[0\]: expected an object, not a string"),
    ],
)
def test_wrong_type_is_refused_with_its_place(value: object, method: str, cause: str) -> None:
    with pytest.raises(InvalidValue, match=cause) as caught:
        list(getattr(Fields({"member": value}, "thing"), method)("member"))
    assert caught.value.message.startswith("parse thing: member")


@pytest.mark.parametrize("members", [{}, {"member": None}])
def test_null_counts_as_absent(members: dict[str, None]) -> None:
    fields = Fields(members, "thing")
    assert "member" not in fields
    assert fields.text("member") == ""
    assert fields.integer("member", 7) == 7
    assert fields.flag("member") is False
    assert fields.texts("member") is None
    assert fields.text_map("member") == ()
    assert fields.keys("member") == ()
    assert fields.object("member") is None
    assert list(fields.objects("member")) == []


def test_null_value_in_a_map_is_an_empty_string() -> None:
    assert Fields({"labels": {"a": None}}, "thing").text_map("labels") == (("a", ""),)


def test_lone_surrogate_becomes_the_replacement_character() -> None:
    fields = load_object(rb'{"a": "x\ud800y", "b": "\ud83d\ude00"}', "thing", size_limit=LIMIT)
    assert fields.text("a") == "x\ufffdy"
    assert fields.text("b") == "\U0001f600"


def test_text_is_written_as_go_writes_it() -> None:
    written = dump({"a": '<&>\u2028\u2029 é \x01\x1f\x7f"\\\n\t/'})
    assert written == (
        rb'{"a":"\u003c\u0026\u003e\u2028\u2029 ' + "é".encode() + rb" \u0001\u001f" + b"\x7f"
        rb"\"\\\n\t/" + b'"}'
    )


def test_indented_form_is_that_of_go() -> None:
    assert dump({"a": [1, 2], "b": [], "c": {}}, indent=2) == (
        b'{\n  "a": [\n    1,\n    2\n  ],\n  "b": [],\n  "c": {}\n}'
    )


@given(st.dictionaries(st.text(), st.text()))
def test_written_text_reads_back(members: dict[str, str]) -> None:
    assert load(dump(members), "thing", size_limit=LIMIT) == members
    assert json.loads(dump(members, indent=2)) == members
