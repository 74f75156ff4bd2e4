"""Prefetching: items made ahead in one background thread, in order, a bounded number of them.

No time-outs anywhere: a consumer waits until there is an item, the end, or an error, so slowness
is never taken for the end. An error comes after the items made before it, and every later `next`
raises it again, so it cannot be taken for the end either.

The thread knows only the state it shares with the iterator, never the iterator itself. So an
iterator that is dropped is collected although its thread still runs, and its finalizer then stops
the thread. At interpreter exit finalizers stop and join it.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import Generic, TypeVar

from bigwig_loader.dataset.stats import Meter
from bigwig_loader.errors import InvalidInputError, LoaderError

T = TypeVar("T")


class _Shared(Generic[T]):
    """What the producer thread and the iterator both see; guarded by `changed`."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.pid = os.getpid()
        # Re-entrant, because a garbage collection inside the producer's own critical section may
        # run the finalizer of its iterator.
        self.changed = threading.Condition(threading.RLock())
        self.items: deque[T] = deque()
        self.error: BaseException | None = None
        self.finished = False
        self.stopped = False

    def stop(self) -> None:
        """Tell the producer to end, and forget what it made. Never waits for it."""
        if os.getpid() != self.pid:
            return  # a forked copy: no thread here, and its lock may be locked for ever
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()

    def put(self, item: T) -> bool:
        """Wait for room and add an item; False if the producer should end instead."""
        with self.changed:
            while len(self.items) >= self.depth and not self.stopped:
                self.changed.wait()
            if not self.stopped:
                self.items.append(item)
                self.changed.notify_all()
            return not self.stopped

    def finish(self, error: BaseException | None) -> None:
        """Say that nothing more will come, and why."""
        with self.changed:
            self.error = error
            self.finished = True
            self.changed.notify_all()

    def wait(self) -> None:
        """Wait until there is an item or nothing more will come."""
        with self.changed:
            while not (self.items or self.finished or self.stopped):
                self.changed.wait()


def _produce(shared: _Shared[T], source: Iterator[T]) -> None:
    error: BaseException | None = None
    try:
        while not shared.stopped and shared.put(next(source)):
            pass
    except StopIteration:
        pass
    except BaseException as caught:  # whatever it is, the consumer has to hear of it
        error = caught
    shared.finish(error)


def _join(thread: threading.Thread) -> None:
    if thread is not threading.current_thread():
        thread.join()


class Prefetcher(Iterator[T]):
    """Iterator over `source` that makes up to `depth` items ahead in a background thread.

    The thread starts at once. It ends when `source` ends or raises, and, as soon as the item it is
    working on is done, when this iterator is closed, dropped or interrupted.

    Parameters
    ----------
    source : iterator
        Advanced by the background thread only (by the consumer where `depth` is 0).
    depth : int
        Finished items that may wait for the consumer, besides the one being made; 0 makes every
        item when it is asked for, without a thread.
    name : str
        Name of the thread.
    meter : Meter, optional
        Is told of everything the consumer sees: how many items lay ready when it came, how long it
        waited, and what was delivered (``len(item)`` examples).
    hand_over : callable, optional
        Called with every item in the thread of the consumer, before the consumer gets it.

    Raises
    ------
    LoaderError
        From `next`, after the items before it, if `source` raised; the original error is
        ``__cause__`` (a LoaderError is raised as it is). Raised again by every later `next`.
    """

    def __init__(
        self,
        source: Iterator[T],
        depth: int,
        name: str = "bigwig-loader",
        meter: Meter | None = None,
        hand_over: Callable[[T], None] | None = None,
    ) -> None:
        if depth < 0:
            raise InvalidInputError(f"prefetch depth: expected an integer >= 0; got {depth}")
        self._meter = meter
        self._hand_over = hand_over
        self._came_before = False
        self._source = source if depth == 0 else None
        self._error: BaseException | None = None
        self._shared: _Shared[T] = _Shared(depth)
        self._thread: threading.Thread | None = None
        if depth > 0:
            # A daemon, because the interpreter joins other threads before it runs finalizers.
            self._thread = threading.Thread(
                target=_produce, args=(self._shared, source), name=name, daemon=True
            )
            # At exit the younger finalizer runs first: stop, then join. While the program runs,
            # dropping the iterator only stops: to join inside a garbage collection could wait for
            # a lock that the collecting thread holds. The thread lets go of its last argument
            # first: the source is closed while there is still something to join at exit.
            weakref.finalize(self._shared, _join, self._thread)
            weakref.finalize(self, self._shared.stop)
            self._thread.start()

    def __next__(self) -> T:
        item = self._next() if self._meter is None else self._timed(self._meter)
        if self._hand_over is not None:
            self._hand_over(item)
        return item

    def _timed(self, meter: Meter) -> T:
        if self._thread is not None:
            meter.queued(len(self._shared.items))
        began = time.perf_counter()
        try:
            item = self._next()
        finally:
            meter.waited(time.perf_counter() - began, not self._came_before)
            self._came_before = True
        meter.delivered(len(item) if isinstance(item, Sized) else 1)
        return item

    def _next(self) -> T:
        if self._error is not None:
            raise self._failure(self._error)
        try:
            return self._next_made() if self._thread is None else self._next_prefetched()
        except StopIteration:
            raise
        except LoaderError as error:
            self._error = error
            raise
        except BaseException as error:
            # An interrupt leaves through here as itself. Its traceback may keep this iterator
            # alive for long, so the thread is stopped now.
            self._error = error
            self._shared.stop()
            if isinstance(error, Exception):
                raise self._failure(error) from error
            raise

    def _next_made(self) -> T:
        if self._source is None:
            raise StopIteration
        return next(self._source)

    def _next_prefetched(self) -> T:
        shared = self._shared
        if os.getpid() != shared.pid:
            raise LoaderError(
                f"iterator made in process {shared.pid} and used in its fork {os.getpid()}, where "
                "its background thread does not exist; call iter() in the process that consumes"
            )
        shared.wait()
        with shared.changed:
            if shared.items:
                item = shared.items.popleft()
                shared.changed.notify_all()
                return item
            if shared.error is not None and not shared.stopped:
                # Whatever it was in the thread: here it is not an exit or an interrupt.
                raise self._failure(shared.error)
        raise StopIteration

    def _failure(self, error: BaseException) -> LoaderError:
        if isinstance(error, LoaderError):
            return error
        failure = LoaderError(f"{type(error).__name__} while making a batch: {error}")
        failure.__cause__ = error
        return failure

    def close(self) -> None:
        """Stop, and wait for the background thread to end. Later `next` calls find the end."""
        self._source = None
        self._shared.stop()
        if self._thread is not None and os.getpid() == self._shared.pid:
            _join(self._thread)
