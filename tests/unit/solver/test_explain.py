"""What is said of two steps that differ, and which of many a step is compared with."""

from tierce.graph.ops import Exec
from tierce.graph.vertex import SourceRange, Vertex
from tierce.solver.cache import Outcome
from tierce.solver.explain import (
    MOST_FILES,
    Candidate,
    Components,
    Difference,
    Fact,
    Input,
    compare,
    explain,
    likeness,
)

IMAGE = Input("k1", "docker.io/library/base:1", "sha256:" + "a" * 64)
RUN = Components(
    {"": "Exec", "args": ["sh", "-c", "make all"], "env": [["A", "1"], ["B", "2"]], "cwd": "/"},
    (IMAGE,),
)
COPY = Components(
    {"": "Copy", "parts": ["src"], "destination": "/app/", "mode": ""},
    (IMAGE, Input("", "build context context")),
    ("d1",),
    {
        "a": Fact("file 644 0 0", "aa"),
        "b": Fact("file 644 0 0", "bb"),
        "d": Fact("dir 755 0 0", ""),
    },
)
VERTEX = Vertex(
    Exec(("make",)), name="[build 2/3] RUN make all", source=SourceRange("Dockerfile", 4, 4)
)


def changed(components: Components, **fields: object) -> Components:
    return components.replace(operation={**components.operation, **fields})


def with_files(**files: Fact | None) -> Components:
    left = {name: fact for name, fact in {**COPY.files, **files}.items() if fact is not None}
    return COPY.replace(files=left, selections=("d2",))


# Kinds of causes


def test_equal_steps_do_not_differ() -> None:
    assert compare(RUN, RUN) == []
    assert compare(COPY, COPY) == []


def test_content_of_a_file() -> None:
    assert compare(COPY, with_files(a=Fact("file 644 0 0", "cc"))) == [
        Difference("file", "a", "changed", "aa", "cc")
    ]


def test_mode_owner_and_attributes_of_a_file() -> None:
    assert compare(COPY, with_files(a=Fact("file 755 1 2 12345678", "aa"))) == [
        Difference("file", "a", "mode", "0644", "0755"),
        Difference("file", "a", "owner", "0:0", "1:2"),
        Difference("file", "a", "attributes"),
    ]


def test_new_and_removed_files_and_types() -> None:
    assert compare(
        COPY, with_files(a=None, c=Fact("file 644 0 0", "cc"), d=Fact("symlink 777 0 0", "dd"))
    ) == [
        Difference("file", "a", "removed", "aa", ""),
        Difference("file", "c", "added", "", "cc"),
        Difference("file", "d", "type", "dir", "symlink"),
    ]


def test_files_that_were_not_listed_differ_as_a_whole() -> None:
    assert compare(COPY.replace(files={}), with_files()) == [
        Difference("files", "", "changed", "d1", "d2")
    ]


def test_more_files_than_are_listed_are_counted() -> None:
    files = {f"{number:05}": Fact("file 644 0 0", "aa") for number in range(MOST_FILES + 5)}
    found = compare(COPY.replace(files={"x": Fact("dir 755 0 0", "")}),
                    COPY.replace(files=files, selections=("d2",)))  # fmt: skip
    assert len(found) == MOST_FILES + 1
    assert found[-1] == Difference("files", "", "more", "", "6")


def test_variables() -> None:
    env = [["B", "3"], ["C", "4"]]
    assert compare(RUN, changed(RUN, env=env)) == [
        Difference("variable", "B", "changed", "2", "3"),
        Difference("variable", "C", "added", "", "4"),
        Difference("variable", "A", "removed", "1", ""),
    ]


def test_order_of_variables() -> None:
    assert compare(RUN, changed(RUN, env=[["B", "2"], ["A", "1"]])) == [
        Difference("option", "env", "order")
    ]


def test_base_image() -> None:
    other = Input("k2", IMAGE.label, "sha256:" + "b" * 64)
    assert compare(RUN, RUN.replace(inputs=(other,))) == [
        Difference("base", IMAGE.label, "changed", IMAGE.digest, other.digest)
    ]


def test_result_of_an_earlier_step() -> None:
    old, new = Input("k1", "[2/4] COPY a /"), Input("k2", "[2/4] COPY a /")
    assert compare(RUN.replace(inputs=(old,)), RUN.replace(inputs=(new,))) == [
        Difference("input", new.label, "changed", old.label, new.label)
    ]


def test_instruction_and_its_options() -> None:
    found = compare(
        RUN,
        changed(RUN, args=["sh", "-c", "make some"], cwd="/src"),
        "[2/3] RUN make all",
        "[2/4] RUN make some",
    )
    assert found == [
        Difference("instruction", "", "changed", "RUN make all", "RUN make some"),
        Difference("option", "cwd", "changed", "/", "/src"),
    ]


def test_text_that_a_name_does_not_show() -> None:
    name = "[2/3] RUN <<EOF"
    assert compare(RUN, changed(RUN, args=["sh", "-c", "ls"]), name, name) == [
        Difference("instruction", "args", "changed", "sh -c make all", "sh -c ls")
    ]


# Whom with


def explained(new: Components, *candidates: Candidate, ignored: bool = False) -> tuple[str, str]:
    outcome = Outcome(VERTEX, ran=True, ignored_cache=ignored)
    found = explain(outcome, VERTEX.name, new, candidates)
    assert (found.vertex, found.file, found.line) == (VERTEX.digest, "Dockerfile", 4)
    return found.reason, found.compared


def test_step_that_is_like_none_is_new() -> None:
    assert explained(RUN) == ("new", "")
    other = Components({"": "Exec", "args": ["sh", "-c", "something else"]}, (Input("x", "y"),))
    assert explained(RUN, Candidate("other", 1.0, other)) == ("new", "")
    assert explained(RUN, Candidate("copy", 1.0, COPY)) == ("new", "")


def test_the_step_that_is_most_like_it_is_compared() -> None:
    near = Candidate("near", 1.0, changed(RUN, args=["sh", "-c", "make some"]))
    far = Candidate("far", 2.0, changed(RUN, args=["sh", "-c", "test"], env=[], cwd="/x"))
    assert explained(RUN, far, near) == ("differs", "near")


def test_of_steps_that_are_as_much_alike_the_first_is_compared() -> None:
    one = Candidate("one", 2.0, changed(RUN, cwd="/a"))
    two = Candidate("two", 1.0, changed(RUN, cwd="/b"))
    assert explained(RUN, one, two) == ("differs", "one")


def test_steps_with_the_same_files_are_more_alike() -> None:
    same = with_files(a=Fact("file 644 0 0", "cc"))
    other = COPY.replace(files={"x": Fact("file 644 0 0", "aa")}, selections=("d3",))
    assert likeness(same, COPY) > likeness(other, COPY)


def test_reasons() -> None:
    same = Candidate("same", 1.0, RUN)
    assert explained(RUN, same) == ("lost", "same")
    assert explained(RUN, same, ignored=True) == ("ignored", "")
    upon = RUN.replace(inputs=(Input("k2", "[1/3] COPY a /"),))
    before = RUN.replace(inputs=(Input("k1", "[1/3] COPY a /"),))
    assert explained(upon, Candidate("before", 1.0, before)) == ("input", "before")
