"""The fragments in news/ can be put together into a changelog."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools/changelog"


def changelog(*arguments: str, tool: Path = TOOL) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, tool, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with nothing but the tool, a changelog and two fragments."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/changelog").write_text(TOOL.read_text())
    (tmp_path / "news").mkdir()
    (tmp_path / "news/README.md").write_text("# News\n")
    (tmp_path / "news/b.fix.md").write_text("It works.\n")
    (tmp_path / "news/a.feature.md").write_text("One line\nand another.\n")
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changes\n\n<!-- releases -->\n\n## 0.1 (2000-01-01)\n"
    )
    return tmp_path


def test_fragments_of_this_repository_are_well_named() -> None:
    assert changelog("--check").stderr == ""


def test_preview_has_kinds_in_order_and_changes_nothing(repository: Path) -> None:
    done = changelog(tool=repository / "tools/changelog")
    assert done.stdout == (
        "## Unreleased\n\n### Added\n\n- One line\n  and another.\n\n### Fixed\n\n- It works.\n"
    )
    assert (repository / "news/b.fix.md").exists()


def test_release_comes_first_and_uses_the_fragments_up(repository: Path) -> None:
    assert changelog("0.2", tool=repository / "tools/changelog").returncode == 0
    text = (repository / "CHANGELOG.md").read_text()
    assert text.startswith("# Changes\n\n<!-- releases -->\n\n## 0.2 (")
    assert text.index("- It works.") < text.index("## 0.1 (2000-01-01)")
    assert [path.name for path in (repository / "news").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["topic.md", "topic.story.md", "topic.fix", ".fix.md"])
def test_misnamed_fragment_is_refused(repository: Path, name: str) -> None:
    (repository / "news" / name).write_text("text\n")
    done = changelog("--check", tool=repository / "tools/changelog")
    assert done.returncode == 1
    assert name in done.stderr
