"""`compatible="tangermeme-1.6"` beside tangermeme itself, where that is installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.matching import extract_matching_loci
from bigwig_loader.errors import InvalidInputError
from tests.helpers.matching import make_world
from tests.helpers.shared import shared_data

if importlib.util.find_spec("tangermeme") is None:
    pytest.skip("needs tangermeme", allow_module_level=True)


@pytest.fixture(scope="module")
def peer() -> Callable[..., pd.DataFrame]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tangermeme.match import extract_matching_loci as theirs

    def call(*arguments: Any, **keywords: Any) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return theirs(*map(_text, arguments), **{k: _text(v) for k, v in keywords.items()})

    return call


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def compare(
    peer: Callable[..., pd.DataFrame], loci: Any, fasta: Path, **keywords: Any
) -> pd.DataFrame:
    """Both, row by row with dtypes and index; an empty result of theirs is an error of ours."""
    expected = peer(loci, fasta, **keywords)
    if not len(expected):
        with pytest.raises(InvalidInputError):
            extract_matching_loci(loci, fasta, compatible="tangermeme-1.6", **keywords)
        return expected
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "extract_matching_loci", UserWarning)
        got = extract_matching_loci(loci, fasta, compatible="tangermeme-1.6", **keywords)
    pd.testing.assert_frame_equal(got, expected, check_column_type=False)
    return expected


@pytest.mark.parametrize("seed", range(40))
def test_made_genomes(peer: Callable[..., pd.DataFrame], tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = {"chr2": 30_000, "chr10": 17_000, "7": 5_000, "short": 30}
    values = ("sixteenths", "floats", "signed")[seed % 3]
    missing = ("chr10",) if seed % 5 == 0 else ()
    world = make_world(tmp_path, seed, lengths, 100, values, missing, gap=0.001)
    in_window = int(rng.choice([20, 21, 50, 100, 333]))
    signal: dict[str, Any] = {}
    if seed % 4:
        signal = {"bigwig": world.bigwig, "signal_beta": float(rng.choice([0.5, 1.0, 2.0, 8.0]))}
    compare(
        peer,
        world.frame(),
        world.fasta,
        in_window=in_window,
        out_window=int(rng.integers(1, in_window + 1)) if seed % 7 else in_window,
        max_n_perc=float(rng.choice([0.1, 0.0, 0.3, 1.0])),
        gc_bin_width=float(rng.choice([0.02, 0.05, 0.1, 0.025])),
        chroms=None if seed % 2 else [7, "chr2"],
        random_state=seed,
        **signal,
    )


def test_a_limit_that_equals_sums(peer: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    # The quantile falls on a locus whose sum many windows share: every rounding would show.
    world = make_world(tmp_path, 1, {"chr1": 40_000}, 40, gap=0)
    from bigwig_loader._bigwig_writer import intervals_of, write_bigwig

    tile = np.random.default_rng(2).random(100).astype(np.float32)
    write_bigwig(world.bigwig, {"chr1": 40_000}, {"chr1": intervals_of(np.tile(tile, 400))})
    loci = pd.DataFrame([("chr1", s, s + 100) for s in range(1_000, 39_000, 2_500)])
    matched = compare(
        peer,
        loci,
        world.fasta,
        in_window=100,
        out_window=60,
        max_n_perc=0.6,
        bigwig=world.bigwig,
        signal_beta=1.0,
        random_state=0,
    )
    assert len(matched) > 5


def test_yeast(peer: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    folder = shared_data("sets", "yeast")
    fasta = tmp_path / "sacCer3.fa"  # the peer writes an index beside it
    import gzip

    fasta.write_bytes(gzip.decompress((folder / "sacCer3.fa.gz").read_bytes()))
    for signal in ({}, {"bigwig": folder / "yeast_atac_FE.kent.bw", "signal_beta": 2.0}):
        loci = folder / "yeast_peaks.narrowPeak"
        matched = compare(
            peer, loci, fasta, in_window=500, out_window=201, random_state=3, **signal
        )
        assert len(matched) > 100
