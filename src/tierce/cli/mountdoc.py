"""What is mounted in a container, as docker's API describes it."""

from __future__ import annotations

from tierce.cli.format.values import Struct

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.client.containers import ContainerState

OMITTED = frozenset({"Name", "Driver"})


def mount_documents(state: ContainerState, volumes: str) -> list[Struct]:
    """Its binds and volumes; `volumes` is the directory that those are in."""
    found = [
        _mount("bind", source, target, read_only, options, propagation=_propagation(options))
        for source, target, read_only, options in state.binds
    ]
    for name, target, read_only, _, subpath in state.volumes:
        source = "/".join(filter(None, (f"{volumes}/{name}/_data", subpath)))
        found.append(_mount("volume", source, target, read_only, (), name=name))
    return found


def mount_names(state: ContainerState) -> list[str]:
    """The volumes by name, and the paths of the host that are mounted: what `ps` lists."""
    return [source for source, *_ in state.binds] + [name for name, *_ in state.volumes]


def _mount(
    kind: str,
    source: str,
    target: str,
    read_only: bool,
    options: tuple[str, ...],
    *,
    name: str = "",
    propagation: str = "",
) -> Struct:
    return Struct(
        "container.MountPoint",
        {
            "Type": kind,
            "Name": name,
            "Source": source,
            "Destination": target,
            "Driver": "local" if name else "",
            "Mode": ",".join([*(("ro",) if read_only else ()), *options]),
            "RW": not read_only,
            "Propagation": propagation,
        },
        omitted=OMITTED,
    )


def _propagation(options: tuple[str, ...]) -> str:
    return next((option for option in options if option not in {"bind", "rro"}), "rprivate")
