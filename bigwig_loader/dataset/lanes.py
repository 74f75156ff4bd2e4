"""Lanes: items made by several threads at once, delivered in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_lanes(
    make: Callable[[Item], Made], items: Iterable[Item], n_lanes: int
) -> Generator[Made, None, None]:
    """``make(item)`` for every item, in order, up to `n_lanes` of them at the same time.

    It pays where `make` calls into the C library, which holds no interpreter lock: one lane's
    Python runs while another lane reads. An error comes where its item would have come, after all
    before it. When the iterator is closed, what is being made is finished and forgotten, and the
    threads end.

    Parameters
    ----------
    make : callable
        Of an item; called in any thread.
    items : iterable
        Advanced by the consumer's thread, `n_lanes` ahead.
    n_lanes : int
        1 makes every item when it is asked for, without a thread.
    """
    if n_lanes <= 1:
        yield from map(make, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pending: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(n_lanes, thread_name_prefix="bigwig-loader-lane")
    try:
        for item in items:
            pending.append(pool.submit(make, item))
            if len(pending) > n_lanes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
