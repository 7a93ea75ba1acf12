"""Tables, JSON lines and templates over rows; widths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierce.cli.format.rows import aligned, render_rows
from tierce.cli.format.values import FormatError, Struct
from tierce.cli.format.width import cut, display_width, pad, shorten

HEADERS = {"ID": "IMAGE ID", "Name": "NAME", "Size": "SIZE"}


def rows() -> list[Struct]:
    return [
        Struct("T", {"ID": "1", "Name": "a-long-name", "Size": "1kB"}, escape_html=True),
        Struct("T", {"ID": "22", "Name": "<none>", "Size": "44.8MB"}, escape_html=True),
    ]


def rendered(form: str) -> str:
    return render_rows(form, rows(), headers=HEADERS, columns=("ID", "Name", "Size"))


TABLE = """\
IMAGE ID   NAME          SIZE
1          a-long-name   1kB
22         <none>        44.8MB
"""


@pytest.mark.parametrize("form", ["", "table"])
def test_table_has_three_spaces_between_columns(form: str) -> None:
    assert rendered(form) == TABLE


@pytest.mark.parametrize(
    "form",
    [
        r"table {{.ID}}\t{{.Name}}\t{{.Size}}",
        "table {{.ID}}\t{{.Name}}\t{{.Size}}",
        r"table  {{.ID}}\t{{.Name | printf `%s`}}\t{{.Size}} ",
    ],
)
def test_table_by_a_template_has_the_headers_of_its_fields(form: str) -> None:
    assert rendered(form) == TABLE


def test_functions_change_cells_but_no_headers() -> None:
    assert rendered("table {{upper .Name}}") == "NAME\nA-LONG-NAME\n<NONE>\n"


def test_narrow_columns_are_ten_wide() -> None:
    assert aligned([["A", "B"], ["1", "2"]]) == "A         B\n1         2\n"


def test_json_is_a_line_for_each_row() -> None:
    assert rendered("json") == (
        '{"ID":"1","Name":"a-long-name","Size":"1kB"}\n'
        '{"ID":"22","Name":"\\u003cnone\\u003e","Size":"44.8MB"}\n'
    )


def test_template_is_a_line_for_each_row_without_headers() -> None:
    assert rendered(r"{{.ID}}\t{{.Size}}") == "1\t1kB\n22\t44.8MB\n"


@pytest.mark.parametrize("form", ["{{.Nope}}", "table {{.Nope}}", "{{", "table {{"])
def test_template_with_a_mistake_is_refused(form: str) -> None:
    with pytest.raises(FormatError, match=r"^template parsing error: template: :1"):
        rendered(form)


def test_empty_list_has_its_headers() -> None:
    text = render_rows("", [], headers=HEADERS, columns=("ID", "Size"))
    assert text == "IMAGE ID   SIZE\n"


def test_lines_with_fewer_cells_end_a_column() -> None:
    lines = [["wide-first-cell", "x"], ["only"], ["a", "y"]]
    assert aligned(lines) == "wide-first-cell   x\nonly\na         y\n"


def test_wide_characters_keep_columns_straight() -> None:
    assert aligned([["日本語の名前です", "x"], ["a", "y"]]) == (
        "日本語の名前です   x\na                  y\n"
    )


@given(st.lists(st.lists(st.text(alphabet="abé日", max_size=6), min_size=1, max_size=4)))
def test_cells_come_out_in_order(lines: list[list[str]]) -> None:
    texts = aligned(lines).split("\n")[:-1]
    assert [text.split() for text in texts] == [list(filter(None, line)) for line in lines]


@given(st.text(alphabet="aé日\u0301 ", max_size=12), st.integers(0, 12))
def test_what_is_cut_fits(text: str, width: int) -> None:
    assert display_width(cut(text, width)) <= width
    assert text.startswith(cut(text, width))
    assert display_width(pad(text, width)) >= width


def test_long_text_ends_with_an_ellipsis() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
    assert shorten("日本語", 5) == "日本…"
