"""Prefetches results in a pool of threads. They are returned in order, and their number is bounded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetched(
    work: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Generator[R, None, None]:
    """The results of ``work`` for all items, in their order.

    At most ``ahead`` items are started before they are needed, so a slow caller does not accumulate results. An
    exception of ``work`` is raised for its item. Closing the generator waits for the work in progress. The end of the
    program does not, since the threads are daemons.
    """
    todo: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()

    def serve() -> None:
        while (task := todo.get()) is not None:
            future, item = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)

    left = iter(items)
    begun: deque[Future[R]] = deque()

    def begin(number: int) -> None:
        for item in islice(left, number):
            future: Future[R] = Future()
            begun.append(future)
            todo.put((future, item))

    begin(ahead)
    threads = [
        threading.Thread(target=serve, name="ahead", daemon=True) for _ in range(min(workers, len(begun)))
    ]
    for thread in threads:
        thread.start()
    try:
        while begun:
            result = begun.popleft().result()
            begin(1)
            yield result
    finally:
        for future in begun:
            future.cancel()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join()
