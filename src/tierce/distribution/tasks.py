"""Transfers at once: a bounded number of threads, which an error or an interrupt ends."""

from __future__ import annotations

import threading
from collections import deque

from tierce.errors import Cancelled

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Task = Callable[[], object]


def run_all(tasks: Sequence[Task], workers: int, interrupt: Callable[[], object]) -> None:
    """Run tasks, begun in their order; raises the first error that is no consequence of another.

    After an error, and when the caller is interrupted, `interrupt` is called: it has to end the
    tasks that are at work. No more are begun then.
    """
    if len(tasks) == 1:
        tasks[0]()
        return
    crew = _Crew(tasks, interrupt)
    threads = [
        threading.Thread(target=crew.work, name="transfer", daemon=True)
        for _ in range(min(workers, len(tasks)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        crew.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    crew.raise_error()


class _Crew:
    def __init__(self, tasks: Sequence[Task], interrupt: Callable[[], object]) -> None:
        self._left = deque(tasks)
        self._interrupt = interrupt
        self._errors: list[BaseException] = []

    def work(self) -> None:
        while True:
            try:
                task = self._left.popleft()
            except IndexError:
                return
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - raised again in the caller
                self._errors.append(error)
                self.stop()
                return

    def stop(self) -> None:
        self._left.clear()
        self._interrupt()

    def raise_error(self) -> None:
        for error in self._errors:
            if not isinstance(error, Cancelled):
                raise error
        if self._errors:
            raise self._errors[0]
