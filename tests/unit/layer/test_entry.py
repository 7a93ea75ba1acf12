import os

import pytest

from tierce.layer.entry import decode_path, encode_path, keeps_xattr, sort_key


def test_a_directory_is_followed_by_its_contents_before_names_that_extend_its_own() -> None:
    paths = ["a.b", "a/b/c", "a", "ab", "a/b", "a-b"]
    assert sorted(paths, key=sort_key) == ["a", "a/b", "a/b/c", "a-b", "a.b", "ab"]


@pytest.mark.parametrize("raw", [b"plain", "schön".encode(), b"not \xff utf-8", b"\x80/\xfe"])
def test_any_bytes_of_a_name_survive_and_mean_the_same_to_the_file_system(raw: bytes) -> None:
    assert encode_path(decode_path(raw)) == raw
    assert decode_path(raw) == os.fsdecode(raw)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("security.capability", True),
        ("user.anything", True),
        ("user.overlay.opaque", False),
        ("trusted.overlay.redirect", False),
        ("security.selinux", False),
        ("system.posix_acl_access", False),
    ],
)
def test_only_attributes_that_are_not_bound_to_the_host_belong_to_a_layer(
    name: str, kept: bool
) -> None:
    assert keeps_xattr(name) is kept
