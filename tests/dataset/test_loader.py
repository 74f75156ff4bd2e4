"""The prefetcher: order, errors, and no thread left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError

NAME = "bigwig-loader-test"
REPOSITORY = Path(__file__).parents[2]


def loader_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == NAME]


def assert_no_thread_left() -> None:
    """Dropping an iterator does not wait for its thread, so this does."""
    gc.collect()
    for thread in loader_threads():
        thread.join(timeout=60)
    assert not loader_threads()


@pytest.fixture(autouse=True)
def _no_threads() -> Iterator[None]:
    assert not loader_threads()
    yield
    assert_no_thread_left()


def prefetch(source: Iterator[int], depth: int = 2) -> Prefetcher[int]:
    return Prefetcher(source, depth, NAME)


def failing(n: int, error: BaseException) -> Iterator[int]:
    yield from range(n)
    raise error


class Endless:
    """Counts up for ever, and how far it was asked to."""

    def __init__(self) -> None:
        self.made = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.made += 1
        return self.made


@pytest.mark.parametrize("depth", [0, 1, 2, 100])
def test_everything_in_order(depth: int) -> None:
    assert list(prefetch(iter(range(50)), depth)) == list(range(50))


@pytest.mark.parametrize("depth", [0, 3])
def test_the_end_stays_the_end(depth: int) -> None:
    items = prefetch(iter([1]), depth)
    assert next(items) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(items)


def test_slow_items_are_waited_for() -> None:
    def slow() -> Iterator[int]:
        for i in range(3):
            time.sleep(0.05)
            yield i

    assert list(prefetch(slow())) == [0, 1, 2]


def test_depth_bounds_what_is_made_ahead() -> None:
    source = Endless()
    items = prefetch(source, 3)
    assert next(items) == 1
    shared = items._shared
    with shared.changed:
        assert shared.changed.wait_for(lambda: len(shared.items) == 3, timeout=60)
    time.sleep(0.05)  # time enough to make more, were it allowed
    assert len(shared.items) == 3
    assert source.made <= 5
    items.close()


def test_no_thread_without_depth() -> None:
    source = Endless()
    items = prefetch(source, 0)
    assert not loader_threads()
    assert source.made == 0
    assert [next(items), next(items)] == [1, 2]
    assert source.made == 2


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_errors_come_in_order_and_stay(depth: int) -> None:
    original = InvalidDataError("broken block", path="a.bw", offset=7)
    items = prefetch(failing(3, original), depth)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    for _ in range(3):
        with pytest.raises(LoaderError, match=r"InvalidDataError.*broken block.*a\.bw") as caught:
            next(items)
        assert caught.value.__cause__ is original


@pytest.mark.parametrize("depth", [0, 2])
def test_loader_errors_pass_as_they_are(depth: int) -> None:
    original = LoaderError("batch 3 at chr1:5-10")
    items = prefetch(failing(0, original), depth)
    for _ in range(2):
        with pytest.raises(LoaderError) as caught:
            next(items)
        assert caught.value is original


def test_errors_that_are_no_exceptions_arrive_too() -> None:
    items = prefetch(failing(0, SystemExit(3)))
    with pytest.raises(LoaderError, match="SystemExit") as caught:
        next(items)
    assert isinstance(caught.value.__cause__, SystemExit)


def test_break_ends_the_thread() -> None:
    for item in prefetch(Endless()):
        if item == 3:
            break
    assert_no_thread_left()


def test_an_exception_in_the_loop_ends_the_thread() -> None:
    def train() -> None:
        for _ in prefetch(Endless()):
            raise RuntimeError("training failed")

    with pytest.raises(RuntimeError, match="training failed"):
        train()
    assert_no_thread_left()


def test_dropping_the_iterator_ends_the_thread() -> None:
    items = prefetch(Endless())
    next(items)
    assert loader_threads()
    del items
    assert_no_thread_left()


def test_collecting_a_cycle_ends_the_thread() -> None:
    class Holder:
        pass

    holder = Holder()
    holder.me, holder.items = holder, prefetch(Endless())  # type: ignore[attr-defined]
    del holder
    assert_no_thread_left()


def test_close_waits_for_the_thread() -> None:
    items = prefetch(Endless())
    next(items)
    items.close()
    assert not loader_threads()
    with pytest.raises(StopIteration):
        next(items)
    items.close()


def test_closing_a_generator_around_it_ends_the_thread() -> None:
    def wrapped() -> Iterator[int]:
        yield from prefetch(Endless())

    generator = wrapped()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert_no_thread_left()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_while_waiting() -> None:
    """Ctrl-C in `next` comes through as itself, and the thread ends."""
    gate = threading.Event()

    def never() -> Iterator[int]:
        # To the process, as a terminal does it, not to this thread.
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        gate.wait(timeout=60)
        yield from Endless()

    items = prefetch(never())
    with pytest.raises(KeyboardInterrupt):
        next(items)
    gate.set()
    # The iterator is still there, as it is in a traceback that a notebook keeps.
    for thread in loader_threads():
        thread.join(timeout=60)
    assert not loader_threads()
    with pytest.raises(LoaderError, match="KeyboardInterrupt"):
        next(items)


def test_negative_depth_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="depth"):
        prefetch(iter([]), -1)


SCRIPT = """
import sys, threading
sys.path.insert(0, {repository!r})
from bigwig_loader.dataset.loader import Prefetcher
def endless():
    while True:
        yield bytes(10)
items = Prefetcher(endless(), 2)
next(items)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("raise KeyError('stop')", 1),
        ("sys.exit(5)", 5),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("items.me = items", 0),
    ],
)
def test_interpreter_exit(ending: str, code: int) -> None:
    """A process that ends with an iterator alive ends, quietly and with its own exit code."""
    script = SCRIPT.format(repository=str(REPOSITORY), ending=ending)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    assert "thread" not in done.stderr.lower()
    if code == 0:
        assert done.stderr == ""


def test_interpreter_exit_waits_for_the_item_being_made() -> None:
    """Otherwise the thread could run on in memory that is being taken down."""
    ending = """
def slow():
    yield 1
    time.sleep(0.5)
    print("made")
    yield 2
import time
items = Prefetcher(slow(), 2)
next(items)
"""
    script = SCRIPT.format(repository=str(REPOSITORY), ending=ending)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "made\n"


def use_in_child(items: Prefetcher[int], answers: multiprocessing.SimpleQueue[str]) -> None:
    try:
        next(items)
    except LoaderError as error:
        answers.put(str(error))
    fresh = list(Prefetcher(iter(range(5)), 2, NAME))
    items.close()
    del items
    gc.collect()
    answers.put(str(fresh))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork() -> None:
    """A forked copy says that it has no thread; a new iterator works there; nothing hangs."""
    context = multiprocessing.get_context("fork")
    items = prefetch(Endless())
    next(items)
    answers = context.SimpleQueue()
    with warnings.catch_warnings():
        # What it warns of, a fork of a process with threads, is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=use_in_child, args=(items, answers))
        child.start()
    assert "fork" in answers.get()
    assert answers.get() == "[0, 1, 2, 3, 4]"
    child.join(timeout=60)
    assert child.exitcode == 0
    items.close()


def test_many_iterators_at_once() -> None:
    several = [prefetch(iter(range(i, i + 20)), 1) for i in range(10)]
    rows = list(zip(*several, strict=True))
    assert rows == [tuple(range(j, j + 10)) for j in range(20)]
