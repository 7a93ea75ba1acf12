"""Doing the same to many things at once, for work that releases the interpreter's lock.

`concurrent.futures` would do, but brings `logging` and more along: 5 ms at the start of a
command that runs one container in 60.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    Argument = TypeVar("Argument")
    Result = TypeVar("Result")


def in_parallel(
    call: Callable[[Argument], Result], arguments: Sequence[Argument], *, workers: int | None = None
) -> list[Result]:
    """The results in the order of the arguments, which are begun in their order.

    Uses `workers` threads at most, by default one per processor. After an error nothing more is
    begun, and when all threads have ended the error of the first of the failed is raised.
    """
    limit = min(workers or os.cpu_count() or 1, len(arguments))
    if limit < 2:
        return [call(argument) for argument in arguments]
    work = _Work(call, arguments)
    threads = [threading.Thread(target=work.run, name="store", daemon=True) for _ in range(limit)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # the user interrupts: what has begun must not outlive the caller
        work.stop()
        for thread in threads:
            thread.join()
        raise
    return work.results()


class _Work:
    def __init__(self, call: Callable[[Argument], Result], arguments: Sequence[Argument]) -> None:
        self._call = call
        self._arguments = arguments
        self._guard = threading.Lock()
        self._next = 0
        self._results: dict[int, Any] = {}
        self._errors: dict[int, BaseException] = {}

    def run(self) -> None:
        while True:
            with self._guard:
                place = self._next
                if place >= len(self._arguments) or self._errors:
                    return
                self._next += 1
            try:
                result = self._call(self._arguments[place])
            except BaseException as error:  # noqa: BLE001  (raised by `results`)
                self._errors[place] = error
            else:
                self._results[place] = result

    def stop(self) -> None:
        with self._guard:
            self._next = len(self._arguments)

    def results(self) -> list[Any]:
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._results[place] for place in range(len(self._arguments))]
