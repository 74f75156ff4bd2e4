"""torchdata's `StatefulDataLoader`: its states resume exactly, in mid-epoch too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bigwig_loader.example_data import ExampleData
from tests.helpers.tiny_dataset import tiny_options

torch = pytest.importorskip("torch")
pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")

from torchdata.stateful_dataloader import StatefulDataLoader  # noqa: E402

from bigwig_loader.pytorch import PytorchBigWigDataset  # noqa: E402

pytestmark = [
    # torchdata's own, with recent versions of PyTorch.
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

N_BATCHES = 5
Seen = list[tuple[int, int, list[int]]]
MakeDataset = Callable[..., PytorchBigWigDataset]


@pytest.fixture
def make(tiny_data: ExampleData) -> MakeDataset:
    options = tiny_options(tiny_data, N_BATCHES)
    return lambda **changes: PytorchBigWigDataset(**(options | changes))


def loader_of(dataset: PytorchBigWigDataset, n_workers: int, **options: Any) -> Any:
    return StatefulDataLoader(dataset, batch_size=None, num_workers=n_workers, **options)


def seen(batches: Any) -> Seen:
    return [(b.epoch, b.index, b.starts.tolist()) for b in batches]


def expected(make: MakeDataset, n_epochs: int = 3) -> Seen:
    dataset = make()
    return [row for _ in range(n_epochs) for row in seen(dataset)]


def state_after(loader: Any, n_batches: int) -> dict[str, Any]:
    """Its state after so many batches, counted over epochs."""
    taken = 0
    while True:
        for _ in loader:
            taken += 1
            if taken == n_batches:
                state: dict[str, Any] = json.loads(json.dumps(loader.state_dict()))
                return state


@pytest.mark.parametrize(
    ("n_workers", "options"),
    [
        (0, {}),
        (1, {}),
        (2, {}),
        (2, {"multiprocessing_context": "spawn"}),
        (3, {"persistent_workers": True}),
        (2, {"snapshot_every_n_steps": 3}),
    ],
    ids=str,
)
def test_resuming_is_exact(make: MakeDataset, n_workers: int, options: dict[str, Any]) -> None:
    whole = expected(make)
    places = (2, 5, 6) if options.get("multiprocessing_context") is None else (6,)
    for n_taken in places:
        state = state_after(loader_of(make(), n_workers, **options), n_taken)
        dataset = make()
        again = loader_of(dataset, n_workers, **options)
        again.load_state_dict(state)
        rest = seen(again)
        # The rest of the epoch: nothing of it, where it was at its end.
        end = -(-n_taken // N_BATCHES) * N_BATCHES
        assert rest == whole[n_taken:end], n_taken
        assert seen(again) == whole[end : end + N_BATCHES], n_taken
        assert dataset.epoch == (end // N_BATCHES if n_workers else end // N_BATCHES + 1)


def test_resuming_from_before_the_first_batch(make: MakeDataset) -> None:
    for n_workers in (0, 2):
        state = loader_of(make(), n_workers).state_dict()
        again = loader_of(make(), n_workers)
        again.load_state_dict(state)
        assert seen(again) == expected(make, 1)


def test_resuming_after_a_finished_epoch(make: MakeDataset) -> None:
    for n_workers in (0, 2):
        loader = loader_of(make(), n_workers)
        assert len(list(loader)) == N_BATCHES
        again = loader_of(make(), n_workers)
        again.load_state_dict(loader.state_dict())
        assert seen(again) == expected(make, 2)[N_BATCHES:]


def test_resuming_a_data_set_that_was_used_before(make: MakeDataset) -> None:
    whole = expected(make)
    state = state_after(loader_of(make(), 2), 7)
    for n_workers in (2, 3):
        dataset = make()
        for _ in range(3):
            next(iter(loader_of(dataset, n_workers)))
        again = loader_of(dataset, 2)
        again.load_state_dict(state)
        assert seen(again) == whole[7:10]
        assert dataset.epoch == 1
        assert seen(again) == whole[10:]


def test_states_taken_while_resumed(make: MakeDataset) -> None:
    whole = expected(make, 2)
    state, taken = None, 0
    while taken < len(whole):
        loader = loader_of(make(), 2)
        if state is not None:
            loader.load_state_dict(state)
        batches = iter(loader)
        got = []
        for _ in range(2):
            try:
                got.append(next(batches))
            except StopIteration:
                batches = iter(loader)
                got.append(next(batches))
        assert seen(got) == whole[taken : taken + 2]
        state, taken = loader.state_dict(), taken + 2


def peak_loader(data: ExampleData, n_workers: int) -> Any:
    """A `StatefulDataLoader` of the peak loader's examples, in its batches."""
    from bigwig_loader.dataset.peaks import PeakDataset
    from bigwig_loader.io import PeakExamples, PeakSampler

    dataset = PeakDataset(
        data.peaks,
        data.train_regions,
        data.reference_genome,
        list(map(str, data.bigwigs[:2])),
        in_window=64,
        out_window=32,
        batch_size=4,
        random_state=7,
    )
    return StatefulDataLoader(
        PeakExamples(dataset),
        batch_size=4,
        sampler=PeakSampler(dataset),
        num_workers=n_workers,
    )


def rows(batches: Any) -> list[Any]:
    return [[part.tolist() for part in batch] for batch in batches]


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("n_epochs_before", [0, 2])
def test_the_peak_loader(tiny_data: ExampleData, n_workers: int, n_epochs_before: int) -> None:
    loader = peak_loader(tiny_data, n_workers)
    if n_epochs_before and not hasattr(loader.sampler, "state_dict"):
        pytest.skip("PeakSampler keeps no state of its own: only its first epoch is resumed")
    whole = [rows(loader) for _ in range(n_epochs_before + 2)]
    n_batches = len(whole[0])
    for n_taken in (1, n_batches - 1, n_batches):
        first = peak_loader(tiny_data, n_workers)
        state = state_after(first, n_epochs_before * n_batches + n_taken)
        again = peak_loader(tiny_data, n_workers)
        again.load_state_dict(state)
        # A short last batch ends the sampler's epoch, so its rest may be left out.
        expected = whole[n_epochs_before][n_taken:] + whole[n_epochs_before + 1]
        assert (rows(again) + rows(again))[: len(expected)] == expected


def test_the_state_of_another_data_set_is_refused(make: MakeDataset) -> None:
    state = state_after(loader_of(make(), 0), 2)
    other = loader_of(make(batch_size=2), 0)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="batch_size: 4, here 2"):
        next(iter(other))
