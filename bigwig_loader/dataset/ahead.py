"""Work that a backend does while the next is planned: begun in order, delivered in order."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from bigwig_loader.backend.protocol import Backend, Pending

Item = TypeVar("Item")
Asked = TypeVar("Asked")
Made = TypeVar("Made")


class Begun(Generic[Made]):
    """What was asked for, and whether it is there.

    Parameters
    ----------
    finish : callable
        Makes the result when all is there; raises what asking for it raised.
    pending : sequence of Pending
        What has to be waited for.
    """

    def __init__(self, finish: Callable[[], Made], pending: Sequence[Pending]) -> None:
        self._finish: Callable[[], Made] | None = finish
        self._pending = pending

    def result(self) -> Made:
        """What was made, when it is there; raises what went wrong. To be called once."""
        finish, self._finish = self._finish, None
        assert finish is not None
        for i, pending in enumerate(self._pending):
            try:
                pending.wait()
            except BaseException:
                _settle(self._pending[i + 1 :])
                raise
        return finish()

    def release(self) -> None:
        """Wait, so that nothing is written to memory that nobody holds any more, and forget it."""
        _settle(self._pending)
        self._finish = None


def begin(
    ask: Callable[[], Asked], finish: Callable[[Asked], Made], backends: Sequence[Backend]
) -> Begun[Made]:
    """Ask for something that is made with ``wait=False``.

    Parameters
    ----------
    ask : callable
        Called at once, in this thread. What it raises comes from `Begun.result`.
    finish : callable
        Of what `ask` returned, when that is there; called by `Begun.result`.
    backends : sequence of Backend
        All that are asked.
    """
    try:
        asked = ask()
    except Exception as caught:
        return Begun(functools.partial(_fail, caught), [each.pending() for each in backends])
    except BaseException:
        _settle([backend.pending() for backend in backends])
        raise
    return Begun(functools.partial(finish, asked), [backend.pending() for backend in backends])


def _fail(error: Exception) -> Any:
    raise error


def begun_ahead(
    start: Callable[[Item], Begun[Made]], items: Iterable[Item], lookahead: int
) -> Generator[tuple[Item, Begun[Made]], None, None]:
    """Every item with what was begun of it, in order, when `lookahead` more of them are begun.

    An error of `items` comes after what was begun before it. When the generator is closed, what
    it has begun and not handed out is waited for and forgotten.

    Parameters
    ----------
    start : callable
        Of an item; `begin` makes what it returns.
    items : iterable
        Advanced `lookahead` ahead.
    lookahead : int
        0 begins every item when it is asked for.
    """
    begun: deque[tuple[Item, Begun[Made]]] = deque()
    iterator, error, more = iter(items), None, True
    try:
        while more or begun:
            while more and len(begun) <= lookahead:
                try:
                    item = next(iterator)
                except StopIteration:
                    more = False
                except Exception as caught:
                    error, more = caught, False
                else:
                    begun.append((item, start(item)))
            if begun:
                yield begun.popleft()
        if error is not None:
            raise error
    finally:
        for _, left in begun:
            left.release()


def _settle(pending: Sequence[Pending]) -> None:
    """Wait for all of it, whatever becomes of it."""
    for each in pending:
        with suppress(Exception):
            each.wait()
