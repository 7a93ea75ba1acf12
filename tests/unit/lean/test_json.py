"""What is read and written is what `json` reads and writes."""

import io
import json as standard
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.lean import json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def outcome(load: Callable[[str], Any], text: str) -> Any:
    try:
        return repr(load(text))
    except ValueError as error:
        return type(error), str(error)


@given(VALUES)
def test_text_is_that_of_the_standard_library(value: Any) -> None:
    assert json.dumps(value) == standard.dumps(value)
    assert json.dumps(value, separators=(",", ":"), sort_keys=True) == standard.dumps(
        value, separators=(",", ":"), sort_keys=True
    )
    assert json.dumps(value, ascii_only=False) == standard.dumps(value, ensure_ascii=False)


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    assert json.loads(standard.dumps(value)) == value
    assert json.loads(standard.dumps(value, indent=2).encode()) == value


@given(st.text(alphabet=' \t\n\r{}[]",:.-+eE01truefalsn\\u\ufeff', max_size=12))
def test_what_is_no_json_is_refused_in_the_same_words(text: str) -> None:
    assert outcome(json.loads, text) == outcome(standard.loads, text)


def test_constants_are_read_as_they_are_or_by_the_caller() -> None:
    assert math.isnan(json.loads("NaN"))
    assert json.loads("[Infinity, -Infinity]") == [math.inf, -math.inf]
    assert json.loads("[NaN]", parse_constant=lambda name: name * 2) == ["NaNNaN"]


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        json.dumps({"a": {1}})
    with pytest.raises(ValueError, match="Out of range float"):
        json.dumps(math.nan, allow_nan=False)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        json.dumps(loop)


def test_files_are_read_and_written() -> None:
    file = io.StringIO()
    json.dump({"a": [1]}, file)
    file.seek(0)
    assert json.load(file) == {"a": [1]}
    assert json.load(io.BytesIO('"é"'.encode())) == "é"


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)


@pytest.mark.parametrize("text", ["{", "[1,", '{"a"', '"', "nul", "{,}"])
def test_what_is_wrong_is_told_also_before_json_is_there(text: str) -> None:
    program = (
        "import sys\n"
        "from tierce.lean import json\n"
        "assert 'json.decoder' not in sys.modules\n"
        "try:\n"
        "    json.loads(sys.argv[1])\n"
        "except ValueError:\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, text], capture_output=True, check=False)
    assert done.returncode == 7, done.stderr
