"""A made cohort as files: FASTA, VCF, PGEN, BigWigs, BED; and what its haplotypes hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer import intervals_of, write_bigwig
from tests.helpers.haplotypes import World, random_world, write_pgen
from tests.oracles import haplotypes as oracle
from tests.oracles import realign


@dataclass(frozen=True)
class Cohort:
    """Files and truth.

    Parameters
    ----------
    world : World
    fasta, vcf, pgen, bed : Path
    bigwigs : dict of str to Path
        Of the samples.
    regions : list of (contig, start, end, strand)
    signal : dict
        Values of every base by (sample, contig).
    """

    world: World
    fasta: Path
    vcf: Path
    pgen: Path
    bed: Path
    bigwigs: dict[str, Path]
    regions: list[tuple[str, int, int, str]]
    signal: dict[tuple[str, str], npt.NDArray[np.float32]]

    @property
    def samples(self) -> tuple[str, ...]:
        return self.world.samples

    def window(self, region: int, length: int) -> tuple[str, int, bool]:
        """Contig and start of a region of a given length, and whether it is reversed."""
        contig, start, end, strand = self.regions[region]
        return contig, (start + end - length) // 2, strand == "-"

    def letters(self, region: int, sample: int, ploid: int, length: int, shift: int = 0) -> bytes:
        """Bases of a haplotype; `shift` moves the window along the reference."""
        contig, start, reverse = self.window(region, length)
        return self.bases(contig, start + shift, length, reverse, sample, ploid)

    def bases(
        self, contig: str, start: int, length: int, reverse: bool, sample: int, ploid: int
    ) -> bytes:
        carried = self.world.carried.get((contig, self.samples[sample], ploid), ())
        found = oracle.window(
            self.world.sequences[contig], carried, start, start + length, length=length
        )
        return oracle.letters(found, reverse).encode()

    def reference(self, region: int, length: int) -> bytes:
        contig, start, reverse = self.window(region, length)
        found = oracle.window(
            self.world.sequences[contig], (), start, start + length, length=length
        )
        return oracle.letters(found, reverse).encode()

    def values(
        self, region: int, sample: int, ploid: int | None, length: int
    ) -> npt.NDArray[np.float32]:
        """Signal along a haplotype, or along the reference for None."""
        contig, start, reverse = self.window(region, length)
        carried = (
            ()
            if ploid is None
            else self.world.carried.get((contig, self.samples[sample], ploid), ())
        )
        return self.track(contig, start, length, reverse, carried, sample)

    def track(
        self, contig: str, start: int, length: int, reverse: bool, carried: Any, sample: int
    ) -> npt.NDArray[np.float32]:
        signal = self.signal[self.samples[sample], contig]
        n = len(signal)
        places = realign.window(n, carried, start, start + length, length=length)
        values = [signal[p.position] if 0 <= p.position < n else 0.0 for p in places]
        return np.array(values[::-1] if reverse else values, np.float32)


def left_aligned(variant: oracle.Variant) -> bool:
    """Whether no base before the variant could be its anchor as well."""
    longer = variant.ref if variant.ilen < 0 else variant.alt
    return variant.ilen == 0 or longer[-1] != longer[0]


def make_cohort(
    folder: Path,
    seed: int = 1,
    n_samples: int = 3,
    n_variants: int = 60,
    share: float = 0.4,
    bigwigs: bool = True,
) -> Cohort:
    """Two contigs with variants that are clean, and may overlap on a haplotype."""
    rng = np.random.default_rng(seed)
    lengths = {"chr1": 900, "chr2": 600}
    made = random_world(rng, lengths, n_samples, 2, n_variants, share)
    variants, carried, record = {}, {}, 0
    renamed: dict[tuple[str, oracle.Variant], oracle.Variant] = {}
    for contig, found in made.variants.items():
        kept = [v for v in found if left_aligned(v)]
        variants[contig] = [v._replace(record=record + i) for i, v in enumerate(kept)]
        renamed |= {(contig, v): new for v, new in zip(kept, variants[contig], strict=True)}
        record += len(kept)
    for (contig, sample, ploid), found in made.carried.items():
        chosen = [renamed[contig, v] for v in found if (contig, v) in renamed]
        carried[contig, sample, ploid] = chosen
    world = World(made.sequences, made.samples, 2, variants, carried)
    fasta, vcf = world.write(folder)
    pgen = write_pgen(folder / "made", world.sequences, world.samples, variants, carried)
    signal, files = {}, {}
    for sample in world.samples:
        for contig, length in lengths.items():
            signal[sample, contig] = rng.integers(1, 100, length).astype(np.float32)
        if bigwigs:
            files[sample] = folder / f"{sample}.bw"
            write_bigwig(
                files[sample], lengths, {n: intervals_of(signal[sample, n]) for n in lengths}
            )
    regions = []
    for _ in range(12):
        contig = str(rng.choice(list(lengths)))
        start = int(rng.integers(60, lengths[contig] - 160))
        regions.append(
            (contig, start, start + int(rng.integers(5, 50)), str(rng.choice(["+", "-"])))
        )
    bed = folder / "made.bed"
    bed.write_text("".join(f"{c}\t{s}\t{e}\t.\t0\t{t}\n" for c, s, e, t in regions))
    return Cohort(world, fasta, vcf, pgen, bed, files, regions, signal)
