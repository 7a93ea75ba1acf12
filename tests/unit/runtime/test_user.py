"""What USER means, by the rules of docker's user package."""

import os
from pathlib import Path

import pytest

from tierce.errors import ContainerError
from tierce.runtime.user import Identity, read_file, resolve_user

FILES = {
    "/etc/passwd": (
        b"root:x:0:0:root:/root:/bin/sh\n"
        b"# comment:x:1:1::/:\n"
        b"\n"
        b"app:x:1000:1001::/home/app:/bin/sh\n"
        b"broken:x:notanumber:0::/:\n"
        b"short:x:7:8\n"
        b"wide:x:99999999999:0::/:\n"
        b"long:x:" + b"1" * 5000 + b":0::/:\n"
        b"square:x:\xc2\xb2:0::/:\n"
        b"12:x:1200:1200::/twelve:\n"
    ),
    "/etc/group": (b"root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\napp:x:1001:\n9:x:900:other\n"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Identity(0, 0, (0, 10), "/root")),
        ("root", Identity(0, 0, (0, 10), "/root")),
        ("0", Identity(0, 0, (0, 10), "/root")),
        ("app", Identity(1000, 1001, (1001, 10, 50), "/home/app")),
        ("1000", Identity(1000, 1001, (1001, 10, 50), "/home/app")),
        ("app:staff", Identity(1000, 50, (50,), "/home/app")),
        ("app:50", Identity(1000, 50, (50,), "/home/app")),
        ("app:4711", Identity(1000, 4711, (4711,), "/home/app")),
        ("1000:4711", Identity(1000, 4711, (4711,), "/home/app")),
        ("4711", Identity(4711, 0, (0,), "/")),
        ("4711:4712", Identity(4711, 4712, (4712,), "/")),
        ("root:root", Identity(0, 0, (0,), "/root")),
        ("short", Identity(7, 8, (8,), "/")),
        ("12", Identity(12, 0, (0,), "/")),
    ],
)
def test_user_has_the_ids_that_the_image_says(text: str, expected: Identity) -> None:
    assert resolve_user(text, FILES.get) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("broken", "unable to find user broken"),
        ("wide", "unable to find user wide"),
        ("long", "unable to find user long"),
        ("square", "unable to find user square"),
        ("1" * 5000, "ids must be in the range 0-2147483647"),
        ("app:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", "ids must be in the range 0-2147483647"),
        ("0:99999999999999999999", "ids must be in the range"),
        ("-1", "unable to find user -1"),
    ],
)
def test_what_does_not_resolve_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ContainerError, match=message) as raised:
        resolve_user(text, FILES.get)
    assert raised.value.exit_code == 125


@pytest.mark.parametrize("text", ["", "root", "0:0"])
def test_root_needs_no_files(text: str) -> None:
    def nothing(path: str) -> bytes | None:
        return None

    if text == "root":
        with pytest.raises(ContainerError):
            resolve_user(text, nothing)
    else:
        assert resolve_user(text, nothing) == Identity(0, 0, (0,), "/")


def test_more_groups_are_added_once() -> None:
    usual = resolve_user("0", FILES.get)
    found = resolve_user("0", FILES.get, ("4711", "0", "4711"))
    assert found == usual.replace(groups=(*usual.groups, 4711))
    with pytest.raises(ContainerError, match="unable to find group strangers"):
        resolve_user("0", FILES.get, ("strangers",))


@pytest.mark.parametrize("end", ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028"])
def test_only_a_newline_ends_the_line_of_a_user(end: str) -> None:
    text = f"app:x:1000:1000:App{end}other:x:0:0::/root:/bin/sh\n"
    with pytest.raises(ContainerError, match="unable to find user other"):
        resolve_user("other", {"/etc/passwd": text.encode()}.get)


def test_file_of_users_that_is_too_large_is_refused_and_not_cut_off(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"#" * (10 << 20) + b"\napp:x:1000:1000::/:\n")
    root = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(ContainerError, match="larger than"):
            resolve_user("app", lambda path: read_file(root, path))
    finally:
        os.close(root)
