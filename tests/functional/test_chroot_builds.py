"""RUN by chroot alone: as root of an ordinary container, without mounts and namespaces."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.golden import base, cases
from support.golden.own import TierceBuilder
from support.golden.remotes import Remotes, remotes
from support.golden.trees import FlatImage, read_layout
from support.leftovers import still_running
from support.program import BASE, PROGRAM, Tierce, write_context
from tierce.oci.platform import Platform
from tierce.store import Store

CHROOT = ("--isolation", "chroot")
REPOSITORY = Path(__file__).parents[2]

NEEDS = {
    "a PID namespace, or its /proc": (
        *("run-changes/json-form", "run-changes/limits", "run-environment/sandbox"),
        *("run-environment/sandbox-user", "run-environment/masks", "run-environment/processes"),
        *("run-environment/kernel-file-systems", "run-environment/insecure-allowed"),
        *("run-heredocs/interpreter-name", "run-heredocs/quoted-marks"),
    ),
    "a network namespace": (
        *("run-environment/offline", "run-environment/offline-build", "run-heredocs/flags"),
    ),
    "a host name of its own": (
        *("run-changes/environment-files", "run-environment/name-of-the-machine"),
        "run-environment/host-network-allowed",
    ),
    "an overlay, which makes files of hard links": (
        *("run-changes/changes-content", "run-changes/hard-link-across-steps"),
        "run-changes/character-device-zero",
    ),
    "a runtime, which leaves mount points in caches": (
        *("run-secrets/below-a-cache", "run-secrets/nested"),
    ),
    "a mount: read-only, of a size, or over another one": (
        *("run-environment/shared-memory", "run-environment/shared-memory-size"),
        *("run-environment/devices", "run-environment/resolv-conf"),
        *("run-mounts/cache-read-only", "run-mounts/bind-context", "run-mounts/tmpfs-over-dev"),
        *("run-mounts/locked-twice", "run-secrets/read-only", "run-secrets/same-target"),
        *("run-secrets/below-a-bind", "run-secrets/tmpfs-size", "run-secrets/tmpfs-mode"),
        *("run-secrets/tmpfs-size-with-a-unit", "run-secrets/tmpfs-read-only"),
        "run-secrets/tmpfs-of-shm",
    ),
}
"""Golden cases that show what a chroot cannot give."""

GROUPS = ("run-changes", "run-environment", "run-heredocs", "run-mounts", "run-secrets")
CASES = {
    case.name: case
    for group in GROUPS
    for case in cases.load(group).values()
    if not any(case.name in names for names in NEEDS.values())
}


@pytest.fixture(autouse=True)
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nothing can be mounted."""
    monkeypatch.setenv("TIERCE_SNAPSHOTTER", "copy")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("golden") / "bases"
    base.write_base_layout(directory, Platform.host().architecture)
    return directory


@pytest.fixture(scope="module")
def plain(bases: Path) -> FlatImage:
    return read_layout(bases)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, bases: Path) -> Iterator[TierceBuilder]:
    directory = tmp_path_factory.mktemp("golden-store")
    umask = os.umask(0o022)
    with Store.open(directory / "store", directory / "run") as store:
        yield TierceBuilder(store, bases, "chroot")
    os.umask(umask)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remotes]:
    with remotes(tmp_path_factory.mktemp("golden-servers")) as running:
        yield running


@pytest.mark.parametrize("name", CASES)
def test_same_tree_and_config_as_buildkit(
    name: str, builder: TierceBuilder, plain: FlatImage, tmp_path: Path, servers: Remotes
) -> None:
    case = CASES[name]
    group, _, short = name.partition("/")
    expected = cases.own_expectation(case, cases.expectations(group)[short])
    actual = cases.result_of(builder, case, tmp_path, plain, servers)
    found = cases.differences(expected, actual)
    assert not found, "\n".join([case.about, *found])


# In an ordinary container

DOCKERFILE = f"""\
FROM {BASE}
RUN echo joe:x:77:77::/:/bin/sh >> /etc/passwd && mkdir /joe && chown 77 /joe && chmod 4711 /bin/wc
COPY --chown=77 file /joe/
USER joe
RUN --mount=type=cache,target=/joe/cache,uid=77 cp /joe/file /joe/cache/f && cp /joe/cache/f /joe/f
USER 0
RUN --mount=type=bind,target=/context --mount=type=tmpfs,target=/tmp/t --mount=type=secret,id=s \\
    cp /context/file /tmp/t/ && cp /tmp/t/file /copied && wc -c < /run/secrets/s > /size
RUN rm -r /data && mkdir /data && ln /copied /data/link && echo x > /dev/null
"""


def test_image_made_in_an_ordinary_container_is_the_one_made_outside(
    tierce: Tierce, base_archive: Path, tmp_path: Path
) -> None:
    """The container has docker's capabilities, its system call filter and its masks."""
    context = write_context(tmp_path / "context", DOCKERFILE, {"file": "content\n", "s": "secret"})
    out = tmp_path / "out"
    out.mkdir()
    build = ("build", "-q", "--secret", "id=s,src=s", "-t", "made", ".")
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    outside = tierce.run(*build, cwd=context, environment=epoch).stdout.strip()
    shown = ["/usr", "/bin", "/lib", "/lib64", sys.base_prefix, str(REPOSITORY), str(context)]
    volumes = [f"{path}:{path}:ro" for path in shown if os.path.isdir(path)]
    volumes += [f"{base_archive}:/bases.tar:ro", f"{out}:/out"]
    script = (
        "set -e; grep CapEff /proc/self/status; tierce load -q -i /bases.tar; "
        f"tierce {' '.join(build)} > /out/id; tierce build --progress plain . 2> /out/said; "
        "tierce build --isolation oci --no-cache . 2> /out/refused && exit 1; "
        "tierce info --format '{{.Driver}} {{.Privilege}}'"
    )
    done = tierce.run(
        *("run", "--rm", "--network", "none", "-w", str(context)),
        *("-e", f"PATH={PROGRAM.parent}:/usr/bin:/bin", "-e", "SOURCE_DATE_EPOCH=1700000000"),
        *(word for volume in volumes for word in ("-v", volume)),
        *(BASE, "/bin/sh", "-c", script),
    )
    assert int(done.stdout.split()[1], 16) == 0xA80425FB
    assert (out / "id").read_text().strip() == outside
    assert "RUN is isolated by chroot alone" not in (out / "said").read_text()  # all was cached
    assert "make private namespaces: Operation not permitted" in (out / "refused").read_text()
    assert done.stdout.splitlines()[-1].startswith("copy root without CAP_SYS_ADMIN")


def test_root_without_cap_sys_admin_is_told_what_is_not_isolated(
    tierce: Tierce, tmp_path: Path
) -> None:
    context = write_context(tmp_path / "c", f"FROM {BASE}\nRUN echo 1 > /f\n")
    done = tierce.run(*("build", "--progress", "plain", str(context)), prefix=weakened())
    assert "RUN is isolated by chroot alone" in done.stderr
    assert "1 warning found" in done.stderr


# What it gives, and what it refuses


def test_nothing_that_a_step_has_started_outlives_it(tierce: Tierce, tmp_path: Path) -> None:
    text = f"FROM {BASE}\nRUN (setsid sleep 1000 < /dev/null > /dev/null 2>&1 &) ; echo 1 > /f\n"
    context = write_context(tmp_path / "c", text)
    tierce.build(context, *CHROOT)
    assert still_running(tierce.root) == []


def test_killed_build_leaves_no_process_of_its_steps(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "c", f"FROM {BASE}\nRUN echo started && sleep 1000\n")
    with tierce.start("build", "--progress", "plain", *CHROOT, str(context)) as process:
        assert process.stderr is not None
        while "started" not in process.stderr.readline().rpartition("#")[2].partition(" ")[2][5:]:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert still_running(tierce.root) == []


def test_links_that_a_step_leaves_lead_nowhere_else(tierce: Tierce, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "cache").write_text("mine")
    # When the mount is taken back, its parent directory is a link to a directory of the host.
    text = (
        f"FROM {BASE}\nRUN mkdir /d && echo image > /d/cache\n"
        "RUN --mount=type=secret,id=s,target=/d/cache "
        f"mv /d /e && ln -s {outside} /d && rm -f /e/cache\n"
    )
    context = write_context(tmp_path / "c", text, {"s": "secret"})
    tierce.build(context, *CHROOT, "--secret", f"id=s,src={context / 's'}", "-t", "moved")
    assert (outside / "cache").read_text() == "mine"
    assert os.listdir(outside) == ["cache"]
    assert tierce.output("moved", "cat", "/e/cache") == "image\n"


def test_caches_keep_what_steps_put_there(tierce: Tierce, tmp_path: Path) -> None:
    step = "RUN --mount=type=cache,target=/data/dir echo $A >> /data/dir/log && cp /data/dir/log /l"
    context = write_context(tmp_path / "c", f"FROM {BASE}\nARG A\n{step}\n")
    for argument in ("1", "2"):
        tierce.build(context, *CHROOT, "--build-arg", f"A={argument}", "-t", "cached")
    assert tierce.output("cached", "cat", "/l") == "1\n2\n"
    assert tierce.output("cached", "ls", "/data/dir") == "old.txt\nsub\n"


def test_steps_at_once_share_a_cache_one_after_the_other(tierce: Tierce, tmp_path: Path) -> None:
    step = (
        "RUN --mount=type=cache,id=one,target=/a --mount=type=cache,id=two,target=/b "
        "echo {0} >> /a/log && echo {0} >> /b/log && cp /a/log /{0}\n"
    )
    other = step.replace("/a", "/x").replace("/b", "/a").replace("/x", "/b")
    text = "".join(
        f"FROM {BASE} AS s{number}\n{(other if number % 2 else step).format(number)}"
        for number in range(4)
    )
    text += f"FROM {BASE}\n" + "".join(
        f"COPY --from=s{number} /{number} /\n" for number in range(4)
    )
    text += "RUN --mount=type=cache,id=one,target=/a sort /a/log > /sorted\n"
    tierce.build(write_context(tmp_path / "c", text), *CHROOT, "-t", "shared")
    assert tierce.output("shared", "cat", "/sorted") == "0\n1\n2\n3\n"


@pytest.mark.parametrize(
    ("flags", "step", "reason"),
    [
        ((), "RUN --network=none true", "--network=none needs a network namespace"),
        (("--memory", "100m"), "RUN true", "limits need cgroups"),
        (("--shm-size", "1m"), "RUN true", "--shm-size needs a mount"),
        ((), "RUN --mount=type=tmpfs,target=/t,size=1m true", "the size of a tmpfs needs a mount"),
    ],
)
def test_what_a_chroot_cannot_give_is_refused(
    tierce: Tierce, tmp_path: Path, flags: tuple[str, ...], step: str, reason: str
) -> None:
    context = write_context(tmp_path / "c", f"FROM {BASE}\n{step}\n")
    done = tierce.build(context, *CHROOT, *flags, status=1)
    assert f"isolate by chroot: {reason}" in done.stderr


def test_isolation_that_is_none_is_refused(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "c", f"FROM {BASE}\n")
    done = tierce.build(context, "--isolation", "jail", status=2)
    assert "invalid isolation 'jail' on linux" in done.stderr


def weakened() -> tuple[str, ...]:
    """Runs a command as root without CAP_SYS_ADMIN."""
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    return (setpriv, "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
