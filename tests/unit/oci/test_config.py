import json
from typing import Any

import pytest
from hypothesis import given

from tierce.errors import InvalidValue
from tierce.oci.config import (
    SIZE_LIMIT,
    ContainerConfig,
    Healthcheck,
    History,
    ImageConfig,
    chain_id,
    chain_ids,
)
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from unit.oci import values

LAYERS = (Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3"))


def parsed(**members: Any) -> ImageConfig:
    return ImageConfig.parse(json.dumps(members).encode())


@given(values.configs)
def test_config_reads_back_as_it_was_written(config: ImageConfig) -> None:
    assert ImageConfig.parse(config.encode()) == config


@given(values.json_documents)
def test_any_document_is_a_config_or_an_invalid_value(document: object) -> None:
    try:
        config = ImageConfig.parse(json.dumps(document).encode())
    except InvalidValue:
        return
    again = ImageConfig.parse(config.encode())
    assert again.encode() == config.encode()


def test_config_is_written_in_the_form_of_buildkit() -> None:
    config = ImageConfig(
        "arm64",
        "linux",
        variant="v8",
        created="2024-05-01T12:00:00.25Z",
        author="me",
        config=ContainerConfig(
            user="app",
            exposed_ports=("80/tcp", "443/tcp"),
            env=("PATH=/bin", "A=<1>"),
            entrypoint=("/app",),
            cmd=("-v",),
            volumes=("/data",),
            working_dir="/",
            labels=(("b", "2"), ("a", "1")),
            stop_signal="SIGINT",
            args_escaped=True,
            healthcheck=Healthcheck(("CMD", "true"), interval_ns=30_000_000_000, retries=3),
            on_build=("RUN x",),
            shell=("/bin/bash", "-c"),
        ),
        diff_ids=LAYERS[:1],
        history=(
            History("2024-05-01T12:00:00Z", "COPY a b # buildkit", "buildkit.dockerfile.v0"),
            History(created_by="ENV A=<1>", author="me", empty_layer=True),
        ),
    )
    assert config.encode().decode() == (
        '{"architecture":"arm64","author":"me",'
        '"config":{"User":"app","ExposedPorts":{"443/tcp":{},"80/tcp":{}},'
        '"Env":["PATH=/bin","A=\\u003c1\\u003e"],"Entrypoint":["/app"],"Cmd":["-v"],'
        '"Volumes":{"/data":{}},"WorkingDir":"/","Labels":{"a":"1","b":"2"},'
        '"StopSignal":"SIGINT","ArgsEscaped":true,'
        '"Healthcheck":{"Test":["CMD","true"],"Interval":30000000000,"Retries":3},'
        '"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"]},'
        '"created":"2024-05-01T12:00:00.25Z",'
        '"history":[{"created":"2024-05-01T12:00:00Z","created_by":"COPY a b # buildkit",'
        '"comment":"buildkit.dockerfile.v0"},'
        '{"created_by":"ENV A=\\u003c1\\u003e","author":"me","empty_layer":true}],'
        f'"os":"linux","rootfs":{{"type":"layers","diff_ids":["{LAYERS[0]}"]}},"variant":"v8"}}'
    )


def test_empty_values_are_left_out() -> None:
    config = ImageConfig("amd64", "linux", config=ContainerConfig(entrypoint=(), cmd=()))
    assert config.encode() == (
        b'{"architecture":"amd64","config":{},"os":"linux",'
        b'"rootfs":{"type":"layers","diff_ids":null}}'
    )


def test_config_of_a_scratch_image_reads_back() -> None:
    assert ImageConfig.parse(ImageConfig("amd64", "linux").encode()).diff_ids == ()


def test_unknown_fields_are_dropped() -> None:
    config = parsed(
        architecture="amd64",
        os="linux",
        config={"Hostname": "x", "Image": "y", "Cmd": ["a"]},
        container_config={"Hostname": "x"},
        **{"moby.buildkit.buildinfo.v1": "e30="},
    )
    assert json.loads(config.encode()) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["a"]},
        "rootfs": {"type": "layers", "diff_ids": None},
    }


def test_command_of_a_single_string_is_a_list_of_one() -> None:
    config = parsed(config={"Cmd": "run", "Entrypoint": "sh"}).config
    assert config.cmd == ("run",)
    assert config.entrypoint == ("sh",)


def test_of_two_values_of_a_variable_the_last_counts() -> None:
    config = ContainerConfig(env=("A=1", "B=x=y", "A=2", "C"))
    assert config.environment() == {"A": "2", "B": "x=y", "C": ""}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00.100Z", "2024-01-01T00:00:00.1Z"),
        ("2024-01-01T00:00:00.000000000Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00.1234567891Z", "2024-01-01T00:00:00.123456789Z"),
        ("2024-01-01t00:00:00z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00+02:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("", None),
    ],
)
def test_time_is_written_as_go_writes_it(text: str, written: str | None) -> None:
    assert parsed(created=text).created == written
    assert parsed(history=[{"created": text}]).history[0].created == written


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "1700000000",
     "2024-01-32T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00Z\n",
     "٢٠٢٤-01-01T00:00:00Z"],
)  # fmt: skip
def test_bad_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"created: .* is not an RFC 3339 time"):
        parsed(created=text)


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"architecture": 1}, "image config: architecture: expected a string"),
        ({"config": []}, "image config: config: expected an object"),
        ({"config": {"Env": {}}}, "image config: config: Env: expected a list of strings"),
        ({"config": {"Env": [1]}}, "Env: expected a list of strings, not a number"),
        ({"config": {"Cmd": 1}}, "Cmd: expected a string, not a number"),
        ({"config": {"Cmd": [["a"]]}}, "Cmd: expected a string, not a list"),
        ({"config": {"Labels": {"a": {}}}}, "Labels: expected an object of strings"),
        ({"config": {"Volumes": ["/x"]}}, "Volumes: expected an object, not a list"),
        ({"config": {"ArgsEscaped": "yes"}}, "ArgsEscaped: expected true or false"),
        ({"config": {"Healthcheck": {"Interval": "30s"}}}, "Interval: expected an integer"),
        ({"history": {}}, "history: expected a list"),
        ({"history": [1]}, r"history\[0\]: expected an object"),
        ({"history": [{"empty_layer": 1}]}, "empty_layer: expected true or false"),
        ({"rootfs": {"type": "layers+base"}}, "type 'layers\\+base' is not supported"),
        ({"rootfs": {"diff_ids": ["sha256:x"]}}, "1 digits instead of 64"),
        ({"rootfs": {"diff_ids": "x"}}, "diff_ids: expected a list of strings"),
    ],
)
def test_wrong_type_is_refused_with_its_place(members: dict[str, Any], cause: str) -> None:
    with pytest.raises(InvalidValue, match=cause):
        parsed(**members)


def test_huge_config_is_refused_unread() -> None:
    with pytest.raises(InvalidValue, match="more than"):
        ImageConfig.parse(b"[" * (SIZE_LIMIT + 1))


def test_platform_of_a_config_keeps_its_words() -> None:
    config = parsed(os="linux", architecture="arm64", variant="v8")
    assert config.platform == Platform("linux", "arm64", "v8")


def test_child_does_not_inherit_the_marks_of_docker() -> None:
    config = parsed(docker_version="20.10", container="ab", comment="c", author="me")
    assert config.docker_version == "20.10"
    assert config.for_child() == ImageConfig("", "", author="me")


def test_chain_id_covers_all_layers_below() -> None:
    first, second, third = LAYERS
    assert chain_ids(LAYERS)[0] == first
    assert chain_ids(LAYERS)[1] == Digest.of(f"{first} {second}".encode())
    assert chain_id(LAYERS) == Digest.of(f"{chain_ids(LAYERS)[1]} {third}".encode())
    assert chain_ids([]) == []
    with pytest.raises(InvalidValue, match="no layers"):
        chain_id([])
