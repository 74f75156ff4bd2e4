"""`Dataset` and `GVL` with torch: both routes give the same cells, in worker processes too."""

from __future__ import annotations

import json
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cyvcf2")

from bigwig_loader.dataset.prepared.write import write  # noqa: E402
from bigwig_loader.errors import InvalidInputError  # noqa: E402
from bigwig_loader.formats.variants.vcf import Vcf  # noqa: E402
from bigwig_loader.personal import (  # noqa: E402
    GVL,
    Dataset,
    Fasta,
    FastaVariants,
)
from bigwig_loader.personal_loader import to_nested_tensor  # noqa: E402
from bigwig_loader.ragged import Ragged  # noqa: E402
from bigwig_loader.track_sources import BigWigs  # noqa: E402
from tests.helpers.alone import run_python  # noqa: E402
from tests.helpers.cohort import Cohort, make_cohort  # noqa: E402

LENGTH = 40


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"), seed=4)


@pytest.fixture(scope="module")
def dataset(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("prepared") / "made.gvl"
    tracks = BigWigs("signal", cohort.bigwigs)
    write(path, cohort.bed, variants=cohort.vcf, bigwigs=tracks, length=LENGTH, max_jitter=5)
    return Dataset.open(path, reference=cohort.fasta, length=LENGTH)


def stream(cohort: Cohort, **changes: Any) -> GVL:
    options: dict[str, Any] = {
        "readers": [
            FastaVariants("hap", Fasta("ref", cohort.fasta), Vcf(cohort.vcf), encoding="onehot"),
            BigWigs("signal", cohort.bigwigs),
        ],
        "bed": cohort.bed,
        "fixed_length": LENGTH,
        "batch_size": 8,
        "max_memory_gb": 0.1,
        "batch_dims": ["sample"],
        "seed": 3,
        "return_index": True,
    }
    return GVL(**{**options, **changes})


def rows(batches: Any) -> list[tuple[Any, ...]]:
    """What batches hold, row by row, in a form that can be compared."""
    found = []
    for batch in batches:
        parts = batch.values() if isinstance(batch, dict) else batch
        found += zip(*(np.asarray(part).tolist() for part in parts), strict=True)
    return found


def test_the_prepared_and_the_streaming_route_give_the_same(
    cohort: Cohort, dataset: Dataset
) -> None:
    prepared = dataset.with_settings(encoding="onehot", jitter=5, seed=3)
    loader = prepared.to_dataloader(batch_size=8)
    both = zip(loader, stream(cohort, jitter_bed=5).torch_dataloader(), strict=True)
    n = 0
    for (sequences, tracks), batch in both:
        assert sequences.shape == (len(sequences), 2, LENGTH, 4)
        assert torch.equal(sequences, batch["hap"])
        assert torch.equal(tracks[:, 0], batch["signal"])
        assert batch["index"].tolist() == list(range(n, n + len(sequences)))
        n += len(sequences)
    assert n == 36


def test_letters_stay_arrays_for_transforms_of_the_peer(dataset: Dataset) -> None:
    seen: list[Any] = []

    def transform(haps: Any, tracks: Any, regions: Any, samples: Any) -> Any:
        seen.append((type(haps), haps.dtype, type(tracks), regions.tolist(), samples.tolist()))
        return (haps == b"A").astype(np.uint8), tracks, regions

    loader = dataset.to_dataloader(
        batch_size=5, shuffle=True, seed=1, return_indices=True, transform=transform
    )
    batch = next(iter(loader))
    kind, dtype, kind_of_tracks, regions, samples = seen[0]
    assert (kind, dtype, kind_of_tracks) == (np.ndarray, np.dtype("S1"), np.ndarray)
    assert torch.is_tensor(batch[0])
    assert batch[0].dtype == torch.uint8
    assert batch[2].tolist() == regions
    for i, (region, sample) in enumerate(zip(regions, samples, strict=True)):
        expected = np.asarray(dataset[region, sample][1])
        np.testing.assert_array_equal(batch[1][i].numpy(), expected)


def test_subsets_count_cells_of_their_own(dataset: Dataset) -> None:
    part = dataset.subset_to(regions=[7, 2], samples=["s2", "s0"])
    loader = part.to_dataloader(batch_size=4, return_indices=True)
    (batch,) = loader
    assert batch[-2].tolist() == [7, 7, 2, 2]
    assert batch[-1].tolist() == [2, 0, 2, 0]
    whole = dataset.to_torch_dataset(True, None)
    single = whole[7 * 3 + 2]
    assert single[0].tobytes() == batch[0][0].tobytes()
    assert torch.equal(single[1], batch[1][0])
    assert whole[[3, 4]][0].shape == (2, 2, LENGTH)
    assert len(whole) == 36
    with pytest.raises(IndexError, match="0 to 35"):
        whole[36]


def test_ragged_rows_as_nested_tensors(dataset: Dataset) -> None:
    ragged = dataset.with_settings(length="ragged", encoding="onehot", return_tracks=False)
    batch = next(iter(ragged.to_dataloader(batch_size=3)))
    assert isinstance(batch, Ragged)
    nested = to_nested_tensor(batch)
    assert nested.size(0) == 6
    assert torch.equal(nested[1], torch.from_numpy(np.ascontiguousarray(batch[0][1])))
    with pytest.raises(InvalidInputError, match="another encoding"):
        to_nested_tensor(Ragged.from_lengths(np.array([b"A", b"C"]), [1, 1]))


def test_worker_processes(cohort: Cohort, dataset: Dataset) -> None:
    how = {"multiprocessing_context": "fork"}
    options = {"batch_size": 8, "shuffle": True, "seed": 9}
    jittered = dataset.with_settings(jitter=5, encoding="codes")
    plain = jittered.to_dataloader(**options)
    workers = jittered.to_dataloader(**options, num_workers=2, persistent_workers=True, **how)
    epochs = [rows(plain) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert [rows(workers) for _ in range(2)] == epochs
    # Two processes have half of the budget each.
    one = stream(cohort, shuffle=True).torch_dataloader()
    two = stream(cohort, shuffle=True, num_workers=2, max_memory_gb=0.2).torch_dataloader(**how)
    for _ in range(2):
        assert rows(two) == rows(one)
    # What spawned processes get.
    for loader in (plain, one):
        loader.set_epoch(0)
        examples = pickle.loads(pickle.dumps(loader.dataset))
        made = [examples[plan] for plan in loader.sampler]  # type: ignore[attr-defined]
        assert rows(made) == rows(loader)


def test_states_of_streams(cohort: Cohort) -> None:
    options = {"shuffle": True, "max_memory_gb": 0.00009, "batch_size": 4, "prefetch": 0}
    expected = [rows(stream(cohort, **options).torch_dataloader())]
    loader = stream(cohort, **options).torch_dataloader()
    first = rows(islice(iter(loader), 5))
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["buffer"][1] > 0
    other = stream(cohort, **options).torch_dataloader()
    other.load_state_dict(state)
    assert first + rows(other) == expected[0]
    assert loader.stats().n_examples == 20


def test_settings_change_between_epochs(cohort: Cohort) -> None:
    gvl = stream(cohort)
    loader = gvl.torch_dataloader()
    assert len(loader) == len(gvl) == 5
    rows(loader)
    gvl.set(fixed_length=20, batch_size=6, shuffle=True, return_tuples=["hap"], batch_dims=None)
    assert (gvl.n_instances, len(loader), loader.epoch) == (12, 2, 1)
    sequences, index = next(iter(loader))
    assert sequences.shape == (6, 3, 2, 20, 4)
    assert index.shape == (6,)
    fresh = stream(cohort, fixed_length=20, batch_size=6, shuffle=True, batch_dims=None)
    again = fresh.torch_dataloader()
    again.set_epoch(1)
    assert torch.equal(next(iter(again))["hap"], sequences)
    with pytest.raises(LookupError, match="batch_sise"):
        gvl.set(batch_sise=3)


def test_the_oldest_quick_start(cohort: Cohort) -> None:
    """As its documentation has it, with files of ours."""
    ref = Fasta(name="ref", path=cohort.fasta, pad="N")
    varseq = FastaVariants(name="varseq", reference=ref, variants=Vcf(cohort.vcf))
    gvloader = GVL(
        readers=varseq,
        bed=cohort.bed,
        fixed_length=100,
        batch_size=16,
        max_memory_gb=0.1,
        batch_dims=["sample", "ploid"],
        shuffle=True,
        num_workers=2,
    )
    shapes = [batch["varseq"].shape for batch in gvloader.torch_dataloader()]
    assert shapes == [(16, 100)] * 4 + [(8, 100)]


def test_ranks(cohort: Cohort, dataset: Dataset) -> None:
    options = {"batch_size": 6, "seed": 2, "shuffle": True}
    encoded = dataset.with_settings(encoding="codes", return_tracks=False)
    whole = [part.tolist() for part in encoded.to_dataloader(**options)]
    ranks = [encoded.to_dataloader(**options, rank=r, world_size=3) for r in range(3)]
    parts = zip(*([b.tolist() for b in loader] for loader in ranks), strict=True)
    assert [sum(part, []) for part in parts] == whole  # noqa: RUF017
    with pytest.raises(InvalidInputError, match="the same for all 3 processes"):
        encoded.to_dataloader(rank=0, world_size=3, batch_size=3)


def test_nothing_is_written(cohort: Cohort, tmp_path: Path) -> None:
    before = sorted(p.name for p in cohort.fasta.parent.iterdir())
    rows(stream(cohort, batch_size=36))
    assert sorted(p.name for p in cohort.fasta.parent.iterdir()) == before


def test_a_data_set_is_read_without_torch(dataset: Dataset, cohort: Cohort) -> None:
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import bigwig_loader\n"
        "path, reference = sys.argv[1:]\n"
        "haplotypes, tracks = bigwig_loader.Dataset.open(path, reference=reference)[0, 0]\n"
        "print(haplotypes.tobytes().decode())\n"
    )
    done = run_python("-c", script, dataset.path, cohort.fasta)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == dataset[0, 0][0].tobytes().decode()
