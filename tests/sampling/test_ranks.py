"""Ranks share every batch: together they make the batch of one process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.ranks import Shard


@given(n=st.integers(0, 40), world_size=st.integers(1, 9))
def test_padded_slices_hold_every_example_and_are_equally_long(n: int, world_size: int) -> None:
    slices = [Shard(r, world_size).slice_of(n, "pad") for r in range(world_size)]
    joined = np.concatenate(slices)
    assert len({len(s) for s in slices}) == 1
    assert joined[:n].tolist() == list(range(n))
    assert joined[n:].tolist() == [i % n for i in range(n, len(joined))]
    assert len(joined) - n < world_size


@given(n=st.integers(0, 40), world_size=st.integers(1, 9))
def test_dropped_slices_are_equally_long_and_the_beginning(n: int, world_size: int) -> None:
    slices = [Shard(r, world_size).slice_of(n, "drop") for r in range(world_size)]
    assert len({len(s) for s in slices}) == 1
    assert np.concatenate(slices).tolist() == list(range(n // world_size * world_size))


@pytest.mark.parametrize(
    ("rank", "world_size", "expected"),
    [(None, None, Shard(0, 1)), ("3", "4", Shard(3, 4)), (None, "1", Shard(0, 1))],
)
def test_environment(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, world_size: str | None, expected: Shard
) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", world_size)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Shard.from_environment() == expected
    assert Shard.choose(None, None) == expected
    assert Shard.choose(1, 2) == Shard(1, 2)


@pytest.mark.parametrize(
    ("rank", "world_size"), [("1", None), (None, "2"), ("2", "2"), ("x", "2"), ("-1", "2")]
)
def test_bad_environment(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, world_size: str | None
) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", world_size)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match="RANK and WORLD_SIZE"):
        Shard.from_environment()


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0), (True, 2), (0.0, 1)])
def test_bad_rank(rank: object, world_size: object) -> None:
    with pytest.raises(InvalidInputError, match="rank"):
        Shard(rank, world_size)  # type: ignore[arg-type]


def test_one_number_alone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="expected both or neither"):
        Shard.choose(0, None)


def test_batch_size_must_be_shared_evenly() -> None:
    Shard(0, 4).check_batch_size(8)
    with pytest.raises(InvalidInputError, match="a multiple of the 4 processes"):
        Shard(0, 4).check_batch_size(6)
