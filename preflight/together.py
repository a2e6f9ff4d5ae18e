"""Questions that do not depend on each other, asked at the same time.

Over a line with 200 ms to each answer, a dozen of them one after the other are longer
than the upload of a small adapter.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 16  # questions


class Asked(Generic[T]):
    """A call that was begun in a thread of its own.

    Where no thread can be had, the call is made when its result is wanted.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="ask", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # "can't start new thread"
            self._thread = None

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as exc:  # noqa: BLE001 - raised by `result`
            self._errors.append(exc)

    def wait(self, seconds: float) -> None:
        """Until the call has ended, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def result(self) -> T:
        """What the call returned; raises what it raised."""
        if self._thread is None:
            return self._call()
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def together(calls: Iterable[Callable[[], T]], most: int = AT_ONCE) -> list[T]:
    """The results of all calls in their order, at most `most` made at a time.

    Raises the error of the first call that has one, whichever failed first.
    """
    todo = deque(enumerate(calls))
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def work() -> None:
        while todo and not errors:
            try:
                number, call = todo.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                results[number] = call()
            except BaseException as exc:  # noqa: BLE001 - raised below
                errors[number] = exc

    others = [Asked(work) for _ in range(min(most, len(todo)) - 1)]
    work()
    for other in others:
        other.result()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in sorted(results)]
