"""What was read of a few files, kept as long as the files do not change."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The last few results of reading, by key.

    Parameters
    ----------
    n : int
        Results to keep; the one not used for longest goes.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._items: OrderedDict[tuple[object, ...], T] = OrderedDict()
        # One per process: fork copies a lock that another thread holds, but not the thread.
        self._locks = {os.getpid(): threading.Lock()}

    def get(self, key: tuple[object, ...] | None, read: Callable[[], T]) -> T:
        """What is kept under a key; otherwise it is read and kept. None as a key keeps nothing."""
        if key is None:
            return read()
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if key not in self._items:
                self._items[key] = read()
                if len(self._items) > self._n:
                    self._items.popitem(last=False)
            self._items.move_to_end(key)
            return self._items[key]


def file_key(path: str) -> tuple[object, ...] | None:
    """What changes with a file; None for a URL."""
    if "://" in path:
        return None
    about = os.stat(path)
    return os.path.realpath(path), about.st_mtime_ns, about.st_size
