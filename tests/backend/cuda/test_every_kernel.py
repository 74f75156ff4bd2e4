"""Every kernel of the CUDA backend once, beside the CPU: on an emulated GPU, and on a real one.

This is also what `make gpu` puts under compute-sanitizer, so the data is small.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.backend.select import select_backend
from bigwig_loader.backend.status import Status
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import LoaderError
from bigwig_loader.plan.fills import Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeOptions
from bigwig_loader.plan.realign import RealignOptions, Track, TrackRows
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.smooth import SmoothOptions
from bigwig_loader.plan.windows import Windows
from bigwig_loader.types import SIGNAL_DTYPES
from tests.backend.cuda.test_sequence_kernels import (
    haplotype_batch,
    one_hot_batch,
    realigned_batch,
    windows_of,
)
from tests.backend.cuda.test_smooth import made_signal
from tests.backend.test_overlap import make_index, make_queries, search
from tests.backend.test_realign import random_table
from tests.helpers.deflate_cases import ILLEGAL, LEGAL, SAMPLES, made
from tests.helpers.device_inflate import wrapped
from tests.helpers.emulator import load
from tests.helpers.fake_nvcomp import FakeNvcomp
from tests.helpers.haplotypes import World, random_world
from tests.helpers.inflate import inflate
from tests.helpers.on_backend import OnBackend
from tests.helpers.shared import REPOSITORY

STATISTICS = ("mean", "sum", "max", "min", "std", "coverage")


@pytest.fixture(params=["fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def on(request: pytest.FixtureRequest) -> OnBackend:
    """The CUDA backend, on an emulated GPU and on a real one."""
    if request.param == "fake":
        request.getfixturevalue("fake_cuda")
    return OnBackend(str(request.param))


@pytest.fixture
def launched(on: OnBackend) -> Iterator[set[str]]:
    """Names of the kernels that have been launched."""
    from bigwig_loader.backend.cuda.kernels import Kernels

    names: set[str] = set()
    launch = Kernels.launch

    def remember(self: Kernels, name: str, *more: Any, **options: Any) -> None:
        names.add(name)
        launch(self, name, *more, **options)

    with mock.patch.object(Kernels, "launch", remember):
        yield names


# ------------------------------------------------------------------------------------- signal ----


def check_signal(on: OnBackend, folder: Path) -> None:
    """Every statistic and dtype, of files of every kind, first and later readings."""
    paths = _write_files(folder)
    found = BigWigCollection(paths, device=on.backend.status.name)
    expected = BigWigCollection(paths, device="cpu")
    reverse = np.array([False, True, False])
    windows = Windows(np.array([0, 0, 1]), np.array([-20, 900, 10]), 330, reverse)
    for (i, statistic), bin_size in product(enumerate(STATISTICS), (1, 7)):
        dtype = SIGNAL_DTYPES[i % len(SIGNAL_DTYPES)]
        layout = ("BNT", "BTN")[i % 2]
        options = SignalOptions(bin_size, statistic, dtype, layout, uncovered=0.5)  # type: ignore[arg-type]
        got = on.backend.to_host(found.read(windows, options=options))
        assert got.tobytes() == expected.read(windows, options=options).tobytes(), options
    found.close()
    expected.close()


def _write_files(folder: Path) -> list[Path]:
    rng = np.random.default_rng(4)
    ends = np.cumsum(rng.integers(1, 9, 300))
    data = (ends[:-1], ends[1:], rng.integers(0, 90, 299) / 7)
    steps = np.arange(20, 1_400, 5)
    other = (steps, steps + 3, np.arange(len(steps)) / 3)
    paths = []
    for i, (items, options) in enumerate(
        [
            (data, WriterOptions(items_per_block=64)),
            (data, WriterOptions(compress=False, version=2, byte_order=">")),
            (other, WriterOptions(section="variableStep", items_per_block=32)),
            (other, WriterOptions(section="fixedStep", byte_order=">")),
        ]
    ):
        path = folder / f"{i}.bw"
        write_bigwig(path, {"c1": 1_500, "c2": 400}, {"c1": items}, options)
        paths.append(path)
    return paths


def check_nvcomp(on: OnBackend, folder: Path) -> None:
    """The other route; with the fake, on an emulated GPU."""
    from bigwig_loader.backend.cuda import nvcomp

    with pytest.MonkeyPatch.context() as patch:
        if on.name == "fake":
            patch.setattr(nvcomp, "_libraries", lambda: iter([FakeNvcomp()]))
        reason = nvcomp.Nvcomp.find()
        if isinstance(reason, str):
            pytest.skip(reason)
        patch.setenv("BIGWIG_LOADER_INFLATE", "nvcomp")
        check_signal(on, folder)


# ------------------------------------------------------------------------------------ inflate ----


def check_inflate(on: OnBackend, folder: Path) -> None:
    """Sound, illegal and mutated streams: verdicts, details and bytes are those of the CPU."""
    from benchmarks.gpu.blocks import ADLER, DeviceBlocks, Stored

    n = 100 if on.name == "fake" else 3_000
    cases = [(made(build), 1 << 12) for build, _ in (*LEGAL.values(),)]
    cases += [(made(build), 1 << 12) for build in ILLEGAL.values()]
    cases += _mutated(n)
    stored = Stored.of_streams([wrapped(s) for s, _ in cases], [room for _, room in cases])
    expected = [inflate(stream, room) for stream, room in cases]
    assert len({status for status, _ in expected}) >= 4
    blocks = DeviceBlocks(on.backend.device, stored)  # type: ignore[attr-defined]
    order, counters = np.arange(len(cases), dtype=np.int32), np.zeros(4, np.uint32)
    at, counter = blocks.keep(order), blocks.keep(counters)
    stream = on.backend.device.stream()  # type: ignore[attr-defined]
    for k, per_warp in enumerate((1, 8, 16, 32)):
        blocks.forget()
        blocks.inflate(per_warp, len(cases), at, counter + 4 * k, stream)
        stream.synchronize()
        for i, (outcome, (status, output)) in enumerate(
            zip(blocks.outcomes(), expected, strict=True)
        ):
            assert (outcome["status"], outcome["produced"]) == (status, len(output)), (per_warp, i)
            assert outcome["whole"] == (status == Status.OK)
            assert blocks.section(i, len(output)) == output, (per_warp, i)
    # None of them has the checksum of what it holds.
    checked = DeviceBlocks(on.backend.device, stored, ADLER)  # type: ignore[attr-defined]
    at, counter = checked.keep(order), checked.keep(counters)
    checked.inflate(32, len(cases), at, counter, stream)
    checked.check_adler(len(cases), at, stream)
    stream.synchronize()
    is_bad = checked.outcomes()["status"] == Status.BAD_CHECKSUM
    sound = [status == Status.OK and bool(output) for status, output in expected]
    np.testing.assert_array_equal(is_bad, sound)


def _mutated(n: int) -> list[tuple[bytes, int]]:
    rng, cases = random.Random(5), []
    for _ in range(n):
        stream = bytearray(rng.choice(list(SAMPLES.values())))
        for _ in range(rng.randrange(1, 4)):
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        whole = stream[: rng.randrange(len(stream))] if rng.random() < 0.2 else stream
        cases.append((bytes(whole), rng.choice([100, 1_500, 1 << 13])))
    return cases


# --------------------------------------------------------------------------- all other things ----


def check_sequences(on: OnBackend, folder: Path) -> None:
    """One-hot, haplotypes, and signal on them."""
    rng = np.random.default_rng(11)
    world = random_world(rng, {"c0": 900, "c1": 60}, 2, 2, 260, 0.9, "ACGTACGTN")
    for make in (one_hot_batch, haplotype_batch, _other_dtypes):
        assert make(on, world) == make(OnBackend("cpu"), world), make.__name__
    # A GPU has logarithms, powers, and the bits of a NaN of its own.
    made = zip(realigned_batch(on, world), realigned_batch(OnBackend("cpu"), world), strict=True)
    for got, expected in made:
        np.testing.assert_allclose(
            np.frombuffer(got, np.float32), np.frombuffer(expected, np.float32), rtol=1e-6
        )


def _other_dtypes(on: OnBackend, world: World) -> list[bytes]:
    """What the batches before leave out."""
    reader, windows = on.open(world), windows_of(world, 60)
    made = [
        on.encode(reader, windows, options).data.tobytes()
        for options in (
            HaplotypeOptions(dtype="uint8"),
            HaplotypeOptions("tokens", "int16"),
            HaplotypeOptions("tokens", "int32"),
        )
    ]
    rows: list[Track] = [
        TrackRows(random_table(np.random.default_rng(2), world), np.maximum(windows.sample, 0))
    ]
    options = RealignOptions(3, "min")
    return [*made, on.realign(reader, windows, rows, [Repeat5p()], options).data.tobytes()]


def check_smoothing(on: OnBackend, folder: Path) -> None:
    """The moving average."""
    signal, options = made_signal(7, (2, 3, 280), False), SmoothOptions(7, 3)
    expected = OnBackend("cpu").backend.smooth(signal, options)
    got = on.backend.smooth(on.device(signal), options)
    assert on.backend.to_host(got).tobytes() == expected.tobytes()


def check_overlaps(on: OnBackend, folder: Path) -> None:
    """Regions that overlap queries."""
    rng = np.random.default_rng(3)
    start = rng.integers(0, 1_700, (2, 150))
    index = make_index([(int(s) % 2, int(s), int(s) + int(s) % 31) for s in start[0]], 2)
    queries = make_queries([(int(s) % 3 - 1, int(s), int(s) + int(s) % 9) for s in start[1]])
    host = select_backend("cpu")
    assert search(index, queries, 999, on.backend) == search(index, queries, 999, host)


class Part(NamedTuple):
    """A check, and the sources of `cuda_kernels` all of whose kernels it launches."""

    check: Callable[[OnBackend, Path], None]
    sources: tuple[str, ...]


PARTS = {
    "signal": Part(check_signal, ("describe.cu", "rasterize.cu")),
    "nvcomp": Part(check_nvcomp, ("nvcomp.cu",)),
    "inflate": Part(check_inflate, ("inflate.cu",)),
    "sequences": Part(
        check_sequences, ("sequence.cu", "haplotype.cu", "realign.cu", "value_bins.cu")
    ),
    "smoothing": Part(check_smoothing, ("smooth.cu",)),
    "overlaps": Part(check_overlaps, ("overlap.cu",)),
}


@pytest.mark.parametrize("part", PARTS)
def test_gives_what_the_cpu_gives(
    part: str, on: OnBackend, launched: set[str], tmp_path: Path
) -> None:
    from bigwig_loader.backend.cuda.kernels import source_text

    PARTS[part].check(on, tmp_path)
    if on.name == "fake":  # it knows which kernels there are
        for source in PARTS[part].sources:
            assert load(source_text(source)).kernels.keys() <= launched


@pytest.mark.gpu
def test_results_past_32_bits(tmp_path: Path) -> None:
    """The second window lies more than 2**32 elements behind the first."""
    from bigwig_loader.backend.cuda.backend import CudaBackend

    device, paths = CudaBackend(0).device, _write_files(tmp_path)
    stride = (1 << 33) + 64  # of a window, in bytes: float16
    try:
        memory = device.memory(stride + (1 << 20))
    except LoaderError as error:
        pytest.skip(str(error))
    windows = Windows(np.array([0, 0]), np.array([-20, 900]), 330)
    options = SignalOptions(dtype="float16")
    shape, strides = (2, 330, len(paths)), (stride, len(paths) * 2, 2)
    out = device.array(memory, memory.address, shape, np.float16, strides)
    with BigWigCollection(paths, device="cuda:0") as found:
        found.read(windows, options=options, out=out)
        got = [found.backend.to_host(out[i]) for i in range(2)]
    with BigWigCollection(paths, device="cpu") as expected:
        wanted = expected.read(windows, options=options)
    np.testing.assert_array_equal(got, wanted)


def test_no_source_is_left_out() -> None:
    sources = {path.name for path in (REPOSITORY / "cuda_kernels").glob("*.cu")}
    assert {name for part in PARTS.values() for name in part.sources} == sources
