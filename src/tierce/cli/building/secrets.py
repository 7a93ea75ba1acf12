"""`--secret`, `--ssh` and `--allow`, in the grammar of `docker buildx build`."""

from __future__ import annotations

from tierce.dockerfile.mounts import split_fields
from tierce.errors import InvalidValue, UsageError
from tierce.frontend.entitlements import ALL, DEVICE
from tierce.worker.credentials import SecretSource, SshSource

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.cli.flags import Parsed

_TYPES = ("file", "env")
_BUILDX_ONLY = ("buildx.local.delete",)
"""Is no entitlement of a step: see `outputs`."""


def lent(options: Parsed) -> dict[str, Any]:
    """The fields of a BuildRequest for what the flags lend or allow. Raises UsageError."""
    return {
        "secrets": tuple(parse_secret(text) for text in options.texts("secret") if text),
        "ssh": parse_agents(options.texts("ssh")),
        "allow": tuple(parse_entitlement(text) for text in options.texts("allow") if text),
    }


def parse_secret(text: str) -> SecretSource:
    """`id=token,src=token.txt`, `id=token,env=TOKEN`, `type=env,id=token,src=TOKEN`."""
    kind = ""
    found: dict[str, str] = {}
    try:
        fields = split_fields(text)
    except InvalidValue as error:
        raise UsageError(error.message.replace("csv mounts", "csv secret")) from error
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            raise UsageError(f"invalid field '{field}' must be a key=value pair")
        if key == "type":
            if value not in _TYPES:
                raise UsageError(f'unsupported secret type "{value}"')
            kind = value
        elif key in ("id", "env"):
            found[key] = value
        elif key in ("source", "src"):
            found["path"] = value
        else:
            raise UsageError(
                f"unexpected key '{key}' in '{field}'", hint="one of id, src, env, type"
            )
    if not found.get("id"):
        raise UsageError("secret missing ID", hint="write it as id=NAME,src=FILE")
    if kind == "env" and not found.get("env"):
        found["env"] = found.pop("path", "")
    return SecretSource(found["id"], found.get("path", ""), found.get("env", ""))


def parse_agents(texts: list[str]) -> tuple[SshSource, ...]:
    """`default`, `default=/path/agent.sock`, `id=/path/key,/path/other-key`."""
    agents: dict[str, SshSource] = {}
    for text in filter(None, texts):
        identity, equals, paths = text.partition("=")
        agent = SshSource(paths=tuple(paths.split(",")) if equals else ())
        if identity:
            agent = agent.replace(id=identity)
        if agent.id in agents:
            raise UsageError(f'duplicate agent ID "{agent.id}"')
        agents[agent.id] = agent
    return tuple(agents.values())


def parse_entitlement(text: str) -> str:
    """`network.host`, `security.insecure`, `device` or `device=NAME`."""
    name = text.partition("=")[0]
    if text not in (*ALL, *_BUILDX_ONLY) and name != DEVICE:
        raise UsageError(f"unknown entitlement {text}", hint=f"one of {', '.join(ALL)}")
    return name
