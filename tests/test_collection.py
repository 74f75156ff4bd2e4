"""`BigWigCollection`: many files as one source."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    BackendUnavailableError,
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.plan.signal import SignalOptions, TrackTransform
from bigwig_loader.plan.windows import Windows
from tests.helpers.made_bigwigs import intervals_like
from tests.helpers.shared import REPOSITORY
from tests.oracles import intervals as sets
from tests.oracles import signal as oracle

CONTIGS = {"chr1": 3_000, "chr2": 1_000, "chrUn_x": 400}


def signal_of(track: int, contig: str) -> np.ndarray:
    """Value of every base; NaN for none."""
    rng = np.random.default_rng([track, len(contig), CONTIGS[contig]])
    values = np.repeat(rng.integers(1, 9, CONTIGS[contig] // 5).astype(np.float32), 5)
    values[rng.random(len(values)) < 0.2] = np.nan
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tracks: two extensions, a sub-folder, ids that differ, one without chr2."""
    folder = tmp_path_factory.mktemp("tracks")
    (folder / "sub").mkdir()
    for track, name in enumerate(["one.bw", "two.bigWig", "three.BIGWIG", "sub/four.Bw"]):
        contigs = {c: n for c, n in CONTIGS.items() if (track, c) != (2, "chr2")}
        ids = {c: (i + track) % len(contigs) for i, c in enumerate(contigs)}
        data = {c: intervals_of(signal_of(track, c)) for c in contigs}
        options = WriterOptions(items_per_block=30, chrom_ids=ids, rtree_block_size=4)
        write_bigwig(folder / name, contigs, data, options)
    (folder / "notes.txt").write_text("not a BigWig file")
    return folder


ORDER = ["one", "four", "three", "two"]  # of the tracks: sorted by path
TRACKS = [0, 3, 2, 1]


@pytest.fixture
def collection(folder: Path) -> BigWigCollection:
    return BigWigCollection(folder)


def expected(windows: list[tuple[str, int, int]], fill: float = 0.0) -> np.ndarray:
    rows = []
    for contig, start, end in windows:
        whole = np.full((CONTIGS[contig] + 20_000, 4), np.nan, np.float32)
        for t, track in enumerate(TRACKS):
            if (track, contig) != (2, "chr2"):
                values = signal_of(track, contig)
                whole[10_000 : 10_000 + len(values), t] = values
        rows.append(whole[10_000 + start : 10_000 + end])
    stacked = np.stack(rows)
    return np.where(np.isnan(stacked), np.float32(fill), stacked)


WINDOWS = [("chr1", 0, 400), ("chr2", 700, 1_100), ("chrUn_x", -100, 300), ("chr1", 2_900, 3_300)]


def batch(source: BigWigCollection, windows: list = WINDOWS, **options: Any) -> np.ndarray:
    chrom, start, end = (list(column) for column in zip(*windows, strict=True))
    return source.get_batch(chrom, start, end, **options)


# --------------------------------------------------------------------------- which files ----


class TestWhichFiles:
    def test_a_folder_with_extensions_in_any_case(self, folder: Path) -> None:
        collection = BigWigCollection(folder)
        assert collection.track_names == sorted(ORDER, key=ORDER.index)
        assert len(collection) == collection.n_tracks == 4
        assert collection.bigwig_paths == sorted(collection.bigwig_paths)

    def test_no_crawling(self, folder: Path) -> None:
        assert BigWigCollection(folder, crawl=False).track_names == ["one", "three", "two"]

    def test_one_extension(self, folder: Path) -> None:
        assert BigWigCollection(folder, file_extensions=".BW").track_names == ["one", "four"]

    def test_a_list_keeps_its_order_and_a_file_needs_no_extension(
        self, folder: Path, tmp_path: Path
    ) -> None:
        odd = tmp_path / "odd.signal"
        odd.write_bytes((folder / "one.bw").read_bytes())
        collection = BigWigCollection([folder / "two.bigWig", odd, str(folder / "one.bw")])
        assert collection.track_names == ["two", "odd", "one"]

    def test_the_first_files(self, folder: Path) -> None:
        assert BigWigCollection(folder, first_n_files=2).track_names == ["one", "four"]
        with pytest.raises(InvalidInputError, match="first_n_files"):
            BigWigCollection(folder, first_n_files=0)

    def test_nothing_there(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such file or folder"):
            BigWigCollection(tmp_path / "nowhere")
        with pytest.raises(NotFoundError, match=r"no BigWig files.*end in \.bigwig, \.bw"):
            BigWigCollection(tmp_path)
        with pytest.raises(NotFoundError, match="not in sub-folders"):
            BigWigCollection(tmp_path, crawl=False)
        with pytest.raises(NotFoundError, match="an empty list"):
            BigWigCollection([])

    def test_same_names_are_told_apart(self, folder: Path, tmp_path: Path) -> None:
        content = (folder / "one.bw").read_bytes()
        paths = [tmp_path / p for p in ("a/x.bw", "b/x.bw", "b/x.bigWig", "y.bw")]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        names = BigWigCollection(paths).track_names
        assert names == ["x", "x.bw", "x.bigWig", "y"] or names[:1] == ["a/x"]
        assert len(set(names)) == 4

    def test_a_file_given_twice(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"given twice: .*one\.bw"):
            BigWigCollection([folder / "one.bw"] * 2)

    def test_files_of_different_assemblies(self, folder: Path, tmp_path: Path) -> None:
        other = write_bigwig(tmp_path / "other.bw", CONTIGS | {"chr2": 1_001}, {})
        with pytest.raises(InvalidDataError, match="contig chr2 has another length") as caught:
            BigWigCollection([folder / "one.bw", other])
        assert str(other) in str(caught.value)
        assert "one.bw" in str(caught.value)

    def test_a_damaged_file_is_named(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.bw").write_bytes(b"not a BigWig file".ljust(100))
        with pytest.raises(InvalidDataError, match=r"bad\.bw"):
            BigWigCollection([folder, tmp_path])

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"device": "tpu"}, InvalidInputError, "argument device.*'cpu'.*'tpu'"),
            ({"n_threads": 0}, InvalidInputError, "n_threads"),
            ({"memory_budget": 0}, InvalidInputError, "memory_budget"),
        ],
    )
    def test_options_that_cannot_be(
        self, folder: Path, options: dict, error: type, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            BigWigCollection(folder, **options)


class TestScale:
    @pytest.mark.parametrize("key", ["two", "two.bigWig", "wo.big"])
    def test_keys(self, folder: Path, key: str) -> None:
        got = batch(BigWigCollection(folder, scale={key: 10.0}), default_value=3.0)
        want = expected(WINDOWS, np.nan)
        want[..., 3] *= 10
        np.testing.assert_array_equal(got, np.where(np.isnan(want), 3, want))

    def test_a_path(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={folder / "one.bw": 0.5})
        np.testing.assert_array_equal(batch(scaled)[..., 0], expected(WINDOWS)[..., 0] * 0.5)

    def test_a_key_that_matches_no_file(self, folder: Path) -> None:
        with pytest.raises(NotFoundError, match=r"unknown key of scale 'tow'.*: two"):
            BigWigCollection(folder, scale={"one": 1.0, "tow": 2.0})

    def test_two_keys_for_one_file(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match="both match"):
            BigWigCollection(folder, scale={"one": 1.0, "one.bw": 2.0})

    def test_bins_are_of_scaled_values_and_unscaled_fill(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={"one": -2.0})
        want = expected(WINDOWS, np.nan)[..., 0].reshape(4, 40, 10) * -2
        want = np.where(np.isnan(want), 5, want)
        got = batch(scaled, window_size=10, default_value=5.0, statistic="max")[..., 0]
        np.testing.assert_array_equal(got, want.max(axis=2))


# ------------------------------------------------------------------------------ get_batch ----


class TestGetBatch:
    def test_values(self, collection: BigWigCollection) -> None:
        got = batch(collection)
        assert (got.shape, got.dtype) == ((4, 400, 4), np.float32)
        np.testing.assert_array_equal(got, expected(WINDOWS))
        np.testing.assert_array_equal(batch(collection), got)

    def test_default_value_also_outside_contigs(self, collection: BigWigCollection) -> None:
        np.testing.assert_array_equal(batch(collection, default_value=-3), expected(WINDOWS, -3))
        np.testing.assert_array_equal(
            batch(collection, default_value=np.nan), expected(WINDOWS, np.nan)
        )

    def test_a_contig_that_a_file_lacks_is_uncovered_there(
        self, collection: BigWigCollection
    ) -> None:
        got = batch(collection, [("chr2", 0, 900)], default_value=np.nan)
        assert np.isnan(got[..., 2]).all()
        assert not np.isnan(got[..., 0]).all()

    def test_tracks_by_number_and_name(self, collection: BigWigCollection) -> None:
        want = expected(WINDOWS)[..., [3, 0, 3]]
        for tracks in ([3, 0, 3], np.array([3, 0, 3]), ["two", "one", "two"], ("two", 0, 3)):
            np.testing.assert_array_equal(batch(collection, tracks=tracks), want)
        np.testing.assert_array_equal(batch(collection, tracks="two"), want[..., :1])

    def test_one_window_without_lists(self, collection: BigWigCollection) -> None:
        got = collection.get_batch("chr1", 5, 25)
        np.testing.assert_array_equal(got, expected([("chr1", 5, 25)]))

    def test_columns_of_a_frame(self, collection: BigWigCollection) -> None:
        frame = pd.DataFrame(WINDOWS, columns=["chrom", "start", "end"]).sample(frac=1.0)
        frame = frame.astype({"start": "int32", "end": "Int64"})
        got = collection.get_batch(frame["chrom"], frame["start"], frame["end"])
        np.testing.assert_array_equal(got, expected(list(frame.itertuples(index=False))))

    def test_bins(self, collection: BigWigCollection) -> None:
        want = expected(WINDOWS).reshape(4, 25, 16, 4).mean(axis=2)
        np.testing.assert_allclose(batch(collection, window_size=16), want, rtol=1e-6)

    def test_out(self, collection: BigWigCollection) -> None:
        out = np.full((4, 400, 4), -1, np.float32)
        assert batch(collection, out=out) is out
        np.testing.assert_array_equal(out, expected(WINDOWS))
        out = np.full((4, 4, 800), -1, np.float32).transpose(0, 2, 1)[:, ::2]
        batch(collection, out=out)
        np.testing.assert_array_equal(out, expected(WINDOWS))

    def test_results_are_not_shared(self, collection: BigWigCollection) -> None:
        first = batch(collection)
        batch(collection, default_value=9.0)
        np.testing.assert_array_equal(first, expected(WINDOWS))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"window_size": 0}, InvalidInputError, "bin_size: expected an integer >= 1; got 0"),
            ({"statistic": "median"}, InvalidInputError, "statistic: expected one of.*'median'"),
            ({"dtype": "float64"}, InvalidInputError, "dtype: expected one of.*'float64'"),
            ({"tracks": []}, InvalidInputError, "at least one track"),
            ({"tracks": [4]}, InvalidInputError, r"expected numbers in \[0, 4\); got 4 to 4"),
            ({"tracks": [-1]}, InvalidInputError, r"expected numbers in \[0, 4\)"),
            ({"tracks": [0.5]}, InvalidInputError, "track numbers or names"),
            ({"tracks": [True, False]}, InvalidInputError, "track numbers or names"),
            ({"tracks": np.ones(4, bool)}, InvalidInputError, "track numbers or names"),
            ({"tracks": ["onee"]}, NotFoundError, "unknown track 'onee'.*near names: one"),
            ({"out": np.zeros((4, 400, 3), np.float32)}, InvalidInputError, "argument out"),
            ({"out": np.zeros((4, 400, 4))}, InvalidInputError, "argument out.*float64"),
            ({"out": [1, 2]}, InvalidInputError, "argument out: expected an array; got list"),
        ],
    )
    def test_options_that_cannot_be(
        self, collection: BigWigCollection, options: dict, error: type, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            batch(collection, **options)

    def test_windows_that_cannot_be(self, collection: BigWigCollection) -> None:
        with pytest.raises(NotFoundError, match=r"unknown contig 'chr3'.*near names.*chr"):
            collection.get_batch(["chr1", "chr3"], [0, 0], [5, 5])
        with pytest.raises(InvalidInputError, match="one length"):
            collection.get_batch(["chr1", "chr1"], [0, 0], [5, 6])
        with pytest.raises(InvalidInputError, match="at least one window"):
            collection.get_batch([], [], [])

    def test_contig_numbers_are_checked(self, collection: BigWigCollection) -> None:
        for contig in (3, -1):
            with pytest.raises(InvalidInputError, match=r"contig_index in \[0, 3\)"):
                collection.read(Windows(np.array([contig]), np.array([0]), 5))

    def test_a_swap_of_the_wrong_length(self, collection: BigWigCollection) -> None:
        with pytest.raises(InvalidInputError, match="track_swap: expected 4 places; got 2"):
            collection.read(
                Windows(np.array([0]), np.array([0]), 5), options=SignalOptions(track_swap=(1, 0))
            )

    def test_transforms(self, collection: BigWigCollection) -> None:
        squashed = TrackTransform(scale=2.0, clip=(0.0, 10.0), log1p=True)
        one = collection.with_transforms({"two": squashed})
        got, want = batch(one), expected(WINDOWS)
        want[..., 3] = np.log1p(np.clip(want[..., 3] * 2, 0, 10))
        np.testing.assert_allclose(got, want, rtol=1e-6)
        np.testing.assert_array_equal(batch(collection), expected(WINDOWS))
        every = batch(collection.with_transforms(TrackTransform(scale=3.0)))
        np.testing.assert_array_equal(every, expected(WINDOWS) * 3)
        with pytest.raises(NotFoundError, match="unknown track"):
            collection.with_transforms({"tow": squashed})


class TestContigSpellings:
    def test_on_request_only(self, tmp_path: Path) -> None:
        for name, contig in (("a", "chr1"), ("b", "1")):
            data = {contig: ([5], [10], [2.0 if name == "a" else 3.0])}
            write_bigwig(tmp_path / f"{name}.bw", {contig: 50}, data)
        plain = BigWigCollection(tmp_path)
        assert plain.contigs.names == ("chr1", "1")
        with pytest.raises(NotFoundError, match="unknown contig 'Chr1'"):
            plain.get_batch("Chr1", 0, 10)
        for spelling in ("chr1", "1"):
            one = plain.with_contig_names([spelling])
            assert one.contigs.names == (spelling,)
            assert one.get_batch(spelling, 7, 8).tolist() == [[[2.0, 3.0]]]
            again = pickle.loads(pickle.dumps(one))
            assert again.get_batch(spelling, 7, 8).tolist() == [[[2.0, 3.0]]]
        assert plain.contigs.names == ("chr1", "1")


# ------------------------------------------------------------------------- memory budgets ----


class TestMemoryBudget:
    def test_parts_give_the_same(self, folder: Path, collection: BigWigCollection) -> None:
        starts = np.arange(0, 2_600, 13)
        windows = [("chr1", int(s), int(s) + 400) for s in starts]
        want = batch(collection, windows)
        plain = BigWigCollection(folder, n_threads=1)
        whole = plain.reader.working_bytes
        sizes: list[int] = []

        def tell(plan: Any, options: Any) -> int:
            sizes.append(whole(plan, options))
            return sizes[-1]

        plain.reader.working_bytes = tell  # type: ignore[method-assign]
        batch(plain, windows)
        batch(plain, windows[:2])
        all_at_once, two_windows = sizes
        for share in (0.1, 0.5, 1.0):
            sizes.clear()
            room = two_windows + int((all_at_once - two_windows) * share)
            plain.memory_budget = want.nbytes + room
            np.testing.assert_array_equal(batch(plain, windows), want)
            assert (len(sizes) > 1) == (share < 1)

    def test_swapped_tracks_stay_together(self, folder: Path) -> None:
        swap = (3, 0, 2, 1)
        starts = np.arange(0, 2_000, 100)
        windows = Windows(np.zeros(20), starts, 300, np.arange(20) % 2 == 0)
        options = SignalOptions(track_swap=swap, n_threads=1)
        source = BigWigCollection(folder, n_threads=1)
        want = source.read(windows, options=options)
        np.testing.assert_array_equal(
            want,
            oracle.signal(
                [oracle.parse(p) for p in source.bigwig_paths],
                oracle.Request(
                    [("chr1", int(s), i % 2 == 0) for i, s in enumerate(starts)],
                    300,
                    range(4),
                    track_swap=swap,
                ),
            ),
        )
        one_window = source.reader.working_bytes
        source.memory_budget = want.nbytes + 1
        with pytest.raises(InvalidInputError, match="one bin of 4 tracks"):
            source.read(windows, options=options)
        # As if every track and window took a unit: no part has more than one window.
        source.reader.working_bytes = (  # type: ignore[method-assign]
            lambda plan, options: plan.row_first.size * plan.windows.length_bp
        )
        assert one_window is not None
        source.memory_budget = want.nbytes + 4 * 50
        np.testing.assert_array_equal(source.read(windows, options=options), want)

    def test_a_budget_that_the_result_does_not_fit_into(self, folder: Path) -> None:
        small = BigWigCollection(folder, memory_budget=10_000)
        with pytest.raises(InvalidInputError, match="the result alone takes 25600 bytes"):
            batch(small)
        with pytest.raises(InvalidInputError, match="one bin of one track takes"):
            small.get_batch("chr1", 0, 5)

    def test_what_is_declared_is_kept(self, tmp_path: Path) -> None:
        if not os.path.exists("/proc/self/status"):
            pytest.skip("needs /proc to measure memory")
        # Some 20 MB of items in one request; the budget is far below that.
        rng = np.random.default_rng(0)
        n = 400_000
        values = rng.random(n).astype(np.float32)
        for i in range(4):
            data = {"a": (np.arange(n) * 4, np.arange(n) * 4 + 4, values)}
            write_bigwig(
                tmp_path / f"{i}.bw", {"a": 4 * n}, data, WriterOptions(section="bedGraph")
            )
        code = """
import sys
import numpy as np
from bigwig_loader.collection import BigWigCollection

def peak_kb():
    # Not getrusage: its peak is inherited from the process that started this one.
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

budget = int(sys.argv[2]) or None
source = BigWigCollection(sys.argv[1], n_threads=2, memory_budget=budget)
starts = np.zeros(1, int)
source.get_batch(["a"], starts, starts + 100)
before = peak_kb()
got = source.get_batch(["a"], starts, starts + 1_600_000, window_size=128)
print((peak_kb() - before) * 1024, got.sum())
"""

        def run(budget: int) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path), str(budget)],
                capture_output=True,
                text=True,
                check=True,
                timeout=100,
            )
            peak, total = done.stdout.split()
            return int(peak), total

        budget = 8 << 20
        free, bound = run(0), run(budget)
        assert bound[1] == free[1]
        assert bound[0] <= budget
        assert free[0] > 2 * budget  # else the test would show nothing


# --------------------------------------------------------------- processes, threads, files ----


def _read_in_child(collection: BigWigCollection) -> bytes:
    return batch(collection).tobytes()


class TestProcessesAndThreads:
    def test_pickling(self, collection: BigWigCollection) -> None:
        batch(collection)
        other = pickle.loads(pickle.dumps(collection))
        np.testing.assert_array_equal(batch(other), expected(WINDOWS))
        assert other.track_names == collection.track_names
        assert isinstance(other.backend, CpuBackend)

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_in_another_process(self, collection: BigWigCollection, method: str) -> None:
        want = batch(collection).tobytes()  # its files are open by then
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_read_in_child, [collection] * 3) == [want] * 3
        assert batch(collection).tobytes() == want

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_inherited_by_a_fork(self, collection: BigWigCollection) -> None:
        want = batch(collection).tobytes()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if batch(collection).tobytes() == want else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert batch(collection).tobytes() == want

    def test_many_threads_at_once(self, folder: Path) -> None:
        with BigWigCollection(folder, n_threads=2) as collection, ThreadPoolExecutor(6) as pool:
            for got in pool.map(lambda _: batch(collection), range(30)):
                np.testing.assert_array_equal(got, expected(WINDOWS))

    def test_status_may_be_asked_for_while_others_read(self, folder: Path) -> None:
        stop = threading.Event()
        collection = BigWigCollection(folder)
        asking = threading.Thread(
            target=lambda: [repr(collection) for _ in iter(stop.is_set, True)], daemon=True
        )
        asking.start()
        for _ in range(10):
            np.testing.assert_array_equal(
                batch(BigWigCollection(folder, n_threads=2)), expected(WINDOWS)
            )
        stop.set()
        asking.join()

    def test_closing(self, folder: Path) -> None:
        with BigWigCollection(folder) as collection:
            batch(collection)
            descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
            collection.close()
            if descriptors:
                assert len(os.listdir("/proc/self/fd")) == descriptors - 4
            collection.close()
            np.testing.assert_array_equal(batch(collection), expected(WINDOWS))

    def test_dropped_collections_leave_no_file_open(self, folder: Path) -> None:
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("needs /proc")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            batch(BigWigCollection(folder))
        assert len(os.listdir("/proc/self/fd")) == before

    def test_more_files_than_may_be_open(self, folder: Path, tmp_path: Path) -> None:
        content = (folder / "one.bw").read_bytes()
        for i in range(150):
            (tmp_path / f"{i:03d}.bw").write_bytes(content)
        code = """
import resource, sys
import numpy as np
from bigwig_loader.collection import BigWigCollection
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
source = BigWigCollection(sys.argv[1], n_threads=4)
for _ in range(2):
    got = source.get_batch(["chr1", "chr2"], [0, 10], [500, 510])
    assert (got == got[..., :1]).all() and got.any()
print(got.shape)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.stdout.strip() == "(2, 500, 150)", done.stderr

    def test_a_file_that_changed_after_opening(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "one.bw"
        path.write_bytes((folder / "one.bw").read_bytes())
        collection = BigWigCollection(path)
        path.write_bytes((folder / "two.bigWig").read_bytes() + b"\0")
        with pytest.raises(InvalidDataError, match="has changed since its index was read") as error:
            collection.get_batch("chr1", 0, 50)
        assert error.value.path == str(path)

    def test_cuda_is_refused_with_a_reason(self, folder: Path) -> None:
        if (REPOSITORY / "bigwig_loader" / "backend" / "cuda").exists():
            pytest.skip("this version has a CUDA backend")
        with pytest.raises(BackendUnavailableError, match=r"device='cuda'.*device='cpu'"):
            BigWigCollection(folder, device="cuda")
        assert "device='auto'" in str(BigWigCollection(folder).backend.status)


# --------------------------------------------------------------------------------- remote ----


class TestRemote:
    @pytest.fixture
    def urls(self, folder: Path) -> Any:
        names = ["one.bw", "sub/four.Bw", "three.BIGWIG", "two.bigWig"]
        for name in names:
            with fsspec.open(f"memory://collection/{name}", "wb") as file:
                file.write((folder / name).read_bytes())
        yield [f"memory://collection/{name}" for name in names]
        fsspec.filesystem("memory").rm("/collection", recursive=True)

    def test_equals_local(self, urls: list[str]) -> None:
        collection = BigWigCollection(urls)
        assert collection.track_names == ORDER
        for _ in range(2):
            np.testing.assert_array_equal(batch(collection), expected(WINDOWS))
        np.testing.assert_array_equal(
            batch(collection, [("chr1", 5_000, 5_400)]), np.zeros((1, 400, 4))
        )

    def test_remote_and_local_together(self, urls: list[str], folder: Path) -> None:
        mixed = [folder / "one.bw", urls[1], folder / "three.BIGWIG", urls[3]]
        np.testing.assert_array_equal(batch(BigWigCollection(mixed)), expected(WINDOWS))

    def test_intervals(self, urls: list[str], collection: BigWigCollection) -> None:
        pd.testing.assert_frame_equal(BigWigCollection(urls).intervals(), collection.intervals())

    def test_damage_far_away_is_found(self, urls: list[str], folder: Path) -> None:
        content = bytearray((folder / "one.bw").read_bytes())
        first = int(read_bigwig_index(folder / "one.bw").blocks.offset[0])
        content[first + 20 : first + 30] = bytes(10)
        with fsspec.open(urls[0], "wb") as file:
            file.write(bytes(content))
        with pytest.raises(InvalidDataError):
            batch(BigWigCollection(urls))


# ------------------------------------------------------------------------------ intervals ----


def stored(folder: Path) -> list[tuple[str, int, int, float, int]]:
    """All intervals of the folder's tracks: chrom, start, end, value, track."""
    paths = BigWigCollection(folder).bigwig_paths
    return [
        (contig, start, end, value, track)
        for track, path in enumerate(paths)
        for contig, items in oracle.parse(path).items.items()
        for start, end, value in items
    ]


def rows_of(frame: pd.DataFrame, *more: str) -> list[tuple]:
    columns = (frame[name].tolist() for name in ("chrom", "start", "end", *more))
    return list(zip(*columns, strict=True))


class TestIntervals:
    def test_all(self, collection: BigWigCollection, folder: Path) -> None:
        frame = collection.intervals()
        assert sorted(rows_of(frame, "value", "track")) == sorted(stored(folder))
        assert (frame["start"].dtype, frame["value"].dtype) == (np.int64, np.float32)
        place = [list(collection.contigs.names).index(c) for c in frame["chrom"]]
        order = list(zip(place, frame["start"], frame["end"], strict=True))
        assert order == sorted(order)

    @pytest.mark.parametrize(
        ("include", "exclude", "left"),
        [
            ("all", None, {"chr1", "chr2", "chrUn_x"}),
            ("standard", None, {"chr1", "chr2"}),
            ("all", "chr1", {"chr2", "chrUn_x"}),
            (["chr2", "chr1"], ["chr1"], {"chr2"}),
            ("chr2", None, {"chr2"}),
        ],
    )
    def test_contigs(
        self, collection: BigWigCollection, include: Any, exclude: Any, left: set[str]
    ) -> None:
        assert set(collection.intervals(include, exclude)["chrom"]) == left

    def test_an_unknown_contig(self, collection: BigWigCollection) -> None:
        for arguments in ({"include_chromosomes": ["chr3"]}, {"exclude_chromosomes": "chr3"}):
            with pytest.raises(NotFoundError, match="unknown contig 'chr3'"):
                collection.intervals(**arguments)

    @pytest.mark.parametrize("gap", [0, 1, 7, 100])
    @pytest.mark.parametrize("padding", [0, 3])
    def test_merge(
        self, collection: BigWigCollection, folder: Path, gap: int, padding: int
    ) -> None:
        frame = collection.intervals(merge=True, merge_allow_gap=gap, padding=padding)
        wide = [
            (c, max(s - padding, 0), min(e + padding, CONTIGS[c]))
            for c, s, e, _, _ in stored(folder)
        ]
        assert sorted(rows_of(frame)) == sets.merge(wide, gap)
        assert list(frame.columns) == ["chrom", "start", "end"]

    def test_merging_keeps_what_a_nested_interval_ends_before(self, tmp_path: Path) -> None:
        data = {"a": ([0], [100], [1.0])}, {"a": ([10, 60], [20, 70], [1.0, 2.0])}
        for i, one in enumerate(data):
            write_bigwig(tmp_path / f"{i}.bw", {"a": 500}, one)
        frame = BigWigCollection(tmp_path).intervals(merge=True)
        assert rows_of(frame) == [("a", 0, 100)]

    def test_threshold_is_of_scaled_values(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={"two": -1.0})
        want = [
            (c, s, e, -v if t == 3 else v, t)
            for c, s, e, v, t in stored(folder)
            if (-v if t == 3 else v) > 5
        ]
        got = scaled.intervals(threshold=5.0)
        assert sorted(rows_of(got, "value", "track")) == sorted(want)
        assert 3 not in set(got["track"])

    @pytest.mark.parametrize("merge", [False, True])
    def test_blacklist(self, collection: BigWigCollection, folder: Path, merge: bool) -> None:
        blacklist = pd.DataFrame(
            {
                "chrom": ["chr1", "chr1", "chr2", "chrY"],
                "start": [100, 130, 0, 5],
                "end": [150, 140, 90, 9],
                "why": list("abcd"),
            },
            index=[4, 4, 1, 0],
        )
        before = blacklist.copy()
        got = collection.intervals(blacklist=blacklist, blacklist_buffer=20, merge=merge)
        pd.testing.assert_frame_equal(blacklist, before)
        kept = [(c, s, e) for c, s, e, _, _ in stored(folder)]
        wide = [("chr1", 80, 170), ("chr1", 110, 160), ("chr2", 0, 110), ("chrY", 0, 29)]
        source = sets.merge(kept, 0) if merge else kept
        assert sorted(rows_of(got)) == sorted(sets.subtract(source, wide))
        place = [list(collection.contigs.names).index(c) for c in got["chrom"]]
        order = list(zip(place, got["start"], got["end"], strict=True))
        assert order == sorted(order)

    def test_what_a_blacklist_leaves_is_sorted(self, tmp_path: Path) -> None:
        data = {"a": ([0], [100], [1.0])}, {"a": ([10], [60], [2.0])}
        for i, one in enumerate(data):
            write_bigwig(tmp_path / f"{i}.bw", {"a": 500}, one)
        blacklist = pd.DataFrame({"chrom": ["a"], "start": [5], "end": [50]})
        frame = BigWigCollection(tmp_path).intervals(blacklist=blacklist)
        assert rows_of(frame) == [("a", 0, 5), ("a", 50, 60), ("a", 50, 100)]
        assert frame.index.tolist() == [0, 1, 2]

    def test_a_blacklist_file(self, collection: BigWigCollection, tmp_path: Path) -> None:
        path = tmp_path / "blacklist.bed.gz"
        path.write_bytes(gzip.compress(b"chr1\t0\t3000\nchr2\t0\t1000\n"))
        assert set(collection.intervals(blacklist=path)["chrom"]) == {"chrUn_x"}

    def test_ends_past_the_contigs_end_are_cut_off(self, tmp_path: Path) -> None:
        path = write_bigwig(tmp_path / "a.bw", {"a": 100}, {"a": ([90], [150], [1.0])})
        assert rows_of(BigWigCollection(path).intervals()) == [("a", 90, 100)]
        assert rows_of(BigWigCollection(path).intervals(padding=20)) == [("a", 70, 100)]

    @pytest.mark.parametrize("merge", [False, True])
    def test_nothing_left(self, collection: BigWigCollection, merge: bool) -> None:
        frame = collection.intervals(threshold=1e9, merge=merge)
        assert len(frame) == 0
        assert {"chrom", "start", "end"} <= set(frame.columns)
        empty = collection.intervals([], merge=merge)
        assert list(empty.columns) == list(frame.columns)

    @pytest.mark.parametrize("name", ["blacklist_buffer", "padding", "merge_allow_gap"])
    def test_negative_distances(self, collection: BigWigCollection, name: str) -> None:
        with pytest.raises(InvalidInputError, match=name):
            collection.intervals(**{name: -1})

    def test_a_large_file(self, tmp_path: Path) -> None:
        data = {"a": intervals_like(np.random.default_rng(0), 20_000, 10_000_000)}
        path = write_bigwig(tmp_path / "a.bw", {"a": 10_000_000}, data)
        frame = BigWigCollection(path).intervals()
        for column, want in zip(("start", "end", "value"), data["a"], strict=True):
            np.testing.assert_array_equal(frame[column], want)


def test_the_result_does_not_depend_on_threads(folder: Path) -> None:
    results = {
        batch(BigWigCollection(folder, n_threads=n), window_size=7).tobytes() for n in (1, 2, 3, 8)
    }
    assert len(results) == 1
