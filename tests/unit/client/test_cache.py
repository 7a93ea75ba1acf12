"""The filters of `builder du` and `builder prune`."""

import time

import pytest

from tierce.client.cache import acceptable
from tierce.errors import UsageError
from tierce.store.cache_usage import CacheItem

NOW = time.time()
STEP = CacheItem("12", "regular", "12", "[2/3] RUN make", 100, NOW, NOW - 7200, parents=("3", "4"))
MOUNT = CacheItem(
    "mount-2", "exec.cachemount", "apt", "cached mount apt", 5, NOW, NOW, in_use=True, mutable=True
)
SHARED = STEP.replace(id="13", shared=True)


@pytest.mark.parametrize(
    ("filters", "accepted"),
    [
        ([], {"12", "13", "mount-2"}),
        (["type=regular"], {"12", "13"}),
        (["type==regular"], {"12", "13"}),
        (["type!=regular"], {"mount-2"}),
        (["id=^12$"], {"12"}),
        (["id~=1[23]"], {"12", "13"}),
        (["id==1"], set()),
        (["description~=RUN ma"], {"12", "13"}),
        (["description=[2/3] RUN make"], {"12", "13"}),
        (["parents=4"], {"12", "13"}),
        (["parents=9;3"], {"12", "13"}),
        (["parents!=3"], {"mount-2"}),
        (["until=1h"], {"12", "13"}),
        (["unused-for=3h"], set()),
        (["inuse"], {"mount-2"}),
        (["inuse=false"], {"12", "13"}),
        (["inuse!=true"], {"12", "13"}),
        (["mutable"], {"mount-2"}),
        (["immutable=true"], {"12", "13"}),
        (["shared"], {"13"}),
        (["private", "type=regular"], {"12"}),
    ],
)
def test_filters(filters: list[str], accepted: set[str]) -> None:
    accept = acceptable(filters)
    assert {each.id for each in (STEP, MOUNT, SHARED) if accept(each)} == accepted


@pytest.mark.parametrize(
    "text", ["nothing=x", "type", "id~=(", "until!=1h", "until=yesterday", "until", ""]
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        acceptable([text])
