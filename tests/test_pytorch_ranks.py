"""Ranks in torch: real process groups (gloo), and worker processes within them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_data import ExampleData
from bigwig_loader.sampling.ranks import Shard

distributed = pytest.importorskip("torch.distributed")

from bigwig_loader.pytorch import PytorchBigWigDataset, find_shard  # noqa: E402

if not distributed.is_available():
    pytest.skip("torch was built without distributed", allow_module_level=True)

REPOSITORY = Path(__file__).parents[1]
BATCHES = 3
# What each process does; it prints what it delivered as one line of JSON.
SCRIPT = """
import json, sys, warnings
import pandas as pd
import torch.distributed
from torch.utils.data import DataLoader
from bigwig_loader.pytorch import PytorchBigWigDataset

given = json.loads(sys.argv[1])

def make():
    regions = pd.DataFrame({"chrom": ["chr1"], "start": [500], "end": [59_000]})
    return PytorchBigWigDataset(
        regions_of_interest=regions, collection=given["collection"],
        reference_genome_path=given["genome"], sequence_length=64, batch_size=4,
        batches_per_epoch=3, return_batch_objects=True, n_threads=1, **given["options"],
    )

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if not given["late"]:
        torch.distributed.init_process_group("gloo", **given["group"])
    dataset = make()
    if given["late"]:
        torch.distributed.init_process_group("gloo", **given["group"])
    if given["state"]:
        dataset.load_state_dict(given["state"])
    workers = given["workers"]
    context = {"multiprocessing_context": workers[1]} if workers else {}
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers[0] if workers else 0, **context
    )
    starts = [batch.starts.tolist() for batch in loader]
    state = dataset.state_dict(batch=2, epoch=0)
    print(json.dumps({"starts": starts, "seed": dataset.dataset.seed, "state": state}))
    torch.distributed.destroy_process_group()
"""


def run_ranks(
    data: ExampleData,
    folder: Path,
    n_ranks: int,
    *,
    options: dict[str, Any],
    late: bool = False,
    workers: tuple[int, str] | None = None,
    state: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """What every rank delivered."""
    script = folder / "rank.py"
    script.write_text(SCRIPT)
    meeting = folder / f"meeting-{n_ranks}-{len(list(folder.iterdir()))}"
    processes = []
    for rank in range(n_ranks):
        group: dict[str, Any] = {"init_method": f"file://{meeting}"}
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        group |= {"rank": rank, "world_size": n_ranks}
        given = {
            "collection": str(data.bigwig_dir),
            "genome": str(data.reference_genome),
            "options": options,
            "late": late,
            "workers": workers,
            "state": state,
            "group": group,
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, str(script), json.dumps(given)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
    answers = []
    for process in processes:
        out, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        answers.append(json.loads(out.strip().splitlines()[-1]))
    return answers


def whole(data: ExampleData, **options: Any) -> list[list[int]]:
    """The global batches, by one process."""
    dataset = PytorchBigWigDataset(
        regions_of_interest=pd.DataFrame({"chrom": ["chr1"], "start": [500], "end": [59_000]}),
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=64,
        batch_size=4,
        batches_per_epoch=BATCHES,
        return_batch_objects=True,
        n_threads=1,
        **options,
    )
    return [batch.starts.tolist() for batch in dataset]


def joined(answers: list[dict[str, Any]]) -> list[list[int]]:
    by_rank = [answer["starts"] for answer in answers]
    return [[s for part in parts for s in part] for parts in zip(*by_rank, strict=True)]


@pytest.mark.parametrize(
    ("late", "workers"),
    [(False, None), (True, None), (True, (2, "fork")), (True, (1, "spawn"))],
)
def test_torch_distributed_says_the_rank(
    tiny_data: ExampleData, tmp_path: Path, late: bool, workers: tuple[int, str] | None
) -> None:
    """Before the data set is made, or after; without and with worker processes."""
    answers = run_ranks(tiny_data, tmp_path, 2, options={"seed": 5}, late=late, workers=workers)
    assert joined(answers) == whole(tiny_data, seed=5)
    assert all(len(b) == 2 for a in answers for b in a["starts"])


def test_rank_0_draws_the_seed_and_a_run_goes_on_with_other_ranks(
    tiny_data: ExampleData, tmp_path: Path
) -> None:
    answers = run_ranks(tiny_data, tmp_path, 2, options={"seed": None})
    seed = answers[0]["seed"]
    assert answers[1]["seed"] == seed
    assert joined(answers) == whole(tiny_data, seed=seed)
    assert answers[0]["state"] == answers[1]["state"]
    state = answers[0]["state"]
    # A drawn seed is replaced by that of the state, on four ranks as on one.
    resumed = run_ranks(tiny_data, tmp_path, 4, options={"seed": None}, state=state)
    assert {a["seed"] for a in resumed} == {seed}
    assert joined(resumed) == whole(tiny_data, seed=seed)[2:]


def test_the_environment_alone_says_the_rank(
    tiny_data: ExampleData, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(tiny_data, seed=5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    halves = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        halves.append(whole(tiny_data, seed=5))
    assert [a + b for a, b in zip(*halves, strict=True)] == expected
    assert find_shard() == Shard(1, 2)
    assert find_shard(0, 3) == Shard(0, 3)
    with pytest.raises(InvalidInputError, match="argument seed"):
        whole(tiny_data)
    assert whole(tiny_data, seed=5, rank=0, world_size=1) == expected
