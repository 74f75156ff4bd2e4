"""Several training processes under torchrun: the same global batches, the same model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.example_data import ExampleData
from tests.helpers.ranks import torchrun

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
        reason="needs torch.distributed with gloo",
    ),
]

BATCH_SIZE = 8
N_BATCHES = 4
N_EPOCHS = 3
KILLED_AFTER = 6  # steps: two batches of epoch 1
RANKS = (1, 2, 4)


def launch(n_ranks: int, runs: list[dict[str, Any]], folder: Path) -> int:
    """Train under torchrun; its exit status."""
    settings = folder / f"settings-{n_ranks}.json"
    settings.write_text(json.dumps(runs))
    done = torchrun(n_ranks, "tests.helpers.distributed_train", settings)
    (folder / f"log-{n_ranks}.txt").write_text(done.stdout + done.stderr)
    return done.returncode


@pytest.fixture(scope="module")
def seen(tiny_data: ExampleData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what all ranks of all launches have seen: ``<ranks>/<run>/``."""
    folder = tmp_path_factory.mktemp("distributed")
    few = folder / "few.bed"
    few.write_text("".join(f"chr1\t{5_000 + 1_000 * i}\t{5_400 + 1_000 * i}\n" for i in range(10)))
    bigwig = {
        "regions_of_interest": str(tiny_data.train_regions),
        "collection": str(tiny_data.bigwig_dir),
        "reference_genome_path": str(tiny_data.reference_genome),
        "sequence_length": 64,
        "center_bin_to_predict": 32,
        "window_size": 8,
        "batch_size": BATCH_SIZE,
        "reverse_complement": True,
        "max_jitter": 5,
        "n_threads": 1,
        "seed": 3,
        "return_batch_objects": True,
    }
    train = {
        "dataset": "bigwig",
        "width": 16,
        "n_epochs": N_EPOCHS,
        "options": bigwig | {"batches_per_epoch": N_BATCHES},
    }
    # Ten regions in batches of eight: the last has two, which four ranks cannot share.
    regions = {"regions_of_interest": str(few), "shuffle": False, "drop_last": False}
    peaks = {
        "peaks": str(tiny_data.peaks),
        "negatives": str(few),
        "sequences": str(tiny_data.reference_genome),
        "signals": [str(path) for path in tiny_data.bigwigs[:2]],
        "in_window": 64,
        "out_window": 32,
        "max_jitter": 4,
        "batch_size": BATCH_SIZE,
        "reverse_complement": True,
        "random_state": 7,
        "num_workers": 0,
    }
    shared = {
        "train": train,
        **{
            uneven: train | {"n_epochs": 1, "options": bigwig | regions | {"uneven": uneven}}
            for uneven in ("pad", "drop")
        },
        "peaks": {"dataset": "peaks", "width": 64, "n_epochs": 2, "options": peaks},
    }
    killed = train | {"folder": str(folder / "killed"), "kill_after": KILLED_AFTER}
    assert launch(2, [killed], folder) != 0
    resumed = train | {"resume": str(folder / "killed" / "state.pt")}
    for n_ranks in RANKS:
        named = shared if n_ranks == 2 else shared | {"resumed": resumed}
        runs = [run | {"folder": str(folder / str(n_ranks) / n)} for n, run in named.items()]
        status = launch(n_ranks, runs, folder)
        assert status == 0, (folder / f"log-{n_ranks}.txt").read_text()[-5000:]
    return folder


def global_batch(run: Path, epoch: int, index: int) -> dict[str, np.ndarray]:
    """What all ranks together saw of a batch, in order of their ranks."""
    parts = []
    for rank in range(8):
        path = run / f"{epoch}-{index}-{rank}.npz"
        if path.exists():
            parts.append(dict(np.load(path)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def batches_of(run: Path, rank: int = 0) -> list[tuple[int, int]]:
    """(epoch, index) of the batches that one rank saw, in order."""
    names = [path.stem.split("-") for path in run.glob(f"[0-9]*-{rank}.npz")]
    return sorted((int(epoch), int(index)) for epoch, index, _ in names)


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize("n_ranks", RANKS[1:])
@pytest.mark.parametrize("run", ["train", "peaks"])
def test_global_batches_are_the_same_for_any_number_of_ranks(
    seen: Path, run: str, n_ranks: int
) -> None:
    alone, together = seen / "1" / run, seen / str(n_ranks) / run
    expected = batches_of(alone)
    assert len(expected) == len(set(expected)) > N_BATCHES
    for rank in range(n_ranks):
        assert batches_of(together, rank) == expected
    different = set()
    for epoch, index in expected:
        whole = global_batch(alone, epoch, index)
        joined = global_batch(together, epoch, index)
        n = len(whole["values"])
        if run == "train":
            assert n == BATCH_SIZE
        # A short last batch is filled up from its own beginning.
        assert len(joined["values"]) == -(-n // n_ranks) * n_ranks
        places = np.arange(len(joined["values"])) % n
        assert_same(joined, {name: array[places] for name, array in whole.items()})
        different.add(whole["sequences"].tobytes())
    assert len(different) == len(expected)


@pytest.mark.parametrize("n_ranks", RANKS[1:])
def test_the_model_becomes_the_same(seen: Path, n_ranks: int) -> None:
    for epoch in range(N_EPOCHS):
        expected = dict(np.load(seen / "1" / "train" / f"end-{epoch}-0.npz"))
        assert {"weight", "weight.grad", "bias", "bias.grad"} < expected.keys()
        for rank in range(n_ranks):
            got = dict(np.load(seen / str(n_ranks) / "train" / f"end-{epoch}-{rank}.npz"))
            for name in expected:
                np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_ranks", [1, 4])
def test_a_killed_run_goes_on_with_another_number_of_ranks(seen: Path, n_ranks: int) -> None:
    killed, whole = seen / "killed", seen / "1" / "train"
    resumed = seen / str(n_ranks) / "resumed"
    state = torch.load(killed / "state.pt", weights_only=True)["data"]
    at = (state["epoch"], state["batch"])
    assert at == divmod(KILLED_AFTER, N_BATCHES)
    everything = batches_of(whole)
    assert batches_of(killed) == everything[:KILLED_AFTER]
    for rank in range(n_ranks):
        assert batches_of(resumed, rank) == everything[KILLED_AFTER:]
    for i, (epoch, index) in enumerate(everything):
        run = killed if i < KILLED_AFTER else resumed
        assert_same(global_batch(run, epoch, index), global_batch(whole, epoch, index))
    last = f"end-{N_EPOCHS - 1}-0.npz"
    got, expected = np.load(resumed / last), np.load(whole / last)
    np.testing.assert_allclose(got["weight"], expected["weight"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_ranks", RANKS)
@pytest.mark.parametrize("uneven", ["pad", "drop"])
def test_a_short_last_batch(seen: Path, uneven: str, n_ranks: int) -> None:
    alone, together = seen / "1" / uneven, seen / str(n_ranks) / uneven
    whole = [global_batch(alone, 0, index) for index in (0, 1)]
    assert [len(batch["starts"]) for batch in whole] == [BATCH_SIZE, 2]
    n_batches = {int(np.load(p)["n_batches"]) for p in together.glob("end-0-*.npz")}
    assert len(n_batches) == 1
    joined = [global_batch(together, 0, index) for index in range(n_batches.pop())]
    assert_same(joined[0], whole[0])
    if uneven == "pad":
        n = max(2, n_ranks)
        assert_same(joined[1], {k: x[np.arange(n) % 2] for k, x in whole[1].items()})
    elif n_ranks <= 2:
        assert_same(joined[1], whole[1])
    else:
        assert all(len(batch["starts"]) == 0 for batch in joined[1:])
