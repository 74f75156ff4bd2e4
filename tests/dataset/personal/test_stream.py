"""Streaming equals the oracle; buffers, states and ranks change nothing that they should not."""

from __future__ import annotations

import json
import pickle
import threading
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset.personal import buffers
from bigwig_loader.dataset.personal.loader import Finished, StreamOptions, make_stream
from bigwig_loader.dataset.personal.readers import Fasta, FastaVariants, Haplotypes, collect_inputs
from bigwig_loader.dataset.personal.stream import StreamEpochs
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.errors import InvalidInputError, LoaderError, NotFoundError
from bigwig_loader.plan.fills import FlankSample
from bigwig_loader.sampling.ranks import Shard
from bigwig_loader.track_sources import BigWigs
from tests.helpers.cohort import Cohort, make_cohort

pytest.importorskip("cyvcf2")
LENGTH = 40
SMALL = 0.00008  # GB: room for three regions at a time


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a buffer is read in several."""
    monkeypatch.setattr(buffers, "FIRST_PIECE", 2)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"))


def as_is(batch: Any) -> Any:
    return batch


def readers(cohort: Cohort, kind: str = "vcf", tracks: bool = True) -> list[Any]:
    haplotypes = FastaVariants("hap", Fasta("ref", cohort.fasta), str(getattr(cohort, kind)))
    return [haplotypes, BigWigs("signal", cohort.bigwigs)] if tracks else [haplotypes]


def make(cohort: Cohort, given: Any = None, **changes: Any) -> StreamEpochs:
    inputs = collect_inputs(
        readers(cohort) if given is None else given,
        changes.pop("samples", None),
        changes.pop("fills", None),
        changes.pop("realign", True),
    )
    finished = {"transform": None, "return_tuples": None, "return_index": True, "convert": as_is}
    cells = {"seed": 3, "batch_size": 7, "prefetch": 2, "shard": Shard()}
    options: dict[str, Any] = {
        "bed": cohort.bed,
        "fixed_length": LENGTH,
        "max_memory_gb": 1.0,
        "batch_dims": ("sample", "ploid"),
        "shuffle": True,
        "weights": None,
        "jitter_bed": 0,
        "n_threads": 1,
    }
    for group in (finished, cells, options):
        group |= {name: changes.pop(name) for name in list(changes) if name in group}
    assert not changes
    made = StreamOptions(cells=CellOptions(**cells), finished=Finished(**finished), **options)
    return make_stream(inputs, made, True)


def indices(batches: Any) -> list[list[int]]:
    return [batch.data["index"].tolist() for batch in batches]


def flat(lists: list[list[int]]) -> list[int]:
    return [i for each in lists for i in each]


@pytest.mark.parametrize("kind", ["vcf", "pgen"])
@pytest.mark.parametrize("max_memory_gb", [1.0, SMALL])
def test_every_haplotype_equals_the_oracle(cohort: Cohort, kind: str, max_memory_gb: float) -> None:
    epochs = make(cohort, readers(cohort, kind), max_memory_gb=max_memory_gb)
    seen = []
    for batch in epochs:
        rows = zip(*(batch.data[name] for name in ("index", "hap", "signal")), strict=True)
        for index, bases, signal in rows:
            cell, ploid = divmod(int(index), 2)
            region, sample = divmod(cell, 3)
            assert bases.tobytes() == cohort.letters(region, sample, ploid, LENGTH)
            np.testing.assert_array_equal(signal, cohort.values(region, sample, ploid, LENGTH))
            seen.append(int(index))
    assert sorted(seen) == list(range(12 * 3 * 2))
    assert seen != sorted(seen)


@pytest.mark.parametrize("dims", [(), ("sample",), ("ploid",), ("sample", "ploid")])
@pytest.mark.parametrize("fill", [None, FlankSample(0)])
def test_what_is_not_in_the_batch_is_an_axis(
    cohort: Cohort, dims: tuple[str, ...], fill: Any
) -> None:
    given = [*readers(cohort), Fasta("ref", cohort.fasta)]
    epochs = make(cohort, given, batch_dims=dims, shuffle=False, fills=fill)
    columns = (3 if "sample" in dims else 1) * (2 if "ploid" in dims else 1)
    assert epochs.n_examples == 12 * columns
    seen = 0
    for batch in epochs:
        assert batch.data["index"].tolist() == list(range(seen, seen + len(batch)))
        for row, index in enumerate(batch.data["index"].tolist()):
            region, column = divmod(index, columns)
            sample, ploid = divmod(column, 2) if "ploid" in dims else (column, None)
            samples = [sample] if "sample" in dims else [0, 1, 2]
            ploids = [0, 1] if ploid is None else [ploid]
            bases = batch.data["hap"][row].reshape(len(samples), len(ploids), LENGTH)
            signal = batch.data["signal"][row].reshape(len(samples), len(ploids), LENGTH)
            assert batch.data["ref"][row].tobytes() == cohort.reference(region, LENGTH)
            for i, s in enumerate(samples):
                for j, p in enumerate(ploids):
                    assert bases[i, j].tobytes() == cohort.letters(region, s, p, LENGTH)
                    np.testing.assert_array_equal(signal[i, j], cohort.values(region, s, p, LENGTH))
        axes = [n for n, dim in ((3, "sample"), (2, "ploid")) if dim not in dims]
        assert batch.data["hap"].shape == (len(batch), *axes, LENGTH)
        assert batch.data["signal"].shape == (len(batch), *axes, LENGTH)
        seen += len(batch)


def test_tracks_of_the_reference(cohort: Cohort) -> None:
    for given, realign in ((readers(cohort), False), (readers(cohort)[1], True)):
        epochs = make(cohort, given, batch_dims=("sample",), realign=realign)
        for batch in epochs:
            rows = zip(batch.data["index"].tolist(), batch.data["signal"], strict=True)
            for index, signal in rows:
                region, sample = divmod(index, 3)
                np.testing.assert_array_equal(signal, cohort.values(region, sample, None, LENGTH))


def test_buffers_do_not_change_what_is_in_a_cell(cohort: Cohort) -> None:
    small = make(cohort, max_memory_gb=SMALL)
    n_buffers = len(list(small.settings.reader.buffers(3, 0)))
    assert n_buffers > 2
    assert len(list(make(cohort).settings.reader.buffers(3, 0))) == 1
    one, other = ({}, {})
    for epochs, found in ((small, one), (make(cohort, shuffle=False), other)):
        for batch in epochs:
            for i, index in enumerate(batch.data["index"].tolist()):
                found[index] = (batch.data["hap"][i].tobytes(), batch.data["signal"][i].tobytes())
    assert one == other


@pytest.mark.parametrize("max_memory_gb", [1.0, SMALL])
def test_the_same_batches_however_they_are_made(cohort: Cohort, max_memory_gb: float) -> None:
    straight = make(cohort, max_memory_gb=max_memory_gb)
    expected = [indices(straight) for _ in range(3)]
    assert len({str(epoch) for epoch in expected}) == 3
    plain = make(cohort, max_memory_gb=max_memory_gb, prefetch=0)
    assert [indices(plain) for _ in range(3)] == expected
    fresh = make(cohort, max_memory_gb=max_memory_gb)
    assert indices(fresh.batches(2, 3, 2)) == expected[2][3::2]
    assert indices(fresh.batches(1)) == expected[1]
    # As worker processes make them.
    copies = [pickle.loads(pickle.dumps(fresh)) for _ in range(2)]
    shares = [iter(copies[i % 2].read(plan) for plan in fresh.plans(1, i, 2)) for i in range(2)]
    made = [next(shares[i % 2]) for i in range(len(fresh))]
    assert indices(made) == expected[1]


@pytest.mark.parametrize("max_memory_gb", [1.0, SMALL])
@pytest.mark.parametrize("done", [1, 6, 15])
def test_resuming(cohort: Cohort, max_memory_gb: float, done: int) -> None:
    straight = make(cohort, max_memory_gb=max_memory_gb)
    n = len(straight)
    assert n == 11
    expected = flat([indices(straight) for _ in range(3)])
    epochs = make(cohort, max_memory_gb=max_memory_gb)
    for _ in range(done // n):
        indices(epochs)
    if done % n:
        indices(islice(iter(epochs), done % n))
    state = json.loads(json.dumps(epochs.state_dict()))
    other = make(cohort, max_memory_gb=max_memory_gb)
    other.load_state_dict(state)
    rest = indices(other)
    assert rest == expected[done : n * (done // n + 1)]
    assert indices(other) == expected[n * (done // n + 1) :][:n]


@pytest.mark.parametrize("world_size", [1, 7])
def test_ranks_share_every_batch(cohort: Cohort, world_size: int) -> None:
    whole = indices(make(cohort, max_memory_gb=SMALL))
    ranks = [
        indices(make(cohort, max_memory_gb=SMALL, shard=Shard(rank, world_size)))
        for rank in range(world_size)
    ]
    joined = [flat(list(parts)) for parts in zip(*ranks, strict=True)]
    assert joined[:-1] == whole[:-1]
    assert sorted(set(joined[-1])) == sorted(whole[-1])


def test_weights_are_numbers_of_repeats(cohort: Cohort) -> None:
    weights = {"region": [0, 1, 2, *[1] * 9], "sample": [1, 0, 2], "ploid": [1, 0.5]}
    for max_memory_gb in (1.0, SMALL):
        epochs = make(cohort, weights=weights, max_memory_gb=max_memory_gb)
        counts = Counter(flat(indices(epochs)))
        for region, of_region in enumerate(weights["region"]):
            for sample, of_sample in enumerate(weights["sample"]):
                for ploid, of_ploid in enumerate(weights["ploid"]):
                    index = (region * 3 + sample) * 2 + ploid
                    assert counts[index] == round(of_region * of_sample * of_ploid)
        assert epochs.n_examples == sum(counts.values())
    with pytest.raises(NotFoundError, match="ploid"):
        make(cohort, weights=weights, batch_dims=("sample",))


def test_jitter_moves_all_haplotypes_of_a_cell_alike(cohort: Cohort) -> None:
    epochs = make(cohort, jitter_bed=9, batch_dims=("sample",))
    moves = []
    for batch in epochs:
        for row, index in enumerate(batch.data["index"].tolist()):
            region, sample = divmod(index, 3)
            fits = [
                move
                for move in range(-9, 10)
                if all(
                    batch.data["hap"][row, p].tobytes()
                    == cohort.letters(region, sample, p, LENGTH, move)
                    for p in range(2)
                )
            ]
            assert len(fits) == 1
            moves += fits
    assert min(moves) < -3
    assert max(moves) > 3


def test_some_samples_and_encodings(cohort: Cohort) -> None:
    given = FastaVariants(
        "x", Fasta("ref", cohort.fasta), str(cohort.vcf), encoding="onehot", layout="BPAL"
    )
    epochs = make(cohort, given, samples=["s2", "s0"], shuffle=False)
    letters = make(cohort, readers(cohort, tracks=False), samples=["s0", "s2"], shuffle=False)
    for one, other in zip(epochs, letters, strict=True):
        assert one.data["x"].shape == (len(one), 4, LENGTH)
        for i, letter in enumerate(b"ACGT"):
            expected = other.data["hap"].view(np.uint8) == letter
            np.testing.assert_array_equal(one.data["x"][:, i], expected.astype(np.float32))
        assert one.data["index"].max() < 12 * 2 * 2


def test_a_haplotypes_reader_is_its_parts(cohort: Cohort) -> None:
    tracks = BigWigs("signal", cohort.bigwigs)
    both = Haplotypes(str(cohort.vcf), Fasta("hap", cohort.fasta), tracks)
    for one, other in zip(make(cohort, both), make(cohort), strict=True):
        for name in ("hap", "signal", "index"):
            np.testing.assert_array_equal(one.data[name], other.data[name])


def test_transforms_and_tuples(cohort: Cohort) -> None:
    def transform(batch: dict[str, Any]) -> dict[str, Any]:
        return {"gc": np.isin(batch["hap"], [b"G", b"C"]).mean(axis=-1)}

    batch = next(iter(make(cohort, transform=transform, return_tuples=("gc",)))).data
    assert isinstance(batch, tuple)
    assert [part.shape for part in batch] == [(7,), (7,)]
    batch = next(iter(make(cohort, return_tuples=("signal", "hap"), return_index=False))).data
    assert [part.dtype.kind for part in batch] == ["f", "S"]


def test_regions_outside_their_contig(cohort: Cohort, tmp_path: Path) -> None:
    bed = tmp_path / "outside.bed"
    bed.write_text("chr2\t100\t140\nchr1\t0\t10\nchr1\t880\t900\n")
    with pytest.raises(InvalidInputError, match=r"2 of 3 regions.*region 1 \(chr1:-15-25\)"):
        make(cohort, bed=bed)
    padded = Fasta("ref", cohort.fasta, "N")
    given = [FastaVariants("hap", padded, str(cohort.vcf)), BigWigs("signal", cohort.bigwigs)]
    epochs = make(cohort, given, bed=bed, shuffle=False, batch_size=18)
    (batch,) = epochs
    for index, bases, signal in zip(
        *(batch.data[name] for name in ("index", "hap", "signal")), strict=True
    ):
        sample, ploid = divmod(int(index) % 6, 2)
        contig, start = [("chr2", 100), ("chr1", -15), ("chr1", 870)][int(index) // 6]
        expected = cohort.bases(contig, start, LENGTH, False, sample, ploid)
        assert bases.tobytes() == expected
        carried = cohort.world.carried[contig, cohort.samples[sample], ploid]
        values = cohort.track(contig, start, LENGTH, False, carried, sample)
        np.testing.assert_array_equal(signal, values)


def test_what_cannot_be_read(cohort: Cohort) -> None:
    fasta = Fasta("ref", cohort.fasta)
    with pytest.raises(InvalidInputError, match="'sample', which none has"):
        make(cohort, fasta)
    with pytest.raises(InvalidInputError, match="got 'ref' twice"):
        make(cohort, [fasta, fasta])
    with pytest.raises(InvalidInputError, match="got str"):
        make(cohort, "made.fa")
    with pytest.raises(InvalidInputError, match="each at most once"):
        make(cohort, batch_dims=("batch",))
    with pytest.raises(NotFoundError, match="s9"):
        make(cohort, samples=["s9"])
    with pytest.raises(NotFoundError, match="hop"):
        make(cohort, return_tuples=("hop",))
    with pytest.raises(InvalidInputError, match="room for the lists of 3 samples"):
        make(cohort, max_memory_gb=1e-6, batch_size=1, prefetch=0, fixed_length=4)
    with pytest.raises(InvalidInputError, match="room for 5 batches of 7 examples, 7000 bytes"):
        make(cohort, max_memory_gb=2e-5)
    with pytest.raises(LoaderError, match=r"max_memory_gb: expected room for region \d+ \(chr"):
        list(make(cohort, max_memory_gb=1e-5, batch_size=1))
    with pytest.raises(InvalidInputError, match="'N' or None"):
        Fasta("ref", cohort.fasta, "-")  # type: ignore[arg-type]


def test_a_state_of_other_batches_is_refused(cohort: Cohort) -> None:
    state = make(cohort).state_dict()
    for changes in ({"fixed_length": 41}, {"batch_dims": ("sample",)}, {"max_memory_gb": 0.5}):
        with pytest.raises(InvalidInputError, match="other batches"):
            make(cohort, **changes).load_state_dict(state)


def test_no_thread_is_left(cohort: Cohort) -> None:
    before = set(threading.enumerate())
    epochs = make(cohort, max_memory_gb=SMALL)
    batches = iter(epochs)
    next(batches)
    del batches
    epochs.read(next(iter(epochs.plans(0))))
    assert set(threading.enumerate()) - before
    del epochs
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
