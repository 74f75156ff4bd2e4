"""Sequence, haplotypes and signal on them by the CUDA backend: equal to the CPU's bit by bit.

The kernels run on an emulated GPU, in several orders of threads, with streams that are late.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader.backend.protocol import HaplotypeReader
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.fills import (
    Constant,
    Fill,
    FlankSample,
    Interpolate,
    Repeat5p,
    Repeat5pNormalized,
)
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.plan.realign import DenseRows, Draws, RealignOptions, TrackRows
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.plan.windows import ContigTable, Windows
from tests.backend.test_realign import random_table
from tests.helpers.emulator import SCHEDULES, KernelFault
from tests.helpers.fake_cupy import DeviceSpec
from tests.helpers.haplotypes import World, random_world
from tests.helpers.on_backend import OnBackend

EVERY_SCHEDULE = [{"schedule": schedule} for schedule in SCHEDULES]
MODES = [{"mode": "eager"}, {"mode": "random", "seed": 5}]
FILLS: list[Fill] = [Interpolate(3), FlankSample(3), Repeat5pNormalized(), Constant(2.5)]


@pytest.fixture(scope="module")
def world() -> World:
    """Haplotypes of more segments than a block of threads lays down at a time."""
    rng = np.random.default_rng(11)
    return random_world(rng, {"c0": 900, "c1": 60}, 2, 2, 260, 0.9, "ACGTACGTN")


def windows_of(world: World, length: int | None) -> HaplotypeWindows:
    """The first haplotype is one long row; others are short, reversed, outside, or nobody's."""
    start = np.array([-5, 40, 880, 3, -40])
    return HaplotypeWindows(
        [0, 0, 0, 1, 0], start, start + np.array([905, 30, 50, 40, 20]), [0, 1, 1, 0, -1],
        [False, True, False, True, True], np.arange(10).reshape(5, 2), length,
    )  # fmt: skip


def one_hot_batch(on: OnBackend, world: World) -> list[bytes]:
    genome = world.genome()
    contigs = ContigTable(tuple(genome.contigs), np.array(list(genome.contigs.values())))
    start = np.array([-7, 3, 870, 20])
    windows = Windows([0, 1, 0, 1], start, 53, np.array([False, True, True, False]))
    made = [
        on.one_hot(genome, contigs, windows, SequenceOptions(dtype, layout)).tobytes()  # type: ignore[arg-type]
        for dtype in ("float32", "bfloat16", "uint8")
        for layout in ("BLA", "BAL")
    ]
    counts = on.backend.count_bases(genome, contigs, windows, 0b10110)
    return [*made, counts.tobytes()]


def haplotype_batch(on: OnBackend, world: World) -> list[bytes]:
    made = []
    for overlap, length in (("first", None), ("bcftools", 700), ("window", 45)):
        reader, windows = on.open(world, overlap), windows_of(world, length)
        for options in (
            HaplotypeOptions("bytes"),
            HaplotypeOptions("tokens"),
            HaplotypeOptions(layout="BPAL"),
            HaplotypeOptions(dtype="float16", unknown="fraction"),
        ):
            found = on.encode(reader, windows, options, annotate=True)
            made += [x.tobytes() for x in (found.data, found.var_idxs, found.ref_coords)]
    return made


def realigned_batch(on: OnBackend, world: World) -> list[bytes]:
    rng = np.random.default_rng(2)
    tables = [random_table(rng, world, with_nan=True) for _ in FILLS]
    steps = [
        TrackTransform(scale=1.5, nan_to=0.25),
        TrackTransform(log1p=True, clip=(0.0, 2.0)),
        TrackTransform(power=0.75, clip=(0.0, 9.0), soft_clip=1.0),
        TrackTransform(),
    ]
    made = []
    for length, options in (
        (None, RealignOptions(uncovered=-1.0, out_of_bounds=7.0)),
        (700, RealignOptions(3, "sum", "bfloat16", track_swap=(2, 0, 1, 3))),
        (45, RealignOptions(4, "std", "float16", layout="BPNT", uncovered=float("nan"))),
        (None, RealignOptions(5, "mean", out_of_bounds=3.0)),
        (50, RealignOptions(2, "coverage")),
        (50, RealignOptions(7, "max")),
        (50, RealignOptions(1, "std")),
    ):
        windows = windows_of(world, length)
        samples = np.maximum(windows.sample, 0)
        tracks: list[Any] = [
            TrackRows(table, samples, step) for table, step in zip(tables, steps, strict=True)
        ]
        values = np.full((5, 1300), 0.5, np.float32)
        values[:, ::7] = np.nan
        tracks[3] = DenseRows(on.device(values), windows.start - 20, steps[1])
        draws = Draws(2**63 + 5, 3, np.arange(5) * 10**12)
        reader = on.open(world, "bcftools")
        made.append(on.realign(reader, windows, tracks, FILLS, options, draws).data.tobytes())
        contigs = ContigTable(tuple(world.sequences), np.array([900, 60]))
        made.append(on.along_reference(contigs, windows, tracks, options).data.tobytes())
    return made


BATCHES = [one_hot_batch, haplotype_batch, realigned_batch]
Make = Callable[[OnBackend, World], list[bytes]]


@pytest.mark.parametrize("make", BATCHES)
@pytest.mark.parametrize("fake_cuda", [*EVERY_SCHEDULE, *MODES], indirect=True, ids=str)
def test_equals_the_cpu_bit_by_bit(fake_cuda: ModuleType, world: World, make: Make) -> None:
    assert make(OnBackend("fake"), world) == make(OnBackend("cpu"), world)


@pytest.mark.parametrize(
    ("source", "barrier", "make"),
    [
        ("sequence.cu", 0, one_hot_batch),
        *(("haplotype.cu", n, haplotype_batch) for n in (0, 1)),
        *(("realign.cu", n, realigned_batch) for n in (0, 1)),
    ],
)
def test_every_barrier_is_needed(
    world: World, source: str, barrier: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.helpers import fake_cupy

    want, differs = make(OnBackend("cpu"), world), False
    for schedule in reversed(SCHEDULES):
        if differs:
            break
        fake_cupy.install(schedule=schedule)
        try:
            from bigwig_loader.backend.cuda import kernels

            text = kernels.source_text(source)
            parts = text.split("__syncthreads();")
            without = "__syncthreads();".join(parts[: barrier + 1]) + "__syncthreads();".join(
                parts[barrier + 1 :]
            )
            monkeypatch.setattr(
                kernels, "source_text", {source: without, **_texts(kernels, source)}.__getitem__
            )
            differs |= make(OnBackend("fake"), world) != want
        except (KernelFault, LoaderError):
            differs = True
        finally:
            monkeypatch.undo()
            fake_cupy.uninstall(verify=False)
    assert differs


def _texts(kernels: ModuleType, but: str) -> dict[str, str]:
    names = {"sequence.cu", "haplotype.cu", "realign.cu", "value_bins.cu"} - {but}
    return {name: kernels.source_text(name) for name in names}


def test_long_rows_are_shared_and_many_windows_divided(
    fake_cuda: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda import haplotypes, realign_batch, work

    monkeypatch.setattr(haplotypes, "SHARE_BP", 100)
    monkeypatch.setattr(realign_batch, "WORKSPACE_VALUES", 1_000)
    monkeypatch.setattr(work, "PIECE_BYTES", 64)
    for make in (haplotype_batch, realigned_batch):
        assert make(OnBackend("fake"), world) == make(OnBackend("cpu"), world)


def test_nothing_waits_before_it_is_told_to(fake_cuda: ModuleType, world: World) -> None:
    on, cpu = OnBackend("fake"), OnBackend("cpu")
    backend, options = on.backend, HaplotypeOptions("bytes")
    reader, host = on.open(world), cpu.open(world)
    table = random_table(np.random.default_rng(2), world)
    batches = [
        replace(windows_of(world, 45), start=windows_of(world, 45).start + i) for i in range(9)
    ]
    contigs = ContigTable(tuple(world.sequences), np.array([900, 60]))
    plain = [Windows(w.contig_index, w.start, 33, w.reverse) for w in batches]
    reader.encode(batches[0])  # variants and contigs are there
    made = []
    for windows, these in zip(batches, plain, strict=True):
        tracks = [TrackRows(table, np.maximum(windows.sample, 0))]
        made.append(
            (
                reader.encode(windows, options, wait=False).data,
                backend.realign(reader, windows, tracks, [Repeat5p()], wait=False).data,
                backend.encode_one_hot(
                    reader.genome, contigs, these, SequenceOptions(), wait=False
                ),
            )
        )
    pending = backend.pending()
    backend.pending().wait()  # nothing is left to wait for
    pending.wait()
    for windows, these, found in zip(batches, plain, made, strict=True):
        tracks = [TrackRows(table, np.maximum(windows.sample, 0))]
        assert on.host(found[0]).tobytes() == cpu.encode(host, windows, options).data.tobytes()
        want = cpu.realign(host, windows, tracks, [Repeat5p()]).data
        assert on.host(found[1]).tobytes() == want.tobytes()
        one_hot = cpu.one_hot(reader.genome, contigs, these)
        assert on.host(found[2]).tobytes() == one_hot.tobytes()


def test_what_went_wrong_is_raised_where_it_is_waited_for(
    fake_cuda: ModuleType, world: World
) -> None:
    on = OnBackend("fake")
    table, genotypes = world.tables()
    damaged = replace(genotypes, variants=np.full_like(genotypes.variants, len(table)))
    reader = on.backend.open_haplotypes(world.genome(), table, damaged)
    windows = windows_of(world, 45)
    reader.encode(windows, wait=False)
    good = on.open(world)
    short = [DenseRows(np.zeros((5, 30), np.float32), windows.start)]
    on.backend.realign(good, windows, short, [Repeat5p()], wait=False)
    pending = on.backend.pending()
    for _ in range(2):
        with pytest.raises(InvalidDataError, match="rows 0 to"):
            pending.wait()
    on.backend.realign(good, windows, short, [Repeat5p()], wait=False)
    with pytest.raises(InvalidInputError, match=r"track 0, window 0 \(c0:-5-900\): .* reaches"):
        on.backend.pending().wait()
    tracks = [TrackRows(random_table(np.random.default_rng(2), world), np.zeros(5, np.int64))]
    on.backend.realign(reader, windows, tracks, [Repeat5p()], wait=False)
    with pytest.raises(InvalidDataError, match="no row of the variants"):
        on.backend.pending().wait()


@pytest.mark.parametrize("out", ["host", "other device", "strides", "dtype", "shape"])
def test_out_that_does_not_fit_is_refused(fake_cuda: ModuleType, world: World, out: str) -> None:
    on = OnBackend("fake")
    shape = (5, 2, 45, 4)
    given = {
        "host": lambda: np.zeros(shape, np.float32),
        "other device": lambda: _other_device().empty(shape, "float32"),
        "strides": lambda: on.backend.empty((*shape[:3], 8), "float32")[..., ::2],
        "dtype": lambda: on.backend.empty(shape, "float16"),
        "shape": lambda: on.backend.empty((1, *shape), "float32"),
    }[out]()
    reader, windows = on.open(world), windows_of(world, 45)
    with pytest.raises(InvalidInputError, match="argument out"):
        reader.encode(windows, out=given)
    contigs = ContigTable(tuple(world.sequences), np.array([900, 60]))
    flat = given.reshape(10, 45, -1)[..., :4] if out == "strides" else given
    with pytest.raises(InvalidInputError, match="argument out"):
        on.backend.encode_one_hot(
            reader.genome,
            contigs,
            Windows(np.zeros(10), np.zeros(10), 45),
            SequenceOptions(),
            flat if out != "strides" else given.reshape(10, 45, 4),
        )


def _other_device() -> Any:
    from bigwig_loader.backend.select import select_backend

    return select_backend("cuda:1")


@pytest.mark.parametrize("fake_cuda", ["eager"], indirect=True)
def test_a_steady_run_takes_no_memory(fake_cuda: ModuleType, world: World) -> None:
    on = OnBackend("fake")
    reader, genome = on.open(world), world.genome()
    contigs = ContigTable(tuple(world.sequences), np.array([900, 60]))
    windows = windows_of(world, 45)
    table = random_table(np.random.default_rng(2), world)
    tracks = [TrackRows(table, np.maximum(windows.sample, 0))]

    def batch() -> None:
        reader.encode(windows, annotate=True)
        on.backend.realign(reader, windows, tracks, [Repeat5p()], RealignOptions(3))
        plain = Windows(windows.contig_index, windows.start, 33)
        on.backend.encode_one_hot(genome, contigs, plain, SequenceOptions())
        on.backend.count_unknown(genome, contigs, plain)
        gc.collect()

    for _ in range(3):
        batch()
    taken = fake_cuda.state().n_allocations
    for _ in range(5):
        batch()
    assert fake_cuda.state().n_allocations == taken


def test_contigs_go_to_the_device_once(fake_cuda: ModuleType) -> None:
    on = OnBackend("fake")
    genome = Genome.from_arrays({"a": "ACGT" * 50, "b": "GATTACA", "c": ""})
    contigs = ContigTable(("a", "b", "c"), np.array([200, 7, 0]))
    genomes = on.backend._genomes  # type: ignore[attr-defined]
    sizes = []
    for contig in ([1, 1], [1, 0], [0, 2], [2, 1]):
        on.one_hot(genome, contigs, Windows(contig, [0, 3], 5))
        sizes.append(genomes.n_bytes)
    assert sizes == [8, 112, 120, 120]
    assert on.backend.status.details["genome"] == "0.000 GB on the device"
    del genome
    gc.collect()
    assert genomes.n_bytes == 0


@pytest.mark.parametrize(
    "fake_cuda", [{"devices": (DeviceSpec(total_bytes=1 << 20),)}], indirect=True
)
def test_a_genome_that_does_not_fit_is_refused(fake_cuda: ModuleType) -> None:
    genome = Genome.from_arrays({"big": np.full(4 << 20, ord("A"), np.uint8)})
    contigs = ContigTable(("big",), np.array([4 << 20]))
    on = OnBackend("fake")
    with pytest.raises(LoaderError, match=r"contig 'big' of <arrays>: .* 0.002 GB for the whole"):
        on.one_hot(genome, contigs, Windows([0], [0], 50))


def test_readers_travel_as_what_they_are_made_of(fake_cuda: ModuleType, world: World) -> None:
    on = OnBackend("fake")
    keep = np.arange(len(world.tables()[0])) % 2 == 0
    reader: HaplotypeReader = on.open(world, "bcftools", keep)
    other = pickle.loads(pickle.dumps(reader))
    windows = windows_of(world, 45)
    assert type(other) is type(reader)
    np.testing.assert_array_equal(on.encode(other, windows).data, on.encode(reader, windows).data)
