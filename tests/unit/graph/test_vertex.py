"""Vertices: equal work is one vertex, and inputs come before their users."""

from tierce.graph import (
    Copy,
    CopyPart,
    Exec,
    LocalSource,
    Scratch,
    SourceRange,
    Vertex,
    sorted_vertices,
)


def chain(*names: str, start: Vertex | None = None) -> Vertex:
    vertex = start or Vertex(Scratch())
    for name in names:
        vertex = Vertex(Exec((name,)), [vertex], name=name)
    return vertex


def test_digest_covers_operation_and_inputs() -> None:
    assert chain("a", "b").digest == chain("a", "b").digest
    assert chain("a", "b").digest != chain("b", "b").digest
    assert chain("a").digest != chain("a", start=Vertex(LocalSource("context"))).digest


def test_order_of_inputs_matters() -> None:
    one, two = chain("a"), chain("b")
    op = Copy((CopyPart(1, ("x",)),), "/x")
    assert Vertex(op, [one, two]).digest != Vertex(op, [two, one]).digest


def test_how_a_vertex_is_shown_changes_no_digest() -> None:
    plain = Vertex(Exec(("a",)))
    shown = Vertex(
        Exec(("a",)), name="[1/1] RUN a", source=SourceRange("Dockerfile", 1, 2), ignore_cache=True
    )
    assert plain.digest == shown.digest


def test_inputs_come_before_their_users() -> None:
    root = chain("a", "b", "c")
    names = [vertex.name for vertex in sorted_vertices([root])]
    assert names == ["", "a", "b", "c"]


def test_shared_input_comes_once() -> None:
    base = chain("base")
    left, right = chain("left", start=base), chain("right", start=base)
    root = Vertex(Copy((CopyPart(1, ("x",)),), "/x"), [left, right], name="copy")
    names = [vertex.name for vertex in sorted_vertices([root])]
    assert names == ["", "base", "left", "right", "copy"]


def test_equal_vertices_of_two_stages_come_once() -> None:
    roots = [chain("a", "b"), chain("a", "c")]
    names = [vertex.name for vertex in sorted_vertices(roots)]
    assert names == ["", "a", "b", "c"]


def test_deep_graph_needs_no_recursion() -> None:
    assert len(list(sorted_vertices([chain(*map(str, range(5000)))]))) == 5001


def test_repr_is_short() -> None:
    assert repr(chain("a")).startswith("<Vertex a ")
