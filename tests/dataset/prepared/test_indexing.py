from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.dataset.prepared.indexing import Axis, cells_of
from bigwig_loader.errors import InvalidInputError, NotFoundError

R, S = 5, 3
GRID = np.arange(R * S).reshape(R, S)
REGIONS = Axis("region", R)
SAMPLES = Axis("sample", S, {"s0": 0, "s1": 1, "s2": 2})
NAMED = Axis("region", R, {f"peak{i}": i for i in range(R)})


def axis_keys(n):
    """Everything that numpy takes as an index of one axis."""
    one = st.integers(-n, n - 1)
    return st.one_of(
        one,
        one.map(np.int32),
        st.slices(n),
        st.lists(one, min_size=1, max_size=4),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        st.lists(one, min_size=4, max_size=4).map(lambda x: np.array(x).reshape(2, 2)),
        st.just([]),
    )


def check(key, expected, index="cell"):
    cells, shape = cells_of(key, REGIONS, SAMPLES, index)
    assert shape == expected.shape
    assert cells.dtype == np.int64
    np.testing.assert_array_equal(cells.reshape(shape), expected)


@given(axis_keys(R), axis_keys(S))
def test_pairs_are_those_of_numpy(regions, samples):
    keys = tuple(np.array(k, int) if isinstance(k, list) else k for k in (regions, samples))
    try:
        expected = GRID[keys]
    except IndexError:
        with pytest.raises(InvalidInputError, match="pair up"):
            cells_of((regions, samples), REGIONS, SAMPLES)
        return
    check((regions, samples), expected)


@given(axis_keys(R * S))
def test_a_lone_index_is_the_raveled_cell(key):
    check(key, GRID.reshape(-1)[np.array(key, int) if isinstance(key, list) else key])


@given(axis_keys(R))
def test_or_the_region_with_all_samples(key):
    check(key, GRID[np.array(key, int) if isinstance(key, list) else key], "region")


@pytest.mark.parametrize("key", [..., (), (..., 1), (2, ...), (..., 1, 2), slice(None)], ids=str)
@pytest.mark.parametrize("index", ["cell", "region"])
def test_ellipsis(key, index):
    if key == slice(None) and index == "cell":
        check(key, GRID.reshape(-1))
    else:
        check(key, GRID[key], index)


def test_masks_of_the_grid():
    mask = GRID % 2 == 0
    check(mask, GRID[mask])
    check(mask, GRID[mask], "region")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((0, "s1"), 1),
        ((0, ["s2", "s0"]), [2, 0]),
        (("peak4", "s1"), 13),
        ((["peak1", "peak0"], [0, "s1"][1:] * 2), [4, 1]),
        ((slice("peak3", None), slice("s0", "s1")), [[9, 10], [12, 13]]),
        ((slice(None, 2), np.array(["s1"])), [[1], [4]]),
    ],
)
def test_names(key, expected):
    cells, shape = cells_of(key, NAMED, SAMPLES)
    assert cells.reshape(shape).tolist() == expected


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (15, NotFoundError, "cell 15 does not exist.*there are 15 cells"),
        (-16, NotFoundError, "cell -16"),
        ((5, 0), NotFoundError, "region 5 does not exist"),
        ((0, [0, 3]), NotFoundError, "sample 3 does not exist"),
        ((0, "s9"), NotFoundError, "unknown sample 's9'.*near names: s"),
        (("peak1", 0), NotFoundError, "no names here.*region_names"),
        ((0, 1, 2), InvalidInputError, "got 3 parts"),
        ((None, 0), InvalidInputError, "a region and a sample"),
        ((1.5, 0), InvalidInputError, "index of regions"),
        (([0, "s1"], 0), NotFoundError, "no names here"),
        ((np.array([0, None]), 0), InvalidInputError, "expected integers, or names"),
        (([True, False], 0), InvalidInputError, r"mask of regions: expected shape \(5,\)"),
        (([0, 1], [0, 1, 2]), InvalidInputError, r"pair up; got shapes \(2,\) and \(3,\)"),
    ],
)
def test_what_is_no_index_is_an_error(key, error, message):
    with pytest.raises(error, match=message):
        cells_of(key, REGIONS, SAMPLES)


def test_a_grid_that_no_array_holds():
    regions, samples = Axis("region", 10**6), Axis("sample", 10**6)
    assert cells_of(10**12 - 1, regions, samples)[0].tolist() == [10**12 - 1]
    assert cells_of((slice(2), -1), regions, samples)[0].tolist() == [10**6 - 1, 2 * 10**6 - 1]
