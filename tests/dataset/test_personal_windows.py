"""`BigWigDataset(variants=...)`: haplotypes in place of the reference, and signal that follows."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset import Batch, BigWigDataset
from bigwig_loader.dataset.personal.readers import Fasta, FastaVariants
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.signal import TrackTransform
from tests.helpers.cohort import Cohort, make_cohort

pytest.importorskip("cyvcf2")
LENGTH, CENTER, BIN = 60, 24, 4
LETTERS = np.frombuffer(b"ACGT", np.uint8)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"), seed=6)


def make(cohort: Cohort, **changes: Any) -> BigWigDataset:
    options: dict[str, Any] = {
        "regions_of_interest": cohort.bed,
        "collection": [cohort.bigwigs[s] for s in ("s0", "s1")],
        "reference_genome_path": cohort.fasta,
        "sequence_length": LENGTH,
        "center_bin_to_predict": CENTER,
        "window_size": BIN,
        "batch_size": 5,
        "batches_per_epoch": 6,
        "maximum_unknown_bases_fraction": None,
        "return_batch_objects": True,
        "n_threads": 1,
        "seed": 2,
        "variants": str(cohort.vcf),
    }
    return BigWigDataset(**{**options, **changes})


def letters_of(onehot: Any) -> bytes:
    assert (onehot.sum(axis=-1) == 1).all()
    return LETTERS[onehot.argmax(axis=-1)].tobytes()


def check(cohort: Cohort, batch: Batch, samples: tuple[str, ...]) -> None:
    """Every haplotype of a batch, and its signal, against the oracles."""
    n = len(batch)
    assert batch.sequences.shape == (n, 2, LENGTH, 4)
    assert batch.values.shape == (n, 2, CENTER // BIN, 2)
    assert batch.chromosomes is not None
    offset = (LENGTH - CENTER) // 2
    for i in range(n):
        contig, start = str(batch.chromosomes[i]), int(batch.starts[i])
        reverse = bool(batch.reverse is not None and batch.reverse[i])
        sample = cohort.samples.index(samples[batch.samples[i]])
        for ploid in range(2):
            expected = cohort.bases(contig, start, LENGTH, reverse, sample, ploid)
            assert letters_of(batch.sequences[i, ploid]) == expected
            carried = cohort.world.carried[contig, cohort.samples[sample], ploid]
            for track in range(2):
                along = cohort.track(contig, start, LENGTH, False, carried, track)
                bins = along[offset : offset + CENTER].reshape(-1, BIN).mean(axis=1)
                np.testing.assert_allclose(
                    batch.values[i, ploid, :, track], bins[::-1] if reverse else bins, rtol=1e-6
                )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_jitter": 7, "reverse_complement": True},
        {"shuffle": False, "drop_last": False, "use_strand": True},
        {"samples": ["s2", "s0"], "super_batch_size": 20},
        {"custom_position_sampler": [("chr1", p) for p in range(40, 860, 41)]},
        {"custom_position_sampler": iter([("chr2", p) for p in range(40, 500, 41)])},
    ],
)
def test_haplotypes_and_signal_equal_the_oracles(cohort: Cohort, changes: dict[str, Any]) -> None:
    dataset = make(cohort, **changes)
    assert dataset.samples == tuple(changes.get("samples", cohort.samples))
    seen: Counter[int] = Counter()
    for batch in dataset:
        check(cohort, batch, dataset.samples)
        seen.update(batch.samples.tolist())
    assert set(seen) == set(range(len(dataset.samples)))


def test_where_nobody_carries_anything_it_is_the_reference(cohort: Cohort, tmp_path: Path) -> None:
    header = [line for line in cohort.vcf.read_text().splitlines() if line.startswith("#")]
    (tmp_path / "empty.vcf").write_text("\n".join(header) + "\n")
    options: dict[str, Any] = {
        "dtype": "float16",
        "targets": TrackTransform(scale=3.0, log1p=True),
        "track_groups": [["s0", "s1"]],
        "reverse_complement": True,
    }
    plain = make(cohort, variants=None, **options)
    assert next(iter(plain)).samples is None
    plain.set_epoch(0)
    empty = make(cohort, variants=str(tmp_path / "empty.vcf"), **options)
    for one, other in zip(plain, empty, strict=True):
        np.testing.assert_array_equal(one.starts, other.starts)
        for ploid in range(2):
            np.testing.assert_array_equal(one.sequences, other.sequences[:, ploid])
            np.testing.assert_array_equal(one.values, other.values[:, ploid])


def test_samples_are_drawn_or_take_turns(cohort: Cohort) -> None:
    drawn = make(cohort, batches_per_epoch=40)
    first = [s for batch in drawn for s in batch.samples.tolist()]
    second = [s for batch in drawn for s in batch.samples.tolist()]
    assert first != second
    assert min(Counter(first).values()) > 40
    in_turn = make(cohort, shuffle=False, batch_size=6)
    for epoch in range(3):
        found = [s for batch in in_turn for s in batch.samples.tolist()]
        assert found == [(i + epoch) % 3 for i in range(12)]


def test_resuming_and_ranks(cohort: Cohort) -> None:
    def rows(batches: Any) -> list[Any]:
        return [(b.samples.tolist(), b.starts.tolist(), b.sequences.tobytes()) for b in batches]

    expected = rows(make(cohort))
    dataset = make(cohort)
    rows(islice(iter(dataset), 2))
    state = json.loads(json.dumps(dataset.state_dict()))
    other = make(cohort)
    other.load_state_dict(state)
    assert rows(other) == expected[2:]
    ranks = [rows(make(cohort, rank=r, world_size=5)) for r in range(5)]
    joined = [[s for part in parts for s in part[0]] for parts in zip(*ranks, strict=True)]
    assert joined == [samples for samples, _, _ in expected]
    with pytest.raises(InvalidInputError, match="other batches"):
        make(cohort, samples=["s0"]).load_state_dict(state)
    with pytest.raises(InvalidInputError, match="other batches"):
        make(cohort, variants=None).load_state_dict(state)


def test_a_reader_of_haplotypes_brings_its_reference(cohort: Cohort) -> None:
    reader = FastaVariants("x", Fasta("ref", cohort.fasta), str(cohort.pgen), overlap="bcftools")
    dataset = make(cohort, reference_genome_path=None, variants=reader, collection=None)
    batch = next(iter(dataset))
    assert batch.values is None
    assert batch.sequences.shape == (5, 2, LENGTH, 4)


def test_torch_batches_have_samples(cohort: Cohort) -> None:
    torch = pytest.importorskip("torch")
    from bigwig_loader.pytorch import PytorchBigWigDataset

    options = {
        "regions_of_interest": cohort.bed,
        "collection": [cohort.bigwigs["s0"]],
        "reference_genome_path": cohort.fasta,
        "sequence_length": LENGTH,
        "batch_size": 4,
        "variants": str(cohort.vcf),
        "samples": ["s1"],
        "return_batch_objects": True,
        "batches_per_epoch": 2,
    }
    batch = next(iter(PytorchBigWigDataset(**options)))
    assert torch.equal(batch.samples, torch.zeros(4, dtype=torch.int64))
    assert batch.sequences.shape == (4, 2, LENGTH, 4)


def test_what_has_no_meaning_on_haplotypes(cohort: Cohort) -> None:
    for changes, message in (
        ({"samples": ["s0"], "variants": None}, "None without variants"),
        ({"sequence_encoder": None}, "'onehot' with variants"),
        ({"moving_average_window_size": 3}, "1 with variants"),
        ({"reference_genome_path": None}, "a genome with variants"),
        ({"samples": []}, "at least one sample"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            make(cohort, **changes)
    with pytest.raises(NotFoundError, match="s7"):
        make(cohort, samples=["s7"])


@pytest.mark.parametrize("changes", [{}, {"window_size": 6, "dtype": "bfloat16"}], ids=str)
def test_the_device_changes_nothing(
    fake_cuda: ModuleType, cohort: Cohort, changes: dict[str, Any]
) -> None:
    on_cpu, on_gpu = (make(cohort, device=name, **changes) for name in ("cpu", "cuda:0"))
    n_batches = 0
    for expected, got in zip(on_cpu, on_gpu, strict=True):
        for want, found in ((expected.sequences, got.sequences), (expected.values, got.values)):
            assert found.shape == want.shape
            assert found.get().tobytes() == np.ascontiguousarray(want).tobytes()
        n_batches += 1
    assert n_batches == 6
