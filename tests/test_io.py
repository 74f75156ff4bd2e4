"""The peak loader as a torch DataLoader, and `extract_loci`."""

from __future__ import annotations

import inspect
import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader.dataset.peaks import PeakDataset  # noqa: E402
from bigwig_loader.errors import InvalidInputError  # noqa: E402
from bigwig_loader.io import PeakGenerator, extract_loci  # noqa: E402
from bigwig_loader.peak_loader import PeakLoader  # noqa: E402
from tests.helpers.peaks import PeakWorld  # noqa: E402
from tests.oracles.peaks import sequence_of  # noqa: E402

pytestmark = [
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

Batches = list[list[Any]]


def make(world: PeakWorld, method: str | None = None, **changes: Any) -> PeakLoader:
    """A loader of 9 batches, of which the last has 5 examples."""
    usual = world.usual(controls=[world.bw("control")], num_workers=0)
    loader = PeakGenerator(**(usual | changes))
    if method is not None:
        loader.multiprocessing_context = method
    return loader


def as_plain(batches: Any) -> Batches:
    """Batches as lists that can be compared."""
    return [[part if isinstance(part, dict) else part.tolist() for part in b] for b in batches]


@pytest.fixture(scope="module")
def epochs(peak_world: PeakWorld) -> list[Batches]:
    """Three epochs, made without workers."""
    loader = make(peak_world)
    return [as_plain(loader) for _ in range(3)]


def test_batches(peak_world: PeakWorld) -> None:
    loader = make(peak_world)
    assert isinstance(loader, DataLoader)
    assert len(loader) == 9
    assert len(loader.dataset) == 69
    batches = list(loader)
    assert [len(batch[0]) for batch in batches] == [8] * 8 + [5]
    for X, X_ctl, y, label in batches:
        n = len(X)
        assert (X.shape, X.dtype) == ((n, 4, 60), torch.int8)
        assert (X_ctl.shape, X_ctl.dtype) == ((n, 1, 60), torch.float32)
        assert (y.shape, y.dtype) == ((n, 2, 30), torch.float32)
        assert (label.shape, label.dtype) == ((n,), torch.int64)
    whole = list(PeakDataset(**peak_world.usual(controls=[peak_world.bw("control")])))
    for batch, same in zip(batches, whole, strict=True):
        arrays = (same.sequences, same.controls, same.values, same.labels)
        for tensor, array in zip(batch, arrays, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)
    assert sum(int(b[3].sum()) for b in batches) == loader.dataset.n_peaks == 46
    assert loader.dataset.n_negatives == 40


def test_shapes_of_batches(peak_world: PeakWorld) -> None:
    def shapes(**changes: Any) -> list[tuple[int, ...]]:
        return [tuple(part.shape) for part in next(iter(make(peak_world, **changes)))]

    assert shapes(controls=None) == [(8, 4, 60), (8, 2, 30), (8,)]
    assert shapes(count_target="log1p") == [(8, 4, 60), (8, 1, 60), (8, 2, 30), (8, 1), (8,)]
    attribution = {"mode": "attribution", "signals": None, "controls": None, "negatives": None}
    assert shapes(**attribution) == [(8, 4, 60)]


@pytest.mark.parametrize(("n_workers", "method"), [(2, "fork"), (3, "fork"), (2, "spawn")])
def test_workers_make_the_same_batches(
    peak_world: PeakWorld, epochs: list[Batches], n_workers: int, method: str
) -> None:
    loader = make(peak_world, method, num_workers=n_workers)
    assert as_plain(loader) == epochs[0]
    # The same processes go on with the next epoch, and with any other.
    assert as_plain(loader) == epochs[1]
    assert loader.epoch == 2
    batches = iter(loader)
    assert as_plain(islice(batches, 3)) == epochs[2][:3]
    state = json.loads(json.dumps(loader.state_dict()))
    assert (state["epoch"], state["batch"]) == (2, 3)
    loader.set_epoch(1)
    assert as_plain(loader) == epochs[1]
    # What was left, in a loader with or without workers.
    other = make(peak_world)
    for each in (loader, other):
        each.load_state_dict(state)
        assert as_plain(each) == epochs[2][3:]
        assert each.epoch == 3


def test_one_worker_is_a_thread(peak_world: PeakWorld, epochs: list[Batches]) -> None:
    loader = make(peak_world, num_workers=1)
    assert loader.num_workers == 0
    assert [as_plain(loader) for _ in range(2)] == epochs[:2]


def test_a_loop_left_early(peak_world: PeakWorld, epochs: list[Batches]) -> None:
    loader = make(peak_world)
    for batch in loader:
        assert as_plain([batch]) == epochs[0][:1]
        break
    assert loader.state_dict()["batch"] == 1
    assert as_plain(loader) == epochs[1]
    old, new = iter(loader), iter(loader)
    assert as_plain(islice(new, 2)) == epochs[2][:2]
    assert loader.state_dict()["batch"] == 2
    del old, new
    assert loader.state_dict()["batch"] == 2


@pytest.mark.parametrize("done", [0, 4, 9, 11])
def test_resuming(peak_world: PeakWorld, epochs: list[Batches], done: int) -> None:
    expected = [batch for epoch in epochs for batch in epoch]
    loader = make(peak_world)
    for _ in range(done // 9):
        list(loader)
    if done % 9:
        list(islice(iter(loader), done % 9))
    state = json.loads(json.dumps(loader.state_dict()))
    other = make(peak_world, prefetch=0)
    other.load_state_dict(state)
    n_left = 9 - done % 9
    assert as_plain(other) == expected[done : done + n_left]
    assert as_plain(other) == expected[done + n_left :][:9]
    with pytest.raises(InvalidInputError, match=r"state: .*batch_size"):
        make(peak_world, batch_size=4).load_state_dict(state)


def test_the_end_of_an_epoch_is_no_new_epoch(peak_world: PeakWorld) -> None:
    loader = make(peak_world)
    batches = iter(loader)
    for _ in range(9):
        next(batches)
    state = loader.state_dict()
    other = make(peak_world)
    other.load_state_dict(state)
    assert list(other) == []
    assert as_plain(other)[0] != as_plain(make(peak_world))[0]


def test_ranks(peak_world: PeakWorld, epochs: list[Batches]) -> None:
    loaders = [make(peak_world, rank=r, world_size=2, uneven="drop") for r in range(2)]
    for epoch in epochs[:2]:
        for one, two, whole in zip(*map(as_plain, loaders), epoch, strict=True):
            n = len(one[0]) * 2
            assert n == len(whole[0]) // 2 * 2
            assert [a + b for a, b in zip(one, two, strict=True)] == [p[:n] for p in whole]
    for loader in loaders:
        assert len(loader) == 9
        assert len(loader.sampler) == len(list(loader.sampler)) == 34
    with pytest.raises(InvalidInputError, match="random_state"):
        make(peak_world, rank=0, world_size=2, random_state=None)


def test_coordinates(peak_world: PeakWorld) -> None:
    loader = make(peak_world, return_coordinates=True)
    *_, where = next(iter(loader))
    assert list(where) == ["chrom", "start", "end", "reverse", "jitter", "source", "row"]
    assert all(isinstance(c, str) for c in where["chrom"])
    peaks = peak_world.loci["peaks.narrowPeak"]
    for batch in loader:
        X, _, _, label, where = batch
        for i, contig in enumerate(where["chrom"]):
            start, rc = int(where["start"][i]), bool(where["reverse"][i])
            assert int(where["end"][i]) == start + 60
            expected = sequence_of(peak_world.letters, contig, start, 60, rc)
            np.testing.assert_array_equal(X[i].numpy(), expected)
            assert int(where["source"][i]) == 1 - int(label[i])
            if label[i]:
                _, first, last, _ = peaks[int(where["row"][i])]
                middle = first + (last - first) // 2
                assert start == middle + int(where["jitter"][i]) - 30


def test_examples_are_pure(peak_world: PeakWorld, epochs: list[Batches]) -> None:
    dataset = make(peak_world).dataset
    rng = np.random.default_rng(0)
    for index in rng.integers(0, 69, 30).tolist():
        epoch = int(rng.integers(0, 3))
        batch, place = divmod(index, 8)
        expected = [part[place] for part in epochs[epoch][batch]]
        for item in (dataset[(epoch, index)], dataset[(epoch, index - 69)]):
            assert [p if isinstance(p, int) else p.tolist() for p in item] == expected
    assert dataset.epoch == 0
    plain = [p if isinstance(p, int) else p.tolist() for p in dataset[np.int64(5)]]
    assert plain == [part[5] for part in epochs[0][0]]
    dataset.set_epoch(1)
    plain = [p if isinstance(p, int) else p.tolist() for p in dataset[torch.tensor(5)]]
    assert plain == [part[5] for part in epochs[1][0]]
    for wrong in (69, -70, (0, 69)):
        with pytest.raises(IndexError, match="0 to 68"):
            dataset[wrong]
    for kind in (1.5, "1", slice(3)):
        with pytest.raises(TypeError):
            dataset[kind]
    with pytest.raises(InvalidInputError, match="one epoch"):
        dataset.__getitems__([(0, 1), (1, 1)])


@pytest.mark.parametrize("coordinates", [False, True])
def test_a_data_loader_of_ones_own(
    peak_world: PeakWorld, epochs: list[Batches], coordinates: bool
) -> None:
    """As cherimoya's training makes one of ``PeakGenerator(...).dataset``: it collates itself."""
    dataset = make(peak_world, return_coordinates=coordinates).dataset

    class InTurn(torch.utils.data.Sampler):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Any:
            return ((1, i) for i in range(69))

    for batch, expected in zip(DataLoader(dataset, 8, sampler=InTurn()), epochs[1], strict=True):
        assert as_plain([batch[:4]]) == [expected]
        assert len(batch) == 4 + coordinates
        if coordinates:
            assert batch[4]["start"].shape == (len(batch[0]),)
    rows = dataset.__getitems__([(1, 3), (1, 0)])
    assert len(rows) == 2
    assert rows[1][0].tolist() == epochs[1][0][0][0]
    assert [len(row) for row in rows] == [4 + coordinates] * 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
@pytest.mark.parametrize("n_workers", [0, 1])
def test_pinned_memory_is_not_spoken_of_without_cuda(peak_world: PeakWorld, n_workers: int) -> None:
    loader = make(peak_world, pin_memory=True, num_workers=n_workers)
    assert not next(iter(loader))[0].is_pinned()


def test_arguments_are_passed_on(peak_world: PeakWorld) -> None:
    ours = inspect.signature(PeakGenerator).parameters
    theirs = inspect.signature(PeakDataset).parameters
    shared = [name for name in ours if name in theirs]
    assert shared[:18] == list(theirs)[:18]
    for name in shared:
        assert ours[name].default == theirs[name].default, name
    documented = inspect.getdoc(PeakGenerator)
    assert documented is not None
    for name in theirs:
        assert name in ours or name in documented, name
    loader = make(peak_world, edges="pad", drop_last=True)
    assert loader.dataset.reasons["kept"].all()
    assert len(loader) == len(list(loader)) == 75 // 8
    with pytest.raises(TypeError, match="chunk"):
        make(peak_world, chunk=1)


def test_stats_and_verbosity(peak_world: PeakWorld, capsys: pytest.CaptureFixture[str]) -> None:
    loader = make(peak_world, verbose=True)
    assert "peaks: 46 of 50 kept (edge 4)" in capsys.readouterr().out
    list(loader)
    assert loader.stats().as_dict()["n_examples"] == 69


def test_extract_loci(peak_world: PeakWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world = peak_world
    arguments: dict[str, Any] = {
        "loci": world.bed("peaks.narrowPeak"),
        "sequences": world.fasta,
        "in_window": 40,
        "out_window": 30,
        "max_jitter": 2,
        "ignore": list("NRYKM"),
    }
    X = extract_loci(**arguments)
    assert (type(X), X.dtype, X.shape[1:]) == (torch.Tensor, torch.int8, (4, 44))
    signals = [world.bw("plus"), world.bw("minus")]
    found = extract_loci(**arguments, signals=signals, in_signals=signals[:1], verbose=True)
    assert [tuple(a.shape) for a in found] == [(len(X), 4, 44), (len(X), 2, 34), (len(X), 1, 44)]
    assert "Extracting loci" in capsys.readouterr().out
    assert [a.dtype for a in found[1:]] == [torch.float32] * 2
    assert torch.equal(found[0], X)
    assert found[1].is_contiguous()
    X, mask, reasons = extract_loci(**arguments, return_mask=True, return_reasons=True, n_jobs=1)
    assert (mask.dtype, int(mask.sum()), len(mask)) == (torch.bool, len(X), 50)
    assert reasons["kept"].tolist() == mask.tolist()
    controls = extract_loci(**arguments, in_signals=signals)
    assert [tuple(a.shape) for a in controls] == [(len(X), 4, 44), (len(X), 2, 44)]
    for n_jobs in (0, -2, 1.5, True, "2"):
        with pytest.raises(InvalidInputError, match="n_jobs"):
            extract_loci(**arguments, n_jobs=n_jobs)


def test_extract_loci_of_an_open_fasta(peak_world: PeakWorld) -> None:
    """A `pyfaidx.Fasta` says where its file is."""

    class Opened:
        filename = Path(peak_world.fasta)

    arguments = {"in_window": 40, "chroms": ["7"]}
    loci = peak_world.bed("peaks.narrowPeak")
    ours = extract_loci(loci, Opened(), **arguments)
    assert torch.equal(ours, extract_loci(loci, peak_world.fasta, **arguments))
