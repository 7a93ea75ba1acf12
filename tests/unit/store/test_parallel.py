import threading

import pytest

from tierce.store.parallel import in_parallel


def test_results_come_in_the_order_of_the_arguments() -> None:
    assert in_parallel(lambda number: number * 2, range(100), workers=7) == [*range(0, 200, 2)]
    assert in_parallel(len, []) == []


def test_things_are_done_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    in_parallel(lambda _: meeting.wait(30), range(3), workers=3)


def test_after_an_error_nothing_more_is_begun_and_it_is_raised() -> None:
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        in_parallel(fail, range(100), workers=2)
    assert len(begun) <= 2
    with pytest.raises(KeyError):
        in_parallel(fail, [1])
