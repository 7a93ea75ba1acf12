"""The documents say what is there."""

import ast
import re
from pathlib import Path

import pytest

import test_floors
import tierce

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("*/*/*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    gone = [
        target
        for target in targets
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not gone


def test_architecture_has_the_house_as_it_is_pinned() -> None:
    rooms: dict[str, tuple[str, ...]] = {}
    for row in (REPOSITORY / "docs/architecture.md").read_text().splitlines():
        if re.match(r"\| \d ", row):
            _, _, names, _, below, _ = (cell.strip() for cell in row.split("|"))
            for name in re.findall(r"`(\w+)`", names):
                rooms[name] = tuple(filter(None, below.split(", ")))
    assert rooms == test_floors.ROOMS


def test_example_of_the_readme_uses_public_names() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    tree = ast.parse(code)
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "tierce"
        for alias in node.names
    ]
    assert names
    assert set(names) <= set(tierce.__all__)
    assert all(hasattr(tierce, name) for name in names)
