"""Streams as queues of operations that run when they have to, or when chance wants it."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable

LATE, EAGER, RANDOM = "late", "eager", "random"
# Times that a query says "not done" before what it asks for is done.
_POLLS = 3


class Operation:
    """Something a stream does after all before it, and after `after`."""

    __slots__ = ("action", "after", "done", "finished", "polls", "queue")

    def __init__(
        self, queue: Queue, action: Callable[[], None] | None, after: Iterable[Operation | None]
    ) -> None:
        self.queue = queue
        self.action = action
        self.done = False
        self.after = [other for other in after if other is not None and not other.done]
        self.finished = 0.0  # seconds, when it was done
        self.polls = 0


class Queue:
    """The operations of one stream."""

    def __init__(self, number: int, device: int, blocking: bool) -> None:
        self.number = number  # what cudaStream_t would be
        self.device = device
        self.blocking = blocking  # takes part in the order of the legacy default stream
        self.waiting: deque[Operation] = deque()

    @property
    def last(self) -> Operation | None:
        """The operation that everything waits for that waits for the stream; None: it is idle."""
        return self.waiting[-1] if self.waiting else None


class Scheduler:
    """Decides when operations run.

    Parameters
    ----------
    mode
        "late": when somebody waits for them; "eager": at once; "random": some of them at every
        call, whichever stream is ready.
    seed
        Of the random choices.
    on_error
        Is given what an operation raises.
    """

    def __init__(self, mode: str, seed: int, on_error: Callable[[Exception], None]) -> None:
        if mode not in (LATE, EAGER, RANDOM):
            raise ValueError(f"mode: expected late, eager or random, got {mode!r}")
        self.mode = mode
        self.queues: dict[int, Queue] = {}
        self.n_done = 0
        self._random = random.Random(seed)
        self._on_error = on_error
        self._running = False
        self._deferred: list[Callable[[], None]] = []

    def add(
        self,
        queue: Queue,
        action: Callable[[], None] | None,
        after: Iterable[Operation | None] = (),
    ) -> Operation:
        """Put an operation at the end of a queue."""
        operation = Operation(queue, action, [*after, *self._legacy_order(queue)])
        queue.waiting.append(operation)
        if self.mode == EAGER:
            self.complete(operation)
        self.stir()
        return operation

    def between(self, action: Callable[[], None]) -> None:
        """Do something between two operations: now, or (if one is running) when that has ended."""
        if self._running:
            self._deferred.append(action)
        else:
            action()

    def complete(self, operation: Operation | None) -> None:
        """Run an operation, after what it waits for."""
        pending = [] if operation is None else [operation]
        while pending:
            if pending[-1].done:
                pending.pop()
                continue
            head = pending[-1].queue.waiting[0]
            open_ones = [other for other in head.after if not other.done]
            if open_ones:
                pending += open_ones
            else:
                self._run(head)

    def complete_queue(self, queue: Queue) -> None:
        """All of a stream; of the legacy stream, of those that keep its order too."""
        if queue.number == 0:
            for other in self._blocking(queue.device):
                self.complete(other.last)
        self.complete(queue.last)

    def complete_all(self, device: int | None = None) -> None:
        """All of all streams of a device, or of all devices."""
        for queue in list(self.queues.values()):
            if device is None or queue.device == device:
                self.complete(queue.last)

    def poll(self, operation: Operation | None) -> bool:
        """Whether an operation is done; asking often enough makes it so, as waiting would."""
        self.stir()
        if operation is None or operation.done:
            return True
        operation.polls += 1
        if operation.polls > _POLLS:
            self.complete(operation)
        return operation.done

    def stir(self) -> None:
        """Let some operations run, if chance decides when."""
        if self.mode != RANDOM or self._running:
            return
        while self._random.random() < 0.5:
            ready = [
                queue.waiting[0]
                for queue in self.queues.values()
                if queue.waiting and all(other.done for other in queue.waiting[0].after)
            ]
            if not ready:
                return
            self._run(self._random.choice(ready))

    def _legacy_order(self, queue: Queue) -> list[Operation | None]:
        if queue.number == 0:
            return [other.last for other in self._blocking(queue.device)]
        if not queue.blocking:
            return []
        others = [other for other in self.queues.values() if other.device == queue.device]
        return [other.last for other in others if other.number == 0]

    def _blocking(self, device: int) -> list[Queue]:
        return [
            queue
            for queue in self.queues.values()
            if queue.blocking and queue.device == device and queue.number != 0
        ]

    def _run(self, operation: Operation) -> None:
        if operation.done:  # meanwhile, by a collected object that had to wait
            return
        self._running = True
        try:
            if operation.action is not None:
                operation.action()
        except Exception as error:
            self._on_error(error)
        finally:
            self._running = False
            operation.done = True
            operation.finished = time.perf_counter()
            operation.action = None
            operation.after = []
            operation.queue.waiting.popleft()
            self.n_done += 1
        while self._deferred:
            self._deferred.pop()()
