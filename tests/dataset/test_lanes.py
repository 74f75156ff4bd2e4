"""Lanes deliver in order, pass errors on in their place, and leave no thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bigwig_loader.dataset.lanes import in_lanes


def lane_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("bigwig-loader-lane")]


@pytest.mark.parametrize("n_lanes", [1, 2, 5])
@pytest.mark.parametrize("n_items", [0, 1, 2, 13])
def test_order(n_lanes: int, n_items: int) -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))  # later ones are often done first
        return item * item

    assert list(in_lanes(make, range(n_items), n_lanes)) == [i * i for i in range(n_items)]
    assert lane_threads() == []


def test_items_are_made_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def make(item: int) -> int:
        both.wait()  # with one lane nobody would come
        return item

    assert list(in_lanes(make, range(4), 2)) == [0, 1, 2, 3]


def test_no_more_is_asked_for_than_is_needed() -> None:
    asked = []

    def items() -> Iterator[int]:
        for i in range(100):
            asked.append(i)
            yield i

    made = in_lanes(str, items(), 3)
    assert next(made) == "0"
    assert len(asked) == 4
    made.close()
    assert len(asked) == 4


@pytest.mark.parametrize("n_lanes", [1, 3])
def test_an_error_comes_in_its_place(n_lanes: int) -> None:
    def make(item: int) -> int:
        if item >= 2:
            raise ValueError(f"item {item}")
        return item

    made = in_lanes(make, range(6), n_lanes)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(made)
    assert lane_threads() == []


def test_closing_ends_the_threads() -> None:
    made = in_lanes(lambda item: item, range(100), 4)
    assert next(made) == 0
    assert lane_threads()
    made.close()
    assert lane_threads() == []
