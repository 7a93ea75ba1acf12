"""Volumes, and what else is mounted in containers, as their users see it."""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.leftovers import mounts_in_any_namespace
from support.program import BASE, Tierce

ATTACK = (
    "while :; do rm -rf /vol/place; mkdir /vol/place; rm -rf /vol/place; ln -s / /vol/place; done"
)


@pytest.fixture
def program(shared: Tierce) -> Iterator[Tierce]:
    """The program; no container and no volume outlives the test, and nothing is mounted."""
    yield shared
    for identifier in shared.run("ps", "-aq").stdout.split():
        shared.run("rm", "-f", "-v", identifier)
    for name in shared.run("volume", "ls", "-q").stdout.split():
        shared.run("volume", "rm", name)
    assert mounts_in_any_namespace(shared.root) == []
    assert list((shared.root / "volumes").glob("*")) == []


def build(program: Tierce, tmp_path: Path, text: str) -> str:
    """The id of an image."""
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\n{text}\n")
    return program.run("build", "-q", str(tmp_path)).stdout.strip()


def volumes(program: Tierce) -> list[str]:
    return program.run("volume", "ls", "-q").stdout.split()


def mounts(program: Tierce, name: str) -> list[dict[str, object]]:
    found = program.run("inspect", "-f", "{{json .Mounts}}", name).stdout
    return list(json.loads(found))


# Volumes by name


def test_named_volume_is_made_and_keeps_what_containers_write(program: Tierce) -> None:
    program.run("run", "--rm", "-v", "data:/data", BASE, "sh", "-c", "echo kept > /data/file")
    assert volumes(program) == ["data"]
    found = program.run("run", "--rm", "-v", "data:/other:ro", BASE, "cat", "/other/file")
    assert found.stdout == "kept\n"


def test_read_only_volume_cannot_be_written_to(program: Tierce) -> None:
    found = program.run("run", "--rm", "-v", "data:/d:ro", BASE, "touch", "/d/file", status=1)
    assert "Read-only file system" in found.stderr


def test_two_containers_share_a_volume_while_they_run(program: Tierce) -> None:
    writer = "until [ -e /data/asked ]; do sleep 0.02; done; echo answered > /data/answer"
    program.run("run", "-d", "--name", "one", "-v", "data:/data", BASE, "sh", "-c", writer)
    reader = "touch /data/asked; until [ -s /data/answer ]; do sleep 0.02; done; cat /data/answer"
    found = program.run("run", "--rm", "-v", "data:/data", BASE, "sh", "-c", reader)
    assert found.stdout == "answered\n"


def test_volume_create_prints_its_name_and_inspect_tells_all(program: Tierce) -> None:
    assert program.run("volume", "create", "--label", "tier=db", "made").stdout == "made\n"
    [found] = json.loads(program.run("volume", "inspect", "made").stdout)
    assert found.pop("CreatedAt").endswith("Z")
    assert found == {
        "Driver": "local",
        "Labels": {"tier": "db"},
        "Mountpoint": str(program.root / "volumes/made/_data"),
        "Name": "made",
        "Options": None,
        "Scope": "local",
    }
    assert program.run("inspect", "-f", "{{.Driver}}", "--type", "volume", "made").stdout == (
        "local\n"
    )
    assert Path(found["Mountpoint"]).is_dir()


def test_volume_in_use_is_not_removed(program: Tierce) -> None:
    identifier = program.run("create", "-v", "data:/data", BASE, "true").stdout.strip()
    found = program.run("volume", "rm", "data", status=1)
    assert f"remove data: volume is in use - [{identifier}]" in found.stderr
    assert program.run("volume", "prune", "-af").stdout == "Total reclaimed space: 0B\n"
    program.run("rm", identifier)
    assert program.run("volume", "rm", "data").stdout == "data\n"
    assert not (program.root / "volumes" / "data").exists()


def test_volume_that_is_not_there_is_an_error_unless_forced(program: Tierce) -> None:
    assert "get nope: no such volume" in program.run("volume", "rm", "nope", status=1).stderr
    assert program.run("volume", "rm", "-f", "nope").stdout == "nope\n"
    found = program.run("volume", "inspect", "nope", status=1)
    assert (found.stdout, "get nope: no such volume" in found.stderr) == ("[]\n", True)


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", "x"])
def test_name_that_no_volume_can_have_makes_nothing(program: Tierce, name: str) -> None:
    program.run("volume", "create", name, status=1)
    assert volumes(program) == []


def test_name_in_run_that_no_volume_can_have_makes_nothing(program: Tierce) -> None:
    found = program.run("run", "--rm", "-v", "b@d:/data", BASE, "true", status=125)
    assert "includes invalid characters for a local volume name" in found.stderr
    assert volumes(program) == []
    assert program.run("ps", "-aq").stdout == ""


def test_list_is_filtered_and_formatted(program: Tierce) -> None:
    program.run("volume", "create", "--label", "tier=db", "one")
    program.run("volume", "create", "two")
    program.run("create", "-v", "two:/x", BASE, "true")
    lines = program.run("volume", "ls").stdout.splitlines()
    assert [re.split(" +", line, maxsplit=1) for line in lines] == [
        ["DRIVER", "VOLUME NAME"],
        ["local", "one"],
        ["local", "two"],
    ]
    for filters, names in (
        (("dangling=true",), "one\n"),
        (("dangling=0",), "two\n"),
        (("label=tier",), "one\n"),
        (("label=tier=web",), ""),
        (("name=tw",), "two\n"),
        (("driver=local", "name=^o"), "one\n"),
        (("driver=nfs",), ""),
    ):
        words = [word for text in filters for word in ("-f", text)]
        assert program.run("volume", "ls", "-q", *words).stdout == names
    found = program.run("volume", "ls", "--format", "{{.Name}} {{.Labels}} {{.Links}}").stdout
    assert found == "one tier=db N/A\ntwo  N/A\n"
    assert program.run("volume", "ls", "-f", "nope=1", status=2).stdout == ""


def test_prune_takes_anonymous_volumes_and_by_all_the_named_ones(program: Tierce) -> None:
    anonymous = program.run("volume", "create").stdout.strip()
    program.run("volume", "create", "--label", "keep", "kept")
    program.run("volume", "create", "named")
    found = program.run("volume", "prune", "-f").stdout
    assert found.startswith(f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: ")
    found = program.run("volume", "prune", "-f", "-a", "--filter", "label!=keep").stdout
    assert found.startswith("Deleted Volumes:\nnamed\n\n")
    assert volumes(program) == ["kept"]


def test_volume_of_another_directory_shows_that(program: Tierce, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from elsewhere\n")
    options = ("type=none", "o=bind", f"device={tmp_path}")
    program.run("volume", "create", "else", *[w for text in options for w in ("-o", text)])
    found = program.run("run", "--rm", "-v", "else:/data", BASE, "cat", "/data/file")
    assert found.stdout == "from elsewhere\n"
    program.run("volume", "rm", "else")
    assert (tmp_path / "file").exists()


def test_volume_that_nothing_would_keep_is_refused(program: Tierce) -> None:
    found = program.run("volume", "create", "-o", "type=tmpfs", "-o", "device=x", "m", status=2)
    assert "--tmpfs" in found.stderr
    program.run("volume", "create", "-o", "color=red", status=2)
    assert volumes(program) == []


# What is in them from the start


def test_empty_volume_is_filled_from_the_image_with_owners_and_modes(
    program: Tierce, tmp_path: Path
) -> None:
    image = build(
        program,
        tmp_path,
        "RUN mkdir -p /v/d && echo a > /v/f && ln /v/f /v/d/g && ln -s ../f /v/d/s"
        " && chmod 4711 /v/f && chown 7:8 /v/d && chown 5:6 /v && chmod 2750 /v",
    )
    program.run("run", "--rm", "-v", "data:/v", image, "true")
    top = program.root / "volumes/data/_data"
    status = {name: os.lstat(top / name) for name in (".", "f", "d", "d/g", "d/s")}
    found = {
        name: (stat.S_IMODE(each.st_mode), each.st_uid, each.st_gid)
        for name, each in status.items()
    }
    assert found["."] == (0o2750, 5, 6)
    assert found["f"] == found["d/g"] == (0o4711, 0, 0)
    assert found["d"] == (0o755, 7, 8)
    assert os.readlink(top / "d/s") == "../f"
    assert status["f"].st_ino == status["d/g"].st_ino
    assert sorted(path.name for path in top.parent.iterdir()) == ["_data"]


def test_volume_with_something_in_it_is_not_filled(program: Tierce, tmp_path: Path) -> None:
    image = build(program, tmp_path, "RUN mkdir /v && echo image > /v/f && echo image > /v/g")
    program.run("run", "--rm", "-v", "data:/v", BASE, "sh", "-c", "echo mine > /v/f")
    found = program.run("run", "--rm", "-v", "data:/v", image, "sh", "-c", "cat /v/f; ls /v")
    assert found.stdout == "mine\nf\n"


def test_volume_is_not_filled_by_nocopy(program: Tierce, tmp_path: Path) -> None:
    image = build(program, tmp_path, "RUN mkdir /v && echo image > /v/f")
    assert program.run("run", "--rm", "-v", "one:/v:nocopy", image, "ls", "/v").stdout == ""
    mount = "type=volume,src=two,dst=/v,volume-nocopy"
    assert program.run("run", "--rm", "--mount", mount, image, "ls", "/v").stdout == ""


def test_link_in_the_image_does_not_fill_a_volume_from_the_host(
    program: Tierce, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the host")
    image = build(program, tmp_path, f"RUN ln -s {tmp_path} /v && ln -s ../../../../.. /w")
    program.run("run", "--rm", "-v", "one:/v", "-v", "two:/w/x", image, "true")
    assert list((program.root / "volumes/one/_data").iterdir()) == []
    assert list((program.root / "volumes/two/_data").iterdir()) == []


# Anonymous volumes


def test_volume_of_an_image_goes_with_the_container_by_rm(program: Tierce, tmp_path: Path) -> None:
    image = build(program, tmp_path, "RUN mkdir /v && echo image > /v/f\nVOLUME /v")
    assert program.run("run", "--rm", image, "cat", "/v/f").stdout == "image\n"
    assert volumes(program) == []
    program.run("run", "--name", "stays", image, "true")
    [name] = volumes(program)
    [mount] = mounts(program, "stays")
    assert mount == {
        "Type": "volume",
        "Name": name,
        "Source": str(program.root / "volumes" / name / "_data"),
        "Destination": "/v",
        "Driver": "local",
        "Mode": "",
        "RW": True,
        "Propagation": "",
    }
    program.run("rm", "stays")
    assert volumes(program) == [name]


def test_rm_v_takes_anonymous_volumes_and_leaves_the_named(program: Tierce) -> None:
    program.run("create", "--name", "box", "-v", "/anon", "-v", "named:/named", BASE, "true")
    assert len(volumes(program)) == 2
    program.run("rm", "-v", "box")
    assert volumes(program) == ["named"]


def test_volume_of_a_container_in_the_background_goes_with_it(program: Tierce) -> None:
    program.run("run", "-d", "--rm", "--name", "box", "-v", "/anon", BASE, "sleep", "600")
    assert len(volumes(program)) == 1
    program.run("stop", "-t", "0", "box")
    assert volumes(program) == []


def test_named_volume_takes_the_place_of_that_of_the_image(program: Tierce, tmp_path: Path) -> None:
    image = build(program, tmp_path, "VOLUME /v /w /x")
    program.run(
        *("create", "-v", "named:/v/", "--tmpfs", "/w", "-v", f"{tmp_path}:/x", image, "true")
    )
    assert volumes(program) == ["named"]


def test_volumes_from_takes_all_of_another_container(program: Tierce, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    program.run(
        *("create", "--name", "one", "-v", "/anon", "-v", "named:/n", "-v", f"{tmp_path}:/h:ro"),
        *(BASE, "true"),
    )
    script = "cat /h/file; echo a > /anon/a; echo n > /n/n; touch /h/x || echo refused"
    found = program.run("run", "--volumes-from", "one", "--name", "two", BASE, "sh", "-c", script)
    assert found.stdout == "host\nrefused\n"
    script = "cat /anon/a /n/n; touch /n/x || echo refused"
    found = program.run("run", "--rm", "--volumes-from", "two:ro", BASE, "sh", "-c", script)
    assert found.stdout == "a\nn\nrefused\n"
    program.run("rm", "-v", "one")
    assert len(volumes(program)) == 2
    program.run("rm", "-v", "two")
    assert volumes(program) == ["named"]


# Memory, parts of volumes, places


def test_tmpfs_has_the_size_and_the_mode_that_are_asked_for(program: Tierce) -> None:
    found = program.run(
        *("run", "--rm", "--tmpfs", "/a:size=64k,mode=700,exec"),
        *("--mount", "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770,readonly"),
        *(BASE, "sh", "-c", "grep -E ' /[ab] ' /proc/mounts; stat -c %a /a /b"),
    )
    lines = found.stdout.splitlines()
    options = {line.split()[1]: set(line.split()[3].split(",")) for line in lines[:2]}
    assert {"rw", "size=64k", "nosuid", "nodev"} <= options["/a"]
    assert "noexec" not in options["/a"]
    assert {"ro", "size=1024k", "noexec"} <= options["/b"]
    assert lines[2:] == ["700", "1770"]


def test_tmpfs_keeps_the_mode_of_the_directory_that_is_there(program: Tierce) -> None:
    found = program.run(
        "run", "--rm", "--tmpfs", "/root", BASE, "stat", "-c", "%a", "/root", "/tmp"
    )
    expected = program.run("run", "--rm", BASE, "stat", "-c", "%a", "/root", "/tmp")
    assert found.stdout == expected.stdout


def test_subpath_of_a_volume_is_shown_and_leads_nowhere_else(program: Tierce) -> None:
    script = "mkdir -p /v/a/b; echo in > /v/a/b/f; ln -s / /v/out; ln -s ../../.. /v/up"
    program.run("run", "--rm", "-v", "data:/v", BASE, "sh", "-c", script)

    def show(subpath: str, status: int = 0) -> str:
        mount = f"type=volume,src=data,dst=/x,volume-subpath={subpath}"
        found = program.run("run", "--rm", "--mount", mount, BASE, "ls", "/x", status=status)
        return found.stdout

    assert show("a/b") == "f\n"
    assert show("out") == show("up") == "a\nout\nup\n"
    show("nope", status=125)


def test_two_mounts_at_one_place_are_refused(program: Tierce) -> None:
    found = program.run("run", "-v", "/a", "--tmpfs", "/b/../a", BASE, "true", status=125)
    assert "Duplicate mount point: /a" in found.stderr
    assert program.run("ps", "-aq").stdout == ""


def test_mount_inside_another_is_seen_whatever_the_order(program: Tierce, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("inner\n")
    found = program.run(
        *(
            "run",
            "--rm",
            "-v",
            f"{tmp_path}:/v/inner",
            "-v",
            "data:/v",
            BASE,
            "cat",
            "/v/inner/file",
        )
    )
    assert found.stdout == "inner\n"


def test_bind_alone_does_not_show_what_is_mounted_below(program: Tierce) -> None:
    whole, alone = "type=bind,src=/sys,dst=/s", "type=bind,src=/sys,dst=/s,bind-recursive=disabled"
    script = ("sh", "-c", r"grep -c ' /s[ /]' /proc/mounts")
    assert program.run("run", "--rm", "--mount", alone, BASE, *script).stdout == "1\n"
    assert int(program.run("run", "--rm", "--mount", whole, BASE, *script).stdout) > 1


@pytest.mark.parametrize("target", ["/up/place", "/abs/place", "/abs", "/loop/place"])
def test_link_in_the_image_does_not_lead_a_mount_out_of_the_root(
    program: Tierce, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    image = build(
        program,
        tmp_path,
        f"RUN ln -s ../../../../../../../../../.. /up && ln -s {outside} /abs && ln -s loop /loop",
    )
    status = 125 if "loop" in target else 0
    words = ("run", "--rm", "-v", f"data:{target}", image, "true")
    program.run(*words, status=status)
    assert list(outside.iterdir()) == []
    assert mounts_in_any_namespace(outside) == []


def test_volume_whose_inside_changes_meanwhile_does_not_lead_a_mount_out_of_the_root(
    program: Tierce, tmp_path: Path
) -> None:
    """One container swaps a directory and a link to / where something is mounted in another."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "mark").write_text("secret")
    program.run("run", "-d", "--name", "attack", "-v", "vol:/vol", BASE, "sh", "-c", ATTACK)
    for _ in range(8):
        # Wherever it is mounted then, that is inside, or the container does not start.
        words = ("run", "--rm", "-v", "vol:/vol", "-v", f"{secret}:/vol/place", BASE, "true")
        found = program.start(*words)
        found.communicate()
        assert found.returncode in {0, 125, 126, 127}
        assert mounts_in_any_namespace(secret) == []
        assert not Path("/mark").exists()


def test_containers_are_found_by_what_is_mounted_in_them(program: Tierce, tmp_path: Path) -> None:
    program.run("create", "--name", "one", "-v", "data:/v", "-v", f"{tmp_path}:/host", BASE)
    program.run("create", "--name", "two", "-v", "/v", BASE)

    def names(text: str) -> list[str]:
        words = ("ps", "-a", "--format", "{{.Names}}", "--filter", f"volume={text}")
        return program.run(*words).stdout.split()

    assert names("data") == names(str(tmp_path)) == names("/host") == ["one"]
    assert names("/v") == ["two", "one"]
    assert names("nope") == []
    form = "{{.LocalVolumes}} {{.Mounts}}"
    found = program.run("ps", "-a", "--no-trunc", "--format", form, "--filter", "name=one").stdout
    assert found == f"1 {tmp_path},data\n"
