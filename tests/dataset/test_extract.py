"""All windows at once, equal to an oracle that reads one window at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigwig_loader.dataset.extract import ExtractedLoci, Letters, LocusLimits, extract
from bigwig_loader.dataset.locus_selection import PeakWindows
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions
from bigwig_loader.errors import InvalidInputError, NotFoundError
from tests.helpers.peaks import SHORT, TRACKS, PeakWorld, frame_of
from tests.oracles.peaks import Rules, choose, onehot_of, values_of

ANY_LETTER = Letters(ignore=tuple("QWERYUIOPSDFHJKLZXVBNM"))
EXACT = [t for t in TRACKS if t != "odd"]  # sums do not depend on the order of adding


def run(
    world: PeakWorld,
    loci: Any,
    signals: Any = None,
    in_signals: Any = None,
    windows: tuple[int, int, int] = (60, 30, 0),
    letters: Letters = ANY_LETTER,
    sequences: Any = None,
    **limits: Any,
) -> ExtractedLoci:
    return extract(
        loci,
        world.fasta if sequences is None else sequences,
        (signals, in_signals),
        PeakWindows(*windows),
        LocusLimits(**limits),
        letters,
        PeakLoadOptions(2, "cpu"),
    )


def track_of(world: PeakWorld, name: str, as_array: bool) -> Any:
    return world.signal[name] if as_array else world.bw(name)


tracks = st.lists(st.tuples(st.sampled_from(EXACT), st.booleans()), min_size=1, max_size=4)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Any call of `extract_loci`, with names in place of paths."""
    signals = draw(st.one_of(st.none(), tracks))
    names = ["peaks.narrowPeak", "more.narrowPeak", "negatives.bed"]
    summits = draw(st.booleans())
    with_counts = signals is not None and draw(st.booleans())
    return {
        "loci": draw(
            st.lists(st.sampled_from(names[:2] if summits else names), min_size=1, max_size=3)
        ),
        "summits": summits,
        "as_frames": draw(st.booleans()),
        "as_arrays": draw(st.booleans()),
        "windows": (
            draw(st.integers(1, 90)),
            draw(st.integers(1, 90)),
            draw(st.sampled_from([0, 0, 1, 13])),
        ),
        "signals": signals,
        "in_signals": draw(st.one_of(st.none(), tracks)),
        "chroms": draw(st.one_of(st.none(), st.just(["chr1", 7]), st.just(["chr2", "tiny"]))),
        "min_counts": draw(st.sampled_from([None, 30.0, 200.0])) if with_counts else None,
        "max_counts": draw(st.sampled_from([None, 400.0, 900.0])) if with_counts else None,
        "target_idx": draw(st.integers(-len(signals), len(signals) - 1)) if signals else 0,
        "n_loci": draw(st.sampled_from([None, None, 1, 12])),
        "excluded": draw(st.booleans()),
    }


@pytest.mark.filterwarnings("ignore:signal is 0 on contigs:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Each file is read by itself:UserWarning")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=arguments())
def test_equals_the_oracle(peak_world: PeakWorld, a: dict[str, Any]) -> None:
    world, (in_window, out_window, jitter) = peak_world, a["windows"]
    files = [world.loci[name] for name in a["loci"]]
    opened = [
        None if t is None else [track_of(world, *x) for x in t]
        for t in (a["signals"], a["in_signals"])
    ]
    read = [
        None if t is None else [world.signal[name] for name, _ in t]
        for t in (a["signals"], a["in_signals"])
    ]
    chosen = choose(
        files,
        world.letters,
        read[0] or [],
        [1] * len(read[0] or []),
        Rules(
            in_window,
            out_window if read[0] else None,
            jitter,
            a["summits"],
            None if a["chroms"] is None else [str(c) for c in a["chroms"]],
            excluded=world.loci["excluded.bed"] if a["excluded"] else (),
            exclusion_bp=100,
            minimum=a["min_counts"],
            maximum=a["max_counts"],
            counted=[a["target_idx"] % len(read[0])] if read[0] else None,
            widened=True,
            n_loci=a["n_loci"],
        ),
    )

    def call() -> ExtractedLoci:
        limits = {k: a[k] for k in ("chroms", "summits", "min_counts", "max_counts", "target_idx")}
        return run(
            world,
            [frame_of(f) for f in files] if a["as_frames"] else [world.bed(n) for n in a["loci"]],
            *opened,
            a["windows"],
            sequences=world.onehot() if a["as_arrays"] else None,
            n_loci=a["n_loci"],
            exclusion_lists=world.bed("excluded.bed") if a["excluded"] else None,
            **limits,
        )

    kept = [one for one in chosen if one.reason == "kept"]
    if not kept:
        with pytest.raises(InvalidInputError, match="no loci remain after filtering"):
            call()
        return
    found = call()
    wanted = [one for one in chosen if one.reason != "contig"]
    assert found.mask.tolist() == [one.reason == "kept" for one in wanted]
    by_place = sorted(chosen, key=lambda one: (one.file, one.row))
    assert found.reasons["reason"].tolist() == [one.reason for one in by_place]
    assert found.reasons["chrom"].tolist() == [one.contig for one in by_place]
    assert found.reasons["middle"].tolist() == [one.middle for one in by_place]
    assert found.sequences.dtype == np.int8
    for array, of_array, width in (
        (found.signals, read[0], out_window),
        (found.controls, read[1], in_window),
    ):
        if of_array is None:
            assert array is None
            continue
        assert array.dtype == np.float32
        assert array.shape == (len(kept), len(of_array), width + 2 * jitter)
        for row, one in zip(array, kept, strict=True):
            start = one.middle - width // 2 - jitter
            for got, track in zip(row, of_array, strict=True):
                assert (got == values_of(track, one.contig, start, start + len(got))).all()
    for got, one in zip(found.sequences, kept, strict=True):
        start = one.middle - in_window // 2 - jitter
        assert (got == onehot_of(world.letters, one.contig, start, start + got.shape[1])).all()


def test_nan_and_infinities(peak_world: PeakWorld) -> None:
    """Of files and of arrays, double precision too: NaN is 0, infinities the largest float32."""
    arrays = {k: v.astype(np.float64) for k, v in peak_world.signal["odd"].items()}
    arrays["chr1"] = arrays["chr1"].copy()
    arrays["chr1"][5:20] = [1e300, -1e300, np.nan] * 5
    frame = frame_of([("chr1", 0, 200, 0), ("chr2", 0, 300, 0)])
    found = run(peak_world, frame, [peak_world.bw("odd"), arrays], windows=(100, 200, 0))
    assert np.isfinite(found.signals).all()
    for row, contig, start in ((0, "chr1", 0), (1, "chr2", 50)):
        expected = values_of(peak_world.signal["odd"], contig, start, start + 200)
        assert (found.signals[row, 0] == expected).all()
        assert (found.signals[row, 1, 20:] == expected[20:]).all()
    largest = np.finfo(np.float32).max
    assert found.signals[0, 1, 5:8].tolist() == [largest, -largest, 0]
    assert largest in found.signals[0, 0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "float16", "float32", "float64"])
def test_arrays_keep_their_dtype(peak_world: PeakWorld, dtype: str) -> None:
    frame = frame_of([("7", 200, 300, 0), ("chr1", 1080, 1120, 0)])
    ours = run(peak_world, frame, sequences=peak_world.onehot(dtype))
    assert ours.sequences.dtype == np.dtype(dtype)
    assert (ours.sequences == run(peak_world, frame).sequences).all()


def test_a_file_of_other_lengths_warns_and_ends_in_zeros(peak_world: PeakWorld) -> None:
    frame = frame_of([("chr1", SHORT - 20, SHORT + 20, 0)])
    with pytest.warns(UserWarning, match="chr1.*Each file is read by itself"):
        found = run(peak_world, frame, [peak_world.bw(t) for t in ("plus", "short")])
    assert (found.signals[0, 1, 15:] == 0).all()
    assert found.signals[0, 1, :15].any()
    assert found.signals[0, 0, 15:].any()


def test_other_alphabets(peak_world: PeakWorld) -> None:
    at = peak_world.letters["chr1"].index("R")
    frame = frame_of([("chr1", at, at, 0)])
    window = peak_world.letters["chr1"][at - 30 : at + 30].upper()
    for alphabet in ("ACGT", "TGCA", "ACGTR", "AG"):
        letters = Letters(tuple(alphabet), tuple(set("ACGTRN") - set(alphabet)))
        found = run(peak_world, frame, letters=letters).sequences[0]
        assert found.dtype == np.int8
        assert found.tolist() == [[int(x == row) for x in window] for row in alphabet]


def test_letters_that_are_neither(peak_world: PeakWorld) -> None:
    at = peak_world.letters["chr1"].index("R")
    near = frame_of([("chr1", 500, 500, 0), ("chr1", at + 29, at + 29, 0)])
    name = f"chr1:{at - 1}-{at + 59}"
    for ignore in ((), ("N",), ("Y", "K", "M")):
        with pytest.raises(InvalidInputError, match=f"{name}.*got R.*ignore"):
            run(peak_world, near, letters=Letters(ignore=ignore))
    assert len(run(peak_world, near, letters=Letters(ignore=("R",))).sequences) == 2
    # Half a base further and the window does not hold it.
    clear = frame_of([("chr1", 500, 500, 0), ("chr1", at + 31, at + 31, 0)])
    assert len(run(peak_world, clear, letters=Letters(ignore=())).sequences) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"letters": {"alphabet": ("A", "A")}}, "argument alphabet"),
        ({"letters": {"alphabet": ()}}, "argument alphabet"),
        ({"letters": {"alphabet": ("AC",)}}, "argument alphabet"),
        ({"letters": {"alphabet": ("Z",)}}, "argument alphabet"),
        ({"letters": {"ignore": ("NN",)}}, "argument ignore"),
        ({"min_counts": 1}, "signals must be given"),
        ({"max_counts": 1}, "signals must be given"),
        ({"signals": "plus.bw"}, "argument signals"),
        ({"signals": []}, "argument signals"),
        ({"signals": [3]}, "signal 0.*int"),
        ({"signals": [{"chr1": np.zeros((2, 4000))}]}, "signal 0.*chr1.*2, 4000"),
        ({"in_signals": {}}, "argument in_signals"),
        ({"n_loci": 0}, "n_loci"),
        ({"n_loci": 1.5}, "n_loci"),
        ({"windows": (0, 1, 0)}, "in_window"),
        ({"windows": (1, 0, 0)}, "out_window"),
        ({"windows": (1, 1, -1)}, "max_jitter"),
        ({"windows": (1, 1, True)}, "max_jitter"),
        ({"sequences": 3}, "argument sequences"),
        ({"sequences": {"chr1": np.zeros((5, 9))}}, r"sequences\['chr1'\].*\(5, 9\)"),
        ({"sequences": {"chr1": "ACGT"}}, r"sequences\['chr1'\]"),
        ({"loci": pd.DataFrame({"a": [1]})}, "at least 3 columns"),
        ({"chroms": "chr1"}, "argument chroms"),
        ({"chroms": []}, "no loci remain.*contig is not among"),
    ],
)
def test_bad_arguments(peak_world: PeakWorld, change: dict[str, Any], words: str) -> None:
    given = {"loci": peak_world.bed("peaks.narrowPeak")} | change
    with pytest.raises(InvalidInputError, match=words):
        run(peak_world, **(given | {"letters": Letters(**change.get("letters", {}))}))


@pytest.mark.parametrize(("n", "target"), [(1, 1), (1, -2), (2, 2)])
def test_bad_target(peak_world: PeakWorld, n: int, target: int) -> None:
    with pytest.raises(InvalidInputError, match=f"target_idx.*{n} signals; got {target}"):
        run(
            peak_world,
            peak_world.bed("peaks.narrowPeak"),
            [peak_world.bw("plus")] * n,
            min_counts=1,
            target_idx=target,
        )


def test_files_that_are_not_there(peak_world: PeakWorld) -> None:
    loci = peak_world.bed("peaks.narrowPeak")
    for change in ({"loci": "a.bed"}, {"sequences": "a.fa"}, {"signals": ["a.bw"]}):
        with pytest.raises(NotFoundError, match=r"a\.(bed|fa|bw)"):
            run(peak_world, **({"loci": loci} | change))
