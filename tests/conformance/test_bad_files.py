"""Files that are no BigWig, or damaged ones: each is refused where it should be, and only there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bigwig_loader import BigWig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import InvalidDataError
from tests.helpers.shared import SHARED, shared_data

BEHAVIOUR = SHARED / "data" / "truth" / "bad_behaviour.json"
CASES: dict[str, dict[str, Any]] = json.loads(BEHAVIOUR.read_text()) if BEHAVIOUR.exists() else {}
NO_DATA = pytest.param(
    "", marks=pytest.mark.skip(reason="needs ../shared/data/truth, which is not there")
)
AT_OPEN = [n for n, c in CASES.items() if "truth_of_second_window" not in c] or [NO_DATA]
AT_BLOCK = [n for n, c in CASES.items() if "truth_of_second_window" in c] or [NO_DATA]

Open = Callable[[Any], Any]


@pytest.fixture(params=["BigWig", "BigWigCollection"])
def read(request: pytest.FixtureRequest) -> Open:
    """``read(path)`` opens a file and gives a function (chrom, start, end) -> values."""

    def open_one(path: Any) -> Callable[[str, int, int], np.ndarray]:
        if request.param == "BigWig":
            return BigWig(path).values
        collection = BigWigCollection(path)
        return lambda chrom, start, end: collection.get_batch(
            chrom, start, end, default_value=np.nan
        )[0, :, 0]

    return open_one


def test_every_bad_file_has_an_expectation() -> None:
    folders = [shared_data("bad"), shared_data("bad_derived")]
    assert {f"{f.name}/{p.name}" for f in folders for p in f.iterdir()} == set(CASES)
    assert all(
        "at the first query" in CASES[n]["expected"] or "reject" in CASES[n]["expected"]
        for n in AT_OPEN
    )


@pytest.mark.parametrize("name", AT_OPEN)
def test_refused_at_opening(name: str, read: Open) -> None:
    path = shared_data(name)
    with pytest.raises(InvalidDataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "expected" in message
    if "bigBed" in CASES[name]["expected"]:
        # One of them is all zeros, and a BigBed by its name only.
        assert "BigBed" in message


@pytest.mark.parametrize("name", AT_BLOCK)
def test_refused_where_it_is_damaged_and_read_elsewhere(name: str, read: Open) -> None:
    path = shared_data(name)
    case = CASES[name]
    damaged, sound = (window[:3] for window in case["windows"])
    values = read(path)
    truth = np.array(case["truth_of_second_window"], np.float32)
    for _ in range(2):
        with pytest.raises(InvalidDataError) as caught:
            values(*damaged)
        assert caught.value.path == str(path)
        assert caught.value.offset is not None
        assert f"{damaged[0]}:{damaged[1]}-{damaged[2]}" in str(caught.value)
        if "ubs_zero" in name:  # no block of that file can be read
            with pytest.raises(InvalidDataError):
                values(*sound)
        else:
            np.testing.assert_array_equal(values(*sound), truth)


@pytest.mark.parametrize("name", AT_BLOCK)
def test_one_damaged_file_spoils_a_batch_and_is_named(name: str) -> None:
    good = shared_data("bigwig", "bigwig-reader__testbw.bigwig")
    damaged, sound = (window[:3] for window in CASES[name]["windows"])
    with BigWigCollection([good, shared_data(name)], n_threads=2) as collection:
        windows = [damaged, sound, damaged]
        chrom, start, end = ([w[i] for w in windows] for i in range(3))
        with pytest.raises(InvalidDataError) as caught:
            collection.get_batch(chrom, start, end)
        assert caught.value.path == str(shared_data(name))
        alone = collection.get_batch(chrom, start, end, tracks=[0])
        assert np.isfinite(alone).all()
