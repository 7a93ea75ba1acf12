"""Cutting a file into instructions."""

import pytest

from tierce.dockerfile.lexer import Heredoc, heredoc_word, string_list
from tierce.dockerfile.parser import LINE_LIMIT, SIZE_LIMIT, Dockerfile, Instruction, parse
from tierce.dockerfile.parser import parse_trigger as parse_as_trigger
from tierce.errors import DockerfileError


def only(text: str) -> Instruction:
    """The last instruction of a file."""
    return parse(text).instructions[-1]


def error_of(text: str | bytes) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    return caught.value


def test_instruction_is_keyword_flags_and_arguments() -> None:
    run = only("FROM a\n  Run --network=none --mount='type=cache,target=/a b'  echo  hi ")
    assert (run.keyword, run.name) == ("Run", "run")
    assert run.flags == ("--network=none", "--mount=type=cache,target=/a b")
    assert run.arguments == "echo  hi"
    assert run.code == "Run --network=none --mount='type=cache,target=/a b'  echo  hi"


@pytest.mark.parametrize(
    ("line", "flags", "arguments"),
    [
        ("COPY -- --a b", (), "--a b"),
        ("COPY --a=b -- --c d", ("--a=b",), "--c d"),
        ("COPY --a\\ b c", ("--a b",), "c"),
        ('COPY --a="b\'c" d', ("--a=b'c",), "d"),
        ("COPY --a='b\\'c' d", ("--a=b'c",), "d"),
        ("COPY - a", (), "- a"),
        ("COPY --a", ("--a",), ""),
        ("COPY --a='b c", ("--a=b c",), ""),
    ],
)
def test_flags_are_unquoted(line: str, flags: tuple[str, ...], arguments: str) -> None:
    copy = only(f"FROM a\n{line}")
    assert (copy.flags, copy.arguments) == (flags, arguments)


def test_continuation_lines_are_joined_without_what_is_between_them() -> None:
    file = parse("FROM a\nRUN one \\\n# no\n\n   two \\\n  # no\n three\nRUN four")
    assert [each.code for each in file.instructions] == [
        "FROM a",
        "RUN one    two  three",
        "RUN four",
    ]
    assert [(each.first_line, each.last_line) for each in file.instructions] == [
        (1, 1),
        (2, 7),
        (8, 8),
    ]


def test_blank_line_in_a_continuation_is_noted() -> None:
    assert parse("FROM a\nRUN b \\\n\n c\n").empty_continuations == (4,)


def test_doubled_escape_at_the_end_does_not_continue() -> None:
    assert [each.code for each in parse("FROM a\nRUN b \\\\\nRUN c").instructions] == [
        "FROM a",
        "RUN b \\\\",
        "RUN c",
    ]


def test_directives_come_first_and_are_known_by_name() -> None:
    file = parse("# Syntax = docker/dockerfile:1.4 \n#ESCAPE=`\n# check=skip=all\nFROM a\nRUN `\nb")
    assert file.directive("syntax") == "docker/dockerfile:1.4"
    assert file.directive("check") == "skip=all"
    assert file.directive("none") == ""
    assert file.escape == "`"
    assert file.instructions[1].code == "RUN b"


@pytest.mark.parametrize("before", ["# a comment\n", "\n", "# foo=bar\n", "FROM a\n"])
def test_directive_behind_anything_else_is_a_comment(before: str) -> None:
    assert parse(f"{before}# escape=`\nFROM a\n").escape == "\\"


def test_comments_right_above_belong_to_the_instruction() -> None:
    assert only("FROM a\n# far\n#\n# near\n# nearer\nRUN x").comments == ("near", "nearer")


def test_windows_files_are_read_as_others() -> None:
    assert parse("\ufeffFROM a\r\nRUN b \\\r\n c\r\n").instructions[1].code == "RUN b  c"
    assert parse(b"\xef\xbb\xbfFROM a\r\n").instructions[0].code == "FROM a"


def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    assert parse(b"FROM a\nRUN \xff\xfe\xc3\xa4").instructions[1].arguments == "\ufffd\ufffdä"


def test_heredocs_follow_in_their_order() -> None:
    file = parse("FROM a\nRUN cat <<A 3<<-'B' >x\n1\nA\n\t2\n\tB\nRUN c")
    run = file.instructions[1]
    assert run.heredocs == (
        Heredoc("A", content="1\n"),
        Heredoc("B", expand=False, chomp=True, descriptor=3, content="\t2\n"),
    )
    assert run.heredocs[1].text == "2\n"
    assert (run.first_line, run.last_line) == (2, 6)
    assert file.instructions[2].code == "RUN c"


def test_heredoc_keeps_what_looks_like_instructions_and_comments() -> None:
    assert only("FROM a\nCOPY <<E /x\n# c\nFROM b \\\r\n\nE\n").heredocs[0].content == (
        "# c\nFROM b \\\r\n\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        'RUN ["cat", "<<E"]',
        "ENV A=<<E",
        "RUN echo '<<E'",
        "RUN echo \\<<E",
        "RUN cat <<<E",
        "RUN a<<E",
        "LABEL x=<<E",
        "ONBUILD ENV x=<<E",
    ],
)
def test_what_only_looks_like_a_heredoc(line: str) -> None:
    assert only(f"FROM a\n{line}\n").heredocs == ()


def test_trigger_may_have_a_heredoc() -> None:
    assert only("FROM a\nONBUILD RUN <<E\nx\nE\n").heredocs[0].content == "x\n"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<E", Heredoc("E")),
        ("<<-E", Heredoc("E", chomp=True)),
        ("<<'E F'", Heredoc("E F", expand=False)),
        ('<<E"F"', Heredoc("EF", expand=False)),
        ("<<  E", Heredoc("E")),
        ("12<<E", Heredoc("E", descriptor=12)),
        ("<<", None),
        ("<<<E", None),
        ("a<<E", None),
        ("<<E F", None),
    ],
)
def test_words_of_heredocs(word: str, expected: Heredoc | None) -> None:
    assert heredoc_word(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b c"]', ("a", "b c")),
        (" [ ] ", ()),
        ('["\\u00e9\\ud83d\\ude00\\ud800"]', ("é😀\ufffd",)),
        ("a b", None),
        ("", None),
        ('["a"', None),
        ('["a"] b', None),
        ("['a']", None),
        ("[NaN]", None),
        ("[" * 100_000, None),
    ],
)
def test_exec_form_is_json_or_nothing(text: str, expected: tuple[str, ...] | None) -> None:
    assert string_list(text) == expected


def test_line_as_long_as_docker_takes_and_one_longer() -> None:
    prefix = "FROM a\nRUN "
    assert len(only(prefix + "x" * (LINE_LIMIT - 4)).original) == LINE_LIMIT
    error = error_of(prefix + "x" * (LINE_LIMIT - 3) + "\nRUN b")
    assert error.message.endswith("dockerfile line greater than max allowed size of 65535")
    assert error.line == 2


def test_length_of_a_line_is_in_bytes() -> None:
    assert error_of("FROM a\nRUN " + "ü" * (LINE_LIMIT // 2)).line == 2


def test_file_that_is_too_large_is_refused_unread() -> None:
    assert "larger than 4 MiB" in error_of("FROM a\n" + "#\n" * (SIZE_LIMIT // 2)).message


def test_error_has_file_lines_and_source() -> None:
    text = "FROM a\nRUN b \\\n <<E\nnothing"
    with pytest.raises(DockerfileError) as caught:
        parse(text, "build/Dockerfile")
    error = caught.value
    assert (error.file, error.line, error.end_line) == ("build/Dockerfile", 2, 4)
    assert error.source == text


def test_mistakes_of_a_trigger_are_placed_on_the_from_that_brings_it() -> None:
    file: Dockerfile = parse("FROM a\nFROM \\\n b\n")
    with pytest.raises(DockerfileError) as caught:
        parse_as_trigger("RUN <<E", file, 2, 3)
    assert (caught.value.line, caught.value.end_line) == (2, 3)
    assert caught.value.source == file.source
    assert caught.value.message == "unterminated heredoc"
