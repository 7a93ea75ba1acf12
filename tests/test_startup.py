"""What a command imports before it does anything: start-up time is part of the product.

Modules are counted, not milliseconds: a module more is seen on any machine, and at once.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Measured on CPython 3.11, in ms: asyncio 60, click 32, http 12, msgspec 32, urllib.request 25,
# dataclasses and inspect 16, argparse 9, logging 12, tempfile 10, shutil 9, pathlib 6 with re, 4
# without, hashlib 3 (OpenSSL), typing 2, ctypes 2.
SLOW = {
    "argparse",
    "asyncio",
    "concurrent.futures",
    "ctypes.util",
    "dataclasses",
    "email",
    "http",
    "inspect",
    "logging",
    "multiprocessing",
    "shutil",
    "subprocess",
    "tarfile",
    "tempfile",
    "urllib.request",
    "zipfile",
}


def imported_by(store: Path, *arguments: str) -> set[str]:
    """The modules that are loaded at the end of the command, beyond Python's own."""
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "sys.argv[0] = 'tierce'\n"
        "from tierce.cli.main import main\n"
        "status = main()\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, "--root", str(store), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is there already: making one is not what a command usually does."""
    root = tmp_path_factory.mktemp("startup") / "store"
    imported_by(root, "image", "ls")
    return root


def rooms(loaded: set[str]) -> set[str]:
    return {name.split(".")[1] for name in loaded if name.startswith("tierce.")}


def test_version_loads_only_the_command_line(opened: Path) -> None:
    assert rooms(imported_by(opened, "--version")) <= {"cli", "errors", "lean", "values"}


def test_image_ls_loads_rows_of_the_store_and_nothing_that_works_on_layers(opened: Path) -> None:
    loaded = imported_by(opened, "image", "ls")
    assert rooms(loaded) <= {"cli", "client", "errors", "lean", "oci", "store", "values"}
    assert not [name for name in loaded if name.startswith("tierce.cli.progress")]
    assert {name for name in loaded if name.startswith(("tierce.oci.", "tierce.store."))} == {
        "tierce.oci.digest",
        "tierce.oci.platform",
        "tierce.oci.reference",
        "tierce.store.catalog",
        "tierce.store.database",
        "tierce.store.failures",
        "tierce.store.lazy",
        "tierce.store.paths",
        "tierce.store.reserve",
        "tierce.store.schema",
        "tierce.store.store",
        "tierce.store.turns",
    }
    assert not loaded & {"ctypes", "enum", "hashlib", "json", "pathlib", "re", "typing", "urllib"}


def test_build_of_what_is_cached_loads_nothing_that_runs_steps(
    opened: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nWORKDIR /app\nCOPY file .\nCMD ["x"]\n')
    built = imported_by(opened, "build", "--tag", "cached", str(tmp_path))
    assert "tierce.worker.files" in built
    again = imported_by(opened, "build", "--tag", "cached", str(tmp_path))
    assert rooms(again) >= {"worker", "solver"}
    forbidden = {
        "tierce.export.delivery",
        "tierce.export.outputs",
        "tierce.layer.merge",
        "tierce.layer.erofs",
        "tierce.layer.writer",
        "tierce.runtime.crun",
        "tierce.runtime.launcher",
        "tierce.store.layers",
        "tierce.store.snapshots.files",
        "tierce.worker.exec",
        "tierce.worker.files",
    }
    assert not again & (forbidden | SLOW | {"ctypes", "hashlib", "pathlib", "typing"})
    assert len(again) <= 170


def test_container_is_run_by_few_modules(opened: Path, tmp_path: Path) -> None:
    shutil.copy(shutil.which("busybox") or "", tmp_path / "busybox")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY busybox /\nCMD ["/busybox", "true"]\n')
    imported_by(opened, "build", "--tag", "true", str(tmp_path))
    for network in ("host", "none"):
        arguments = ("run", "--rm", "--network", network, "true")
        imported_by(opened, *arguments)  # which finds out what this machine can do
        loaded = imported_by(opened, *arguments)
        forbidden = {"ctypes", "datetime", "enum", "hashlib", "json", "pathlib", "re", "signal"}
        assert not loaded & (forbidden | SLOW | {"sqlite3", "typing"})
        assert rooms(loaded) <= {
            *("cli", "client", "containers", "errors", "layer", "lean", "linux", "oci"),
            *("runtime", "store", "values"),
        }
        assert len(loaded) <= 165


@pytest.mark.parametrize("arguments", [("--version",), ("image", "ls"), ("--help",)])
def test_no_slow_module_is_loaded(opened: Path, arguments: tuple[str, ...]) -> None:
    loaded = imported_by(opened, *arguments)
    assert not loaded & SLOW


def test_number_of_modules_stays_small(opened: Path) -> None:
    assert len(imported_by(opened, "--version")) <= 12
    assert len(imported_by(opened, "image", "ls")) <= 65
