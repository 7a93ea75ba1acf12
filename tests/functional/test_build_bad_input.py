"""What a build is given that it cannot build: each is told in a line, and changes nothing."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Tierce, write_context

MEBIBYTE = 1 << 20

NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
WITHOUT_RUNTIMES = (
    *("unshare", "--mount", "sh", "-c"),
    'for path in $(which -a crun runc); do mount --bind /dev/null $path || exit; done; exec "$@"',
    "sh",
)

REFUSALS = {
    "unknown-instruction": (
        "FROM golden-base\nCOPPY a /b\n",
        2,
        "dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?)",
        "",
    ),
    "unknown-flag": (
        "FROM golden-base\nCOPY --chwon=1 a /a\n",
        2,
        "dockerfile parse error on line 2: unknown flag: --chwon (did you mean chown?)",
        "",
    ),
    "no-instruction": (
        "# nothing\n",
        1,
        "file with no instructions",
        "",
    ),
    "unterminated-heredoc": (
        "FROM golden-base\nRUN <<EOF\necho hi\n",
        2,
        "unterminated heredoc",
        "end it with a line that holds only EOF",
    ),
    "unterminated-quote": (
        'FROM golden-base\nENV A="x\n',
        2,
        (
            'failed to process "\\"x": unexpected end of statement while looking for matching'
            " double-quote"
        ),
        "",
    ),
    "absent-source": (
        "FROM golden-base\nRUN true\nCOPY nope /x\n",
        3,
        'copy /nope: "/nope": not found',
        "sources are below the build context, {context}; no .. leads out of it",
    ),
    "source-outside": (
        "FROM golden-base\nCOPY ../secret /x\n",
        2,
        'copy /secret: "/secret": not found',
        "sources are below the build context, {context}; no .. leads out of it",
    ),
    "ignored-source": (
        "FROM golden-base\nCOPY hidden /x\n",
        2,
        'copy /hidden: "/hidden": not found',
        "the build context has it, but .dockerignore excludes it",
    ),
    "absent-in-stage": (
        "FROM golden-base AS one\nFROM scratch\nCOPY --from=one /nope /x\n",
        3,
        'copy /nope: "/nope": not found',
        "",
    ),
    "absent-base": (
        "FROM nosuch:1\n",
        1,
        "nosuch:1: resolve docker.io/library/nosuch:1: not found in the store",
        (
            "load it from an archive (`tierce image load`), or make a Debian base with"
            " `tierce image bootstrap nosuch:1`"
        ),
    ),
    "invalid-base": (
        "FROM Nosuch\n",
        1,
        (
            'failed to parse stage name "Nosuch": parse reference "Nosuch":'
            ' repository name "Nosuch" must be lowercase'
        ),
        "",
    ),
    "circle": (
        "FROM golden-base AS a\nCOPY --from=b / /\nFROM golden-base AS b\nCOPY --from=a / /\n",
        4,
        "circular dependency detected on stage: a",
        "",
    ),
    "own-stage": (
        "FROM golden-base AS a\nCOPY --from=a / /\n",
        2,
        "circular dependency detected on stage: a",
        "",
    ),
    "unknown-user": (
        "FROM golden-base\nUSER nosuch\nRUN true\n",
        3,
        (
            'process "/bin/sh -c true" did not complete successfully: unable to find user nosuch:'
            " no matching entries in passwd file"
        ),
        "",
    ),
    "binary": (
        "FROM golden-base\nRUN \0\x1b[2J\n",
        2,
        "NUL byte in an instruction",
        "is the file UTF-16? a Dockerfile is UTF-8",
    ),
    "endless-line": (
        "FROM golden-base\nRUN " + "x" * 3 * MEBIBYTE,
        2,
        "dockerfile line greater than max allowed size of 65535",
        "",
    ),
}


@pytest.fixture
def unchanged(shared: Tierce) -> Iterator[None]:
    """The images are the same afterwards, and the store is sound."""
    before = shared.run("image", "ls", "-a", "--no-trunc", "--digests").stdout
    yield
    assert shared.run("image", "ls", "-a", "--no-trunc", "--digests").stdout == before
    assert shared.run("system", "check").stdout.endswith("the store is sound\n")


@pytest.mark.usefixtures("unchanged")
def test_mistakes_in_a_dockerfile_are_told_with_place_and_hint(
    shared: Tierce, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("outside\n")
    for name, (dockerfile, line, message, hint) in REFUSALS.items():
        context = write_context(
            tmp_path / name, dockerfile, {".dockerignore": "hidden\n", "hidden": ""}
        )
        stderr = shared.build(context, "-t", "refused", status=1).stderr
        expected = [f"ERROR: {message}"]
        if hint:
            expected.append(f"hint: {hint.format(context=context)}")
        # What was there before a COPY that failed can be looked at; see test_failed_steps.
        lines = stderr.partition("hint: look around")[0].splitlines()
        assert lines[-len(expected) :] == expected, name
        assert f"Dockerfile:{line}" in lines, name
        assert any(each.startswith(f" {line:3} | >>> ") for each in lines), name
        assert len(stderr) < 10_000, name


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("flags", "status", "message", "hint"),
    [
        (("--tagg", "x"), 2, "tierce: unknown flag: --tagg", "did you mean --tag?"),
        (
            ("--target", "biuld"),
            1,
            'ERROR: target stage "biuld" could not be found (did you mean build?)',
            "the stages are: build",
        ),
        (
            ("--target", "0"),
            1,
            'ERROR: target stage "0" could not be found',
            "the stages are: build",
        ),
        (
            ("-t", "Bad:x"),
            1,
            'tierce: parse reference "Bad:x": repository name "Bad" must be lowercase',
            "",
        ),
        (("-t", "a b"), 1, 'tierce: parse reference "a b": invalid reference format', ""),
        (
            ("--network", "bridge0"),
            2,
            "tierce: network bridge0: not supported in builds",
            "one of default, host, none",
        ),
        (("--add-host", "x"), 2, "tierce: invalid host: x", "write it as name:address"),
        (
            ("--platform", "a/b/c/d"),
            1,
            "tierce: parse platform 'a/b/c/d': more than os/architecture/variant",
            "",
        ),
        (
            ("--progress", "fancy"),
            2,
            "tierce: invalid progress mode: fancy",
            "one of auto, plain, quiet, rawjson, tty",
        ),
        (
            ("-f", "nope"),
            1,
            "ERROR: read Dockerfile: nope: no such file",
            "name another with --file, or build from standard input with -f -",
        ),
        (("-f", "/"), 1, "ERROR: read Dockerfile: /: Is a directory", ""),
        (("-f", "/dev/null"), 1, "ERROR: the Dockerfile (null) cannot be empty", ""),
        (
            ("-f", "/dev/zero"),
            1,
            "ERROR: read Dockerfile: /dev/zero: larger than 16777216 bytes",
            "",
        ),
    ],
)
def test_flags_that_cannot_be_are_told(
    shared: Tierce,
    tmp_path: Path,
    flags: tuple[str, ...],
    status: int,
    message: str,
    hint: str,
) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base AS build\n")
    stderr = shared.build(context, *flags, status=status).stderr
    lines = [line for line in stderr.splitlines() if not line.startswith("See ")]
    assert lines[-2:] == [message, f"hint: {hint}"] if hint else lines[-1] == message


@pytest.mark.usefixtures("unchanged")
def test_contexts_that_are_none_are_told(shared: Tierce, tmp_path: Path) -> None:
    hint = "hint: the last argument of a build is the directory with its files"
    for path, problem in (
        (tmp_path / "absent", "no such directory"),
        (write_context(tmp_path, "FROM golden-base\n") / "Dockerfile", "not a directory"),
    ):
        stderr = shared.build(path, status=1).stderr
        assert stderr == f"tierce: open build context: {path}: {problem}\n{hint}\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    stderr = shared.build(empty, status=1).stderr
    assert f"ERROR: read Dockerfile: {empty}/Dockerfile: no such file\nhint: name" in stderr


@pytest.mark.usefixtures("unchanged")
def test_unreadable_files_are_told(shared: Tierce, tmp_path: Path) -> None:
    # Root without capabilities is bound by permissions like everybody else.
    context = write_context(tmp_path, "FROM golden-base\nCOPY secret /\n", {"secret": "x"})
    (context / "secret").chmod(0)
    words = ("build", "--progress", "plain", str(context))
    stderr = shared.run(*words, prefix=NO_CAPABILITIES, status=1).stderr
    assert "secret: Permission denied" in stderr
    assert ">>> COPY secret /" in stderr
    (context / "Dockerfile").chmod(0)
    stderr = shared.run(*words, prefix=NO_CAPABILITIES, status=1).stderr
    assert stderr.endswith(f"ERROR: read Dockerfile: {context}/Dockerfile: Permission denied\n")


@pytest.mark.parametrize(
    ("prefix", "message", "hint"),
    [
        (
            WITHOUT_RUNTIMES,
            "find an OCI runtime: no crun or runc in PATH",
            "install crun: apt-get install crun",
        ),
        (
            NO_CAPABILITIES,
            "make private namespaces: Operation not permitted: unshare",
            "containers need CAP_SYS_ADMIN; in a container, run it with --privileged",
        ),
    ],
)
def test_missing_runtime_or_privilege_is_told(
    tierce: Tierce, tmp_path: Path, prefix: tuple[str, ...], message: str, hint: str
) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN true\n")
    stderr = tierce.run("build", str(context), prefix=prefix, status=1).stderr
    assert stderr.endswith(f"tierce: {message}\nhint: {hint}\n")
    tierce.build(context)


def test_copies_need_no_privilege(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "copy", "FROM golden-base\nCOPY a /data/\nWORKDIR /w\n", {"a": "x"}
    )
    tierce.run("build", "-t", "app", str(context), prefix=NO_CAPABILITIES)
    assert tierce.output("app", "cat", "/data/a") == "x"


def test_store_of_somebody_else_is_told(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\n")
    os.chown(tierce.root / "tierce.db", 12345, 12345)
    stderr = tierce.run("build", str(context), prefix=NO_CAPABILITIES, status=1).stderr
    assert stderr.splitlines()[-1] == (
        "hint: run as root, or choose a store of your own with --root or TIERCE_ROOT"
    )
    os.chown(tierce.root / "tierce.db", 0, 0)
    tierce.build(context)


def test_store_of_a_newer_version_is_left_alone(tierce: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\n")
    with sqlite3.connect(tierce.root / "tierce.db") as database:
        [(version,)] = database.execute("PRAGMA user_version")
        database.execute("PRAGMA user_version = 999")
    database.close()
    stderr = tierce.build(context, status=1).stderr
    assert stderr == (
        f"tierce: open store {tierce.root}: its version is 999, this tierce knows {version} at"
        " most\nhint: use the newer tierce that made it, or another store with --root\n"
    )
    with sqlite3.connect(tierce.root / "tierce.db") as database:
        assert list(database.execute("PRAGMA user_version")) == [(999,)]
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    tierce.build(context)


def test_huge_dockerfile_is_built(shared: Tierce, tmp_path: Path) -> None:
    lines = [f"ENV V{number}=value\n" for number in range(2000)]
    context = write_context(tmp_path, "FROM golden-base\n" + "".join(lines))
    image = shared.image_id(context)
    shown = shared.run("inspect", "-f", "{{len .Config.Env}}", image).stdout
    assert shown == "2001\n"


@pytest.fixture
def small(tmp_path: Path, base_archive: Path) -> Iterator[Tierce]:
    """A store on a file system of 64 MiB, with the base images."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", mount], check=True)
    try:
        with Tierce(mount / "root") as program:
            program.run("load", "-q", "-i", str(base_archive))
            yield program
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize(
    "instruction",
    [
        "COPY big /big",
        "ADD big /big",
        "RUN head -c 100000000 /dev/zero > /big",
        "RUN head -c 100000000 /dev/zero > /big 2> /dev/null || true",
        "RUN --mount=type=bind,target=/context true",
        "RUN head -c 100000000 /dev/zero",
    ],
)
def test_full_disk_is_told_and_leaves_room_again(
    small: Tierce, tmp_path: Path, instruction: str
) -> None:
    context = write_context(tmp_path / "context", f"FROM golden-base\n{instruction}\n")
    with open(context / "big", "wb") as big:
        big.truncate(100 * MEBIBYTE)
    outcome = small.run("build", "-q", "-t", "app", str(context), status=1)
    assert "no space left on the store's device" in outcome.stderr
    assert "hint: free space on its device, or run: tierce system prune" in outcome.stderr
    assert small.run("system", "check").stdout.endswith("the store is sound\n")
    write_context(context, "FROM golden-base\nRUN head -c 30000000 /dev/zero > /fits\n")
    small.image_id(context, "-t", "app")
    assert small.output("app", "wc", "-c", "/fits") == "30000000 /fits\n"
    small.run("system", "prune", "-a", "-f")
