"""`bigwig_loader.io` beside tangermeme and cherimoya themselves, where they are installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tangermeme", reason="needs tangermeme")
cherimoya = pytest.importorskip("cherimoya.io", reason="needs cherimoya")

from bigwig_loader import io  # noqa: E402
from tests.helpers.peaks import PeakWorld, frame_of  # noqa: E402

ALL_LETTERS = list("QWERYUIOPSDFHJKLZXVBNM")
# Sums of track "odd", which has infinities, depend on the order of adding.
TRACKS = ["plus", "minus", "control", "short", "partial"]
N_RUNS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Both sides warn of contigs that tracks lack, and the peers of other things."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def arguments_of(world: PeakWorld, rng: np.random.Generator, as_generator: bool) -> dict[str, Any]:
    """Arguments that both sides take."""
    summits = bool(rng.random() < 0.4)

    def loci(with_summits: bool) -> Any:
        names = ["peaks.narrowPeak", "more.narrowPeak"] + ["negatives.bed"] * (not with_summits)
        chosen = rng.choice(names, rng.integers(1, 4)).tolist()
        columns = ["chr", "start", "end", *"123456", "summit"]
        return [
            world.bed(n) if rng.random() < 0.7 else frame_of(world.loci[n], columns) for n in chosen
        ]

    def track(of_controls: bool) -> Any:
        name = str(rng.choice([*TRACKS, "odd"] if of_controls else TRACKS))
        if rng.random() < 0.7 or as_generator:
            return world.bw(name)
        return world.signal[name]

    def tracks(of_controls: bool = False) -> list[Any]:
        some = [track(of_controls) for _ in range(int(rng.integers(1, 4)))]
        return [some, track(of_controls)] if as_generator and rng.random() < 0.5 else some

    arguments: dict[str, Any] = {
        "sequences": world.fasta if rng.random() < 0.6 else world.onehot("float32"),
        "signals": tracks(),
        "chroms": [None, None, ["chr1", 7], ["chr2", "tiny"]][rng.integers(0, 4)],
        "in_window": int(rng.integers(1, 90)),
        "out_window": int(rng.integers(1, 90)),
        "max_jitter": int(rng.choice([0, 1, 13])),
        "summits": summits,
        "exclusion_lists": [None, [world.bed("excluded.bed")]][rng.integers(0, 2)],
        "min_counts": [None, None, 5, 100][rng.integers(0, 4)],
        "max_counts": [None, None, 400, 2000][rng.integers(0, 4)],
    }
    if not as_generator:
        n = len(arguments["signals"])
        return arguments | {
            "loci": loci(summits),
            "in_signals": [None, tracks(True)][rng.integers(0, 2)],
            "target_idx": int(rng.integers(-n, n)),
            "n_loci": [None, 3, 20][rng.integers(0, 3)],
            "ignore": ALL_LETTERS if rng.random() < 0.8 else ["N"],
            "return_mask": bool(rng.random() < 0.8),
        }
    return arguments | {
        "peaks": loci(summits),
        "negatives": loci(False),
        "controls": [None, tracks(True)][rng.integers(0, 2)],
        "negative_ratio": float(rng.choice([0.1, 0.5, 1.7])),
        "reverse_complement": bool(rng.random() < 0.7),
        "shuffle": bool(rng.random() < 0.7),
        "random_state": int(rng.integers(0, 2**40)),
        "batch_size": int(rng.choice([7, 32])),
        "num_workers": 0,
        "pin_memory": False,
    }


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or that it refuses."""
    try:
        return call()
    except ValueError:
        return "refused"


def arrays_of(found: Any) -> list[np.ndarray]:
    return [a.numpy() for a in (found if isinstance(found, list) else [found])]


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_extract_loci(peak_world: PeakWorld) -> None:
    from tangermeme.io import extract_loci

    n_refused = 0
    for seed in range(N_RUNS):
        arguments = arguments_of(peak_world, np.random.default_rng(seed), False)
        theirs = outcome(lambda given=arguments: arrays_of(extract_loci(**given)))
        ours = outcome(lambda given=arguments: arrays_of(io.extract_loci(**given)))
        if isinstance(theirs, str) or isinstance(ours, str):
            assert ours is theirs, arguments
            n_refused += 1
        else:
            assert_same(ours, theirs)
    assert n_refused < N_RUNS / 2


def test_peak_generator(peak_world: PeakWorld) -> None:
    def two_epochs(make: Callable[..., Any], given: dict[str, Any]) -> Any:
        loader = make(**given)
        if len(loader.dataset) < 2:
            return "one example"  # the peer's epoch then stands still
        return [[[a.numpy() for a in batch] for batch in loader] for _ in range(2)]

    n_compared = 0
    for seed in range(N_RUNS):
        arguments = arguments_of(peak_world, np.random.default_rng(seed), True)
        theirs = outcome(lambda given=arguments: two_epochs(cherimoya.PeakGenerator, given))
        given_ours = arguments | {"rng": "cherimoya-0.3"}
        ours = outcome(lambda given=given_ours: two_epochs(io.PeakGenerator, given))
        if isinstance(theirs, str) or isinstance(ours, str):
            assert ours == theirs, arguments
            continue
        for epoch, same in zip(ours, theirs, strict=True):
            for batch, other in zip(epoch, same, strict=True):
                assert_same(batch, other)
        n_compared += 1
    assert n_compared > N_RUNS / 2


def test_its_training_takes_our_examples(peak_world: PeakWorld) -> None:
    """The loader that ``cherimoya.training`` makes of a data set."""
    from torch.utils.data import DataLoader

    arguments = peak_world.usual(num_workers=0, pin_memory=False)
    datasets = [
        cherimoya.PeakGenerator(**arguments).dataset,
        io.PeakGenerator(**arguments, rng="cherimoya-0.3").dataset,
    ]
    for rank in (0, 1):
        batches = []
        for dataset in datasets:
            sampler = cherimoya.ShardedEpochSampler(len(dataset), 16, rank, 2)
            sampler.set_epoch(1)
            loader = DataLoader(dataset, sampler=sampler, batch_size=sampler.local_batch_size)
            batches.append([[part.numpy() for part in batch] for batch in loader])
        for ours, theirs in zip(*batches, strict=True):
            assert_same(ours, theirs)
