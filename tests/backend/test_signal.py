"""What reading signal means: one suite, put to every backend."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from tests.helpers import emulator, fake_cupy
from tests.helpers.bigwig_bytes import Block, Section, Shape, write_bigwig_bytes
from tests.helpers.made_bigwigs import file_sets, requests
from tests.helpers.signal import OpenFiles, to_numpy, verifying
from tests.oracles import signal as oracle
from tests.oracles.signal import Request

EMULATED = "cuda, emulated"


@pytest.fixture(
    params=["cpu", EMULATED, pytest.param("cuda", marks=pytest.mark.gpu)], scope="module"
)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Device name of the backend; the CUDA one also with an emulated GPU, in main memory."""
    if request.param != EMULATED:
        yield request.param
        return
    if emulator.compiler() is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C++ compiler, which compiles the emulated kernels")
    fake_cupy.install(mode="late")
    try:
        yield "cuda"
    finally:
        fake_cupy.uninstall()


# Cases are small as they are, and making them smaller takes minutes.
AS_FOUND = (Phase.explicit, Phase.generate)

Case = tuple[list[bytes], Request]


@st.composite
def cases(draw: st.DrawFn, legal: bool | None = None) -> Case:
    genome, data = draw(file_sets(legal))
    contigs = sorted({name for one in data for name in oracle.parse(one).contigs})
    return data, draw(requests(genome, contigs, len(data)))


def opened(data: list[bytes], folder: str, backend: str) -> OpenFiles:
    paths = [Path(folder) / f"{i}.bw" for i in range(len(data))]
    for path, content in zip(paths, data, strict=True):
        path.write_bytes(content)
    return OpenFiles(paths, backend)


def expected(data: list[bytes], request: Request) -> np.ndarray:
    return oracle.signal([oracle.parse(one) for one in data], request)


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


class TestAgainstOracle:
    @pytest.fixture(autouse=True)
    def _device(self, backend: str) -> None:
        self.backend = backend
        # The emulator takes a microsecond for each thread of a kernel.
        self._n_left = 15 if fake_cupy.is_installed() else 1_000

    def is_enough(self) -> bool:
        """Whether this backend has been put enough examples already."""
        self._n_left -= 1
        return self._n_left < 0

    @settings(max_examples=200, phases=AS_FOUND)
    @given(cases())
    def test_any_file_any_request(self, case: Case) -> None:
        if self.is_enough():
            return
        data, request = case
        want = expected(data, request)
        with tempfile.TemporaryDirectory() as folder, opened(data, folder, self.backend) as files:
            # The first reading verifies whole blocks, the second may stop early.
            for _ in range(2):
                got = to_numpy(files.read(request))
                oracle.assert_equal(got, want, request)

    @settings(max_examples=60, phases=AS_FOUND)
    @given(cases(), st.integers(1, 12))
    def test_threads_and_splitting_change_nothing(self, case: Case, most_units: int) -> None:
        if self.is_enough():
            return
        data, request = case
        request = replace(request, track_swap=None)
        with tempfile.TemporaryDirectory() as folder, opened(data, folder, self.backend) as files:
            want = bits(to_numpy(files.read(request, n_threads=1)))
            for n_threads in (1, 2, 5):
                assert bits(to_numpy(files.read(request, n_threads=n_threads))) == want
            smallest = 3 + request.bin_size // 64 + files.index.n_blocks
            parts = files.read(request, most_units=smallest + most_units)
            assert bits(to_numpy(parts)) == want

    @settings(max_examples=100, phases=AS_FOUND)
    @given(cases())
    def test_a_window_that_the_backend_plans_itself(self, case: Case) -> None:
        if self.is_enough():
            return
        data, request = case
        with tempfile.TemporaryDirectory() as folder, opened(data, folder, self.backend) as files:
            for window in request.windows:
                one = replace(request, windows=[window])
                got = [to_numpy(files.read(one, one_call=call)) for call in (True, False, True)]
                assert len({bits(array) for array in got}) == 1

    @settings(max_examples=60, phases=AS_FOUND)
    @given(cases(legal=True))
    def test_verifying_changes_nothing(self, case: Case) -> None:
        if self.is_enough():
            return
        data, request = case
        answers = []
        with tempfile.TemporaryDirectory() as folder:
            for mode in ("always", "once", "never"):
                with opened(data, folder, self.backend) as files, verifying(mode):
                    answers += [bits(to_numpy(files.read(request))) for _ in range(2)]
        assert len(set(answers)) == 1

    @settings(max_examples=40, phases=AS_FOUND)
    @given(cases(), st.permutations([0, 1, 2]), st.lists(st.sampled_from([1, 2, -1]), min_size=3))
    def test_out_may_have_any_strides(self, case: Case, axes: list[int], steps: list[int]) -> None:
        if self.is_enough():
            return
        data, request = case
        with tempfile.TemporaryDirectory() as folder, opened(data, folder, self.backend) as files:
            want = to_numpy(files.read(request))
            spread = [n * abs(step) for n, step in zip(want.shape, steps, strict=False)]
            memory = files.backend.empty(tuple(spread[axis] + 2 for axis in axes), request.dtype)
            files.backend.hand_over(memory)  # used here before it is written to
            memory[...] = 77
            view = memory[1:-1, 1:-1, 1:-1].transpose(np.argsort(axes))
            view = view[tuple(slice(None, None, step) for step in steps[:3])]
            files.read(request, out=view)
            assert bits(to_numpy(view)) == bits(want)
            view[...] = 77
            whole = np.frombuffer(bits(to_numpy(memory)), f"u{want.itemsize}")
            assert len(set(whole.tolist())) == 1  # nothing was written around the view


CONTIGS = {"a": 2_000, "b": 500}


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """Value k in [10 k, 10 k + 10) of contig a up to 1,000; b holds 7 in [0, 700), past its end."""
    k = np.arange(100)
    data = {"a": (10 * k, 10 * k + 10, k), "b": ([0], [700], [7.0])}
    return write_bigwig(tmp_path / "ramp.bw", CONTIGS, data, WriterOptions(items_per_block=8))


Read = Callable[..., np.ndarray]


@pytest.fixture
def read(backend: str) -> Read:
    """``read(paths, windows, length, **options)``: windows are (contig, start[, reverse])."""

    def function(paths: object, windows: list[tuple], length: int, **options: object) -> np.ndarray:
        paths = paths if isinstance(paths, list) else [paths]
        full = [(*w, False)[:3] for w in windows]
        options.setdefault("tracks", list(range(len(paths))))
        with OpenFiles(paths, backend) as files:
            return to_numpy(files.read(Request(full, length, **options)))  # type: ignore[arg-type]

    return function


def test_windows_around_the_contigs_start(ramp: Path, read: Read) -> None:
    # All of these are cut off at base 0 and so begin together, but they end apart.
    starts = [-20, -50, -200, 0, -99, -100]
    got = read(ramp, [("a", s) for s in starts], 100, out_of_bounds=-1.0)[..., 0]
    for row, start in zip(got, starts, strict=True):
        position = np.arange(start, start + 100)
        np.testing.assert_array_equal(row, np.where(position < 0, -1, position // 10))


def test_past_the_contigs_end_comes_no_data_of_this_or_the_next_contig(
    ramp: Path, read: Read
) -> None:
    got = read(ramp, [("b", 450), ("b", 500), ("a", 1_950)], 100, out_of_bounds=-1.0)[..., 0]
    np.testing.assert_array_equal(got[0], [7.0] * 50 + [-1.0] * 50)
    np.testing.assert_array_equal(got[1], [-1.0] * 100)
    np.testing.assert_array_equal(got[2], [0.0] * 50 + [-1.0] * 50)


def test_an_interval_wider_than_the_window(ramp: Path, read: Read) -> None:
    np.testing.assert_array_equal(read(ramp, [("b", 100)], 20)[0, :, 0], [7.0] * 20)


def test_no_data_and_stored_zero_are_different(tmp_path: Path, read: Read) -> None:
    path = write_bigwig(tmp_path / "a.bw", {"a": 50}, {"a": ([10], [20], [0.0])})
    got = read(path, [("a", 5)], 20, uncovered=float("nan"))[0, :, 0]
    np.testing.assert_array_equal(got, [np.nan] * 5 + [0.0] * 10 + [np.nan] * 5)


def test_fill_values_are_never_scaled(ramp: Path, read: Read) -> None:
    options = {"uncovered": 5.0, "out_of_bounds": 6.0, "transforms": [{"scale": 10.0}]}
    for bin_size in (1, 10):
        got = read(ramp, [("a", 980), ("a", 1_990)], 40, bin_size=bin_size, **options)[..., 0]
        per_bin = 10 // bin_size
        np.testing.assert_array_equal(got[0], np.repeat([980, 990, 5, 5], per_bin))
        np.testing.assert_array_equal(got[1], np.repeat([5, 6, 6, 6], per_bin))


@pytest.mark.parametrize(
    ("statistic", "nan_to", "want"),
    [
        ("mean", None, 9.0),
        ("mean", 3.0, (4 * 9 + 4 * 6) / 8),  # scaled as any stored value, by 2
        ("sum", 3.0, 4 * 9 + 4 * 6),
        ("max", 30.0, 60),
        ("min", -3.0, -6),
        ("std", None, 0),
        ("std", 3.0, 1.5),
        ("coverage", None, 4 / 16),
        ("coverage", 3.0, 8 / 16),
    ],
)
def test_a_stored_nan_counts_as_what_it_becomes(
    tmp_path: Path, read: Read, statistic: str, nan_to: float | None, want: float
) -> None:
    data = {"a": ([0, 4], [4, 8], [4.5, float("nan")])}
    path = write_bigwig(tmp_path / "a.bw", {"a": 12}, data)
    options = {"uncovered": float("nan"), "transforms": [{"scale": 2.0, "nan_to": nan_to}]}
    got = read(path, [("a", 0)], 16, bin_size=16, statistic=statistic, **options)
    assert got.tolist() == [[[pytest.approx(want, rel=1e-7)]]]
    bases = read(path, [("a", 0)], 16, **options)[0, :, 0]
    stored = np.nan if nan_to is None else 2 * nan_to
    np.testing.assert_array_equal(bases, [9] * 4 + [stored] * 4 + [np.nan] * 8)


@pytest.mark.parametrize(
    ("statistic", "uncovered", "want"),
    [
        ("mean", 0.0, 198 / 32),  # (10 * 9 + 6 * 18) of 32 bases
        ("mean", float("nan"), 198 / 16),
        ("sum", 0.0, 198),
        ("sum", float("nan"), 198),
        ("max", 0.0, 18),
        ("min", 0.0, 0),
        ("min", float("nan"), 9),
        ("coverage", 0.0, 0.5),
        ("coverage", float("nan"), 0.5),
        ("std", float("nan"), np.sqrt((10 * 81 + 6 * 324) / 16 - (198 / 16) ** 2)),
    ],
)
def test_statistics(
    tmp_path: Path, read: Read, statistic: str, uncovered: float, want: float
) -> None:
    data = {"a": ([0, 20], [10, 26], [9.0, 18.0])}
    path = write_bigwig(tmp_path / "a.bw", {"a": 100}, data)
    got = read(path, [("a", 0)], 32, bin_size=32, statistic=statistic, uncovered=uncovered)
    assert got.tolist() == [[[pytest.approx(want, rel=1e-7)]]]


def test_bins_that_do_not_fill_the_window_are_left_out(ramp: Path, read: Read) -> None:
    assert read(ramp, [("a", 0)], 25, bin_size=10)[0, :, 0].tolist() == [0, 1]
    # A reversed window has its incomplete bin at its other end.
    assert read(ramp, [("a", 0, True)], 25, bin_size=10)[0, :, 0].tolist() == [1.5, 0.5]
    assert read(ramp, [("a", 0)], 25, bin_size=30).shape == (1, 0, 1)


def test_reverse_flips_bins_and_swaps_tracks(tmp_path: Path, read: Read) -> None:
    paths = [
        write_bigwig(tmp_path / f"{i}.bw", {"a": 10}, {"a": ([i], [i + 2], [i + 1.0])})
        for i in range(3)
    ]
    plain = read(paths, [("a", 0)], 10)
    both = read(paths, [("a", 0, True), ("a", 0, False)], 10, track_swap=[1, 0, 2])
    np.testing.assert_array_equal(both[1], plain[0])
    np.testing.assert_array_equal(both[0], plain[0, ::-1][:, [1, 0, 2]])


def test_tracks_run_fastest(ramp: Path, tmp_path: Path, read: Read) -> None:
    other = write_bigwig(tmp_path / "other.bw", CONTIGS, {"a": ([0], [2_000], [-1.0])})
    got = read([ramp, other], [("a", 0)], 20, tracks=[1, 0, 1])
    assert got.flags.c_contiguous
    assert got[0, 15].tolist() == [-1, 1, -1]
    swapped = read([ramp, other], [("a", 0)], 20, tracks=[1, 0, 1], layout="BTN")
    np.testing.assert_array_equal(swapped, got.transpose(0, 2, 1))


def test_many_tracks_and_windows(tmp_path: Path, read: Read) -> None:
    # More tracks than a tile has, and more bases; a window without data among them.
    rng = np.random.default_rng(5)
    values = [rng.integers(0, 50, 6_000).astype(np.float32) for _ in range(37)]
    paths = [
        write_bigwig(tmp_path / f"{i}.bw", {"a": 9_000}, {"a": intervals_of(v)})
        for i, v in enumerate(values)
    ]
    starts = [0, 900, 6_500, 2_999, 900]
    got = read(paths, [("a", s) for s in starts], 2_500)
    whole = np.zeros((9_000, 37), np.float32)
    whole[:6_000] = np.stack(values, axis=1)
    np.testing.assert_array_equal(got, np.stack([whole[s : s + 2_500] for s in starts]))
    # Backwards, and with every track at another place.
    swap = rng.permutation(37)
    turned = np.empty_like(got)
    turned[..., swap] = got[:, ::-1]
    tracks = list(range(37))
    windows = [("a", s, True) for s in starts]
    back = read(paths, windows, 2_500, track_swap=tuple(swap.tolist()), tracks=tracks)
    np.testing.assert_array_equal(back, turned)
    pairs = turned.reshape(5, 1_250, 2, 37).max(axis=2)
    np.testing.assert_array_equal(
        read(paths, windows, 2_500, track_swap=tuple(swap.tolist()), bin_size=2, statistic="max"),
        pairs,
    )
    mean = read(paths, [("a", s) for s in starts], 2_500, bin_size=5)
    np.testing.assert_allclose(mean, got.reshape(5, 500, 5, 37).mean(axis=2), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_is_to_nearest_even(tmp_path: Path, read: Read, dtype: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 1 << 32, 4_000, dtype=np.uint32).view(np.float32)
    data = {"a": (np.arange(4_000), np.arange(1, 4_001), values)}
    with np.errstate(over="ignore", invalid="ignore"):
        path = write_bigwig(tmp_path / "a.bw", {"a": 4_000}, data)
        want = values.astype(oracle.DTYPES[dtype])
    got = read(path, [("a", 0)], 4_000, dtype=dtype)[0, :, 0]
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


def test_output_index_past_32_bits(tmp_path: Path, backend: str) -> None:
    if backend != "cpu":
        pytest.skip("the array is a sparse file in main memory's address space")
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, {"a": ([0], [2_000], [4.0])})
    # Three windows 2^31 float32 apart: 24 GiB of addresses, of which a few pages are touched.
    sparse = np.memmap(tmp_path / "out", np.float32, "w+", shape=(3, 1 << 31, 1))
    out = sparse[:, (1 << 31) - 10 :]
    with OpenFiles([path]) as files:
        files.read(Request([("a", s, False) for s in (0, 10, 20)], 10, [0]), out=out)
        np.testing.assert_array_equal(out, np.full((3, 10, 1), 4, np.float32))
        # The same for the stride along bins and along tracks.
        apart = sparse.reshape(-1)[:: 1 << 31].reshape(1, 3, 1)
        files.read(Request([("a", 0, False)], 3, [0]), out=apart)
        assert apart.ravel().tolist() == [4, 4, 4]
        files.read(Request([("a", 0, False)], 1, [0, 0, 0]), out=apart.transpose(0, 2, 1))


def test_batches_never_share_memory(ramp: Path, backend: str) -> None:
    request = Request([("a", 0, False)] * 300, 1_000, [0])
    with OpenFiles([ramp], backend) as files:
        first = files.read(request)
        before = to_numpy(first).copy()
        kept = first[3:5]  # a view keeps the memory, when the array itself is dropped
        second = files.read(replace(request, windows=[("b", 0, False)] * 300))
        np.testing.assert_array_equal(to_numpy(first), before)
        del first
        for start in (-5, 5, 15):
            files.read(replace(request, windows=[("b", start, False)] * 300))
        np.testing.assert_array_equal(to_numpy(kept), before[3:5])
        assert to_numpy(second)[0, 0, 0] == 7


def test_offsets_past_4_gb(tmp_path: Path, read: Read) -> None:
    block = Block((Section(0, 1, ((5, 10, 1.5),)),))
    path = write_bigwig_bytes(
        tmp_path / "a.bw", {"a": (0, 100)}, [block], Shape(data_at=(5 << 30) + 3)
    )
    assert path.stat().st_size > 5 << 30
    assert read(path, [("a", 4)], 8)[0, :, 0].tolist() == [0, 1.5, 1.5, 1.5, 1.5, 1.5, 0, 0]


def test_contigs_longer_than_32_bits_together(tmp_path: Path, read: Read) -> None:
    last = 0xFFFFFFFF
    contigs = {name: (i, last) for i, name in enumerate("abc")}
    blocks = [
        Block((Section(i, 1, ((last - 20, last - 10, 1.0 + i), (last - 5, last, 2.0 + i))),))
        for i in range(3)
    ]
    path = write_bigwig_bytes(tmp_path / "a.bw", contigs, blocks)
    got = read(path, [(name, last - 20) for name in "abc"], 30, out_of_bounds=-1.0)[..., 0]
    for i in range(3):
        want = [1.0 + i] * 10 + [0.0] * 5 + [2.0 + i] * 5 + [-1.0] * 10
        np.testing.assert_array_equal(got[i], want)


def test_nothing_is_read_for_windows_without_data(ramp: Path, backend: str) -> None:
    with OpenFiles([ramp], backend) as files:
        got = files.read(Request([("a", 1_200, False), ("b", 800, False)], 100, [0], uncovered=2.0))
        assert (to_numpy(got) == 2).all()
        assert files.reader.counts.bytes_read == 0


def test_a_block_is_read_once_for_all_windows(ramp: Path, backend: str) -> None:
    with OpenFiles([ramp], backend) as files:
        files.read(Request([("a", s, False) for s in range(80)], 100, [0, 0]))
        assert files.reader.counts.n_blocks == 3  # 80 bp each, of [0, 179)


def test_the_second_reading_inflates_no_further_than_needed(tmp_path: Path, backend: str) -> None:
    k = np.arange(1_000)
    data = {"a": (2 * k, 2 * k + 2, k)}
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, data, WriterOptions(items_per_block=1_000))
    inflated = []
    with OpenFiles([path], backend) as files:
        for _ in range(2):
            before = files.reader.counts.bytes_inflated
            files.read(Request([("a", 100, False)], 100, [0]))
            inflated.append(files.reader.counts.bytes_inflated - before)
    assert inflated[0] == 24 + 12 * 1_000
    assert inflated[1] < inflated[0] // 4


@pytest.mark.parametrize("n_threads", [1, 4])
def test_damage_is_reported_with_file_offset_and_region(
    tmp_path: Path, backend: str, n_threads: int
) -> None:
    good = Block((Section(0, 1, ((0, 10, 1.0),)),))
    bad = Block((Section(0, 1, ((20, 30, 1.0),)),), stored=b"\x78\x9cnonsense")
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, 100)}, [good, bad])
    at = path.stat().st_size - len(bad.stored or b"")
    with OpenFiles([path], backend) as files:
        assert to_numpy(files.read(Request([("a", 0, False)], 20, [0]))).sum() == 10
        with pytest.raises(InvalidDataError, match=r"does not inflate.*a:21-25") as caught:
            files.read(Request([("a", 21, False)], 4, [0]), n_threads=n_threads)
        assert (caught.value.path, caught.value.offset) == (str(path), at)


def test_damage_found_by_a_window_that_the_backend_plans_itself(
    tmp_path: Path, backend: str
) -> None:
    good = Block((Section(0, 1, ((0, 10, 1.0),)),))
    bad = Block((Section(0, 1, ((20, 30, 1.0),)),), stored=b"\x78\x9cnonsense")
    paths = [
        write_bigwig_bytes(tmp_path / f"{i}.bw", {"a": (0, 100)}, blocks)
        for i, blocks in enumerate([[good], [good, bad]])
    ]
    with OpenFiles(paths, backend) as files:
        # The second file first: what counts is the place in the index, not in the request.
        with pytest.raises(InvalidDataError, match=r"does not inflate.*a:5-25") as caught:
            files.read(Request([("a", 5, False)], 20, [1, 0, 1]), one_call=True)
        assert caught.value.path == str(paths[1])
        assert caught.value.offset == paths[1].stat().st_size - len(bad.stored or b"")
        good_ones = files.read(Request([("a", 5, False)], 10, [1, 0, 1]), one_call=True)
        assert (to_numpy(good_ones)[0].sum(axis=0) == 5).all()


@pytest.mark.parametrize("wrong", ["read-only", "odd strides", "unaligned"])
def test_out_that_cannot_be_written_to(ramp: Path, backend: str, wrong: str) -> None:
    if backend != "cpu":
        pytest.skip("device arrays are always writable and aligned")
    if wrong == "read-only":
        out = np.zeros((1, 10, 1), np.float32)
        out.flags.writeable = False
    elif wrong == "odd strides":
        out = np.zeros((1, 10, 1), [("value", "f4"), ("rest", "u1")])["value"]
    else:
        out = np.frombuffer(bytearray(41), np.float32, 10, offset=1).reshape(1, 10, 1)
    with OpenFiles([ramp]) as files, pytest.raises(InvalidInputError, match="argument out"):
        files.read(Request([("a", 0, False)], 10, [0]), out=out)


def test_a_closed_reader_says_so(ramp: Path, backend: str) -> None:
    with OpenFiles([ramp], backend) as files:
        files.reader.close()
        files.reader.close()
        with pytest.raises(InvalidInputError, match="closed"):
            files.read(Request([("a", 0, False)], 10, [0]))


def test_a_large_bin_over_unsorted_items_takes_little_memory(tmp_path: Path, read: Read) -> None:
    # Such rows are binned by way of their bases: not of all of them at once.
    million = 20_000 if fake_cupy.is_installed() else 1_000_000
    items = ((0, 9 * million, 1.0), (2 * million, 5 * million, 3.0), (million, 3 * million, 2.0))
    path = write_bigwig_bytes(
        tmp_path / "a.bw", {"a": (0, 10 * million)}, [Block((Section(0, 1, items),))]
    )
    got = read(path, [("a", 0)], 10 * million, bin_size=million)[0, :, 0]
    assert got.tolist() == [1, 2, 2, 3, 3, 1, 1, 1, 1, 0]


def test_the_last_written_wins_across_blocks(tmp_path: Path, read: Read) -> None:
    # Blocks that go back: what counts is the order in the file, not that of their starts.
    def block(start: int, end: int, value: float) -> Block:
        return Block((Section(0, 1, ((start, end, value),)),))

    blocks = [block(10, 30, 1.0), block(0, 20, 2.0), block(5, 12, 3.0)]
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, 100)}, blocks)
    got = read(path, [("a", 0)], 40)[0, :, 0]
    assert got.tolist() == [2] * 5 + [3] * 7 + [2] * 8 + [1] * 10 + [0] * 10
