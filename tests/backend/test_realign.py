"""Signal on haplotypes against the slow oracle: random variants, intervals, windows, options."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from bigwig_loader.backend.cpu.realign import realign_tracks
from bigwig_loader.backend.protocol import HaplotypeReader
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.interval_table import Intervals, IntervalTable
from bigwig_loader.plan.fills import (
    MAX_FLANK_WIDTH,
    Constant,
    Fill,
    FlankSample,
    Interpolate,
    Repeat5p,
    Repeat5pNormalized,
)
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import DenseRows, Draws, RealignOptions, TrackRows
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.plan.windows import ContigTable
from tests.helpers.haplotypes import World, random_world, worlds
from tests.helpers.on_backend import OnBackend
from tests.oracles import realign as oracle

FILLS: list[tuple[Fill, tuple[str, float]]] = [
    (Repeat5p(), ("repeat", 0)),
    (Repeat5pNormalized(), ("normalized", 0)),
    (Constant(-7.0), ("constant", -7.0)),
    (Constant(), ("constant", math.nan)),
    (Interpolate(1), ("interpolate", 1)),
    (Interpolate(2), ("interpolate", 2)),
    (Interpolate(3), ("interpolate", 3)),
    (FlankSample(2), ("flank", 2)),
    (FlankSample(0), ("flank", 0)),
    (FlankSample(100), ("flank", 100)),
]
SEED, EPOCH = 2**63 + 17, 5


@dataclass(frozen=True)
class Setup:
    """A world with T tracks, and windows of it."""

    world: World
    tables: list[IntervalTable]
    windows: HaplotypeWindows
    fills: list[tuple[Fill, tuple[str, float]]]
    policy: str
    cells: np.ndarray

    @property
    def draws(self) -> Draws:
        return Draws(SEED, EPOCH, self.cells)

    def tracks(self, **options: Any) -> list[TrackRows]:
        """Sample -1, the reference, has the signal of sample 0."""
        samples = np.maximum(self.windows.sample, 0)
        return [TrackRows(table, samples, **options) for table in self.tables]

    def track(self, number: int, window: int, uncovered: float, outside: float) -> oracle.Track:
        """The oracle's view of a track."""
        name = list(self.world.sequences)[int(self.windows.contig_index[window])]
        table = self.tables[number]
        n_bases = len(self.world.sequences[name])
        sample = max(int(self.windows.sample[window]), 0)
        found = table.list_of(table.contig_names.index(name), sample)
        items = zip(*(x.tolist() for x in found), strict=True)
        return oracle.padded(oracle.base_values(items, n_bases, uncovered), outside)

    def row(
        self, window: int, number: int, ploid: int, uncovered: float = 0.0, outside: float = 0.0
    ) -> np.ndarray:
        """Values of one haplotype of one window, as they are delivered."""
        w = self.windows
        name = list(self.world.sequences)[int(w.contig_index[window])]
        sample = int(w.sample[window])
        variants = [] if sample < 0 else self.world.carried[name, self.world.samples[sample], ploid]
        start, end = int(w.start[window]), int(w.end[window])
        shift = 0 if w.shift is None else int(w.shift[window, ploid])
        n_bases = len(self.world.sequences[name])
        bases = oracle.window(n_bases, variants, start, end, self.policy, w.length_bp, shift)
        track = self.track(number, window, uncovered, outside)
        draw = (SEED, EPOCH, int(self.cells[window]), ploid)
        values = oracle.values(bases, track, self.fills[number][1], start, end, draw)
        reverse = w.reverse is not None and w.reverse[window]
        return np.array(values[::-1] if reverse else values, np.float32)


def random_table(rng: np.random.Generator, world: World, with_nan: bool = False) -> IntervalTable:
    """Intervals of every sample, in every way next to each other; contigs in another order."""
    names = list(world.sequences)[::-1]
    lists = []
    for name in names:
        for _ in world.samples:
            edges = np.sort(rng.choice(90, int(rng.integers(0, 12)) * 2, replace=False)) - 10
            start, end = edges[::2], edges[1::2].copy()
            touches = rng.random(len(start)) < 0.3
            end[:-1][touches[:-1]] = start[1:][touches[:-1]]
            inside = (start >= 0) & (start < len(world.sequences[name]))
            value = rng.normal(size=len(start)).astype(np.float32)
            if with_nan:
                value[rng.random(len(start)) < 0.2] = np.nan
            lists.append(Intervals(*(x[inside] for x in (start, end, value))))
    return IntervalTable.from_lists(names, world.samples, lists)


@st.composite
def setups(draw: st.DrawFn, with_nan: bool = False) -> Setup:
    world = draw(worlds())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 4))
    starts = rng.integers(-10, 65, n)
    length = draw(st.one_of(st.none(), st.integers(1, 50)))
    with_shift, with_reverse = draw(st.booleans()), draw(st.booleans())
    windows = HaplotypeWindows(
        rng.integers(0, len(world.sequences), n),
        starts,
        starts + rng.integers(0, 40, n),
        rng.integers(-1, len(world.samples), n),
        rng.random(n) < 0.5 if with_reverse else None,
        rng.integers(0, 9, (n, world.ploidy)) if with_shift else None,
        length,
    )
    fills = draw(st.lists(st.sampled_from(FILLS), min_size=1, max_size=3))
    policy = draw(st.sampled_from(["first", "bcftools", "window"]))
    made = [random_table(rng, world, with_nan) for _ in fills]
    return Setup(world, made, windows, fills, policy, rng.integers(0, 2**62, n))


def split(data: np.ndarray, offsets: np.ndarray | None, n_rows: int) -> list[np.ndarray]:
    if offsets is None:
        return list(data.reshape(n_rows, -1))
    return np.split(data, offsets[1:-1])


def assert_rows(got: list[np.ndarray], want: list[np.ndarray], rtol: float = 1e-6) -> None:
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-6)


def binned(values: np.ndarray, bin_size: int, statistic: str) -> np.ndarray:
    """NumPy's own statistics of the whole bins."""
    n = len(values) // bin_size
    rows = values[: n * bin_size].reshape(n, bin_size).astype(np.float64)
    functions = {
        "mean": np.nanmean, "sum": np.nansum, "max": np.nanmax, "min": np.nanmin, "std": np.nanstd,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bins of NaN alone
        out = [functions[statistic](r) if not np.isnan(r).all() else np.nan for r in rows]
    return np.array(out, np.float32)


def test_equals_the_oracle(on: OnBackend) -> None:
    @on.examples(150, setup=setups(with_nan=True))
    def check(setup: Setup) -> None:
        reader, windows = on.open(setup.world, setup.policy), setup.windows
        fills = [fill for fill, _ in setup.fills]
        got = on.realign(reader, windows, setup.tracks(), fills, draws=setup.draws)
        shape = (len(windows), len(setup.tables), reader.ploidy)
        if windows.length_bp is not None:
            assert got.data.shape == (*shape, windows.length_bp)
        want = [setup.row(*place) for place in np.ndindex(shape)]
        assert_rows(split(got.data, got.offsets, len(want)), want, 1e-5)


def test_threads_change_nothing(world: World) -> None:
    rng = np.random.default_rng(8)
    table = random_table(rng, world)
    reader = OnBackend("cpu").open(world)
    n = 3_000  # enough for several threads
    start = rng.integers(-10, 50, n)
    windows = HaplotypeWindows(
        rng.integers(0, 2, n), start, start + 30, rng.integers(0, 2, n), length_bp=40
    )
    tracks = [TrackRows(table, windows.sample)] * 2
    fills, draws = [FlankSample(3), Interpolate(2)], Draws(1, 2, np.arange(n))
    one, *more = (
        realign_tracks(reader, windows, tracks, fills, None, draws, n_threads=k).data  # type: ignore[arg-type]
        for k in (1, 2, 5)
    )
    for other in more:
        np.testing.assert_array_equal(one, other)


def test_bins(on: OnBackend) -> None:
    @on.examples(
        60,
        setup=setups(with_nan=True),
        bin_size=st.sampled_from([1, 2, 3, 7]),
        statistic=st.sampled_from(["mean", "sum", "max", "min", "std"]),
        uncovered=st.sampled_from([0.0, math.nan, -1.5]),
        outside=st.sampled_from([0.0, math.nan, 2.5]),
        dtype=st.sampled_from(["float32", "float16"]),
    )
    def check(
        setup: Setup, bin_size: int, statistic: str, uncovered: float, outside: float, dtype: str
    ) -> None:
        options = RealignOptions(bin_size, statistic, dtype, uncovered, outside)  # type: ignore[arg-type]
        reader, windows = on.open(setup.world, setup.policy), setup.windows
        fills = [fill for fill, _ in setup.fills]
        got = on.realign(reader, windows, setup.tracks(), fills, options, setup.draws)
        assert got.data.dtype == dtype
        shape = (len(windows), len(setup.tables), reader.ploidy)
        want = [
            binned(setup.row(*place, uncovered, outside), bin_size, statistic)
            for place in np.ndindex(shape)
        ]
        tolerance = 1e-5 if dtype == "float32" else 2e-3
        assert_rows(split(got.data, got.offsets, len(want)), want, tolerance)


def one_window(
    on: OnBackend, world: World, start: int = 0, end: int = 40, **options: Any
) -> tuple[HaplotypeReader, HaplotypeWindows]:
    return on.open(world), HaplotypeWindows([0], [start], [end], [0], **options)


@pytest.fixture(scope="module")
def world() -> World:
    return random_world(np.random.default_rng(3), {"c0": 60, "c1": 50}, 2, 2, 12, 0.8)


def test_transform_and_coverage(on: OnBackend, world: World) -> None:
    table = random_table(np.random.default_rng(0), world, with_nan=True)
    reader, windows = one_window(on, world, -5, 62)
    transform = TrackTransform(scale=2.0, clip=(-1.5, 3.0), log1p=False, power=None, nan_to=0.25)
    setup = Setup(world, [table], windows, [FILLS[0]], "first", np.zeros(1, np.int64))
    rows = [TrackRows(table, windows.sample, transform)]
    options = RealignOptions(uncovered=-9, out_of_bounds=5)
    got = on.realign(reader, windows, rows, [Repeat5p()], options)
    for ploid, row in enumerate(split(got.data, got.offsets, 2)):
        stored = setup.row(0, 0, ploid, math.inf, -math.inf)  # marks of what is not stored
        want = np.where(np.isnan(stored), 0.25, stored) * 2.0
        want = np.where(stored == math.inf, -9, np.where(stored == -math.inf, 5, want))
        np.testing.assert_allclose(row, np.clip(want, -1.5, 3.0), rtol=1e-6)
    for nan_to, bin_size in ((None, 1), (None, 3), (0.5, 3)):
        covering = [TrackRows(table, windows.sample, TrackTransform(nan_to=nan_to, scale=0.0))]
        options = RealignOptions(bin_size, "coverage", uncovered=4.0, out_of_bounds=4.0)
        # Whatever an insertion is filled with, its bases are covered where the anchor is.
        got = on.realign(reader, windows, covering, [Constant()], options)
        for ploid, row in enumerate(split(got.data, got.offsets, 2)):
            stored = setup.row(0, 0, ploid, math.inf, math.inf)
            has = np.isfinite(stored) | (np.isnan(stored) & (nan_to is not None))
            np.testing.assert_allclose(row, binned(has.astype(np.float32), bin_size, "mean"))


def test_dense_rows_give_the_same(on: OnBackend) -> None:
    @on.examples(40, setup=setups())
    def check(setup: Setup) -> None:
        reader, windows = on.open(setup.world, setup.policy), setup.windows
        ends = np.maximum(reader.ends(windows).max(axis=1), windows.end) + 3
        # Shifts do not begin before the window, and fills do not look there.
        low, span = int(windows.start.min()) - 2, int(ends.max() - windows.start.min()) + 4
        dense = []
        for number in range(len(setup.tables)):
            values = [
                [setup.track(number, b, 0.0, 0.0)(low + i) for i in range(span)]
                for b in range(len(windows))
            ]
            found = np.array(values, np.float32)
            # In memory of the backend, as a track of several, or of the host.
            rows = on.device(np.stack([found, found], axis=1))[:, 1] if number % 2 else found
            dense.append(DenseRows(rows, np.full(len(windows), low)))
        fills = [fill for fill, _ in setup.fills]
        one = on.realign(reader, windows, setup.tracks(), fills, draws=setup.draws)
        other = on.realign(reader, windows, dense, fills, draws=setup.draws)
        np.testing.assert_array_equal(one.data, other.data)
        contigs = contigs_of(setup.world)
        one = on.along_reference(contigs, windows, setup.tracks())
        other = on.along_reference(contigs, windows, dense)
        np.testing.assert_array_equal(one.data, other.data)


def contigs_of(world: World) -> ContigTable:
    return ContigTable(tuple(world.sequences), np.array([len(s) for s in world.sequences.values()]))


def test_reference_coordinates(on: OnBackend) -> None:
    @on.examples(40, setup=setups())
    def check(setup: Setup) -> None:
        windows = setup.windows
        got = on.along_reference(contigs_of(setup.world), windows, setup.tracks())
        want = []
        for b in range(len(windows)):
            start, end = int(windows.start[b]), int(windows.end[b])
            last = end if windows.length_bp is None else start + windows.length_bp
            for number in range(len(setup.tables)):
                track = setup.track(number, b, 0.0, 0.0)
                row = [track(position) for position in range(start, last)]
                reverse = windows.reverse is not None and windows.reverse[b]
                want.append(np.array(row[::-1] if reverse else row, np.float32))
        assert_rows(split(got.data, got.offsets, len(want)), want)


@pytest.mark.parametrize("bin_size", [1, 4])
def test_tracks_may_come_last(on: OnBackend, world: World, bin_size: int) -> None:
    rng = np.random.default_rng(6)
    tables = [random_table(rng, world) for _ in range(3)]
    start = np.array([-5, 3, 30])
    windows = HaplotypeWindows(
        [0, 1, 0], start, start + 30, [0, 1, 1], [False, True, True], length_bp=35
    )
    tracks = [TrackRows(table, windows.sample) for table in tables]
    fills: list[Fill] = [Repeat5p(), Constant(2.0), Interpolate(1)]
    reader, contigs = on.open(world), contigs_of(world)
    plain, last = (
        RealignOptions(bin_size, track_swap=(1, 2, 0), layout=layout)  # type: ignore[arg-type]
        for layout in ("BTPN", "BPNT")
    )
    want = on.realign(reader, windows, tracks, fills, plain).data.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(on.realign(reader, windows, tracks, fills, last).data, want)
    out = on.empty_as(np.ascontiguousarray(want))
    on.realign(reader, windows, tracks, fills, last, out=out)
    np.testing.assert_array_equal(on.host(out), want)
    want = on.along_reference(contigs, windows, tracks, plain).data.transpose(0, 2, 1)
    np.testing.assert_array_equal(on.along_reference(contigs, windows, tracks, last).data, want)


def test_draws_do_not_depend_on_the_batch(on: OnBackend, world: World) -> None:
    rng = np.random.default_rng(1)
    table = random_table(rng, world)
    reader = on.open(world)
    starts = np.arange(8) * 5
    windows = HaplotypeWindows(
        np.arange(8) % 2, starts, starts + 20, np.arange(8) % 2, length_bp=30
    )
    cells = rng.integers(0, 1000, 8)

    def draw(which: np.ndarray, seed: int = 1, epoch: int = 0) -> np.ndarray:
        part = HaplotypeWindows(
            windows.contig_index[which],
            windows.start[which],
            windows.end[which],
            windows.sample[which],
            length_bp=30,
        )
        tracks = [TrackRows(table, part.sample)] * 2
        fills = [FlankSample(5), FlankSample(5)]
        return on.realign(reader, part, tracks, fills, None, Draws(seed, epoch, cells[which])).data  # type: ignore[no-any-return]

    all_at_once = draw(np.arange(8))
    order = rng.permutation(8)
    np.testing.assert_array_equal(draw(order), all_at_once[order])
    np.testing.assert_array_equal(draw(np.array([3])), all_at_once[3:4])
    np.testing.assert_array_equal(all_at_once[:, 0], all_at_once[:, 1])  # tracks draw together
    assert (draw(np.arange(8), seed=2) != all_at_once).any()
    assert (draw(np.arange(8), epoch=1) != all_at_once).any()


def test_a_shift_is_a_cut(on: OnBackend, world: World) -> None:
    table = random_table(np.random.default_rng(5), world)
    reader, windows = one_window(on, world, 3, 30, length_bp=40)
    tracks = [TrackRows(table, windows.sample)]
    draws = Draws(0, 0, np.array([9]))
    for fill in (FlankSample(3), Repeat5p(), Constant(1.0)):
        long = on.realign(reader, windows, tracks, [fill], draws=draws).data
        _, shifted = one_window(on, world, 3, 30, length_bp=33, shift=np.array([[7, 2]]))
        short = on.realign(reader, shifted, tracks, [fill], draws=draws).data
        np.testing.assert_array_equal(short[0, 0, 0], long[0, 0, 0, 7:])
        np.testing.assert_array_equal(short[0, 0, 1], long[0, 0, 1, 2:35])


def test_tracks_change_places_when_reversed(on: OnBackend, world: World) -> None:
    rng = np.random.default_rng(2)
    plus, minus = random_table(rng, world), random_table(rng, world)
    for reverse in (False, True):
        reader, windows = one_window(on, world, 5, 25, reverse=[reverse])
        rows = [TrackRows(table, windows.sample) for table in (plus, minus)]
        fills: list[Fill] = [Repeat5p(), Constant(3.0)]
        swapped = on.realign(reader, windows, rows, fills, RealignOptions(track_swap=(1, 0)))
        straight = on.realign(reader, windows, rows, fills)
        n = len(straight.data) // 2
        order = [1, 0] if reverse else [0, 1]
        want = np.concatenate([straight.data[i * n : (i + 1) * n] for i in order])
        np.testing.assert_array_equal(swapped.data, want)


def test_a_long_deletion_is_not_painted(on: OnBackend) -> None:
    # The stretch of the reference is far longer than what comes out of it.
    from tests.oracles.haplotypes import Variant

    n, cut = 400_000, 300_000
    sequence = "A" * n
    variant = Variant(40, sequence[: cut + 1], "A", 0)
    insertion = Variant(60 + cut, "A", "ACC", 1)
    carried = {("c0", "s0", 0): [variant, insertion], ("c0", "s0", 1): []}
    world = World({"c0": sequence}, ("s0",), 2, {"c0": [variant, insertion]}, carried)
    start = np.arange(0, n, 10, dtype=np.int32)
    table = IntervalTable.from_lists(
        ["c0"], ["s0"], [Intervals(start, start + 9, (start % 977).astype(np.float32))]
    )
    values = np.zeros(n, np.float32)
    for offset in range(9):
        values[start + offset] = start % 977
    reader, windows = one_window(on, world, 0, 100, length_bp=200)
    rows = [TrackRows(table, np.zeros(1, np.int64))]
    got = on.realign(reader, windows, rows, [Interpolate(1)]).data[0, 0]
    np.testing.assert_array_equal(got[1], values[:200])
    at = 60 + cut
    step = (values[at + 1] - values[at]) / 3
    inserted = [values[at], values[at] + step, values[at] + 2 * step]
    rest = values[at + 1 : at + 1 + 200 - 41 - 19 - 3]
    want = np.concatenate([values[:41], values[41 + cut : at], inserted, rest])
    np.testing.assert_allclose(got[0], want, rtol=1e-6)


def test_what_does_not_fit_is_refused(on: OnBackend, world: World) -> None:
    table = random_table(np.random.default_rng(0), world)
    reader, windows = one_window(on, world, length_bp=20)
    good, bad = TrackRows(table, np.zeros(1, np.int64)), TrackRows(table, np.array([2]))
    short = DenseRows(np.zeros((1, 10), np.float32), np.zeros(1, np.int64))
    odd = DenseRows(np.zeros((2, 10), np.float32), np.zeros(1, np.int64))
    options = RealignOptions(track_swap=(1, 0))
    with pytest.raises(InvalidInputError, match="one for each of 1 tracks; got 2"):
        on.realign(reader, windows, [good], [Repeat5p(), Repeat5p()])
    with pytest.raises(InvalidInputError, match="argument cells"):
        on.realign(reader, windows, [good], [FlankSample()])
    with pytest.raises(InvalidInputError, match=r"track 1, window 0 \(c0:0-40\): .* sample"):
        on.realign(reader, windows, [good, bad], [Repeat5p()] * 2)
    with pytest.raises(InvalidInputError, match="track 0: expected a sample for each"):
        on.realign(reader, windows, [TrackRows(table, np.zeros(2, np.int64))], [Repeat5p()])
    with pytest.raises(InvalidInputError, match="reaches further"):
        on.realign(reader, windows, [short], [Repeat5p()])
    with pytest.raises(InvalidInputError, match="values"):
        on.realign(reader, windows, [odd], [Repeat5p()])
    with pytest.raises(InvalidInputError, match="argument out"):
        on.realign(
            reader,
            windows,
            [good],
            [Repeat5p()],
            out=on.device(np.zeros((1, 1, 2, 21), np.float32)),
        )
    with pytest.raises(InvalidInputError, match="track_swap"):
        on.realign(reader, windows, [good], [Repeat5p()], options=options)
    contigs = ContigTable(("c0",), np.array([60]))
    other = HaplotypeWindows([1], [0], [10], [0])
    with pytest.raises(InvalidInputError, match="contig_index of 0 to 0"):
        on.along_reference(contigs, other, [good])
    out = on.empty_as(np.empty((1, 1, 2, 20), np.float32))
    assert on.backend.realign(reader, windows, [good], [Repeat5p()], out=out).data is out
    with pytest.raises(InvalidInputError, match="argument reader"):
        on.realign(object(), windows, [good], [Repeat5p()])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Interpolate(4), "order"),
        (lambda: Interpolate(True), "order"),
        (lambda: FlankSample(-1), "flank_width"),
        (lambda: FlankSample(MAX_FLANK_WIDTH + 1), "flank_width"),
        (lambda: Constant("1"), "Constant"),
        (lambda: RealignOptions(bin_size=0), "bin_size"),
        (lambda: RealignOptions(track_swap=(0, 2)), "track_swap"),
    ],
)
def test_bad_options(make: Any, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        make()
