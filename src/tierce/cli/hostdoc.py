"""How a container is run, as docker's API describes it: `HostConfig`, field by field."""

from __future__ import annotations

from tierce.cli.format.values import NilList, NilMap, NilPointer, StringMap, Struct
from tierce.cli.imagedoc import texts
from tierce.client.rights import (
    MASKED_PATHS,
    READ_ONLY_PATHS,
    Resources,
    Rights,
    default_cgroup_namespace,
)

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from tierce.client.containers import ContainerState

SHM_SIZE = 64 << 20
_OMITTED = frozenset({"Annotations", "Init", "Mounts", "Runtime", "StorageOpt", "Sysctls", "Tmpfs"})


def host_document(state: ContainerState) -> Struct:
    rights = Rights.decode(state.rights)
    return Struct(
        "container.HostConfig",
        {
            "Binds": texts(_binds(state)),
            "ContainerIDFile": "",
            "LogConfig": Struct(
                "container.LogConfig",
                {"Type": state.log_driver, "Config": StringMap(state.log_options)},
            ),
            "NetworkMode": network_of(state),
            "PortBindings": _port_bindings(state),
            "RestartPolicy": Struct(
                "container.RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}
            ),
            "AutoRemove": state.remove,
            "VolumeDriver": "",
            "VolumesFrom": texts(state.volumes_from),
            "ConsoleSize": [0, 0],
            "CapAdd": texts(rights.added),
            "CapDrop": texts(rights.dropped),
            "CgroupnsMode": rights.cgroupns or default_cgroup_namespace(),
            "Dns": list(state.dns),
            "DnsOptions": list(state.dns_options),
            "DnsSearch": list(state.dns_search),
            "ExtraHosts": texts([f"{name}:{address}" for name, address in state.hosts]),
            "GroupAdd": texts(rights.groups),
            "IpcMode": rights.ipc or "private",
            "Cgroup": "",
            "Links": NilList(),
            "OomScoreAdj": rights.oom_score_adj,
            "PidMode": rights.pid,
            "Privileged": state.privileged,
            "PublishAllPorts": state.publish_all,
            "ReadonlyRootfs": state.read_only,
            "SecurityOpt": texts(rights.security),
            "Tmpfs": StringMap({target: ",".join(words) for target, words in state.memory}),
            "UTSMode": rights.uts,
            "UsernsMode": rights.userns,
            "ShmSize": rights.shm_size or SHM_SIZE,
            "Sysctls": StringMap(rights.sysctls) if rights.sysctls else NilMap(),
            "Runtime": rights.runtime or "crun",
            "Isolation": "",
            **_limits(rights, rights.limits),
            "MaskedPaths": _paths(state, rights, MASKED_PATHS),
            "ReadonlyPaths": _paths(state, rights, READ_ONLY_PATHS),
            "Init": rights.init,
        },
        omitted=_OMITTED,
    )


def _limits(rights: Rights, limits: Resources) -> dict[str, Any]:
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": rights.cpus,
        "CgroupParent": rights.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": _devices(rights, "weight", "WeightDevice", "Weight"),
        "BlkioDeviceReadBps": _devices(rights, "read_bps"),
        "BlkioDeviceWriteBps": _devices(rights, "write_bps"),
        "BlkioDeviceReadIOps": _devices(rights, "read_iops"),
        "BlkioDeviceWriteIOps": _devices(rights, "write_iops"),
        "CpuPeriod": 0 if rights.cpus else limits.cpu_period,
        "CpuQuota": 0 if rights.cpus else limits.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            Struct(
                "container.DeviceMapping",
                {
                    "PathOnHost": source,
                    "PathInContainer": target,
                    "CgroupPermissions": access,
                },
            )
            for source, target, access in rights.devices
        ],
        "DeviceCgroupRules": texts(rights.device_rules),
        "DeviceRequests": NilList(),
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.all_memory,
        "MemorySwappiness": (
            limits.memory_swappiness if limits.memory_swappiness >= 0 else NilPointer("int64")
        ),
        "OomKillDisable": not limits.oom_killer,
        "PidsLimit": limits.pids or NilPointer("int64"),
        "Ulimits": [
            Struct("units.Ulimit", {"Name": name, "Hard": hard, "Soft": soft})
            for name, soft, hard in rights.ulimits
        ],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _devices(
    rights: Rights, kind: str, type_name: str = "ThrottleDevice", field: str = "Rate"
) -> list[Struct]:
    return [
        Struct(f"blkiodev.{type_name}", {"Path": path, field: number})
        for limited, path, number in rights.device_limits
        if limited == kind
    ]


def _paths(state: ContainerState, rights: Rights, paths: Iterable[str]) -> list[str]:
    if state.privileged:
        return NilList()  # type: ignore[return-value]
    return [] if rights.unmasked else list(paths)


def _binds(state: ContainerState) -> list[str]:
    """As -v would say them."""
    named = [
        (name, target, read_only, ())
        for name, target, read_only, anonymous, _ in state.volumes
        if not anonymous
    ]
    return [
        ":".join(
            [
                source,
                target,
                *([",".join(["ro"] * read_only + list(options))] if read_only or options else []),
            ]
        )
        for source, target, read_only, options in (*state.binds, *named)
    ]


def _port_bindings(state: ContainerState) -> dict[str, object]:
    """What was asked for: not yet which ports of the machine these are."""
    found: dict[str, object] = {}
    for port, protocol, address, first, last in state.ports:
        numbers = "" if not first else str(first) if first == last else f"{first}-{last}"
        bindings = found.setdefault(f"{port}/{protocol}", [])
        assert isinstance(bindings, list)
        bindings.append(Struct("nat.PortBinding", {"HostIp": address, "HostPort": numbers}))
    return found


def network_of(state: ContainerState) -> str:
    return "host" if state.network == "default" else state.network
