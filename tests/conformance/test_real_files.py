"""Real public files against the truth that several readers agree on, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader import BigWig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.formats.bigwig import read_bigwig_index
from tests.helpers.shared import SHARED, shared_data
from tests.oracles import signal as oracle

DATA = SHARED / "data"


def real_files() -> list[str]:
    """Paths of BigWig files that have truth values, below the folder of the data."""
    suffixes = (".bw", ".bigwig")
    found = (p for p in (DATA / "truth").rglob("*.npz") if p.stem.lower().endswith(suffixes))
    return sorted(str(p.relative_to(DATA / "truth").with_suffix("")) for p in found)


NAMES = real_files() or [
    pytest.param("", marks=pytest.mark.skip(reason="needs ../shared/data, which is not there"))
]
# A handful of every kind for the slower comparisons.
KINDS = [n for n in NAMES if isinstance(n, str) and ("derived" in n or "sets" in n)] or NAMES


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def truth_of(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    path = shared_data("truth", f"{name}.json")
    truth = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as arrays:
        values = {}
        for window in truth["windows"]:
            key = window["key"]
            key = f"{key}__pyBigWig" if f"{key}__pyBigWig" in arrays else key
            array = arrays[key] if key in arrays else np.zeros(0, np.float32)
            if not len(array):  # the file without any data: nothing is stored anywhere
                array = np.full(window["end"] - window["start"], np.nan, np.float32)
            values[window["key"]] = array
    return truth, values


def assert_same_bits(got: np.ndarray, want: np.ndarray, what: object) -> None:
    assert got.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=str(what))
    filled = ~np.isnan(want)
    np.testing.assert_array_equal(
        got[filled].view(np.uint32), want[filled].view(np.uint32), err_msg=str(what)
    )


def test_the_whole_set_is_there() -> None:
    shared_data("truth")
    assert len(real_files()) >= 90


def test_every_window(name: str) -> None:
    truth, values = truth_of(name)
    with BigWig(shared_data(name)) as bigwig:
        for _ in range(2):  # the first reading verifies whole blocks, the second stops early
            for w in truth["windows"]:
                got = bigwig.values(w["chrom"], w["start"], w["end"])
                assert_same_bits(got, values[w["key"]], w)
                assert np.count_nonzero(~np.isnan(got)) == w["covered"]


def test_every_window_through_a_collection(name: str) -> None:
    truth, values = truth_of(name)
    by_length: dict[int, list[dict[str, Any]]] = {}
    for window in truth["windows"]:
        by_length.setdefault(window["end"] - window["start"], []).append(window)
    with BigWigCollection(shared_data(name)) as collection:
        for windows in by_length.values():
            chrom, start, end, key = (
                [w[k] for w in windows] for k in ("chrom", "start", "end", "key")
            )
            got = collection.get_batch(chrom, start, end, default_value=np.nan)
            for row, window_key in zip(got, key, strict=True):
                assert_same_bits(row[:, 0], values[window_key], (window_key, len(windows)))


def test_contigs_header_and_blocks(name: str) -> None:
    truth, _ = truth_of(name)
    index = read_bigwig_index(shared_data(name))
    header, inspected = index.header, truth["inspect"]
    # Names are compared as the truth spells them, lengths exactly, both in tree order.
    assert [
        list(c) for c in zip(index.contig_names, index.contig_lengths.tolist(), strict=True)
    ] == [list(c) for c in truth["chroms"]]
    assert header.version == inspected["version"]
    assert header.byte_order == {"little": "<", "big": ">"}[inspected["endian"]]
    assert header.uncompress_buf_size == (
        inspected["uncompressBufSize"] if inspected["compressed"] else 0
    )
    assert [z.reduction_level for z in header.zoom_levels] == inspected["zoom_reductions"]
    assert len(index.blocks) == inspected.get("n_blocks", 0)
    stored, summary = inspected.get("summary"), header.summary
    assert (summary is None) == (stored is None)
    if summary is not None and stored is not None:
        assert summary.bases_covered == stored["basesCovered"]
        got = [summary.minimum, summary.maximum, summary.total, summary.sum_of_squares]
        want = [stored[k] for k in ("min", "max", "sum", "sumSq")]
        np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("statistic", ["mean", "max", "std", "coverage"])
def test_bins_against_the_oracle(name: str, statistic: str) -> None:
    if "nan_inf" in name and statistic in ("mean", "std"):
        pytest.skip("what is left of 3.4e38 - 3.4e38 depends on the order of additions")
    path = shared_data(name)
    parsed = oracle.parse(path)
    truth, _ = truth_of(name)
    seen = sorted({(w["chrom"], w["start"]) for w in truth["windows"]})[:4]
    request = oracle.Request(
        [(chrom, start, False) for chrom, start in seen],
        2_048,
        [0],
        bin_size=32,
        statistic=statistic,
        uncovered=float("nan"),
    )
    with BigWigCollection(path) as collection:
        got = collection.get_batch(
            [c for c, _, _ in request.windows],
            [s for _, s, _ in request.windows],
            [s + 2_048 for _, s, _ in request.windows],
            window_size=32,
            default_value=np.nan,
            statistic=statistic,  # type: ignore[arg-type]
        )
    oracle.assert_equal(got, oracle.signal([parsed], request), request)


def test_files_of_one_genome_together(tmp_path: Path) -> None:
    names = [f"sets/rotavirus/rota_S{i}.bamCoverage" for i in (1, 2, 3)]
    paths = [p for n in names for p in [*shared_data("sets", "rotavirus").glob(f"{Path(n).name}*")]]
    assert len(paths) == 3
    parsed = [oracle.parse(p) for p in paths]
    contigs = sorted(parsed[0].contigs)
    request = oracle.Request([(c, s, False) for c in contigs for s in (-50, 300)], 700, [0, 1, 2])
    with BigWigCollection(paths) as collection:
        got = collection.get_batch(
            [c for c, _, _ in request.windows],
            [s for _, s, _ in request.windows],
            [s + 700 for _, s, _ in request.windows],
        )
    np.testing.assert_array_equal(got, oracle.signal(parsed, request))
