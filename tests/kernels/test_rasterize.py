"""The rasterizing kernels under the emulator, beside the CPU backend and the oracle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader.backend.cuda import launch
from bigwig_loader.backend.cuda.records import BlockKind
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.signal import TrackTransform, pack_transforms
from tests.helpers.bigwig_bytes import (
    BED_GRAPH,
    FIXED_STEP,
    VARIABLE_STEP,
    Block,
    Section,
    Shape,
    build_bigwig,
)
from tests.helpers.emulator import SCHEDULES
from tests.helpers.made_bigwigs import file_sets, requests
from tests.helpers.raster_kernels import Described, describe_plan, rasterize
from tests.helpers.signal import OpenFiles, options_of, windows_of
from tests.oracles import signal as oracle
from tests.oracles.signal import Request

SEARCHED, IRREGULAR, WALKED = 0, 1, 2  # bwl::RowKind
STATISTICS = ("mean", "sum", "max", "min", "std", "coverage")
CONTIG_BP = 30_000
# Cases are small as they are, and making them smaller takes minutes.
AS_FOUND = (Phase.explicit, Phase.generate)


class Files(NamedTuple):
    """Files opened on the CPU backend."""

    paths: list[Path]
    opened: OpenFiles
    parsed: list[oracle.ParsedBigWig]


@contextmanager
def files_of(contents: Sequence[bytes]) -> Iterator[Files]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.bw" for i in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        with OpenFiles(paths) as opened:
            yield Files(paths, opened, [oracle.parse(content) for content in contents])


class Run(NamedTuple):
    """How the kernels are run, which must not matter."""

    schedule: str = "forward"
    kind: BlockKind = BlockKind.RESIDENT
    grid: tuple[int, int] | None = None
    n_multiprocessors: int = 1


def run_kernels(
    files: Files, request: Request, out: npt.NDArray[Any], run: Run
) -> tuple[Described, npt.NDArray[np.uint8]]:
    """What the blocks were described as, and the kind of each row; values go to `out`."""
    index = files.opened.index
    plan = plan_signal(
        index, windows_of(index.contigs, request), np.array(request.tracks, np.int64)
    )
    described = describe_plan(index, files.paths, plan, run.schedule, run.kind)
    assert described.record[0] == -1
    steps = request.transforms or [{} for _ in request.tracks]
    transforms = pack_transforms([TrackTransform(**step) for step in steps])  # type: ignore[arg-type]
    kinds = rasterize(
        index,
        plan,
        described.items,
        options_of(request),
        transforms,
        out,
        run.schedule,
        run.grid,
        run.n_multiprocessors,
    )
    return described, kinds


def check(files: Files, request: Request, run: Run | None = None) -> npt.NDArray[np.uint8]:
    """Run the kernels and compare with both judges; the kind of each row."""
    on_cpu = files.opened.read(request)
    out = np.full(on_cpu.shape, 77, on_cpu.dtype)
    _, kinds = run_kernels(files, request, out, run or Run())
    np.testing.assert_array_equal(out.astype(np.float64), on_cpu.astype(np.float64))
    oracle.assert_equal(out, oracle.signal(files.parsed, request), request)
    return kinds


RUNS = st.builds(
    Run,
    st.sampled_from(SCHEDULES),
    st.sampled_from([BlockKind.PLAIN, BlockKind.RESIDENT]),
    st.sampled_from([None, None, (1, 1), (2, 3)]),
    st.sampled_from([1, 1_000]),
)


@settings(max_examples=40, phases=AS_FOUND)
@given(st.data())
def test_any_files_and_any_request(data: st.DataObject) -> None:
    genome, contents = data.draw(file_sets())
    with files_of(contents) as files:
        contigs = list(files.opened.index.contigs.names)
        request = data.draw(requests(genome, contigs, len(contents)))
        on_cpu = files.opened.read(request)
        out = np.full(on_cpu.shape, 77, on_cpu.dtype)
        run_kernels(files, request, out, data.draw(RUNS))
        # Bit for bit: all sums are made in one order.
        np.testing.assert_array_equal(out.astype(np.float64), on_cpu.astype(np.float64))


def bed_graph(items: Sequence[tuple[int, int, float]], chrom_id: int = 0) -> Block:
    return Block((Section(chrom_id, BED_GRAPH, tuple(items)),))


def file_of(blocks: Sequence[Block], order: str = "<") -> bytes:
    return build_bigwig({"a": (0, CONTIG_BP)}, blocks, Shape(order=order))


def regular_items(rng: np.random.Generator, n: int, step: int, first: int = 0) -> list[Any]:
    starts = first + step * np.arange(n) + rng.integers(0, max(step // 2, 1), n)
    ends = starts + rng.integers(1, max(step // 2, 2), n)
    values = rng.normal(size=n).astype(np.float32)
    return list(zip(starts.tolist(), ends.tolist(), values.tolist(), strict=True))


@pytest.fixture(scope="module")
def regular() -> Iterator[Files]:
    """Three files: all section types, both byte orders, many items, one item over everything."""
    rng = np.random.default_rng(1)
    items = regular_items(rng, 2_400, 12)
    points = [(int(i), float(v)) for i, v in zip(range(9_000), rng.normal(size=9_000), strict=True)]
    points = [(i, np.float32(v).item()) for i, v in points]
    fixed = tuple(np.float32(rng.normal(size=2_000)).tolist())
    contents = [
        file_of([bed_graph(items[i : i + 700]) for i in range(0, len(items), 700)], ">"),
        file_of([bed_graph([(100, 29_000, 2.5), (CONTIG_BP - 9, CONTIG_BP, -1.0)])]),
        file_of(
            [
                *(
                    Block((Section(0, VARIABLE_STEP, tuple(points[i : i + 1_000]), span=1),))
                    for i in range(0, 9_000, 1_000)
                ),
                Block((Section(0, FIXED_STEP, fixed, start=9_500, step=7, span=5),)),
            ]
        ),
    ]
    with files_of(contents) as files:
        yield files


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("n_tracks", "length_bp"), [(3, 12_001), (17, 3_000)])
def test_strips_advance_in_steps(
    regular: Files, schedule: str, n_tracks: int, length_bp: int
) -> None:
    tracks = [i % 3 for i in range(n_tracks)]
    windows = [("a", -700, False), ("a", CONTIG_BP - length_bp + 900, True)]
    request = Request(windows, length_bp, tracks, out_of_bounds=-3.0)
    options = options_of(request)
    for n_multiprocessors in (1, 1_000):  # several steps of few strips, one step of many
        with mock.patch.object(launch, "_TILES_PER_MULTIPROCESSOR", 1):
            shape = launch.raster_launch(options, 2, n_tracks, length_bp, n_multiprocessors).shape
            assert (shape.n_steps > 1) == (n_multiprocessors == 1)
            kinds = check(regular, request, Run(schedule, n_multiprocessors=n_multiprocessors))
        assert (kinds == SEARCHED).all()


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("bin_size", [1, 3, 128, 4_000, 24_000])
def test_bins_of_few_and_of_thousands_of_items(
    regular: Files, statistic: str, bin_size: int
) -> None:
    length = {1: 300, 3: 400}.get(bin_size, 24_500)
    request = Request([("a", -50, False)], length, [0, 1, 2], bin_size, statistic, uncovered=0.5)
    check(regular, request, Run("random:3"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["BNT", "BTN"])
@pytest.mark.parametrize("n_tracks", [1, 3, 17, 34])
def test_dtypes_layouts_and_numbers_of_tracks(
    regular: Files, dtype: str, layout: str, n_tracks: int
) -> None:
    tracks = [i % 3 for i in range(n_tracks)]
    scales = [{"scale": 1.0 + i} for i in range(n_tracks)]
    windows = [("a", 50, False), ("a", 1_000, True)]
    request = Request(windows, 91, tracks, 1, "mean", dtype, layout, transforms=scales)
    check(regular, request, Run("random:4"))
    check(regular, replace(request, bin_size=4), Run("reverse"))


@pytest.mark.parametrize("layout", ["BNT", "BTN"])
@pytest.mark.parametrize("n_tracks", [2, 20])
def test_any_strides_and_nothing_beside_them(regular: Files, layout: str, n_tracks: int) -> None:
    tracks = [i % 3 for i in range(n_tracks)]
    request = Request([("a", 40, False), ("a", 900, True)], 300, tracks, layout=layout)
    expected = regular.opened.read(request)
    b, m, n = expected.shape
    for view in (
        lambda whole: whole[::2, 1 : 1 + m, 2 : 2 + n],
        lambda whole: whole[1::2, m::-1, n + 1 : 1 : -1][:, :m],
        lambda whole: whole.transpose(0, 2, 1)[:b, :m, :n],
    ):
        size = max(m, n) + 6
        whole = np.full((2 * b, size, size), 77, np.float32)
        out = view(whole)
        assert out.shape == expected.shape
        run_kernels(regular, request, out, Run("random:5"))
        np.testing.assert_array_equal(out, expected)
        out[:] = 77
        assert (whole == 77).all()


def test_reversed_windows_swap_tracks_and_transforms(regular: Files) -> None:
    request = Request(
        [("a", -30, True), ("a", -30, False), ("a", 400, True)],
        502,
        [0, 1, 2],
        track_swap=[2, 0, 1],
        out_of_bounds=-9.0,
        transforms=[
            {"scale": 2.0, "clip": (0.0, 3.0)},
            {"log1p": True, "clip": (0.0, 9.0)},
            {"power": 0.75, "clip": (0.0, 9.0), "soft_clip": 1.0},
        ],
    )
    for bin_size in (1, 5, 100):  # 502 is no multiple of them
        check(regular, replace(request, bin_size=bin_size))


def test_windows_outside_their_contig_and_without_blocks(regular: Files) -> None:
    windows = [("a", -5_000, False), ("a", CONTIG_BP + 10, True), ("a", CONTIG_BP - 100, False)]
    for bin_size in (1, 16):
        request = Request(windows, 2_000, [0, 1], bin_size, uncovered=3.0, out_of_bounds=-1.0)
        check(regular, request)
    with files_of([file_of([])]) as empty:
        kinds = check(empty, Request([("a", 0, False)], 700, [0, 0], uncovered=float("nan")))
        assert (kinds == SEARCHED).all()


def test_blocks_of_threads_go_on_to_further_tiles_and_windows(regular: Files) -> None:
    windows = [("a", 37 * i, i % 2 == 1) for i in range(3)]
    tracks = [i % 3 for i in range(33)]
    for bin_size, grid in ((1, (1, 1)), (2, (1, 1)), (1, (3, 2)), (1, (7, 5))):
        request = Request(windows, 300, tracks, bin_size, statistic="sum")
        check(regular, request, Run(grid=grid, n_multiprocessors=1_000))


@pytest.mark.parametrize("bin_size", [1, 2, 50, 700])
def test_the_item_written_last_wins(bin_size: int) -> None:
    # The second block in the file begins before the first; items overlap, go back, and are empty.
    first = bed_graph([(300, 900, 1.0), (320, 340, 2.0), (310, 330, float("nan")), (600, 500, 7.0)])
    second = bed_graph([(100, 700, 3.0), (650, 660, 4.0), (400, 400, 5.0)])
    third = bed_graph([(655, 2_000, 6.0), (655, 656, 8.0)])
    for order in ([first, second, third], [third, first, second]):
        with files_of([file_of(order)]) as files:
            for statistic in STATISTICS:
                request = Request([("a", 50, False)], 1_400, [0], bin_size, statistic)
                assert check(files, request, Run("random:6")) == [[IRREGULAR]]


def test_blocks_that_reach_into_later_ones() -> None:
    # Each block is in order by itself; the 32nd and the 33rd share a base, and no others.
    blocks = [bed_graph([(20 * i, 20 * i + 15, float(i))]) for i in range(40)]
    with files_of([file_of(blocks)]) as files:
        assert check(files, Request([("a", 0, False)], 900, [0])) == [[SEARCHED]]
    blocks[31] = bed_graph([(620, 641, 31.0)])
    with files_of([file_of(blocks)]) as files:
        for bin_size in (1, 7):
            request = Request([("a", 0, False)], 900, [0], bin_size)
            assert check(files, request) == [[IRREGULAR]]
            last = replace(request, windows=[("a", 645, False)], length_bp=100)
            assert check(files, last) == [[SEARCHED]]
    blocks[31:33] = bed_graph([(620, 661, 31.0)]), bed_graph([(640, 640, 32.0)])
    with files_of([file_of(blocks)]) as files:
        assert check(files, Request([("a", 0, False)], 900, [0], 7)) == [[IRREGULAR]]


def test_several_sections_in_a_block() -> None:
    rng = np.random.default_rng(2)
    items = regular_items(rng, 300, 9)
    sections = [Section(0, BED_GRAPH, tuple(items[i : i + 60])) for i in range(0, 300, 60)]
    nothing = Section(0, BED_GRAPH, ((2_000, 2_000, 1.0),))
    for blocks in (
        [Block(tuple(sections[:3])), Block(tuple(sections[3:]))],
        [Block((sections[0],)), Block((nothing,))],
    ):
        with files_of([file_of(blocks)]) as files:
            for statistic, bin_size in (("mean", 1), ("mean", 33), ("std", 4), ("sum", 2_700)):
                request = Request([("a", -20, False)], 2_720, [0], bin_size, statistic)
                assert check(files, request) == [[WALKED]]


def test_a_stored_value_may_be_any_bits() -> None:
    # 0x7F800001 is what the kernels call "nothing here" among themselves.
    marker = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF], np.uint32)
    section = Section(0, BED_GRAPH, tuple((i, i + 1, 0.0) for i in range(5, 8))).packed("<")
    raw = np.frombuffer(section, np.uint8).copy()
    raw[24:].reshape(3, 12)[:, 8:] = marker.view(np.uint8).reshape(3, 4)
    block = Block((), (0, 5, 0, 8), raw.tobytes())
    content = build_bigwig({"a": (0, 100)}, [block], Shape(compress=None))
    with files_of([content]) as files:
        check(files, Request([("a", 0, False)], 20, [0], uncovered=4.0))
        check(files, Request([("a", 0, False)], 20, [0], 5, "coverage"))
