"""COPY and ADD: one vertex for one step, whatever it takes from where."""

import pytest

from support.frontend import copy_of, exec_of, history, names, plan_of, step
from tierce.errors import DockerfileError
from tierce.graph.ops import Bind, Copy, CopyPart, LocalSource, MakeFile, Merge, Scratch


def test_sources_of_one_kind_are_one_part() -> None:
    plan = plan_of("FROM alpine\nCOPY a b/ *.c /x/\n")
    assert copy_of(plan, "/x/").parts == (CopyPart(1, ("/a", "/b", "/*.c")),)


def test_sources_of_several_kinds_are_parts_in_their_order() -> None:
    plan = plan_of("FROM alpine\nADD a <<d b <<e /x/\ndoc\nd\nmore\ne\nCOPY c /y\n")
    operation = copy_of(plan, "/x/")
    assert operation.parts == (
        CopyPart(1, ("/a", "/b"), unpack=True),
        CopyPart(2, ("/d",), literal=True),
        CopyPart(3, ("/e",), literal=True),
    )
    inputs = [vertex.op for vertex in step(plan, "/x/").inputs[1:]]
    assert inputs == [LocalSource("context"), MakeFile("/d", b"doc\n"), MakeFile("/e", b"more\n")]
    assert history(plan)[0] == "ADD a b <<d <<e /x/ # buildkit"


def test_equal_documents_are_made_once() -> None:
    plan = plan_of("FROM alpine\nCOPY <<d <<d /x/\ndoc\nd\ndoc\nd\nCOPY <<d /y\ndoc\nd\n")
    assert names(plan).count("[internal] preparing inline document") == 1
    assert copy_of(plan, "/x/").parts == (CopyPart(1, ("/d", "/d"), literal=True),)


def test_documents_alone_need_no_context() -> None:
    assert not plan_of("FROM alpine\nCOPY <<d /x\ndoc\nd\n").needs_context
    assert plan_of("FROM alpine\nCOPY <<d a /x/\ndoc\nd\n").needs_context


def test_variables_of_a_document_are_part_of_it() -> None:
    plan = plan_of("FROM alpine\nARG a=1\nCOPY <<d <<'e' /x/\n$a\nd\n$a\ne\n")
    contents = [
        each.op.content for each in step(plan, "/x/").inputs if isinstance(each.op, MakeFile)
    ]
    assert contents == [b"1\n", b"$a\n"]


def test_linked_copy_is_made_on_nothing_and_laid_over_the_base() -> None:
    plan = plan_of("FROM alpine\nCOPY --link a /x\n")
    assert isinstance(plan.vertex.op, Merge)
    base, copied = plan.vertex.inputs
    assert base.name.endswith("FROM docker.io/library/alpine:latest")
    assert isinstance(copied.op, Copy)
    assert isinstance(copied.inputs[0].op, Scratch)
    assert (plan.vertex.name, copied.name) == ("", "[2/2] COPY --link a /x")
    assert plan.layers[0].vertex is plan.vertex


def test_linked_copies_of_equal_files_are_one() -> None:
    plan = plan_of("FROM alpine AS a\nCOPY --link x /x\nFROM golang\nCOPY --link x /x\n"
                   "COPY --from=a /x /y\n")  # fmt: skip
    assert sum(name.endswith("COPY --link x /x") for name in names(plan)) == 1


@pytest.mark.parametrize("flags", ["", "--link=false", "--link --chmod=600"])
def test_copy_that_is_not_linked_is_made_on_its_base(flags: str) -> None:
    plan = plan_of(f"FROM alpine\nCOPY {flags} a /x\n")
    assert isinstance(plan.vertex.op, Copy)


@pytest.mark.parametrize(
    ("source", "top", "pattern"),
    [
        ("a/b", "/", "a/b"),
        ("/a/b/", "/", "a/b/"),
        ("./a/../b", "/", "b"),
        ("../a", "/", "a"),
        ("a/./b/c", "/a", "b/c"),
        ("a/./b/./c", "/a", "b/c"),
        ("/./a", "/", "a"),
        ("./a/./*.c", "/a", "*.c"),
        ("a*/./**/b", "/a*", "**/b"),
        (".", "/", ""),
    ],
)
def test_kept_directories_begin_at_the_pivot(source: str, top: str, pattern: str) -> None:
    plan = plan_of(f"FROM alpine\nCOPY --parents {source} /x/\n")
    assert copy_of(plan, "/x/").parts == (CopyPart(1, (top,), includes=(pattern,)),)


def test_patterns_of_exclude_are_taken_as_they_are() -> None:
    plan = plan_of('FROM alpine\nENV A=b\nCOPY --exclude=$A --exclude=" c " --exclude= x /y\n')
    assert copy_of(plan, "/y").excludes == ("$A", "c")


def test_script_is_seen_by_its_step_alone() -> None:
    plan = plan_of("FROM alpine\nRUN <<EOF\n#!/bin/python\nx\nEOF\nRUN y\n")
    operation = exec_of(plan, "(#!/bin/python...)")
    assert operation.args == ("/bin/sh", "-c", "/dev/pipes/EOF")
    assert operation.mounts == (Bind("/dev/pipes", 1),)
    script = step(plan, "(#!/bin/python...)").inputs[1].op
    assert script == MakeFile("/EOF", b"#!/bin/python\nx\n", 0o755)
    assert exec_of(plan, "RUN y").mounts == ()


# Hostile


def test_document_of_megabytes_is_lowered() -> None:
    text = ("x" * 999 + "\n") * 3000 + "$A\n"
    plan = plan_of(f"FROM alpine\nENV A=1\nCOPY <<d /x\n{text}d\n")
    [made] = [each.op for each in step(plan, "/x").inputs if isinstance(each.op, MakeFile)]
    assert made.content == text.replace("$A", "1").encode()


def test_variables_that_make_a_document_enormous_are_refused() -> None:
    doubled = "".join(f"ENV A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 18))
    with pytest.raises(DockerfileError, match="variables"):
        plan_of(f"FROM alpine\nENV A0={'x' * 10}\n{doubled}COPY <<d /x\n$A17$A17$A17$A17\nd\n")


def test_thousands_of_documents_patterns_and_sources_are_lowered() -> None:
    sources = " ".join(f"s{n}" for n in range(3000))
    plan = plan_of(f"FROM alpine\nCOPY {sources} /x/\n")
    assert len(copy_of(plan, "/x/").parts[0].sources) == 3000
    excludes = " ".join(f"--exclude=p{n}*" for n in range(3000))
    plan = plan_of(f"FROM alpine\nCOPY {excludes} a /x/\n")
    assert len(copy_of(plan, "a /x/").excludes) == 3000
    documents = " ".join(f"<<d{n}" for n in range(300))
    contents = "".join(f"{n}\nd{n}\n" for n in range(300))
    plan = plan_of(f"FROM alpine\nCOPY {documents} /x/\n{contents}")
    assert len(copy_of(plan, "/x/").parts) == 300
