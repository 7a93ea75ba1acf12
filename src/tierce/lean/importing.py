"""Imports of our own modules, for a program that starts with a hundred of them.

What the standard importer has to consider (directories that change, extensions in C, archives,
other encodings and forms of compiled modules) takes as long as reading and running a module does.
Here is one place where a module can be, beside the compiled one that the standard importer has
left, which is used as that would use it: if it was made of the source with this time and size.
Whatever is otherwise is left to the standard importer.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER
from _io import FileIO

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_HEAD = 16  # of a compiled module: PEP 552
_BY_TIME = MAGIC_NUMBER + bytes(4)
_MASK = 0xFFFFFFFF


class OwnModules:
    """A finder, and the loader of what it finds, as `importlib.abc` has them."""

    def __init__(self, package: str, directory: str) -> None:
        """`directory` is where the modules of the package are."""
        self._prefix = f"{package}."
        self._directory = directory
        self._suffix = f".{sys.implementation.cache_tag}.pyc"

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module with a name, if it is ours and there is a compiled one that is up to date."""
        if not name.startswith(self._prefix):
            return None
        parts = name[len(self._prefix) :].replace(".", "/")
        place = f"{self._directory}/{parts}"
        source, inside = f"{place}.py", None
        try:
            try:
                status = os.stat(source)
                above, _, last = place.rpartition("/")
            except FileNotFoundError:
                source, inside = f"{place}/__init__.py", [place]
                status = os.stat(source)
                above, last = place, "__init__"
            compiled = f"{above}/__pycache__/{last}{self._suffix}"
            with FileIO(compiled) as file:
                data = file.readall()
        except OSError:
            return None
        made_of = (int(status.st_mtime) & _MASK, status.st_size & _MASK)
        numbers = b"".join([number.to_bytes(4, "little") for number in made_of])
        if data[:_HEAD] != _BY_TIME + numbers:
            return None
        spec = ModuleSpec(name, self, origin=source, loader_state=data)  # type: ignore[arg-type]
        spec.has_location = True
        spec.cached = compiled
        spec.submodule_search_locations = inside
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Modules are made as usual."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run what was found."""
        spec = module.__spec__
        assert spec is not None
        data, spec.loader_state = spec.loader_state, None
        exec(marshal.loads(memoryview(data)[_HEAD:]), module.__dict__)


def import_quickly(package: ModuleType) -> None:
    """Have the modules of a package found without a search, from now on."""
    if not sys.flags.optimize and sys.pycache_prefix is None and package.__path__:
        sys.meta_path.insert(0, OwnModules(package.__name__, package.__path__[0]))
