from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.ragged import Ragged

ROWS = [[1, 2], [], [3], [4, 5, 6], [7], [8, 9]]


def made(rows=ROWS, shape=(3, 2)):
    flat = np.array([x for row in rows for x in row], np.float32)
    return Ragged.from_lengths(flat, np.array([len(row) for row in rows]).reshape(shape))


def test_shape_lengths_and_lists():
    ragged = made()
    assert ragged.shape == (3, 2, None)
    assert ragged.ndim == 3
    assert len(ragged) == 3
    assert ragged.lengths.tolist() == [[2, 0], [1, 3], [1, 2]]
    assert ragged.to_list() == [[[1, 2], []], [[3], [4, 5, 6]], [[7], [8, 9]]]
    assert ragged.offsets.tolist() == [0, 2, 2, 3, 6, 7, 9]


@pytest.mark.parametrize("shape", [6, (6,), (6, None), (3, 2), (3, 2, None), [2, 3, None]])
def test_from_offsets_takes_shapes_with_and_without_the_ragged_axis(shape):
    ragged = made()
    again = Ragged.from_offsets(ragged.data * 2, shape, ragged.offsets)
    assert again.data.tolist() == (ragged.data * 2).tolist()
    leading = (shape,) if shape == 6 else tuple(n for n in shape if n is not None)
    assert again.shape == (*leading, None)


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=6, max_size=6),
    st.sampled_from(
        [0, -1, slice(1, None), slice(None, None, -1), [0, 2, 2], (1, 1), (slice(None), 0),
         ([0, 1], [1, 0]), np.array([True, False, True]), np.array([[0, 1], [2, 0]]), ...]
    ),
)  # fmt: skip
def test_indexing_is_that_of_an_array_of_rows(rows, key):
    ragged = made(rows)
    grid = np.empty((3, 2), object)
    for i, row in enumerate(rows):
        grid[i // 2, i % 2] = row
    found, expected = ragged[key], grid[key]
    if isinstance(expected, list):
        assert found.tolist() == expected
    else:
        assert found.shape == (*expected.shape, None)
        assert found.reshape(-1).to_list() == expected.reshape(-1).tolist()


def test_inner_axes_stay_after_the_ragged_one():
    data = np.arange(12).reshape(6, 2)
    ragged = Ragged.from_offsets(data, (2, None, 2), [0, 4, 6])
    assert ragged.shape == (2, None, 2)
    assert ragged[1].tolist() == [[8, 9], [10, 11]]
    assert ragged.to_padded().shape == (2, 4, 2)
    assert ragged.to_padded()[1, 2:].tolist() == [[0, 0], [0, 0]]
    with pytest.raises(InvalidInputError, match=r"expected \(2,\) after the ragged axis"):
        Ragged.from_offsets(data, (2, None, 3), [0, 4, 6])


def test_padding():
    letters = Ragged.from_lengths(np.array([b"A", b"C", b"G"], "S1"), [1, 2])
    assert letters.to_padded().tolist() == [[b"A", b"N"], [b"C", b"G"]]
    assert letters.to_padded(b"-", 3).tolist() == [[b"A", b"-", b"-"], [b"C", b"G", b"-"]]
    assert made().to_padded().shape == (3, 2, 3)
    assert made().to_padded(7)[0].tolist() == [[1, 2, 7], [7, 7, 7]]
    with pytest.raises(InvalidInputError, match="at least 3"):
        made().to_padded(length=2)


def test_regular_rows_become_an_array_without_a_copy():
    ragged = made([[1, 2]] * 6)
    array = ragged.to_numpy()
    assert array.shape == (3, 2, 2)
    assert np.shares_memory(array, ragged.data)
    with pytest.raises(InvalidInputError, match=r"0 to 3.*to_padded"):
        made().to_numpy()


def test_no_rows():
    empty = Ragged.from_offsets(np.empty(0, np.float32), (0, 2), [0])
    assert empty.shape == (0, 2, None)
    assert empty.to_padded().shape == (0, 2, 0)
    assert empty.to_list() == []
    assert list(empty) == []
    assert empty[:0].shape == (0, 2, None)


def test_a_stretch_of_rows_shares_memory():
    ragged = made()
    assert np.shares_memory(ragged[1:].data, ragged.data)
    assert ragged[1:].reshape(4).to_list() == ROWS[2:]
    assert ragged.reshape((-1,)).shape == (6, None)


def test_generic_alias_and_pickle():
    assert Ragged[np.float32] is not None  # written in annotations of transforms
    again = pickle.loads(pickle.dumps(made()))
    assert again.to_list() == made().to_list()
    assert again.shape == made().shape


@pytest.mark.parametrize("offsets", [[0, 1, 2], [0, 3, 2, 4], [1, 2, 3, 4], [0, 1, 2, 5]], ids=str)
def test_offsets_that_do_not_fit_are_errors(offsets):
    with pytest.raises(InvalidInputError, match="ragged offsets"):
        Ragged.from_offsets(np.arange(4), 3, offsets)
