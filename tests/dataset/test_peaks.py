"""Batches of the peak loader, example by example against an oracle; and its modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigwig_loader.dataset import Batch
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidInputError
from tests.helpers.peaks import TRACKS, PeakWorld
from tests.oracles.peaks import Chosen, Rules, capped, choose, sequence_of, tracks_of, values_of

EXACT = [t for t in TRACKS if t != "odd"]
FILES = ["peaks.narrowPeak", "more.narrowPeak"]


@dataclass
class Setup:
    """A loader's arguments, and what they mean to the oracle."""

    options: dict[str, Any]
    groups: list[list[str]]
    control_groups: list[list[str]]
    files: list[str]

    @property
    def fixed(self) -> bool:
        return self.options["mode"] == "validation"

    @property
    def as_peer(self) -> bool:
        return bool(self.options["rng"] == "cherimoya-0.3")

    def rules(self, world: PeakWorld, of_peaks: bool) -> Rules:
        """What the loader has to drop."""
        o = self.options
        jitter = 0 if self.fixed or not (of_peaks or o["negative_jitter"]) else o["max_jitter"]
        bounds = [o["min_counts"], o["max_counts"]]
        if not of_peaks:
            given = [o["negative_min_counts"], o["negative_max_counts"]]
            usual = bounds if self.as_peer else [None, None]
            bounds = [u if g == "auto" else g for g, u in zip(given, usual, strict=True)]
        counted: list[int] | None = [0] if self.as_peer and o["count_group"] == "auto" else None
        if isinstance(o["count_group"], int):
            first = sum(len(g) for g in self.groups[: o["count_group"]])
            counted = list(range(first, first + len(self.groups[o["count_group"]])))
        outliers = (0.99, 1.2) if self.as_peer else None
        unit = 100 if self.as_peer else 1
        return Rules(
            o["in_window"],
            o["out_window"],
            jitter,
            o["summits"] and of_peaks,
            o["chroms"],
            o["edges"],
            world.loci["excluded.bed"] if o["exclusion_lists"] else (),
            unit if o["exclusion_bp"] == "auto" else o["exclusion_bp"],
            o["maximum_unknown_bases_fraction"],
            *bounds,
            counted,
            self.as_peer,
            (outliers if o["outliers"] == "auto" else o["outliers"]) if of_peaks else None,
        )

    def chosen(self, world: PeakWorld, of_peaks: bool) -> list[Chosen]:
        """Peaks or negatives, with their reasons."""
        names = self.files if of_peaks else ["negatives.bed"]
        tracks = [world.signal[t] for group in self.groups for t in group]
        sizes = [len(group) for group in self.groups]
        loci = [world.loci[name] for name in names]
        return choose(loci, world.letters, tracks, sizes, self.rules(world, of_peaks))

    def arguments(self, world: PeakWorld) -> dict[str, Any]:
        """As the loader takes them."""

        def opened(groups: list[list[str]]) -> Any:
            if not groups:
                return None
            entries = [[world.bw(t) for t in group] for group in groups]
            entries[0][0] = world.signal[groups[0][0]]  # type: ignore[call-overload]
            return [entry if len(entry) > 1 else entry[0] for entry in entries]

        return world.usual(
            **self.options
            | {
                "peaks": [world.bed(name) for name in self.files],
                "signals": opened(self.groups),
                "controls": opened(self.control_groups),
                "exclusion_lists": [world.bed("excluded.bed")]
                if self.options["exclusion_lists"]
                else None,
            }
        )


some_groups = st.lists(
    st.lists(st.sampled_from(EXACT), min_size=1, max_size=3), min_size=1, max_size=3
)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    rng = draw(st.sampled_from(["philox", "philox", "cherimoya-0.3"]))
    groups = draw(some_groups)
    files = draw(st.sampled_from([FILES[:1], FILES, [*FILES, FILES[0]]]))

    def pick(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    options = {
        "rng": rng,
        "mode": pick("train", "train", "validation"),
        "in_window": pick(1, 20, 31),
        "out_window": pick(1, 12, 33),
        "max_jitter": pick(0, 1, 9),
        "negative_ratio": pick(0.1, 0.5, 1.3),
        "reverse_complement": draw(st.booleans()),
        "shuffle": draw(st.booleans()),
        "summits": draw(st.booleans()),
        "chroms": pick(None, None, ["chr1", "7", "tiny"]),
        "exclusion_lists": draw(st.booleans()),
        "exclusion_bp": pick("auto", "auto", 1, 10),
        "edges": pick("drop", "pad", "shift"),
        "min_counts": pick(None, None, 10.0),
        "max_counts": pick(None, None, 700.0),
        "negative_min_counts": pick("auto", None, 3.0),
        "negative_max_counts": pick("auto", None, 900.0),
        "count_group": pick("auto", None, draw(st.integers(0, len(groups) - 1))),
        "outliers": pick("auto", None, (0.8, 1.1)),
        "maximum_unknown_bases_fraction": pick(None, 0.0, 0.5),
        "negatives_per": pick("epoch", "batch"),
        "negative_replacement": pick(None, True, False),
        "negative_jitter": draw(st.booleans()),
        "peak_weights": pick(None, None, [float(k + 1) for k in range(len(files))]),
        "count_target": pick(None, "log1p"),
        "in_memory": draw(st.booleans()),
        "random_state": draw(st.integers(0, 2**64 - 1)),
    }
    if rng != "philox":
        options |= {"negatives_per": "epoch", "negative_replacement": None}
        options |= {"negative_jitter": False, "peak_weights": None}
    return Setup(options, groups, draw(st.one_of(st.just([]), some_groups)), files)


def examples_of(batches: Iterator[Batch] | list[Batch]) -> Iterator[tuple[Batch, int]]:
    for batch in batches:
        yield from ((batch, i) for i in range(len(batch)))


@pytest.mark.filterwarnings("ignore:signal is 0 on contigs:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Each file is read by itself:UserWarning")
@pytest.mark.filterwarnings("ignore:.*look like the two strands:UserWarning")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(setups())
def test_equals_the_oracle(peak_world: PeakWorld, setup: Setup) -> None:
    chosen = {True: setup.chosen(peak_world, True), False: setup.chosen(peak_world, False)}
    kept = {kind: [c for c in loci if c.reason == "kept"] for kind, loci in chosen.items()}
    if not kept[True] or not kept[False]:
        with pytest.raises(InvalidInputError, match="no loci remain after filtering"):
            PeakDataset(**setup.arguments(peak_world))
        return
    dataset = PeakDataset(**setup.arguments(peak_world))
    assert (dataset.n_peaks, dataset.n_negatives) == (len(kept[True]), len(kept[False]))
    reasons = [
        c.reason for k in (True, False) for c in sorted(chosen[k], key=lambda c: (c.file, c.row))
    ]
    assert dataset.reasons["reason"].tolist() == reasons
    by_place = {(k, c.file, c.row): c for k in (True, False) for c in kept[k]}
    n_drawn = int(len(kept[True]) * setup.options["negative_ratio"])
    assert dataset.n_examples == len(kept[True]) + n_drawn
    batches = list(dataset.batches(3))
    assert [len(b) for b in batches[:-1]] == [8] * (len(batches) - 1)
    n_seen = 0
    for batch, i in examples_of(batches):
        assert batch.labels is not None
        is_peak = bool(batch.labels[i])
        file = int(batch.sources[i]) - (0 if is_peak else len(setup.files))  # type: ignore[index]
        locus = by_place[is_peak, file, int(batch.regions[i])]  # type: ignore[index]
        check_example(peak_world, setup, batch, i, locus)
        n_seen += 1
    assert n_seen == dataset.n_examples
    assert sum(int(b.labels.sum()) for b in batches) == len(kept[True])  # type: ignore[union-attr]


def check_example(world: PeakWorld, setup: Setup, batch: Batch, i: int, locus: Chosen) -> None:
    """Everything that one example of a batch says."""
    o = setup.options
    jitter, rc = int(batch.jitter[i]), bool(batch.reverse[i])  # type: ignore[index]
    is_moved = not setup.fixed and (batch.labels[i] or o["negative_jitter"])  # type: ignore[index]
    assert abs(jitter) <= (o["max_jitter"] if is_moved else 0)
    assert not rc or (o["reverse_complement"] and not setup.fixed)
    centre = locus.middle + jitter
    start = centre - o["in_window"] // 2
    assert batch.chromosomes[i] == locus.contig  # type: ignore[index]
    assert (batch.starts[i], batch.ends[i]) == (start, start + o["in_window"])  # type: ignore[index]
    value_start = centre - o["out_window"] // 2
    assert batch.value_starts[i] == value_start  # type: ignore[index]
    assert batch.value_ends[i] == value_start + o["out_window"]  # type: ignore[index]
    expected = sequence_of(world.letters, locus.contig, start, o["in_window"], rc)
    assert batch.sequences.dtype == np.int8
    assert (batch.sequences[i] == expected).all()
    for got, groups, first, width in (
        (batch.values, setup.groups, value_start, o["out_window"]),
        (batch.controls, setup.control_groups, start, o["in_window"]),
    ):
        if not groups:
            assert got is None
            continue
        tracks = [world.signal[t] for group in groups for t in group]
        sizes = [len(group) for group in groups]
        assert got.dtype == np.float32
        assert (got[i] == tracks_of(tracks, sizes, locus.contig, first, width, rc)).all()
    if o["count_target"] is None:
        assert batch.counts is None
    else:
        totals = []
        for group in setup.groups:
            rows = [
                values_of(world.signal[t], locus.contig, value_start, value_start + o["out_window"])
                for t in group
            ]
            totals.append(np.log1p(np.sum(rows, dtype=np.float64)))
        assert batch.counts.dtype == np.float32
        np.testing.assert_allclose(batch.counts[i], totals, rtol=1e-6)


def whole(dataset: PeakDataset, epoch: int) -> list[tuple[Any, ...]]:
    """Examples of an epoch as kind, file, row, jitter and strand."""
    rows: list[tuple[Any, ...]] = []
    for batch in dataset.batches(epoch):
        columns = (batch.labels, batch.sources, batch.regions, batch.jitter, batch.reverse)
        rows += zip(*[c.tolist() for c in columns], strict=True)  # type: ignore[union-attr]
    return rows


def test_training(peak_world: PeakWorld) -> None:
    dataset = PeakDataset(**peak_world.usual(negative_ratio=0.25))
    epochs = [whole(dataset, epoch) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    kept = dataset.reasons[(dataset.reasons["kind"] == "peak") & dataset.reasons["kept"]]
    for rows in epochs:
        assert sorted(r[2] for r in rows if r[0]) == kept["row"].tolist()
        assert sum(not r[0] for r in rows) == int(dataset.n_peaks * 0.25)
    assert len({r[3] for r in epochs[0] if r[0]}) > 8
    assert {r[3] for r in epochs[0] if not r[0]} == {0}


def test_validation_is_the_same_in_every_epoch(peak_world: PeakWorld) -> None:
    dataset = PeakDataset(**peak_world.usual(mode="validation"))
    rows = whole(dataset, 0)
    assert whole(dataset, 5) == rows
    assert {r[3:] for r in rows} == {(0, False)}
    peaks = [r[2] for r in rows if r[0]]
    assert peaks == sorted(peaks)
    negatives = [r[2] for r in rows if not r[0]]
    assert len(set(negatives)) == len(negatives) == int(dataset.n_peaks * 0.5)
    # The jitter that training needs room for drops no peak here.
    assert dataset.n_peaks >= PeakDataset(**peak_world.usual()).n_peaks


def test_attribution(peak_world: PeakWorld) -> None:
    arguments = peak_world.usual(mode="attribution", signals=None, negatives=None)
    dataset = PeakDataset(**arguments, summits=True)
    rows = [(b.regions[i], b.sequences[i]) for b, i in examples_of(dataset.batches(4))]  # type: ignore[index]
    table = dataset.reasons
    assert [int(row) for row, _ in rows] == table[table["kept"]]["row"].tolist()
    for (row, sequence), middle in zip(rows, table[table["kept"]]["middle"], strict=True):
        contig = peak_world.loci["peaks.narrowPeak"][int(row)][0]
        assert (sequence == sequence_of(peak_world.letters, contig, middle - 30, 60, False)).all()
    batch = next(dataset.batches(0))
    assert (batch.values, batch.controls, batch.value_starts) == (None, None, None)
    # Given all the same, signals are not opened.
    other = PeakDataset(**arguments | {"signals": ["absent.bw"]}, summits=True)
    assert other.fingerprint == dataset.fingerprint


def test_negatives_only(peak_world: PeakWorld) -> None:
    arguments = peak_world.usual(mode="negatives", peaks=None)
    dataset = PeakDataset(**arguments)
    for epoch in (0, 1):
        rows = whole(dataset, epoch)
        assert not any(r[0] for r in rows)
        assert sorted(r[2] for r in rows) == list(range(40))
        assert {r[3] for r in rows} == {0}
    assert whole(dataset, 0) != whole(dataset, 1)
    assert dataset.n_peaks == 0
    moved = PeakDataset(**arguments, negative_jitter=True)
    assert len({r[3] for r in whole(moved, 0)}) > 5


@pytest.mark.parametrize("factor", [None, 0.5, 1.0, 2.0, 30.0])
@pytest.mark.parametrize("mode", ["train", "negatives"])
def test_cap_of_negatives(peak_world: PeakWorld, mode: str, factor: float | None) -> None:
    """ChromBPNet: counts < quantile(peak counts, 0.01) * bias_threshold_factor."""
    world = peak_world
    groups = [[{k: v + 3 for k, v in world.signal["plus"].items()}], [world.signal["minus"]]]
    # Background with so few counts that some of it stays.
    low = {k: np.where(np.arange(len(v)) % 2 < 1, v, 0) for k, v in world.signal["plus"].items()}
    arguments = world.usual(mode=mode, signals=[groups[0][0], groups[1][0], low], out_window=31)

    def counts(table: Any) -> list[float]:
        return [
            sum(
                float(values_of(t, c, m - 15, m + 16).sum(dtype=np.float64))
                for t in (groups[0][0], groups[1][0], low)
            )
            for c, m in zip(table["chrom"], table["middle"], strict=True)
        ]

    expected = [True] * 40
    everything = PeakDataset(**arguments | {"mode": "train"}).reasons
    peaks = everything[(everything["kind"] == "peak") & everything["kept"]]
    negatives = everything[everything["kind"] == "negative"]
    used = 0.5 if factor is None and mode == "negatives" else factor
    if used is not None:
        expected = capped(counts(peaks), counts(negatives), used)
    if not any(expected):
        with pytest.raises(InvalidInputError, match="40 because its counts are above"):
            PeakDataset(**arguments, negative_cap=factor)
        return
    table = PeakDataset(**arguments, negative_cap=factor).reasons
    assert table[table["kind"] == "negative"]["kept"].tolist() == expected
    assert table[table["kind"] == "peak"]["kept"].sum() == len(peaks)
    if factor == 1.0:
        assert 0 < sum(expected) < 40
