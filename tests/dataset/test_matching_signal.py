"""Sums of signal: comparisons come out as for sums in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import intervals_of, write_bigwig
from bigwig_loader.dataset.matching.signal import SignalSums

LENGTH, WIDTH = 4_000, 37
KINDS = ("floats", "equal", "signed", "tiny", "special")


def made(kind: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    signal = rng.random(LENGTH) ** 3 * 100
    if kind == "equal":  # sums differ by rounding alone, between orders of adding
        signal = np.tile(rng.random(WIDTH), LENGTH // WIDTH + 1)[:LENGTH]
    if kind == "signed":  # sums near 0 of large values
        signal = (signal - signal.mean()) * 1e6
    if kind == "tiny":
        signal = signal * 1e-44
    signal = signal.astype(np.float32)
    if kind == "special":
        signal[rng.random(LENGTH) < 0.01] = np.inf
    signal[rng.random(LENGTH) < 0.1] = np.nan
    if kind != "equal":
        signal[1_000:1_500] = np.nan
    return signal


@pytest.mark.parametrize("kind", KINDS)
def test_decisions_are_those_of_exact_sums(tmp_path: Path, kind: str) -> None:
    signal = made(kind)
    path = tmp_path / "signal.bw"
    write_bigwig(path, {"c": LENGTH}, {"c": intervals_of(signal)})
    sums = SignalSums(path, "cpu", 2)
    start = np.random.default_rng(0).permutation(LENGTH - WIDTH)[:1_500]
    contig = np.zeros(len(start), np.int32)
    exact = np.array([np.nansum(signal[s : s + WIDTH].astype(float)) for s in start])
    for q in (0.01, 0.3, 1.0):
        with np.errstate(invalid="ignore"):  # infinite ones
            expected = np.quantile(exact, q)
        np.testing.assert_equal(sums.low_quantile(contig, start, WIDTH, q), expected)
    # Limits that equal a sum, and those next to it.
    for limit in exact[:40]:
        for each in (limit, np.nextafter(limit, -np.inf), np.nextafter(limit, np.inf)):
            got = sums.at_most(contig, start, WIDTH, each)
            np.testing.assert_array_equal(got, exact <= each)
    sums.close()


def test_float32_sums_would_decide_otherwise() -> None:
    # So that the test above can fail: rounding the exact sums changes decisions.
    signal = made("floats")
    exact = np.array([np.nansum(signal[s : s + WIDTH].astype(float)) for s in range(1_000)])
    rounded = exact.astype(np.float32).astype(float)
    assert any(((rounded <= limit) != (exact <= limit)).any() for limit in exact[:40])


def test_only_windows_near_the_limit_are_read_base_by_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = np.arange(LENGTH, dtype=np.float32)
    signal[:1_000] = 0
    path = tmp_path / "signal.bw"
    write_bigwig(path, {"c": LENGTH}, {"c": intervals_of(signal)})
    sums = SignalSums(path, "cpu", 1)
    read: list[int] = []
    original = sums.collection.read

    def counting(windows, **keywords):  # type: ignore[no-untyped-def]
        if not keywords:
            read.append(len(windows))
        return original(windows, **keywords)

    monkeypatch.setattr(sums.collection, "read", counting)
    start = np.arange(LENGTH - WIDTH)
    contig = np.zeros(len(start), np.int32)
    exact = np.array([signal[s : s + WIDTH].sum(dtype=float) for s in start])
    for limit, n_read in ((0.0, 0), (exact[2_000], 1), (exact[2_000] + 10, 0)):
        read.clear()
        got = sums.at_most(contig, start, WIDTH, limit)
        np.testing.assert_array_equal(got, exact <= limit)
        assert sum(read) == n_read


def test_missing_contigs_and_files_without_data(tmp_path: Path) -> None:
    path = tmp_path / "signal.bw"
    empty = {"c": (np.empty(0), np.empty(0), np.empty(0))}
    write_bigwig(path, {"c": LENGTH}, empty)
    sums = SignalSums([path], "cpu", 1)
    assert sums.index_of(["x", "c"]).tolist() == [-1, 0]
    none = np.empty(0, np.int64)
    assert np.isnan(sums.low_quantile(none.astype(np.int32), none, WIDTH, 0.01))
    start = np.array([0, LENGTH - 5])
    assert sums.at_most(np.zeros(2, np.int32), start, WIDTH, 0.0).all()
    assert not sums.at_most(np.zeros(2, np.int32), start, WIDTH, -1e-9).any()
