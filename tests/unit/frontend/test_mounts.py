"""What `RUN --mount`, `--network` and `--security` come to in the graph."""

from typing import Any

import pytest

from support.frontend import names, plan_of
from tierce.errors import DockerfileError
from tierce.graph import sorted_vertices
from tierce.graph.ops import Exec, Mount, Secret, Ssh, Tmpfs


def run_of(dockerfile: str, **options: Any) -> Exec:
    [found] = [
        vertex.op
        for vertex in sorted_vertices([plan_of(dockerfile, **options).vertex])
        if isinstance(vertex.op, Exec)
    ]
    return found


def mounts_of(*texts: str, before: str = "") -> tuple[Mount, ...]:
    flags = " ".join(f"--mount={text}" for text in texts)
    return run_of(f"FROM alpine\n{before}RUN {flags} true\n").mounts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=tmpfs,target=/t", Tmpfs("/t")),
        ("type=tmpfs,target=/t,size=1m", Tmpfs("/t", 1 << 20)),
        ("type=tmpfs,target=/t,ro", Tmpfs("/t", read_only=True)),
        ("type=secret,id=a", Secret("a", "/run/secrets/a")),
        ("type=secret,id=a/b", Secret("a/b", "/run/secrets/b")),
        ("type=secret,source=a", Secret("a", "/run/secrets/a")),
        ("type=secret,target=/x/y", Secret("y", "/x/y")),
        ("type=secret,id=a,dst=b", Secret("a", "/b")),
        ("type=secret,id=a,env=E", Secret("a", env="E")),
        ("type=secret,id=a,env=E,target=/x", Secret("a", "/x", env="E")),
        ("type=secret,id=a,required", Secret("a", "/run/secrets/a", required=True)),
        ("type=secret,id=a,mode=4644", Secret("a", "/run/secrets/a", mode=0o644)),
        ("type=secret,id=a,uid=7,gid=8", Secret("a", "/run/secrets/a", uid=7, gid=8)),
        ("type=ssh", Ssh("default", "/run/buildkit/ssh_agent.0")),
        ("type=ssh,id=x,target=/s,mode=666", Ssh("x", "/s", mode=0o666)),
        ("type=ssh,required=true,uid=7", Ssh("default", "/run/buildkit/ssh_agent.0", True, uid=7)),
    ],
)
def test_mount(text: str, expected: Mount) -> None:
    assert mounts_of(text) == (expected,)


def test_targets_start_at_workdir_and_do_not_climb_out_of_the_root() -> None:
    made = mounts_of(
        *("type=secret,id=a,target=s", "type=tmpfs,target=t", "type=ssh,target=a"),
        *("type=secret,id=b,target=../../../s", "type=tmpfs,target=/../../t"),
        before="WORKDIR /w\n",
    )
    assert [mount.target for mount in made] == ["/w/s", "/w/t", "/w/a", "/s", "/t"]


def test_agents_are_numbered_and_the_first_is_in_the_environment() -> None:
    run = run_of("FROM nopath\nRUN --mount=type=ssh --mount=type=ssh,id=other true\n")
    assert [mount.target for mount in run.mounts if isinstance(mount, Ssh)] == [
        "/run/buildkit/ssh_agent.0",
        "/run/buildkit/ssh_agent.1",
    ]
    assert dict(run.env)["SSH_AUTH_SOCK"] == "/run/buildkit/ssh_agent.0"


def test_a_variable_that_names_an_agent_already_is_kept() -> None:
    run = run_of("FROM alpine\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh true\n")
    assert dict(run.env)["SSH_AUTH_SOCK"] == "/mine"


def test_variables_that_hold_a_secret_are_masked_in_the_name_of_the_step() -> None:
    plan = plan_of(
        'FROM alpine\nENV TOKEN=public\nRUN --mount=type=secret,id=t,env=TOKEN echo "$TOKEN"\n'
    )
    assert names(plan)[-1].endswith('echo "****"')


def test_the_network_of_the_host_has_to_be_allowed() -> None:
    text = "FROM alpine\nRUN true\nRUN --network=host x\n"
    with pytest.raises(DockerfileError) as caught:
        plan_of(text, allow=())
    assert caught.value.message == "network.host is not allowed"
    assert (caught.value.line, caught.value.hint) == (
        3,
        "if you trust the Dockerfile, build with --allow network.host",
    )
    assert run_of("FROM alpine\nRUN --network=host x\n").network == "host"


def test_insecure_steps_are_lowered_where_they_are_allowed() -> None:
    run = run_of("FROM alpine\nRUN --security=insecure x\n", allow=("security.insecure",))
    assert run.security == "insecure"
