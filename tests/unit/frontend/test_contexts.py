"""Named contexts in the graph: what they replace, by which names, and what is asked of them."""

from collections.abc import Mapping

import pytest

from tierce.dockerfile.parser import parse
from tierce.errors import BuildError, DockerfileError
from tierce.frontend.lower import lower
from tierce.frontend.options import NamedContext, Options, Plan
from tierce.graph.ops import Copy, GitSource, LocalSource, Scratch
from tierce.graph.vertex import Vertex, sorted_vertices
from tierce.oci.platform import Platform


class Contexts:
    """A directory for each name; notes which were asked for."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, name: str, platform: Platform) -> NamedContext:
        self.loaded.append(name)
        if name == "broken":
            raise BuildError("it is broken", hint="mend it")
        return NamedContext(Vertex(LocalSource(name), name=f"[context {name}] load from client"))


def plan_of(text: str, contexts: Mapping[str, str], found: Contexts | None = None) -> Plan:
    options = Options(contexts=contexts, load_context=(found or Contexts()).load)
    return lower(parse(text.encode(), "Dockerfile"), options, lambda wanted: {})


def sources(plan: Plan) -> list[str]:
    ops = [vertex.op for vertex in sorted_vertices([plan.vertex])]
    return [op.name for op in ops if isinstance(op, LocalSource)]


@pytest.mark.parametrize("written", ["x", "x:latest", "docker.io/library/x", "index.docker.io/x"])
def test_image_is_replaced_however_it_is_written(written: str) -> None:
    assert sources(plan_of(f"FROM {written}\n", {"x": "dir"})) == ["x"]


def test_stage_begins_on_a_copy_of_a_directory() -> None:
    vertex = plan_of("FROM x\n", {"x": "dir"}).vertex
    assert isinstance(vertex.op, Copy)
    assert isinstance(vertex.inputs[0].op, Scratch)


def test_context_is_copied_from_as_it_is() -> None:
    vertex = plan_of("FROM scratch\nCOPY --from=x / /\n", {"x": "dir"}).vertex
    assert isinstance(vertex.inputs[1].op, LocalSource)


def test_name_of_a_stage_goes_before_the_image_it_starts_from() -> None:
    text = "FROM y AS x\nRUN false\nFROM x\n"
    assert sources(plan_of(text, {"x": "dir", "y": "dir"})) == ["x"]


def test_own_stage_goes_before_a_context_where_it_is_a_base() -> None:
    found = Contexts()
    text = "FROM scratch AS x\nWORKDIR /made\nFROM x\n"
    # The context replaces the stage itself, which is then what the base is.
    assert sources(plan_of(text, {"x": "dir"}, found)) == ["x"]
    assert found.loaded == ["x"]


@pytest.mark.parametrize("name", ["scratch", "context"])
def test_reserved_names_replace_no_stage(name: str) -> None:
    text = f"FROM scratch AS {name if name == 'context' else 'x'}\nWORKDIR /x\nFROM scratch\n"
    assert sources(plan_of(text, {name: "dir"})) == []


def test_only_what_the_target_needs_is_loaded() -> None:
    found = Contexts()
    plan_of("FROM x AS a\nFROM scratch\nCOPY --from=y / /\n", {"x": "d", "y": "d"}, found)
    assert found.loaded == ["y"]


def test_failure_has_the_place_of_its_use() -> None:
    with pytest.raises(DockerfileError) as raised:
        plan_of("FROM scratch\n\nCOPY --from=broken / /\n", {"broken": "dir"})
    assert (raised.value.line, raised.value.message) == (3, "it is broken")
    assert raised.value.hint == "mend it"


def test_target_is_a_stage_that_came_before() -> None:
    text = "FROM scratch AS a\nWORKDIR /a\nFROM x\nFROM scratch\nCOPY --from=x /a /b\n"
    assert sources(plan_of(text, {"x": "target:A"})) == []
    with pytest.raises(DockerfileError, match="failed to find target a for context x") as raised:
        plan_of("FROM x\nFROM scratch AS a\n", {"x": "target:a"})
    assert raised.value.line == 1


def test_build_context_may_be_the_result_of_something() -> None:
    tree = Vertex(GitSource("https://host/x.git"), name="tree")
    options = Options(context=tree)
    text = b"FROM scratch\nCOPY a /\nRUN --mount=target=/m true\n"
    plan = lower(parse(text, "Dockerfile"), options, lambda wanted: {})
    assert not plan.needs_context
    assert tree in list(sorted_vertices([plan.vertex]))


def test_layer_of_a_directory_is_told_of_as_buildkit_does() -> None:
    [entry] = plan_of("FROM x\n", {"x": "dir"}).config.history
    assert entry.created_by == "[context x] load from client"
    assert entry.comment == "buildkit.exporter.image.v0"
