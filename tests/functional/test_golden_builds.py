"""tierce makes of every golden build what BuildKit made of it: see tests/golden/builds."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.golden import base, cases
from support.golden.own import TierceBuilder
from support.golden.remotes import Remotes, remotes
from support.golden.trees import FlatImage, read_layout
from tierce.oci.platform import Platform
from tierce.store import Store

CASES = {case.name: case for group in cases.groups() for case in cases.load(group).values()}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that the cases start from, as an OCI layout."""
    directory = tmp_path_factory.mktemp("golden") / "bases"
    base.write_base_layout(directory, Platform.host().architecture)
    return directory


@pytest.fixture(scope="module")
def plain(bases: Path) -> FlatImage:
    return read_layout(bases)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, bases: Path) -> Iterator[TierceBuilder]:
    """Builds all cases into one store."""
    directory = tmp_path_factory.mktemp("golden-store")
    umask = os.umask(0o022)
    with Store.open(directory / "store", directory / "run") as store:
        yield TierceBuilder(store, bases)
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


def test_every_case_is_recorded() -> None:
    recorded = {f"{group}/{name}" for group in cases.groups() for name in cases.expectations(group)}
    assert recorded == CASES.keys()
