"""Instructions with their meaning. What is refused is in tests/golden/refusals."""

import pytest

from tierce.dockerfile import instructions as df
from tierce.dockerfile.lint import silent_linter
from tierce.dockerfile.parser import parse
from tierce.dockerfile.reading import read_all
from tierce.oci.config import Healthcheck

ALL_HEALTH_FLAGS = "--interval=1s --timeout=2s --start-period=3s --start-interval=4s --retries=5"


def read(line: str, escape: str = "") -> df.From | df.Command:
    return read_all(parse(f"{escape}FROM alpine\n{line}\n"), silent_linter())[-1]


def test_from_has_base_name_and_platform() -> None:
    found = read("FROM --platform=linux/arm64 golang:1 As Build-1.x")
    assert isinstance(found, df.From)
    assert (found.base, found.name, found.platform) == ("golang:1", "build-1.x", "linux/arm64")


def test_arg_without_default_differs_from_an_empty_one() -> None:
    found = read("ARG A B= C='d e' F=\"g\"")
    assert isinstance(found, df.Arg)
    assert found.declarations == (
        df.Declaration("A"),
        df.Declaration("B", ""),
        df.Declaration("C", "'d e'"),
        df.Declaration("F", '"g"'),
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ENV a=b c=d", [("a", "b"), ("c", "d")]),
        ("ENV a b c=d  e", [("a", "b c=d  e")]),
        ("ENV a='b c' d=e\\ f", [("a", "'b c'"), ("d", "e\\ f")]),
        ("ENV a= b=c=d", [("a", ""), ("b", "c=d")]),
        ('LABEL "a b"="c"', [('"a b"', '"c"')]),
    ],
)
def test_assignments(line: str, expected: list[tuple[str, str]]) -> None:
    found = read(line)
    assert isinstance(found, df.Env | df.Label)
    assert [(each.name, each.value) for each in found.assignments] == expected


def test_run_keeps_mounts_unread_but_knows_where_they_are_from() -> None:
    found = read("RUN --mount=type=cache,target=$X --mount=from=b,target=/b,ro --network=host x  y")
    assert isinstance(found, df.Run)
    assert found.command == df.CommandLine(("x  y",), is_shell=True)
    assert found.mounts == ("type=cache,target=$X", "from=b,target=/b,ro")
    assert found.mount_sources == ("", "b")
    assert (found.network, found.security) == ("host", "sandbox")


def test_copy_flags() -> None:
    found = read(
        "COPY --from=b --chown=1:2 --chmod=755 --link --parents=false"
        " --exclude=a --exclude=b c d /e/"
    )
    assert isinstance(found, df.Copy)
    assert (found.sources, found.destination) == (("c", "d"), "/e/")
    assert (found.copy_from, found.owner, found.mode) == ("b", "1:2", "755")
    assert (found.link, found.parents, found.excludes) == (True, False, ("a", "b"))
    assert not found.is_add


def test_add_flags() -> None:
    found = read("ADD --keep-git-dir=true --checksum=sha256:0 --unpack=false a b")
    assert isinstance(found, df.Copy)
    assert found.is_add
    assert (found.keep_git_directory, found.checksum, found.unpack) == (True, "sha256:0", False)
    plain = read("ADD a b")
    assert isinstance(plain, df.Copy)
    assert (plain.keep_git_directory, plain.unpack) == (None, None)


def test_heredocs_among_the_sources_of_copy() -> None:
    found = read("COPY a <<-E <<'F' /d\n\tx\nE\ny\nF")
    assert isinstance(found, df.Copy)
    assert found.sources == ("a",)
    assert [(each.name, each.text, each.expand) for each in found.documents] == [
        ("E", "x\n", True),
        ("F", "y\n", False),
    ]


def test_commands_in_both_forms() -> None:
    shell, words = read("CMD a  'b'"), read('ENTRYPOINT ["a", "b"]')
    assert isinstance(shell, df.Cmd)
    assert isinstance(words, df.Entrypoint)
    assert shell.command == df.CommandLine(("a  'b'",), is_shell=True)
    assert words.command == df.CommandLine(("a", "b"), is_shell=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HEALTHCHECK none", Healthcheck(("NONE",))),
        ("HEALTHCHECK cmd  a | b", Healthcheck(("CMD-SHELL", "a | b"))),
        ('HEALTHCHECK CMD ["a"]', Healthcheck(("CMD", "a"))),
        (
            f"HEALTHCHECK {ALL_HEALTH_FLAGS} CMD x",
            Healthcheck(("CMD-SHELL", "x"), 10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9, 5),
        ),
        ("HEALTHCHECK --interval=0 --retries=0 CMD x", Healthcheck(("CMD-SHELL", "x"))),
    ],
)
def test_healthchecks(line: str, expected: Healthcheck) -> None:
    found = read(line)
    assert isinstance(found, df.HealthCheck)
    assert found.check == expected


def test_ports_are_sorted_and_volumes_stripped() -> None:
    expose, volume = read("EXPOSE 90 80/udp"), read('VOLUME [" /a ", "/b"]')
    assert isinstance(expose, df.Expose)
    assert isinstance(volume, df.Volume)
    assert expose.ports == ("80/udp", "90")
    assert volume.paths == ("/a", "/b")


def test_one_argument_is_all_of_the_line() -> None:
    found = read("WORKDIR /a  b")
    assert isinstance(found, df.Workdir)
    assert found.path == "/a  b"


@pytest.mark.parametrize(
    ("line", "trigger"),
    [
        ("ONBUILD RUN a  b", "RUN a  b"),
        ("onbuild   copy --from=x . /y", "copy --from=x . /y"),
        ("ONBUILD RUN <<E\nx\nE", "RUN <<E\nx\nE"),
    ],
)
def test_triggers_are_kept_as_written(line: str, trigger: str) -> None:
    found = read(line)
    assert isinstance(found, df.OnBuild)
    assert found.trigger == trigger


def test_escape_directive_reaches_the_words() -> None:
    found = read("ENV a=b` c d=e\\", escape="# escape=`\n")
    assert isinstance(found, df.Env)
    assert [each.value for each in found.assignments] == ["b` c", "e\\"]
