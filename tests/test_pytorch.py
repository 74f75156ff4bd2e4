"""The torch adapter: tensors, worker processes, resuming."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from bigwig_loader.example_data import ExampleData
from bigwig_loader.formats.bigwig import read_bigwig_index

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader.pytorch import PytorchBigWigDataset, TorchBatch  # noqa: E402
from bigwig_loader.torch_arrays import to_tensor  # noqa: E402
from bigwig_loader.torch_workers import MAX_WORKERS, WorkerPasses  # noqa: E402

pytestmark = [
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

MakeDataset = Callable[..., PytorchBigWigDataset]
N_BATCHES = 5


@pytest.fixture
def parameters(tiny_data: ExampleData) -> dict[str, Any]:
    return {
        "regions_of_interest": pd.DataFrame(
            {"chrom": ["chr1", "chr2"], "start": [500, 0], "end": [59_000, 9_000]}
        ),
        "collection": tiny_data.bigwig_dir,
        "reference_genome_path": tiny_data.reference_genome,
        "sequence_length": 128,
        "center_bin_to_predict": 64,
        "window_size": 2,
        "batch_size": 3,
        "batches_per_epoch": N_BATCHES,
        "return_batch_objects": True,
        "n_threads": 1,
        "seed": 5,
    }


@pytest.fixture
def make(parameters: dict[str, Any]) -> MakeDataset:
    return lambda **changes: PytorchBigWigDataset(**(parameters | changes))


def load(dataset: PytorchBigWigDataset, n_workers: int = 0, **options: Any) -> list[Any]:
    return list(DataLoader(dataset, num_workers=n_workers, batch_size=None, **options))


def starts(batches: list[TorchBatch]) -> list[list[int]]:
    return [b.starts.tolist() for b in batches]


def test_parameters_are_those_of_the_data_set() -> None:
    ours = inspect.signature(PytorchBigWigDataset).parameters
    theirs = inspect.signature(BigWigDataset).parameters
    assert list(ours.items()) == list(theirs.items())


def test_every_parameter_is_passed_on(make: MakeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}
    monkeypatch.setattr(
        "bigwig_loader.pytorch.BigWigDataset", lambda **given: received.update(given)
    )
    names = list(inspect.signature(PytorchBigWigDataset).parameters)
    values: dict[str, Any] = {name: object() for name in names}
    PytorchBigWigDataset(**values)
    # Batches are always asked for as objects, and turned into tuples after conversion.
    assert received == values | {"return_batch_objects": True}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_hold_what_the_arrays_hold(
    make: MakeDataset, parameters: dict[str, Any], dtype: str
) -> None:
    arrays = list(BigWigDataset(**parameters, dtype=dtype))  # type: ignore[arg-type]
    for tensors, batch in zip(make(dtype=dtype), arrays, strict=True):
        assert tensors.values.dtype == tensors.sequences.dtype == getattr(torch, dtype)
        assert tensors.values.shape == (3, 32, 4)
        assert tensors.sequences.shape == (3, 128, 4)
        np.testing.assert_array_equal(tensors.values.float(), batch.values.astype(np.float32))
        np.testing.assert_array_equal(tensors.sequences.float(), batch.sequences.astype(np.float32))
        assert tensors.starts.dtype == torch.int64
        assert tensors.starts.tolist() == batch.starts.tolist()
        assert tensors.chromosomes.tolist() == batch.chromosomes.tolist()
        assert tensors.track_names == batch.track_names


def test_tuples(make: MakeDataset) -> None:
    batch = next(iter(make()))
    sequences, values = next(iter(make(return_batch_objects=False)))
    assert torch.equal(sequences, batch.sequences)
    assert torch.equal(values, batch.values)
    alone = next(iter(make(return_batch_objects=False, reference_genome_path=None)))
    assert alone.shape == values.shape


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_is_shared(dtype: str) -> None:
    import ml_dtypes

    array = np.zeros((2, 3), ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    tensor = to_tensor(array)
    assert tensor.dtype == getattr(torch, dtype)
    tensor[1, 2] = 2.5
    assert array[1, 2] == 2.5


def test_what_is_no_array_of_numbers_stays_as_it_is() -> None:
    for thing in (["ACGT"], torch.ones(2), np.array(["chr1"])):
        assert to_tensor(thing) is thing


class OnlyDlpack:
    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()


def test_other_arrays_come_by_dlpack() -> None:
    original = torch.arange(4)
    tensor = to_tensor(OnlyDlpack(original))
    original[2] = 77
    assert tensor.tolist() == [0, 1, 77, 3]


def test_without_workers_the_loader_adds_nothing(make: MakeDataset) -> None:
    direct = list(make())
    loaded = load(make())
    assert starts(loaded) == starts(direct)
    assert len(loaded) == len(make()) == N_BATCHES
    assert all(isinstance(b, TorchBatch) for b in loaded)


@pytest.mark.parametrize(
    ("context", "n_workers", "persistent"),
    [("fork", 1, False), ("fork", 2, False), ("fork", 3, True), ("spawn", 2, False)],
)
def test_workers_deliver_the_same_batches_in_every_epoch(
    make: MakeDataset, context: str, n_workers: int, persistent: bool
) -> None:
    alone, shared = make(), make()
    loader = DataLoader(
        shared,
        num_workers=n_workers,
        batch_size=None,
        multiprocessing_context=context,
        persistent_workers=persistent,
    )
    seen = []
    for epoch in range(3):
        for got, expected in zip(loader, alone, strict=True):
            assert (got.epoch, got.index) == (epoch, expected.index)
            assert torch.equal(got.starts, expected.starts)
            assert torch.equal(got.values, expected.values)
            assert torch.equal(got.sequences, expected.sequences)
            seen.append(tuple(got.starts.tolist()))
        assert shared.epoch == epoch
    assert len(set(seen)) == 3 * N_BATCHES


@pytest.mark.parametrize("persistent", [False, True])
def test_set_epoch_reaches_workers(make: MakeDataset, persistent: bool) -> None:
    dataset = make()
    loader = DataLoader(dataset, num_workers=2, batch_size=None, persistent_workers=persistent)
    for epoch in (0, 4, 2):
        dataset.set_epoch(epoch)
        assert [b.epoch for b in loader] == [epoch] * N_BATCHES
    assert [b.epoch for b in loader] == [3] * N_BATCHES


def test_a_loop_left_early_begins_the_next_epoch_with_workers(make: MakeDataset) -> None:
    dataset = make()
    for batch in DataLoader(dataset, num_workers=2, batch_size=None):
        assert batch.epoch == 0
        break
    assert [b.epoch for b in load(dataset, 2)] == [1] * N_BATCHES
    # And on in this process.
    assert [b.epoch for b in dataset] == [2] * N_BATCHES
    assert [b.epoch for b in load(dataset, 2)] == [3] * N_BATCHES


def test_resume_in_one_process(make: MakeDataset) -> None:
    whole = starts(list(make()))
    for n_taken in range(N_BATCHES + 1):
        dataset, resumed = make(), make()
        iterator = iter(dataset)
        taken = [next(iterator) for _ in range(n_taken)]
        resumed.load_state_dict(dataset.state_dict())
        assert starts(taken + load(resumed)) == whole


def test_resume_with_workers(make: MakeDataset) -> None:
    whole = starts(list(make()))
    for n_taken in (0, 1, 4):
        dataset = make()
        loader = iter(DataLoader(dataset, num_workers=2, batch_size=None))
        taken = [next(loader) for _ in range(n_taken)]
        state = dataset.state_dict(batch=n_taken)
        del loader
        resumed = make()
        resumed.load_state_dict(state)
        assert starts(taken + load(resumed, 2)) == whole
        assert {b.epoch for b in load(resumed, 2)} == {1}


def test_the_state_has_to_be_told_with_workers(make: MakeDataset) -> None:
    dataset = make()
    load(dataset, 2)
    with pytest.raises(InvalidInputError, match="argument batch"):
        dataset.state_dict()
    assert dataset.state_dict(batch=3)["epoch"] == 0
    assert dataset.state_dict(batch=0, epoch=1)["epoch"] == 1


def test_a_custom_iterable_is_shared_out(make: MakeDataset) -> None:
    positions = [("chr1", 1000 + 100 * i) for i in range(14)]
    dataset = make(
        custom_position_sampler=positions,
        drop_last=False,
        batches_per_epoch=None,
        maximum_unknown_bases_fraction=None,
    )
    batches = load(dataset, 2)
    assert [s + 64 for row in starts(batches) for s in row] == [p for _, p in positions]


def test_errors_cross_process_boundaries(
    make: MakeDataset, tiny_data: ExampleData, tmp_path: Path
) -> None:
    error = InvalidDataError("bad block", path="a.bw", offset=3, field="size", expected=1, got=2)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.offset) == (str(error), "a.bw", 3)
    content = bytearray(tiny_data.bigwigs[0].read_bytes())
    blocks = read_bigwig_index(tiny_data.bigwigs[0]).blocks
    for offset, n_bytes in zip(blocks.offset.tolist(), blocks.n_bytes.tolist(), strict=True):
        content[offset : offset + n_bytes] = bytes([0x55]) * n_bytes
    broken = tmp_path / "broken.bw"
    broken.write_bytes(content)
    with pytest.raises(LoaderError, match=r"broken\.bw"):
        load(make(collection=broken), 2)


def test_a_plain_copy_shares_again(make: MakeDataset) -> None:
    copied = pickle.loads(pickle.dumps(make()))
    assert starts(load(copied, 2)) == starts(list(make()))
    assert [b.epoch for b in load(copied, 2)] == [1] * N_BATCHES


def test_worker_counters_have_places_of_their_own() -> None:
    passes = WorkerPasses()
    places = [(w, n) for n in (1, 2, 3, MAX_WORKERS) for w in range(n)]
    assert all(passes.begin(*place) == (0, 0) for place in places)
    assert all(passes.begin(*place) == (1, 0) for place in places)
    passes.start_at(7, 3)
    assert passes.begin(0, 2) == (7, 3)
    assert passes.begin(0, 2) == (8, 0)
    with pytest.raises(InvalidInputError, match="num_workers"):
        passes.begin(0, MAX_WORKERS + 1)


def test_batches_move(make: MakeDataset) -> None:
    batch = next(iter(make()))
    moved = batch.to("meta")
    assert moved.values.device.type == moved.starts.device.type == "meta"
    assert moved.track_names == batch.track_names
    assert batch.values.device.type == "cpu"


def test_length_is_unknown_where_it_is(make: MakeDataset) -> None:
    dataset = make(custom_position_sampler=(("chr1", p) for p in range(5)), batches_per_epoch=None)
    with pytest.raises(TypeError):
        len(dataset)


def test_the_package_needs_no_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import bigwig_loader.dataset, bigwig_loader.sampling\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_stats_pass_through_and_point_to_workers(make: MakeDataset) -> None:
    dataset = make()
    assert "Worker processes" in str(dataset.stats())
    load(dataset, 2)
    assert dataset.stats().n_batches == 0
    load(dataset)
    assert dataset.stats().n_batches == N_BATCHES
    assert dataset.stats() == dataset.dataset.stats()


def test_strand_and_jitter_are_tensors(make: MakeDataset) -> None:
    for batch in make(reverse_complement=True, max_jitter=4):
        assert batch.reverse.dtype == torch.bool
        assert batch.jitter.dtype == batch.regions.dtype == torch.int64
        assert batch.jitter.abs().max() <= 4
