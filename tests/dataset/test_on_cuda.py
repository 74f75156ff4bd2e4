"""Every data set on a GPU, emulated: the batches of the CPU, to the bit, and nothing left over."""

from __future__ import annotations

import gc
import pickle
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.assemble.device_arrays import is_device_array
from bigwig_loader.cli.profile_data import ProfileOptions, measure
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.dataset.extract import Letters, LocusLimits, extract
from bigwig_loader.dataset.locus_selection import PeakWindows
from bigwig_loader.dataset.matching import extract_matching_loci
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from tests.dataset.conftest import MakeDataset, World
from tests.dataset.test_ahead import PARAMETERS
from tests.dataset.test_failures import DAMAGED, LISTED, damaged, options
from tests.helpers.batches import assert_same, on_host
from tests.helpers.matching import make_world
from tests.helpers.peaks import PeakWorld

__all__ = ["damaged"]  # a fixture

late = pytest.mark.parametrize("fake_cuda", ["late"], indirect=True)
shuffled = pytest.mark.parametrize(
    "fake_cuda", [{"mode": "random", "seed": seed} for seed in (1, 2)], indirect=True
)
ON_DEVICE = ("sequences", "values", "controls", "counts")


def assert_on_device(batch: Batch) -> None:
    for name in ON_DEVICE:
        array = getattr(batch, name)
        assert array is None or isinstance(array, list) or is_device_array(array), name
    for name in ("starts", "jitter", "labels", "track_indices"):
        assert not is_device_array(getattr(batch, name)), name


@late
@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS.keys())
def test_batches_are_those_of_the_cpu(
    fake_cuda: ModuleType, make: MakeDataset, parameters: dict[str, Any]
) -> None:
    dataset = make(**parameters, device="cuda")
    assert dataset.backend.status.name == "cuda:0"
    wanted = make(**parameters, device="cpu")
    # All at once: none of them has memory that another one was given.
    batches = list(dataset)
    for one, other in zip(batches, wanted, strict=True):
        assert_on_device(one)
        assert_same(one, other)


@shuffled
@pytest.mark.parametrize("prefetch", [0, 3])
def test_how_batches_are_made_does_not_matter(
    fake_cuda: ModuleType, make: MakeDataset, prefetch: int
) -> None:
    wanted = list(make(device="cpu"))
    how = {"prefetch": prefetch, "n_threads": 1, "super_batch_size": 12, "cache_bytes": 1 << 20}
    dataset = make(**how, device="cuda:1")
    assert dataset.backend.status.name == "cuda:1"
    for _ in range(2):  # the second time from the cache
        dataset.set_epoch(0)
        for one, other in zip(dataset, wanted, strict=True):
            assert_same(one, other)
    stats = dataset.stats()
    assert stats.n_cached_blocks > 0
    assert stats.n_batches == 2 * len(wanted)
    arrived = pickle.loads(pickle.dumps(dataset))
    assert arrived.backend.status.name == "cuda:1"
    assert_same(next(arrived.batches(0, 2, prefetch=0)), wanted[2])


@late
@pytest.mark.parametrize("super_batch_size", [None, 6])
def test_a_damaged_block(
    fake_cuda: ModuleType, make: MakeDataset, damaged: Path, super_batch_size: int | None
) -> None:
    dataset = make(**options(damaged, super_batch_size=super_batch_size, device="cuda"))
    iterator = iter(dataset)
    assert [batch.index for batch in islice(iterator, 3)] == [0, 1, 2]
    with pytest.raises(LoaderError, match=r"batch 3 of epoch 0.*b\.bw") as caught:
        next(iterator)
    assert isinstance(caught.value.__cause__, InvalidDataError)
    assert f"chr1:{LISTED[DAMAGED][1]}-{LISTED[DAMAGED][2]}" in str(caught.value)


@late
def test_leaving_early_leaves_nothing_behind(fake_cuda: ModuleType, make: MakeDataset) -> None:
    dataset = make(batches_per_epoch=8, device="cuda")
    taken = []
    for _ in range(4):
        for batch in islice(iter(dataset), 2):
            assert batch.values.shape == (4, 60, 3)
        del batch
        for thread in threading.enumerate():
            if thread.name == "bigwig-loader":
                thread.join()
        gc.collect()
        taken.append(fake_cuda.state().device_bytes[0])
    # What is kept is used again.
    assert taken[-1] <= 1.5 * taken[1]


@late
def test_a_collection_goes_elsewhere(fake_cuda: ModuleType, world: World) -> None:
    collection = BigWigCollection(world.bigwig_dir, device="cuda:1", n_threads=1)
    wanted = BigWigCollection(world.bigwig_dir, device="cpu")
    asked = (["chr1", "chr2"], [100, 700], [160, 760])
    np.testing.assert_array_equal(collection.get_batch(*asked).get(), wanted.get_batch(*asked))
    arrived = pickle.loads(pickle.dumps(collection))
    assert arrived.backend.status.name == "cuda:1"
    for dtype in ("float32", "bfloat16"):
        got = arrived.get_batch(*asked, dtype=dtype)
        assert got.device.id == 1
        expected = wanted.get_batch(*asked, dtype=dtype)
        np.testing.assert_array_equal(on_host(got), expected)
        written = arrived.get_batch(*asked, dtype=dtype, out=got)
        assert written is got
    # One backend for the collections made of it.
    scaled = collection.with_contig_names(["chr1"])
    assert scaled.backend is collection.backend


@late
def test_out_has_to_be_on_the_device(fake_cuda: ModuleType, world: World) -> None:
    asked = (["chr1"], [100], [160])
    on_gpu = BigWigCollection(world.bigwig_dir, device="cuda")
    on_cpu = BigWigCollection(world.bigwig_dir, device="cpu")
    made = on_gpu.get_batch(*asked)
    with pytest.raises(InvalidInputError, match=r"expected a .*fake_cupy.*; got numpy\.ndarray"):
        on_gpu.get_batch(*asked, out=on_cpu.get_batch(*asked))
    with pytest.raises(InvalidInputError, match=r"expected a numpy\.ndarray.*got .*fake_cupy"):
        on_cpu.get_batch(*asked, out=made)
    with pytest.raises(InvalidInputError, match="of uint16; got"):
        on_gpu.get_batch(*asked, dtype="bfloat16", out=made)


MakePeaks = Callable[..., PeakDataset]


@pytest.fixture
def make_peaks(peak_world: PeakWorld) -> MakePeaks:
    def make_dataset(**parameters: Any) -> PeakDataset:
        world = peak_world
        usual: dict[str, Any] = {
            "peaks": world.bed("peaks.narrowPeak"),
            "negatives": world.bed("negatives.bed"),
            "sequences": world.fasta,
            "signals": [[world.bw("plus"), world.bw("minus")]],
            "in_window": 40,
            "out_window": 20,
            "max_jitter": 3,
            "random_state": 1,
            "batch_size": 4,
            "negative_ratio": 0.5,
            "n_threads": 2,
        }
        return PeakDataset(**(usual | parameters))

    return make_dataset


def signals_of(world: PeakWorld, kind: str) -> dict[str, Any]:
    """Tracks that are read in one way or another."""
    plus, minus, control, partial, odd = (
        world.bw(track) for track in ("plus", "minus", "control", "partial", "odd")
    )
    arrays = world.signal["minus"]
    return {
        "a group": {"signals": [[plus, minus]]},
        "controls and counts": {
            "signals": [[plus, minus], control],
            "controls": [odd],
            "count_target": "log1p",
            "min_counts": 1,
        },
        "contigs that a file lacks": {"signals": [partial]},
        "the same file twice": {"signals": [[plus, minus], plus]},
        "a file twice in a group": {"signals": [[plus, plus]]},
        "files and arrays": {"signals": [[plus, arrays], control], "count_target": "log1p"},
        "arrays": {"signals": [arrays], "sequences": world.onehot()},
        "in memory": {"in_memory": True, "controls": [control]},
        "sequence alone": {"mode": "attribution"},
        "as cherimoya": {"rng": "cherimoya-0.3"},
    }[kind]


KINDS = (
    "a group",
    "controls and counts",
    "contigs that a file lacks",
    "the same file twice",
    "a file twice in a group",
    "files and arrays",
    "arrays",
    "in memory",
    "sequence alone",
    "as cherimoya",
)


# Tracks lack contigs, strands are told from names, and there is no second copy of a file.
@pytest.mark.filterwarnings("ignore:signal is 0 on contigs:UserWarning")
@pytest.mark.filterwarnings("ignore:.*look like the two strands:UserWarning")
@late
@pytest.mark.parametrize("kind", KINDS)
def test_peaks(
    fake_cuda: ModuleType, make_peaks: MakePeaks, peak_world: PeakWorld, kind: str
) -> None:
    parameters = signals_of(peak_world, kind)
    wanted = make_peaks(**parameters, device="cpu")
    dataset = make_peaks(**parameters, device="cuda")
    assert dataset.backend.status.name == "cuda:0"
    for one, other in zip(list(dataset), wanted, strict=True):
        assert_on_device(one)
        assert_same(one, other)
    assert_same(dataset.read_batch(1, [3, 0]), wanted.read_batch(1, [3, 0]))
    again = pickle.loads(pickle.dumps(dataset))
    with closing(again.batches(2)) as batches:
        assert_same(next(batches), next(wanted.batches(2, prefetch=0)))


@late
def test_a_sum_that_has_no_logarithm(
    fake_cuda: ModuleType, make_peaks: MakePeaks, peak_world: PeakWorld
) -> None:
    below = {name: -np.ones(len(x), np.float32) for name, x in peak_world.signal["plus"].items()}
    dataset = make_peaks(signals=[below], count_target="log1p", device="cuda")
    with pytest.raises(LoaderError, match=r"batch 0 .*count_target.*-20\.0 for track group 0"):
        list(dataset)


@late
def test_one_hot_arrays_that_would_be_taken_for_bfloat16(
    fake_cuda: ModuleType, make_peaks: MakePeaks, peak_world: PeakWorld
) -> None:
    dataset = make_peaks(sequences=peak_world.onehot("uint16"), device="cuda")
    with pytest.raises(LoaderError, match="uint16"):
        list(dataset)


@late
def test_loci_in_memory(fake_cuda: ModuleType, peak_world: PeakWorld) -> None:
    def extracted(device: str) -> Any:
        world = peak_world
        return extract(
            world.bed("peaks.narrowPeak"),
            world.fasta,
            ([world.bw("plus")], [world.bw("control")]),
            PeakWindows(40, 20, 3),
            LocusLimits(min_counts=1),
            Letters(("A", "C", "G", "T"), tuple("NRYKMSWBDHV")),
            PeakLoadOptions(2, device),
        )

    one, other = extracted("cuda"), extracted("cpu")
    for name in ("sequences", "signals", "controls", "mask"):
        assert isinstance(getattr(one, name), np.ndarray)
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@late
def test_matching(fake_cuda: ModuleType, tmp_path: Path) -> None:
    world = make_world(tmp_path, 3, {"chr1": 3000, "chr2": 1500}, n_loci=7)

    def matched(device: str) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "extract_matching_loci", UserWarning)
            return extract_matching_loci(
                world.frame(),
                world.fasta,
                in_window=40,
                out_window=20,
                bigwig=world.bigwig,
                signal_beta=0.9,
                random_state=3,
                device=device,
            )

    assert len(matched("cuda"))
    assert matched("cuda").equals(matched("cpu"))


@late
def test_regions_of_a_collection(fake_cuda: ModuleType, world: World) -> None:
    one, other = (
        BigWigCollection(world.bigwig_dir, device=device).intervals(threshold=3.0)
        for device in ("cuda", "cpu")
    )
    assert len(one)
    assert one.equals(other)


@late
def test_a_backend_is_chosen_where_the_data_set_is_made(
    fake_cuda: ModuleType, world: World
) -> None:
    import cupy

    with cupy.cuda.Device(1):
        dataset = BigWigDataset(
            None,
            None,
            world.fasta,
            20,
            batch_size=2,
            custom_position_sampler=[("chr1", 100), ("chr2", 50)],
            device="cuda",
        )
    (batch,) = list(dataset)
    assert batch.device.id == 1


@late
def test_profile(fake_cuda: ModuleType, world: World, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_text("chr1\t0\t900\n")
    options = ProfileOptions(
        [str(world.bigwig_dir)],
        str(world.fasta),
        str(bed),
        sequence_length=40,
        batch_size=2,
        device="cuda",
        n_batches=3,
        n_warm_up=1,
    )
    measured, status = measure(options)
    assert status.startswith("cuda:0 (asked for; device: Fake GPU")
    assert measured.steady_state.stats.n_batches == 3
    assert measured.steady_state.n_bases == 2 * 2 * 40 * 3
