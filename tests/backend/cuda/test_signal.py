"""What is particular to reading signal on a GPU: batches in flight, slots, blocks kept there.

What the values are is in `tests/backend/test_signal.py`, the same for every backend.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.backend.protocol import Pending
from bigwig_loader.backend.select import select_backend
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.plan.blocks import SignalPlan, plan_signal
from bigwig_loader.plan.signal import SignalOptions, TrackTransform, pack_transforms
from bigwig_loader.plan.track_index import build_track_index
from bigwig_loader.plan.windows import Windows
from tests.helpers.bigwig_bytes import Block, Section, write_bigwig_bytes
from tests.helpers.signal import to_numpy, verifying

MODES = pytest.mark.parametrize(
    "fake_cuda", ["late", "eager", {"mode": "random", "seed": 3}], indirect=True
)
TRANSFORMS = pack_transforms([TrackTransform()] * 2)
LENGTH_BP = 300


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    k = np.arange(2_000)
    return [
        write_bigwig(
            tmp_path / f"{i}.bw",
            {"a": 20_000},
            {"a": (10 * k, 10 * k + 7 + i, (k * 7) % 13 + i)},
            WriterOptions(items_per_block=50),
        )
        for i in range(2)
    ]


class Files:
    """Two files on one device."""

    def __init__(self, paths: list[Path], device: str = "cuda", cache_bytes: int = 0) -> None:
        self.index = build_track_index([read_bigwig_index(path) for path in paths])
        self.backend = select_backend(device, 2)
        self.reader = self.backend.open_signal(self.index, cache_bytes)

    def plan(self, starts: list[int]) -> SignalPlan:
        windows = Windows(np.zeros(len(starts), np.int32), np.array(starts), LENGTH_BP)
        return plan_signal(self.index, windows, np.arange(len(self.index.paths)))

    def ask(self, starts: list[int], **options: Any) -> Any:
        plan = self.plan(starts)
        out = self.backend.empty((len(starts), LENGTH_BP, len(plan.tracks)), "float32")
        self.reader.read(plan, SignalOptions(), TRANSFORMS[: len(plan.tracks)], out, **options)
        return out


def wanted(paths: list[Path], starts: list[int]) -> np.ndarray:
    return np.asarray(Files(paths, "cpu").ask(starts))


@MODES
def test_batches_in_flight_are_waited_for_in_any_order(
    fake_cuda: ModuleType, paths: list[Path]
) -> None:
    files = Files(paths)
    starts = [[100 * i, 5_000 + 77 * i] for i in range(7)]
    asked: list[tuple[Any, Pending]] = []
    for each in starts:  # more than there are slots
        asked.append((files.ask(each, wait=False), files.backend.pending()))
    for i in (3, 0, 6, 1, 5, 2, 4):
        out, pending = asked[i]
        pending.wait()
        pending.wait()
        np.testing.assert_array_equal(to_numpy(out), wanted(paths, starts[i]))
    assert files.reader.counts.n_batches == 7
    files.reader.close()


def test_asking_waits_for_nothing(fake_cuda: ModuleType, paths: list[Path]) -> None:
    files = Files(paths)
    files.ask([0])
    before = fake_cuda.state()
    files.ask([4_000], wait=False)
    assert fake_cuda.state().n_waiting > 10
    assert fake_cuda.state().n_implicit_waits == before.n_implicit_waits
    files.backend.pending().wait()
    assert fake_cuda.state().n_waiting <= 1  # the mark that was waited for


@pytest.mark.parametrize("fake_cuda", ["eager"], indirect=True)
def test_a_steady_run_allocates_nothing(fake_cuda: ModuleType, paths: list[Path]) -> None:
    files = Files(paths, cache_bytes=1 << 20)
    rng = np.random.default_rng(0)
    out = None
    for i in range(20):
        out = files.ask(rng.integers(0, 19_000, 8).tolist(), wait=False)
        files.backend.pending().wait()
        if i == 6:
            allocated = fake_cuda.state().n_allocations
    assert fake_cuda.state().n_allocations == allocated
    assert out is not None


@MODES
def test_kept_blocks_are_neither_read_nor_inflated_again(
    fake_cuda: ModuleType, paths: list[Path]
) -> None:
    files = Files(paths, cache_bytes=4 << 20)
    starts = [0, 333, 7_000]
    want = wanted(paths, starts)
    np.testing.assert_array_equal(to_numpy(files.ask(starts)), want)
    first = files.reader.counts
    assert first.n_cached_blocks == 0
    assert 0 < first.cached_bytes <= 4 << 20
    np.testing.assert_array_equal(to_numpy(files.ask(starts)), want)
    second = files.reader.counts
    assert second.n_cached_blocks == first.n_blocks
    assert (second.bytes_read, second.bytes_inflated) == (first.bytes_read, first.bytes_inflated)
    assert second.n_intervals == 2 * first.n_intervals
    # Partly kept, and with batches in flight that want the same blocks.
    asked = [(s, files.ask(s, wait=False), files.backend.pending()) for s in ([0, 900], [850, 10])]
    for each, out, pending in asked:
        pending.wait()
        np.testing.assert_array_equal(to_numpy(out), wanted(paths, each))


def test_a_cache_too_small_for_all_keeps_values_right(
    fake_cuda: ModuleType, paths: list[Path]
) -> None:
    rng = np.random.default_rng(1)
    files = Files(paths, cache_bytes=1 << 20)
    # 80 blocks of 624 bytes fit; claimed sizes decide how many of larger ones do.
    for _ in range(6):
        starts = rng.integers(0, 19_000, 5).tolist()
        np.testing.assert_array_equal(to_numpy(files.ask(starts)), wanted(paths, starts))
    assert files.reader.counts.cached_bytes <= 1 << 20


@pytest.fixture
def damaged(tmp_path: Path) -> list[Path]:
    blocks = [Block((Section(0, 1, ((s, s + 10, 1.0 + s),)),)) for s in range(0, 2_000, 20)]
    blocks[50] = Block((Section(0, 1, ((1_000, 1_010, 1.0),)),), stored=b"\x78\x9cnonsense")
    return [write_bigwig_bytes(tmp_path / "damaged.bw", {"a": (0, 20_000)}, blocks)]


@MODES
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_damage_is_raised_when_it_is_waited_for(
    fake_cuda: ModuleType, damaged: list[Path], cache_bytes: int
) -> None:
    files = Files(damaged, cache_bytes=cache_bytes)
    for _ in range(2):
        good = files.ask([0], wait=False), files.backend.pending()
        files.ask([900], wait=False)
        bad = files.backend.pending()
        other = files.ask([1_200], wait=False), files.backend.pending()
        for _ in range(2):
            with pytest.raises(InvalidDataError, match=r"does not inflate.*a:900-1200"):
                bad.wait()
        for start, (out, pending) in ((0, good), (1_200, other)):
            pending.wait()
            assert to_numpy(out)[0, 0, 0] == 1.0 + start
    files.reader.close()


def test_an_order_that_was_not_expected_is_read_again(
    fake_cuda: ModuleType, tmp_path: Path
) -> None:
    """Never verified, left early, and only then seen to be out of order."""
    items = [(s, s + 10, 1.0) for s in range(0, 400, 10)] + [(600, 700, 3.0), (50, 60, 2.0)]
    items += [(s, s + 10, 1.0) for s in range(1_000, 3_000, 10)]
    path = write_bigwig_bytes(
        tmp_path / "a.bw", {"a": (0, 20_000)}, [Block((Section(0, 1, tuple(items)),))]
    )
    with verifying("never"):
        files = Files([path])
        for _ in range(2):
            got = to_numpy(files.ask([0]))[0, :, 0]
            want = np.full(LENGTH_BP, 1.0)
            want[50:60] = 2.0
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_what_is_wrong_behind_the_window_is_forgiven_where_nothing_is_verified(
    fake_cuda: ModuleType, tmp_path: Path, cache_bytes: int
) -> None:
    section = Section(0, 1, tuple((s, s + 10, 1.0 + s) for s in range(0, 4_000, 10)))
    blocks = [Block((section,))]
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, 20_000)}, blocks)
    data = bytearray(path.read_bytes())
    index = build_track_index([read_bigwig_index(path)])
    end = int(index.offset[0]) + int(index.n_bytes[0])
    data[end - 40 : end] = bytes(40)
    path.write_bytes(data)
    with verifying("never"):
        for device in ("cpu", "cuda"):
            files = Files([path], device, cache_bytes)
            for _ in range(2):
                got = to_numpy(files.ask([100]))[0, :, 0]
                np.testing.assert_array_equal(got, 1 + np.arange(100, 400) // 10 * 10)
            with pytest.raises(InvalidDataError):
                files.ask([3_900])


def test_a_file_that_was_cut_off_or_changed(fake_cuda: ModuleType, paths: list[Path]) -> None:
    files = Files(paths[:1])
    files.index.file_bytes[:] = int(files.index.offset[-1])
    with pytest.raises(InvalidDataError, match="past the end of the file"):
        files.ask([19_700])
    files = Files(paths[:1])
    with paths[0].open("ab") as file:
        file.write(b"more")
    with pytest.raises(InvalidDataError, match="changed since its index was read"):
        files.ask([0])
    files.reader.close()


def test_devices_beside_each_other(fake_cuda: ModuleType, paths: list[Path]) -> None:
    one, other = Files(paths, "cuda:0"), Files(paths, "cuda:1")
    a = one.ask([500], wait=False)
    b = other.ask([500], wait=False)
    other.backend.pending().wait()
    one.backend.pending().wait()
    assert (a.device.id, b.device.id) == (0, 1)
    np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
    with pytest.raises(InvalidInputError, match=r"on cuda:1; got one on cuda:0"):
        other.reader.read(other.plan([500]), SignalOptions(), TRANSFORMS, a)
    host = np.empty((1, LENGTH_BP, 2), np.float32)
    with pytest.raises(InvalidInputError, match="in host memory"):
        one.reader.read(one.plan([500]), SignalOptions(), TRANSFORMS, host)


def test_closing_with_batches_in_flight(fake_cuda: ModuleType, paths: list[Path]) -> None:
    files = Files(paths)
    outs = [files.ask([s], wait=False) for s in (0, 3_000)]
    pending = files.backend.pending()
    files.reader.close()
    pending.wait()
    for start, out in zip((0, 3_000), outs, strict=True):
        np.testing.assert_array_equal(to_numpy(out), wanted(paths, [start]))
    with pytest.raises(InvalidInputError, match="closed"):
        files.ask([0])


def test_intervals_come_to_host_memory(fake_cuda: ModuleType, paths: list[Path]) -> None:
    found = [Files(paths, device).reader for device in ("cuda", "cpu")]
    plan = Files(paths, "cpu").plan([1_000, 12_000])
    for ours, theirs in zip(*(reader.intervals(plan) for reader in found), strict=True):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_array_equal(ours, theirs)


def test_working_memory_is_bounded_by_what_is_said(
    fake_cuda: ModuleType, paths: list[Path]
) -> None:
    files = Files(paths)
    starts = list(range(0, 18_000, 250))
    out = files.backend.empty((len(starts), LENGTH_BP, 2), "float32")
    before = fake_cuda.state()
    plan = files.plan(starts)
    for _ in range(4):
        files.reader.read(plan, SignalOptions(), TRANSFORMS, out, wait=False)
    files.backend.pending().wait()
    after = fake_cuda.state()
    taken = sum(after.device_bytes) + after.pinned_bytes
    taken -= sum(before.device_bytes) + before.pinned_bytes
    assert taken <= files.reader.working_bytes(plan, SignalOptions())
