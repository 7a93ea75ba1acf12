"""`--secret`, `--ssh` and `--allow`: buildx's grammar."""

import pytest

from tierce.cli.building.secrets import parse_agents, parse_entitlement, parse_secret
from tierce.errors import UsageError
from tierce.worker.credentials import SecretSource, SshSource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=a", SecretSource("a")),
        ("id=a,src=/f", SecretSource("a", "/f")),
        ("ID=a,Source=/f", SecretSource("a", "/f")),
        ("id=a,env=E", SecretSource("a", env="E")),
        ("type=file,id=a,src=/f", SecretSource("a", "/f")),
        ("type=env,id=a,src=E", SecretSource("a", env="E")),
        ("type=env,id=a,env=E,src=/f", SecretSource("a", "/f", "E")),
        ("type=env,id=a", SecretSource("a")),
        ('id=a,"src=/with,comma"', SecretSource("a", "/with,comma")),
        ("id=a,src=/f=g", SecretSource("a", "/f=g")),
    ],
)
def test_secret(text: str, expected: SecretSource) -> None:
    assert parse_secret(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid field 'a' must be a key=value pair"),
        ("id=a,required", "invalid field 'required' must be a key=value pair"),
        ("id=a,type=vault", 'unsupported secret type "vault"'),
        ("id=a,target=/x", "unexpected key 'target' in 'target=/x'"),
        ("src=/f", "secret missing ID"),
        ('id=a,src="x', 'failed to parse csv secret: bare " in non-quoted field'),
    ],
)
def test_secret_that_is_none(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_secret(text)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ()),
        (["default"], (SshSource(),)),
        (["default=/agent"], (SshSource("default", ("/agent",)),)),
        (["=/agent"], (SshSource("default", ("/agent",)),)),
        (["github=/k1,/k2", "default"], (SshSource("github", ("/k1", "/k2")), SshSource())),
        ([""], ()),
    ],
)
def test_agents(texts: list[str], expected: tuple[SshSource, ...]) -> None:
    assert parse_agents(texts) == expected


def test_agent_that_is_given_twice() -> None:
    with pytest.raises(UsageError, match='duplicate agent ID "default"'):
        parse_agents(["default", "default=/agent"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network.host", "network.host"),
        ("security.insecure", "security.insecure"),
        ("device", "device"),
        ("device=vendor.com/gpu,alias=x", "device"),
    ],
)
def test_entitlement(text: str, expected: str) -> None:
    assert parse_entitlement(text) == expected


@pytest.mark.parametrize("text", ["network", "security.insecure=1", "all", "network.host=x"])
def test_entitlement_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"unknown entitlement {text}"):
        parse_entitlement(text)
