"""--volume, --mount, --tmpfs and --volumes-from, as docker reads them."""

import os
import re

import pytest

from tierce.containers.mount_notation import parse_mount
from tierce.containers.request import HostPath, MemoryMount, VolumeMount
from tierce.containers.volumes import parse_tmpfs, parse_volume, parse_volumes_from
from tierce.errors import UsageError

SAFE = ("noexec", "nosuid", "nodev", "rprivate")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a:/b", HostPath("/a", "/b", create=True)),
        ("/a/../c/:/b/./d/", HostPath("/c", "/b/d", create=True)),
        ("/a://b", HostPath("/a", "/b", create=True)),
        ("/a:/b:ro", HostPath("/a", "/b", True, create=True)),
        ("/a:/b:rw,z,rslave", HostPath("/a", "/b", create=True, options=("rslave",))),
        ("./x:/b", HostPath(f"{os.getcwd()}/x", "/b", create=True)),
        ("data:/b", VolumeMount("data", "/b")),
        ("data:/b:ro,nocopy", VolumeMount("data", "/b", read_only=True, copy=False)),
        ("data:/b:z", VolumeMount("data", "/b")),
        ("/b/../c", VolumeMount("", "/c")),
    ],
)
def test_volume_is_source_target_and_options(text: str, expected: HostPath | VolumeMount) -> None:
    assert parse_volume(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid volume specification"),
        (":/b", "invalid volume specification"),
        ("/a:", "invalid volume specification"),
        ("/a:ro", "invalid volume specification"),
        ("/a:/b:ro:rw", "invalid volume specification"),
        ("only", "must be absolute"),
        ("/a:b", "must be absolute"),
        ("/a:/", "must not be '/'"),
        ("/a:/b/..", "must not be '/'"),
        ("/a:/b:nope", "unknown mode: nope"),
        ("/a:/b:nocopy", "unknown mode: nocopy"),
        ("data:/b:rshared", "unknown mode: rshared"),
    ],
)
def test_volume_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,source=/a,target=/b", HostPath("/a", "/b")),
        ("type=bind,src=/a,dst=/b,readonly", HostPath("/a", "/b", True)),
        ("type=bind,src=/a,destination=/b,ro=false", HostPath("/a", "/b")),
        ('type=bind,"src=/a,b",dst=/b', HostPath("/a,b", "/b")),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-create-src",
            HostPath("/a", "/b", create=True, options=("rshared",)),
        ),
        ("type=bind,src=/a,dst=/b,bind-recursive=disabled", HostPath("/a", "/b", recursive=False)),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
            HostPath("/a", "/b", True, options=("rprivate", "rro")),
        ),
        ("dst=/b", VolumeMount("", "/b")),
        ("type=volume,src=data,dst=/b,ro=1", VolumeMount("data", "/b", read_only=True)),
        (
            (
                "src=data,dst=/b,volume-nocopy,volume-subpath=x/y,volume-label=a=1,volume-label=b,"
                "volume-opt=type=none,volume-driver=local"
            ),
            VolumeMount(
                *("data", "/b"),
                copy=False,
                subpath="x/y",
                labels=(("a", "1"), ("b", "")),
                options=(("type", "none"),),
            ),
        ),
        ("type=tmpfs,dst=/b", MemoryMount("/b", SAFE)),
        (
            "type=tmpfs,dst=/b,tmpfs-size=1.5m,tmpfs-mode=1770,readonly",
            MemoryMount("/b", (*SAFE, "ro", "mode=1770", "size=1572864")),
        ),
    ],
)
def test_mount_is_fields_with_names(
    text: str, expected: HostPath | VolumeMount | MemoryMount
) -> None:
    assert parse_mount(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "value is empty"),
        ("type=npipe,dst=/b", "type npipe is not supported"),
        ("type=bind,dst=/b", "source is required"),
        ("type=bind,src=/a", "target is required"),
        ("type=bind,src=/a,dst=/b,color=red", "unknown option 'color' in 'color=red'"),
        ("type=bind,src=/a,dst=/b,ro=maybe", 'invalid boolean value ("maybe")'),
        ("type=bind,src=/a,dst", "invalid field 'dst' must be a key=value pair"),
        ("type=bind,src=,dst=/b", "invalid value for 'src': value is empty"),
        ("type=bind,src=/a, dst=/b", "option should not have whitespace"),
        ("type=bind,src=/a,dst= /b", "value should not have whitespace"),
        ("type=bind,src=/a,dst=/b,bind-propagation=x", "bind-propagation x is unknown"),
        ("type=bind,src=/a,dst=/b,bind-nonrecursive", "use bind-recursive=disabled instead"),
        ("type=bind,src=/a,dst=/b,bind-recursive=writable", "requires 'readonly'"),
        ("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "requires 'bind-propagation"),
        ("type=bind,src=/a,dst=/b,bind-recursive=no", "invalid value for bind-recursive: no"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with"),
        ("src=data,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ("src=data,dst=/b,volume-opt=a=b,type=bind", "cannot mix 'volume-*' options with"),
        ("src=data,dst=/b,volume-driver=nfs", "no volume driver nfs"),
        ("src=data,dst=/b,volume-subpath=../x", "leads out of the volume"),
        ("src=data,dst=/b,volume-subpath=/x", "leads out of the volume"),
        ("dst=/b,volume-subpath=x", "anonymous volumes"),
        ("type=tmpfs,src=x,dst=/b", "has no source"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("type=tmpfs,dst=/b,tmpfs-size=many", "invalid value for tmpfs-size: many"),
        ("type=tmpfs,dst=/b,tmpfs-size=-1", "invalid value for tmpfs-size: -1"),
    ],
)
def test_mount_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_mount(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/t", MemoryMount("/t", SAFE)),
        ("/t:size=64m,mode=1777", MemoryMount("/t", (*SAFE, "size=64m", "mode=1777"))),
        ("/t:exec,rw", MemoryMount("/t", ("nosuid", "nodev", "rprivate"))),
        ("/t:size=1m,size=2m,ro", MemoryMount("/t", (*SAFE, "size=2m", "ro"))),
        ("/t:exec,noexec,rslave", MemoryMount("/t", ("nosuid", "nodev", "noexec", "rslave"))),
    ],
)
def test_tmpfs_has_options_of_which_the_last_counts(text: str, expected: MemoryMount) -> None:
    assert parse_tmpfs(text) == expected


@pytest.mark.parametrize(
    "text", ["/t:upperdir=/x", "/t:size", "/t:bind", "/t:source=/etc", "relative", "/"]
)
def test_tmpfs_that_would_be_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_tmpfs(text)


def test_volumes_from_is_a_container_and_whether_only_to_be_read() -> None:
    assert parse_volumes_from("box") == ("box", False)
    assert parse_volumes_from("box:ro") == ("box", True)
    assert parse_volumes_from("box:rw,z") == ("box", False)
    for text in ("", ":ro", "box:nocopy", "box:rslave"):
        with pytest.raises(UsageError):
            parse_volumes_from(text)
