"""The rules of .dockerignore."""

from pathlib import Path

import pytest

from tierce.dockerfile.ignore import parse_ignore_file, read_ignore_file
from tierce.errors import InvalidValue
from tierce.graph.patterns import compile_patterns


def ignored(text: str, path: str) -> bool:
    return compile_patterns(parse_ignore_file(text)).matches(path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b", "b/a", "ab"]),
        ("/a/", ["a", "a/b"], ["b/a"]),
        ("./a//b/../c", ["a/c"], ["a/b"]),
        ("*", ["a", "a/b"], []),
        ("*.md", ["x.md", ".md", "x.md/y"], ["a/x.md", "x.mdx"]),
        ("a/*", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("*/*/b", ["x/y/b"], ["y/b", "b", "w/x/y/b"]),
        ("a?", ["ab"], ["a", "abc", "a/"]),
        ("**", ["a", "a/b"], []),
        ("**/b", ["b", "a/b", "a/a/b", "b/x"], ["ab", "a/ab"]),
        ("**/a/b", ["a/b", "x/a/b"], ["xa/b", "a/x/b"]),
        ("**/*.o", ["x.o", "a/x.o", "a/b/x.o"], ["x.oo"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a", "a"]),
        ("a**", ["a", "ab", "a/b"], ["ba"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]),
        ("**x", ["x", "ax", "a/bx"], ["xa"]),
        ("[a-c]1", ["a1", "c1"], ["d1", "-1"]),
        ("[^a-c]1", ["d1"], ["a1"]),
        ("[a\\]b]", ["a", "]", "b"], ["\\"]),
        ("a[]]", ["a]"], ["a"]),
        ("a[x-]", ["ax", "a-"], ["ay"]),
        ("\\*", ["*"], ["a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b){2}|^$", ["a+(b){2}|^$"], ["aab"]),
        ("ü[ä]", ["üä"], ["üa"]),
        ("[&&a||b~~c]", ["&", "a", "|", "~"], ["d"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not ignored(pattern, path)] == []
    assert [path for path in no if ignored(pattern, path)] == []


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("*\n!a", ["b"], ["a", "a/b"]),
        ("*\n!a\na/b", ["b", "a/b", "a/b/c"], ["a", "a/c"]),
        ("!a\n*", ["a"], []),
        ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
        ("a\n!a/b/c", ["a", "a/b", "a/x"], ["a/b/c", "a/b/c/d"]),
        ("**/x\n!keep/x", ["x", "a/x"], ["keep/x", "keep/x/y"]),
    ],
)
def test_the_last_pattern_that_matches_counts(text: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not ignored(text, path)] == []
    assert [path for path in no if ignored(text, path)] == []


def test_files_are_read_line_by_line_without_comments() -> None:
    text = "\ufeff# comment\n\n  /a/ \r\n#b\n ! c/../d \n/\n # not a comment\n!\n"
    assert parse_ignore_file(text) == ["a", "!d", "/", "# not a comment", "!"]


@pytest.mark.parametrize("pattern", ["!", "!/", "[", "a[b", "[]", "[b-a]", "a\\", "[a-"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_patterns(parse_ignore_file(pattern))
    assert "pattern" in caught.value.message


@pytest.mark.parametrize(
    ("text", "directory", "expected"),
    [
        ("a", "a", False),
        ("a\n!a/b", "a", True),
        ("a\n!a/b", "a/b", False),
        ("a\n!a/b/c", "a/b", True),
        ("a\n!a/*/c", "a/x", True),
        ("a\n!*.md", "a", False),
        ("a\n!**/*.md", "a/b", True),
        ("a\n!b/c", "a", False),
        ("a\n![^x]y", "a", True),
    ],
)
def test_directories_are_only_entered_for_exceptions(
    text: str, directory: str, expected: bool
) -> None:
    rules = compile_patterns(parse_ignore_file(text))
    assert rules.may_hold_exceptions(directory) is expected


def test_no_exception_is_missed_by_not_entering() -> None:
    names = ["a", "b", "a.md"]
    paths = [f"{x}/{y}/{z}" for x in names for y in names for z in names]
    patterns = ["*", "a", "a/b", "**/a", "*/*/a.md", "a/*", "**/*.md", "[a]/b"]
    for excluded in patterns:
        for exception in patterns:
            rules = compile_patterns([excluded, f"!{exception}"])
            for path in paths:
                parents = [path[:end] for end, each in enumerate(path) if each == "/"]
                if not rules.matches(path):
                    for parent in parents:
                        assert not rules.matches(parent) or rules.may_hold_exceptions(parent)


def test_ignore_file_of_the_dockerfile_goes_first(tmp_path: Path) -> None:
    assert read_ignore_file(tmp_path) == (None, 0)
    (tmp_path / ".dockerignore").write_text("a\n")
    rules, size = read_ignore_file(tmp_path)
    assert rules is not None
    assert (rules.matches("a"), rules.matches("b"), size) == (True, False, 2)
    (tmp_path / "Dockerfile.dockerignore").write_text("b\n")
    rules, _ = read_ignore_file(tmp_path)
    assert rules is not None
    assert (rules.matches("a"), rules.matches("b")) == (False, True)
    other = tmp_path / "other"
    (tmp_path / "other.dockerignore").write_text("c\n")
    rules, _ = read_ignore_file(tmp_path, str(other))
    assert rules is not None
    assert rules.matches("c")


def test_names_that_are_no_utf_8_can_be_ignored(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"\xff*\n")
    rules, _ = read_ignore_file(tmp_path)
    assert rules is not None
    assert rules.matches(b"\xffx".decode("utf-8", "surrogateescape"))


def test_malformed_pattern_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("[\n")
    with pytest.raises(InvalidValue, match=r"\.dockerignore: syntax error in pattern"):
        read_ignore_file(tmp_path)
