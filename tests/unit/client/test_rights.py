"""What containers may do and use, from Python."""

from pathlib import Path

import pytest

from tierce import Client
from tierce.client.rights import Resources, Rights, prepared
from tierce.errors import Conflict, ContainerError, NotFound, UsageError
from tierce.store import Store


def test_names_of_containers_that_are_not_there(tmp_path: Path) -> None:
    with Client(tmp_path / "root") as client:
        assert client.stats.samples(all=True) == []
        with pytest.raises(NotFound):
            client.stats.samples(["nobody"])
        with pytest.raises(NotFound):
            client.limits.update("nobody", Resources(memory=64 << 20))


@pytest.mark.parametrize(
    "rights",
    [
        Rights(added=("CAP_FLY",)),
        Rights(pid="mine"),
        Rights(ipc="container:"),
        Rights(userns="keep-id"),
        Rights(oom_score_adj=-1001),
        Rights(shm_size=-1),
        Rights(limits=Resources(memory=1)),
    ],
)
def test_rights_that_cannot_be_are_refused_before_anything_is_made(
    store: Store, rights: Rights
) -> None:
    with pytest.raises(UsageError):
        prepared(store, rights)


def test_other_containers_have_to_be_there(store: Store) -> None:
    with pytest.raises((NotFound, Conflict, ContainerError)):
        prepared(store, Rights(pid="container:nobody"))


def test_profile_that_is_none_is_refused(store: Store) -> None:
    with pytest.raises(ContainerError, match="Decoding seccomp profile failed"):
        prepared(store, Rights(seccomp="{"))


def test_what_is_usual_is_given_without_a_word(store: Store) -> None:
    assert prepared(store, Rights()) == (Rights(), ())
