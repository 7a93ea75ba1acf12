"""What `RUN --mount` says, and EXPOSE. What is refused is in tests/golden/refusals."""

import pytest

from tierce.dockerfile.mounts import MountSpec, parse_mount, split_fields
from tierce.dockerfile.ports import exposed_ports, read_port
from tierce.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", MountSpec(target="/x")),
        ("type=BIND,dst=/x,rw", MountSpec(target="/x", read_only=False)),
        ("from=b,src=/a,destination=/x,readwrite=false", MountSpec("bind", "b", "/a", "/x")),
        ("type=cache,target=/x", MountSpec("cache", target="/x", read_only=False)),
        ("type=cache,target=/x,readonly", MountSpec("cache", target="/x")),
        (
            "type=cache,target=/x,id=i,sharing=LOCKED,mode=0700,uid=1,gid=2",
            MountSpec(
                "cache",
                target="/x",
                read_only=False,
                id="i",
                sharing="locked",
                mode=0o700,
                uid=1,
                gid=2,
            ),
        ),
        (
            "type=tmpfs,target=/x,size=1.5m",
            MountSpec("tmpfs", target="/x", read_only=False, size=3 << 19),
        ),
        (
            "type=secret,id=s,env=TOKEN,required",
            MountSpec("secret", id="s", env="TOKEN", required=True),
        ),
        ("type=ssh,required=true,mode=600", MountSpec("ssh", required=True, mode=0o600)),
        ('"target=/a,b"', MountSpec(target="/a,b")),
    ],
)
def test_mounts(text: str, expected: MountSpec) -> None:
    assert parse_mount(text, str) == expected


def test_values_are_expanded_and_names_are_not() -> None:
    found = parse_mount("type=t,target=t", lambda text: {"t": "cache"}[text])
    assert found == MountSpec("cache", target="cache", read_only=False)


@pytest.mark.parametrize(
    ("text", "fields"),
    [("", [""]), ("a,", ["a", ""]), ('"a ""b"", c",d', ['a "b", c', "d"])],
)
def test_fields_are_comma_separated_values(text: str, fields: list[str]) -> None:
    assert split_fields(text) == fields


@pytest.mark.parametrize("size", ["1", "1k", "1K", "1kb", "1KiB"])
def test_sizes_are_powers_of_1024(size: str) -> None:
    spec = parse_mount(f"type=tmpfs,target=/x,size={size}", str)
    assert spec.size == (1 if size == "1" else 1024)


@pytest.mark.parametrize("size", ["", "k", "1x", "-1", "1.2.3", "9e9", "1 2"])
def test_bad_sizes(size: str) -> None:
    with pytest.raises(InvalidValue, match="invalid value for size"):
        parse_mount(f"type=tmpfs,size={size}", str)


@pytest.mark.parametrize("number", ["", "-1", "4294967296", "१", "1_0", "0x1", "9" * 5000])
def test_bad_user_ids(number: str) -> None:
    with pytest.raises(InvalidValue, match="for uid"):
        parse_mount(f"type=cache,uid={number}", str)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ["80/tcp"]),
        ("0080/", ["80/tcp"]),
        ("1-3/UDP", ["1/udp", "2/udp", "3/udp"]),
        ("7-7", ["7/tcp"]),
        ("8080:80", ["80/tcp"]),
        ("127.0.0.1::80", ["80/tcp"]),
        ("[::1]:8080:80/sctp", ["80/sctp"]),
        ("8000-8001:80-81", ["80/tcp", "81/tcp"]),
        ("8000-8009:80", ["80/tcp"]),
    ],
)
def test_ports(text: str, ports: list[str]) -> None:
    assert exposed_ports(read_port(text)) == ports


@pytest.mark.parametrize(
    "text", ["", "/tcp", "x", "65536", "-1", "2-1", "1-", "१", "1/x", "x:1", "1.2:3:4", "9" * 5000]
)
def test_bad_ports(text: str) -> None:
    with pytest.raises(InvalidValue, match="invalid"):
        exposed_ports(read_port(text))
