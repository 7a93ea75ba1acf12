"""The house of docs/architecture.md: who may import whom, and that nobody climbs in by a window."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src/tierce"

# Ground floor first: the room, and the rooms it stands on. What these stand on is allowed too.
ROOMS: dict[str, tuple[str, ...]] = {
    "values": (),
    "errors": (),
    "lean": (),
    "oci": ("values", "errors"),
    "linux": ("values", "errors"),
    "layer": ("oci", "linux"),
    "store": ("layer",),
    "distribution": ("store",),
    "archive": ("store",),
    "runtime": ("store",),
    "containers": ("runtime", "archive"),
    "graph": ("oci",),
    "solver": ("graph",),
    "dockerfile": ("oci", "graph"),
    "frontend": ("dockerfile", "graph"),
    "worker": ("solver", "runtime", "distribution"),
    "export": ("solver", "distribution", "archive"),
    "builder": ("frontend", "worker", "export"),
    "registry": ("layer", "distribution"),
    "client": ("builder", "containers"),
    "cli": ("client", "registry"),
}

# Modules that import others by name, when these are first asked for, so that a command's start
# costs only what it uses: packages that give their public names (PEP 562), and the table of
# commands. Each also imports the same names for type checkers, which is where floors are checked.
LAZY_TABLE = "cli/table.py"

STANDARD_LATER = {"_sha2", "compression"}
"""Modules of the standard library that the oldest Python we support does not have."""

FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]


def allowed(room: str) -> set[str]:
    below: set[str] = {"errors", "lean", "values"}
    for neighbour in ROOMS[room]:
        below |= {neighbour} | allowed(neighbour)
    return below


def room_of(name: str) -> str:
    """ "oci" for "oci/digest.py", "errors" for "errors.py", nothing for the package itself."""
    first = name.split("/")[0].removesuffix(".py")
    return "" if first in {"__init__", "__main__"} else first


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every import statement in the tree, wherever it stands: its line and the module's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "tierce":
                yield from ((node.lineno, f"tierce.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def at_top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The import statements of the module itself, those for type checkers included."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            yield from (each for each in node.body if isinstance(each, ast.Import | ast.ImportFrom))


def own_imports(path: Path) -> list[tuple[int, str]]:
    """The rooms of tierce that the file imports from."""
    found = []
    for line, module in imports(ast.parse(path.read_text())):
        top, _, rest = module.partition(".")
        if top == "tierce" and rest:
            found.append((line, rest.split(".")[0]))
    return found


def explained(lines: list[str], number: int) -> bool:
    """Whether the import at that line, or the head of its block of imports, has a comment."""
    block = ("import ", "from ", "if TYPE_CHECKING", "TYPE_CHECKING =")
    for line in reversed(lines[:number]):
        text = line.strip()
        if "#" in text:
            return True
        if not text.startswith(block):
            return False
    return False


def test_table_has_every_room_and_only_lower_floors() -> None:
    seen: set[str] = set()
    for room, neighbours in ROOMS.items():
        assert seen.issuperset(neighbours), f"{room} stands on a room above it"
        seen.add(room)
    assert {room_of(name) for name in NAMES} - {""} <= ROOMS.keys()


@pytest.mark.parametrize("name", [name for name in NAMES if room_of(name)])
def test_a_room_imports_only_from_below(name: str) -> None:
    room = room_of(name)
    may = allowed(room) | {room}
    wrong = [
        f"{name}:{line} imports {other}"
        for line, other in own_imports(SOURCE / name)
        if other not in may
    ]
    assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_no_import_is_hidden(name: str) -> None:
    """An import inside a function is for the start-up cost of a foreign module, and says so.

    What only annotations need may stand under TYPE_CHECKING: it costs nothing there, and is held
    to the same floors as everything else.
    """
    text = (SOURCE / name).read_text()
    lines = text.splitlines()
    tree = ast.parse(text)
    top_level = {node.lineno for node in at_top_level(tree)}
    for line, module in imports(tree):
        assert not module.startswith("."), f"{name}:{line} is relative"
        if line in top_level:
            continue
        assert module.split(".")[0] != "tierce", f"{name}:{line} hides an import of {module}"
        assert explained(lines, line), f"{name}:{line} imports {module} late without saying why"


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if name != LAZY_TABLE and not name.endswith("__init__.py")],
)
def test_nothing_is_imported_by_name(name: str) -> None:
    tree = ast.parse((SOURCE / name).read_text())
    assert "importlib" not in {module.split(".")[0] for _, module in imports(tree)}
    assert "__import__" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", NAMES)
def test_no_slow_module_is_imported(name: str) -> None:
    """dataclasses (with inspect) and their like cost more than a whole command may take."""
    slow = {"asyncio", "click", "dataclasses", "inspect", "msgspec"}
    if room_of(name) == "registry":
        slow -= {"asyncio"}
    top = {module.split(".")[0] for _, module in imports(ast.parse((SOURCE / name).read_text()))}
    assert not slow & top


def test_third_party_imports_are_declared_dependencies() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {
        text.replace(">", ".").replace(";", ".").split(".")[0].strip()
        for text in project["dependencies"]
    }
    used = {
        module.split(".")[0] for path in FILES for _, module in imports(ast.parse(path.read_text()))
    }
    # The second exists for type checkers only, the others are each in some versions of Python.
    own = {"tierce", "_typeshed", "_sha2", "_sha256"}
    assert used - set(sys.stdlib_module_names) - own <= declared


@pytest.mark.parametrize("name", NAMES)
def test_no_file_has_two_subjects(name: str) -> None:
    """A file past 800 lines does."""
    assert len((SOURCE / name).read_text().splitlines()) <= 800


def test_client_is_a_package_with_a_module_a_noun() -> None:
    """So that a command imports only the noun that it is about."""
    assert not (SOURCE / "client.py").exists()
    face = ast.parse((SOURCE / "client/__init__.py").read_text())
    assert [module for _, module in imports(face) if module.startswith("tierce.client.")]


# Each check is tripped once, on source that breaks it.


def test_checks_see_what_they_look_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from tierce.cli import main\n"
        "from tierce import store\n"
        "if TYPE_CHECKING:\n"
        "    import tierce.worker.exec\n"
        "def f():\n"
        "    from tierce.export.image import export\n"
    )
    assert own_imports(bad) == [(1, "cli"), (2, "store"), (4, "worker"), (6, "export")]
    assert "store" in allowed("worker")
    assert "worker" not in allowed("store")
    assert "runtime" not in allowed("solver")
