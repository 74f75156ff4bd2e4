"""Made cohorts whose variants overlap in every way, prepared, beside the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bigwig_loader import BigWigs, Dataset, write
from bigwig_loader._bigwig_writer import write_bigwig
from tests.helpers.haplotypes import World, random_world
from tests.oracles import haplotypes as oracle

MAX_JITTER = 7
RIGHT_PAD = oracle.RIGHT_PAD


@dataclass(frozen=True)
class Cohort:
    """A made world, a data set of it, and its signal, which tells position, contig and sample."""

    world: World
    regions: list[tuple[str, int, int, str]]
    path: Path
    fasta: Path

    def signal(self, coordinates: np.ndarray, contig: str, sample: int) -> np.ndarray:
        """What stands at reference positions: 0 outside the contig."""
        n = len(self.world.sequences[contig])
        inside = (coordinates >= 0) & (coordinates < n)
        number = list(self.world.sequences).index(contig)
        values = coordinates + 1 + 1_000 * number + 10_000 * sample
        return np.where(inside, values, 0).astype(np.float32)


def make_cohort(folder: Path, seed: int) -> Cohort:
    rng = np.random.default_rng(seed)
    lengths = {"c1": int(rng.integers(150, 400)), "c2": int(rng.integers(40, 90))}
    world = random_world(rng, lengths, 3, 2, int(rng.integers(10, 120)), 0.5, is_aligned=True)
    fasta, vcf = world.write(folder)
    bed = folder / "regions.bed"
    regions = []
    for _ in range(8):
        contig = str(rng.choice(list(lengths)))
        start = int(rng.integers(-20, lengths[contig] + 5))
        regions.append((contig, start, start + 30, str(rng.choice(["+", "-", "."]))))
    bed.write_text("".join(f"{c}\t{a}\t{b}\t.\t0\t{strand}\n" for c, a, b, strand in regions))
    paths = {}
    for i, sample in enumerate(world.samples):
        paths[sample] = folder / f"{sample}.bw"
        intervals = {}
        for number, (contig, n) in enumerate(lengths.items()):
            at = np.arange(n)
            intervals[contig] = (at, at + 1, at + 1 + 1_000 * number + 10_000 * i)
        write_bigwig(paths[sample], lengths, intervals)
    with mock.patch("os.fsync"):  # waiting for the disk takes most of the time
        write(
            folder / "set", bed, variants=vcf, bigwigs=BigWigs("t", paths),
            max_jitter=MAX_JITTER, reference=fasta, progress=False,
        )  # fmt: skip
    return Cohort(world, regions, folder / "set", fasta)


@pytest.fixture(scope="module", params=range(3))
def cohort(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"), request.param)


def expected(cohort: Cohort, cell: tuple[int, int, int], moved: int, **how: Any) -> list[Any]:
    """Bases of a (region, sample, ploid), moved by its jitter."""
    contig, start, end, _ = cohort.regions[cell[0]]
    carried = cohort.world.carried[contig, cohort.world.samples[cell[1]], cell[2]]
    sequence = cohort.world.sequences[contig]
    return oracle.window(sequence, carried, start + moved, end + moved, **how)


def check(cohort: Cohort, dataset: Dataset, moved: np.ndarray, **how: Any) -> None:
    """Letters, annotations and signal of all cells equal those of the oracle."""
    found, tracks = dataset[:, :]
    for cell in np.ndindex(len(cohort.regions), 3, 2):
        region, sample, ploid = cell
        contig, _, _, strand = cohort.regions[region]
        bases = expected(cohort, cell, int(moved[region, sample]), **how)
        reverse = strand == "-"
        n = len(cohort.world.sequences[contig])
        letters, records, coordinates = (
            np.asarray(part[region, sample][ploid])
            for part in (found.haps, found.var_idxs, found.ref_coords)
        )
        assert letters.tobytes().decode() == oracle.letters(bases, reverse)
        assert records.tolist() == oracle.records(bases, reverse)
        assert coordinates.tolist() == oracle.coordinates(bases, n, reverse)
        signal = np.asarray(tracks[region, sample][0][ploid])
        np.testing.assert_array_equal(signal, cohort.signal(coordinates, contig, sample))


@pytest.mark.parametrize("policy", ["first", "bcftools", "window"])
@pytest.mark.parametrize("length", [None, 11, 30, 30 + MAX_JITTER])
def test_cells_equal_the_oracle(cohort: Cohort, policy: str, length: int | None) -> None:
    dataset = Dataset.open(
        cohort.path, reference=cohort.fasta, return_sequences="annotated", overlap=policy,
        length=length or "ragged",
    )  # fmt: skip
    still = np.zeros((len(cohort.regions), 3), np.int64)
    check(cohort, dataset, still, policy=policy, length=length)


@pytest.mark.parametrize("length", [None, 30])
def test_jitter_moves_the_window(cohort: Cohort, length: int | None) -> None:
    dataset = Dataset.open(
        cohort.path, reference=cohort.fasta, return_sequences="annotated", jitter=MAX_JITTER,
        seed=11, length=length or "ragged",
    )  # fmt: skip
    # The reference says by how much: nothing is inserted or deleted there.
    plain = dataset.with_settings(return_sequences="reference", return_tracks=False)
    moves = set()
    for epoch in range(3):
        view = dataset.with_settings(epoch=epoch)
        moved = jitter_of(cohort, plain.with_settings(epoch=epoch))
        moves |= set(moved.ravel().tolist())
        check(cohort, view, moved, policy="first", length=length)
    assert min(moves) < -3
    assert max(moves) > 3
    assert max(map(abs, moves)) <= MAX_JITTER


def jitter_of(cohort: Cohort, dataset: Dataset) -> np.ndarray:
    """By how much each cell is moved, of those moves that its reference letters allow the only."""
    windows = dataset.reader.windows(np.arange(dataset.n_cells), dataset.settings.epoch)
    moved = windows.start.reshape(dataset.shape) - np.array([[r[1]] for r in cohort.regions])
    found = dataset.with_len("ragged")[:, :]
    for region, sample in np.ndindex(moved.shape):
        contig, start, end, strand = cohort.regions[region]
        by = int(moved[region, sample])
        bases = oracle.window(cohort.world.sequences[contig], [], start + by, end + by)
        text = np.asarray(found[region, sample]).tobytes().decode()
        assert text == oracle.letters(bases, strand == "-")
    return moved


@pytest.mark.parametrize("policy", ["first", "bcftools", "window"])
def test_streamed_examples_equal_the_oracle(cohort: Cohort, policy: str) -> None:
    pytest.importorskip("torch")
    from bigwig_loader import GVL, Fasta, FastaVariants

    reference = Fasta("haplotypes", cohort.fasta, pad="N")
    vcf = cohort.fasta.with_name("made.vcf")
    paths = {name: cohort.fasta.with_name(f"{name}.bw") for name in cohort.world.samples}
    loader = GVL(
        [FastaVariants("haplotypes", reference, vcf, overlap=policy), BigWigs("t", paths)],  # type: ignore[arg-type]
        cohort.fasta.with_name("regions.bed"), 30, 5, 0.05, ["sample"], return_index=True,
        shuffle=True, seed=1,
    )  # fmt: skip
    seen = []
    for batch in loader.torch_dataloader():
        for at, index in enumerate(np.asarray(batch["index"]).tolist()):
            seen.append(index)
            region, sample = divmod(index, 3)
            contig, _, _, strand = cohort.regions[region]
            for ploid in (0, 1):
                bases = expected(cohort, (region, sample, ploid), 0, policy=policy, length=30)
                text = np.asarray(batch["haplotypes"][at][ploid]).tobytes().decode()
                assert text == oracle.letters(bases, strand == "-")
                n = len(cohort.world.sequences[contig])
                coordinates = np.array(oracle.coordinates(bases, n, strand == "-"))
                signal = np.asarray(batch["t"][at][ploid])
                np.testing.assert_array_equal(signal, cohort.signal(coordinates, contig, sample))
    assert sorted(seen) == list(range(len(cohort.regions) * 3))
