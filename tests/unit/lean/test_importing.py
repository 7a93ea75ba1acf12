"""Our own modules are imported as the standard importer would, or are left to that."""

import compileall
import importlib
import inspect
import os
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tierce.lean.importing import OwnModules, import_quickly

FILES = {
    "__init__.py": "",
    "plain.py": "'''What it is.'''\nimport sys\nfrom . import room\nVALUE = 7\n\n"
    "def fail():\n    raise ValueError(VALUE)\n",
    "room/__init__.py": "from .inner import NAME\n",
    "room/inner.py": "NAME = __name__\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with compiled modules, which is forgotten afterwards."""
    directory = tmp_path / "quickly"
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
        os.utime(directory / name, (1_600_000_000, 1_600_000_000))
    compileall.compile_dir(directory, quiet=1)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield importlib.import_module("quickly")
    for name in [name for name in sys.modules if name.split(".")[0] == "quickly"]:
        del sys.modules[name]


def finder(package: ModuleType) -> OwnModules:
    return OwnModules("quickly", package.__path__[0])


def attributes(module: ModuleType) -> dict[str, object]:
    spec = module.__spec__
    assert spec is not None
    return {
        "file": module.__file__,
        "cached": module.__cached__,
        "package": module.__package__,
        "path": list(getattr(module, "__path__", ())),
        "documentation": module.__doc__,
        "origin": spec.origin,
        "parent": spec.parent,
    }


def test_modules_are_as_the_standard_importer_makes_them(package: ModuleType) -> None:
    names = ["quickly.plain", "quickly.room", "quickly.room.inner"]
    expected = {name: attributes(importlib.import_module(name)) for name in names}
    for name in names:
        del sys.modules[name]
    import_quickly(package)
    found = {name: importlib.import_module(name) for name in names}
    assert {name: attributes(module) for name, module in found.items()} == expected
    assert all(isinstance(module.__loader__, OwnModules) for module in found.values())
    assert found["quickly.room"].NAME == "quickly.room.inner"
    assert inspect.getsource(found["quickly.plain"].fail).startswith("def fail()")


def test_module_can_be_loaded_again(package: ModuleType) -> None:
    import_quickly(package)
    module = importlib.import_module("quickly.plain")
    module.__dict__["VALUE"] = 8
    assert importlib.reload(module).VALUE == 7


def test_what_is_not_compiled_or_not_there_is_left_to_others(package: ModuleType) -> None:
    root = Path(package.__path__[0])
    found = finder(package)
    assert found.find_spec("quickly.plain") is not None
    assert found.find_spec("quickly.absent") is None
    assert found.find_spec("other.plain") is None
    assert found.find_spec("quickly") is None
    assert found.find_spec("quicklyplain") is None
    (root / "new.py").write_text("")
    assert found.find_spec("quickly.new") is None


@pytest.mark.parametrize("change", ["size", "time", "removed", "torn", "hash", "other"])
def test_what_was_compiled_of_something_else_is_left_to_others(
    package: ModuleType, change: str
) -> None:
    source = Path(package.__path__[0]) / "plain.py"
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if change == "size":
        source.write_text("VALUE = 8\n")
        os.utime(source, (1_600_000_000, 1_600_000_000))
    elif change == "time":
        os.utime(source, (1_600_000_001, 1_600_000_001))
    elif change == "removed":
        source.unlink()
    elif change == "torn":
        compiled.write_bytes(compiled.read_bytes()[:9])
    elif change == "hash":
        py_compile.compile(
            str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
    else:
        compiled.write_bytes(b"\0\0\0\0" + compiled.read_bytes()[4:])
    assert finder(package).find_spec("quickly.plain") is None


def test_what_is_changed_is_seen_by_the_next_process(package: ModuleType) -> None:
    """And modules that nobody has compiled are imported all the same."""
    root = Path(package.__path__[0])
    program = (
        "import quickly; from tierce.lean.importing import import_quickly;"
        "import_quickly(quickly); from quickly.plain import VALUE; print(VALUE)"
    )

    def value() -> str:
        return subprocess.run(
            [sys.executable, "-B", "-c", program],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root.parent), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert value() == "7"
    (root / "plain.py").write_text("VALUE = 'changed'\n")
    assert value() == "changed"


def test_other_places_and_forms_of_compiled_modules_are_not_looked_for(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(sys.meta_path)
    monkeypatch.setattr(sys, "pycache_prefix", "/elsewhere")
    import_quickly(package)
    assert sys.meta_path == before
