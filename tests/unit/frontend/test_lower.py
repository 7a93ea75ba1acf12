"""What a Dockerfile becomes. Steps, config and history in full are in tests/golden/frontend."""

from typing import Any

import pytest

from support.frontend import Resolver, copy_of, exec_of, history, names, plan_of, step
from tierce.dockerfile.parser import parse
from tierce.errors import DockerfileError, NotFound, UsageError
from tierce.frontend.lower import Options, lower
from tierce.graph import Bind, CacheMount, ImageSource, MakeDirectory, Scratch, sorted_vertices
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform

# What is asked for


def test_only_images_that_the_target_needs_are_asked_for_all_at_once() -> None:
    resolver = Resolver()
    plan_of(
        "FROM alpine AS a\nFROM broken AS b\nCOPY --from=other / /\n"
        "FROM full\nCOPY --from=a / /\nCOPY --from=golang:1 / /\n"
        "RUN --mount=from=golang,target=/g x\n",
        resolver,
    )
    [asked] = resolver.asked
    assert sorted(asked) == [
        "docker.io/library/alpine:latest",
        "docker.io/library/full:latest",
        "docker.io/library/golang:1",
        "docker.io/library/golang:latest",
    ]


def test_nothing_is_asked_for_scratch() -> None:
    resolver = Resolver()
    plan = plan_of("FROM scratch\nLABEL a=b\n", resolver)
    assert resolver.asked == []
    assert isinstance(plan.vertex.op, Scratch)
    assert (plan.base, plan.layers, plan.inherited_history) == (None, (), 0)


def test_missing_base_has_its_place_and_the_stage_that_was_meant() -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of("FROM alpine AS builder\nFROM scratch\nFROM buildr\n")
    error = caught.value
    assert error.message == (
        "buildr: resolve docker.io/library/buildr:latest: not found in the store"
        " (did you mean builder?)"
    )
    assert error.line == 3
    assert isinstance(error.__cause__, NotFound)


def test_not_found_of_something_else_goes_through() -> None:
    def resolver(_: object) -> dict[object, object]:
        raise NotFound("blob", "sha256:0")

    with pytest.raises(NotFound):
        lower(parse("FROM alpine\n"), Options(), resolver)  # type: ignore[arg-type]


# The plan


def test_layers_and_history_of_the_base_come_first() -> None:
    plan = plan_of("FROM full\nENV a=b\nRUN x\nCOPY a b\n")
    assert plan.inherited_history == 2
    assert len(plan.config.diff_ids) == 2
    assert [(each.vertex.name, each.history) for each in plan.layers] == [
        ("[2/3] RUN x", 3),
        ("[3/3] COPY a b", 4),
    ]
    assert plan.layers[-1].vertex is plan.vertex
    assert plan.base is not None
    assert plan.base.manifest == Digest.of(b"docker.io/library/full:latest")


def test_layers_of_the_stage_beneath_belong_to_the_image() -> None:
    plan = plan_of("FROM alpine AS a\nRUN x\nFROM a\nRUN y\n")
    assert [each.vertex.name for each in plan.layers] == ["[a 2/2] RUN x", "[stage-1 1/1] RUN y"]
    assert plan.inherited_history == 1


def test_context_is_needed_only_by_what_takes_from_it() -> None:
    plan = plan_of("FROM alpine AS a\nCOPY . /\nFROM alpine\nCOPY --from=golang / /\n")
    assert (plan.needs_context, plan.context_paths) == (False, ())
    plan = plan_of("FROM alpine\nADD a/ *.js /\nRUN --mount=source=s,target=/s x\nCOPY ../b /\n")
    assert plan.needs_context
    assert plan.context_paths == ("/a", "/*.js", "/s", "/b")


def test_source_is_kept_for_excerpts() -> None:
    plan = plan_of("FROM alpine\nRUN a \\\n  b\n")
    assert (plan.file, plan.source) == ("Dockerfile", "FROM alpine\nRUN a \\\n  b\n")
    source = step(plan, "RUN a   b").source
    assert source is not None
    assert (source.first_line, source.last_line) == (2, 3)


def test_marks_of_dockers_own_builder_are_not_inherited() -> None:
    assert plan_of("FROM alpine\n").config.created is None


# Options


def test_labels_of_the_command_line_win() -> None:
    plan = plan_of("FROM full\nLABEL a=1\n", labels={"a": "2", "z": ""})
    assert dict(plan.config.config.labels) == {"a": "2", "l": "v", "z": ""}
    assert history(plan) == ["LABEL a=1"]


@pytest.mark.parametrize("number", ["0", "1"])
def test_target_is_no_number(number: str) -> None:
    with pytest.raises(DockerfileError, match=f'target stage "{number}" could not be found'):
        plan_of("FROM alpine AS a\nRUN x\nFROM alpine\nRUN y\n", target=number)


def test_target_among_stages_without_names() -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of("FROM alpine\n", target="stage-0")
    assert caught.value.hint == "no stage has a name; give it one with FROM … AS NAME"


def test_no_cache_runs_commands_and_copies_again() -> None:
    text = "FROM alpine AS a\nRUN x\nWORKDIR /w\nFROM alpine AS b\nCOPY --from=a / /\n"
    plan = plan_of(text, no_cache=True)
    again = {each.name: each.ignore_cache for each in sorted_vertices([plan.vertex])}
    assert again["[a 2/3] RUN x"]
    assert again["[b 2/2] COPY --from=a / /"]
    assert not again["[a 1/3] FROM docker.io/library/alpine:latest"]
    some = plan_of(text, no_cache_stages=("a",))
    redone = [each.name for each in sorted_vertices([some.vertex]) if each.ignore_cache]
    assert redone == ["[a 2/3] RUN x"]


def test_network_and_hosts_reach_every_run() -> None:
    plan = plan_of(
        "FROM alpine\nRUN a\nRUN --network=host b\n",
        network="none",
        add_hosts=(("db", "10.0.0.1"),),
    )
    assert exec_of(plan, "RUN a").network == "none"
    assert exec_of(plan, "b").network == "host"
    assert exec_of(plan, "RUN a").hosts == (("db", "10.0.0.1"),)


def test_platform_in_the_names_of_steps() -> None:
    plan = plan_of("FROM alpine\nRUN x\n", platform="linux/arm64", show_platform=True)
    assert names(plan) == [
        "[linux/arm64 1/2] FROM docker.io/library/alpine:latest",
        "[linux/arm64 2/2] RUN x",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"source_date_epoch": 0}, "1970-01-01T00:00:00Z"),
        ({"build_args": {"SOURCE_DATE_EPOCH": "1700000000"}}, "2023-11-14T22:13:20Z"),
        (
            {"build_args": {"SOURCE_DATE_EPOCH": "1"}, "source_date_epoch": 5},
            "1970-01-01T00:00:01Z",
        ),
        ({}, None),
    ],
)
def test_epoch_dates_new_history(given: dict[str, Any], expected: str | None) -> None:
    plan = plan_of("FROM alpine\nRUN x\nENV a=b\n", **given)
    assert [entry.created for entry in plan.config.history] == [
        "2020-01-01T00:00:00Z",
        expected,
        expected,
    ]


def test_epoch_may_be_an_argument_of_the_dockerfile() -> None:
    assert plan_of("ARG SOURCE_DATE_EPOCH=60\nFROM alpine\n").source_date_epoch == 60


@pytest.mark.parametrize("text", ["not-a-time", "1.5", "9" * 20])
def test_epoch_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid SOURCE_DATE_EPOCH"):
        plan_of("FROM alpine\n", build_args={"SOURCE_DATE_EPOCH": text})


# Arguments


def test_proxies_reach_commands_but_neither_history_nor_digest() -> None:
    text = "FROM alpine\nRUN x\n"
    plan = plan_of(text, build_args={"HTTPS_PROXY": "p", "no_proxy": "n"})
    assert exec_of(plan, "RUN x").proxy == (
        ("HTTPS_PROXY", "p"),
        ("https_proxy", "p"),
        ("NO_PROXY", "n"),
        ("no_proxy", "n"),
    )
    assert history(plan) == ["RUN /bin/sh -c x # buildkit"]
    assert plan.vertex.digest == plan_of(text).vertex.digest


def test_default_of_an_argument_changes_the_steps_behind_it_only() -> None:
    one, two = (plan_of(f"FROM alpine\nRUN a\nARG V={value}\nRUN b\n") for value in (1, 2))
    assert step(one, "RUN a").digest == step(two, "RUN a").digest
    assert step(one, "RUN b").digest != step(two, "RUN b").digest


# Triggers


def test_triggers_of_a_base_are_steps_before_its_own() -> None:
    resolver = Resolver()
    plan = plan_of("FROM triggers\nRUN own\n", resolver)
    # All have a number and count: BuildKit leaves FROM out of it, and counts what makes no step.
    assert names(plan) == [
        "[1/5] FROM docker.io/library/triggers:latest",
        "[2/5] ONBUILD RUN one",
        "FROM docker.io/library/golang:latest",
        "[3/5] ONBUILD COPY --from=golang /a /b",
        "[4/5] ONBUILD WORKDIR /t",
        "[5/5] RUN own",
    ]
    assert plan.config.config.on_build == ()
    assert exec_of(plan, "RUN own").cwd == "/t"
    assert resolver.asked == [
        ["docker.io/library/triggers:latest"],
        ["docker.io/library/golang:latest"],
    ]
    source = step(plan, "RUN one").source
    assert source is not None
    assert source.first_line == 1


def test_triggers_of_a_stage_run_in_the_stages_on_it_once() -> None:
    plan = plan_of("FROM alpine AS a\nONBUILD ENV T=1\nFROM a AS b\nRUN echo $T\nFROM b\nRUN y\n")
    assert history(plan) == [
        "ENV T=1",
        "RUN /bin/sh -c echo $T # buildkit",
        "RUN /bin/sh -c y # buildkit",
    ]
    assert plan.config.config.on_build == ()


# Steps


def test_copy_without_from_and_with_it() -> None:
    plan = plan_of("FROM alpine AS a\nRUN x\nFROM alpine\nCOPY b c/\nADD d e\nCOPY --from=a f /g\n")
    assert copy_of(plan, "COPY b c/").destination == "/c/"
    assert not copy_of(plan, "COPY b c/").parts[0].unpack
    assert copy_of(plan, "ADD d e").parts[0].unpack
    assert step(plan, "COPY --from=a f /g").inputs[1].name == "[a 2/2] RUN x"


def test_mode_has_one_spelling_in_the_graph() -> None:
    plan = plan_of("FROM alpine\nCOPY --chmod=0644 a b\n")
    assert plan.vertex.digest == plan_of("FROM alpine\nCOPY --chmod=644 a b\n").vertex.digest


def test_mounts_name_their_inputs() -> None:
    plan = plan_of(
        "FROM alpine AS a\nRUN a\nFROM alpine\nRUN --mount=from=a,source=/s,target=/1"
        " --mount=from=a,target=/2,rw --mount=type=cache,from=a,target=/3 b\n"
    )
    run = exec_of(plan, " b")
    assert run.mounts == (
        Bind("/1", 1, "/s"),
        Bind("/2", 1, "/", read_only=False),
        CacheMount("/3", "/3", input=1),
    )
    assert [each.name for each in plan.vertex.inputs] == [
        "[a 1/2] FROM docker.io/library/alpine:latest",
        "[a 2/2] RUN a",
    ]


def test_base_can_be_mounted_beside_itself() -> None:
    plan = plan_of("FROM alpine AS a\nFROM a\nRUN --mount=from=a,target=/b x\n")
    assert exec_of(plan, "x").mounts == (Bind("/b", 1),)
    assert plan.vertex.inputs[0] is plan.vertex.inputs[1]


def test_owner_and_mode_of_a_cache_make_it_start_empty() -> None:
    plan = plan_of("FROM alpine\nRUN --mount=type=cache,from=golang,target=/c,uid=5,mode=0700 x\n")
    assert exec_of(plan, "x").mounts == (CacheMount("/c", "/c:700:5:0", mode=0o700, uid=5),)
    assert len(plan.vertex.inputs) == 1


def test_workdir_belongs_to_the_user() -> None:
    plan = plan_of("FROM alpine\nUSER joe:staff\nWORKDIR /a/../b/\n")
    assert plan.vertex.op == MakeDirectory("/b", owner="joe:staff")
    assert plan.config.config.working_dir == "/a/../b/"


def test_equal_steps_of_two_stages_are_one_vertex() -> None:
    plan = plan_of("FROM alpine AS a\nRUN x\nFROM alpine AS b\nRUN x\nFROM a\nCOPY --from=b / /\n")
    assert plan.vertex.inputs[0] is plan.vertex.inputs[1]
    assert plan.vertex.inputs[0].name == "[a 2/2] RUN x"


def test_image_of_another_platform_is_asked_for_as_such() -> None:
    plan = plan_of("FROM --platform=linux/arm64 alpine\n")
    assert isinstance(plan.vertex.op, ImageSource)
    assert plan.vertex.op.platform == Platform("linux", "arm64")


def test_a_message_is_one_line_whatever_an_argument_holds() -> None:
    with pytest.raises(DockerfileError) as caught:
        plan_of("FROM alpine\nARG A\nUSER ${B:?$A}\n", build_args={"A": "x\ny"})
    assert caught.value.message.endswith("B: x\\ny")
