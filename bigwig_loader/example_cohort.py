"""A made cohort on the made genome: phased variants, and signal of each person that follows them.

A variant that breaks a motif takes half of its signal away for each haplotype that carries it. So
a model can learn from sequence and signal what variants do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_data import (
    _MOTIFS,
    _TRACKS,
    ExampleData,
    _find,
    _pile_up,
    _rates,
    make_example_data,
)
from bigwig_loader.formats.genome import Genome
from bigwig_loader.types import PathLike

_RECIPE = 1  # raise it when the same seed makes other data
_TRACK = _TRACKS[0]
_BP_PER_VARIANT = 300
_HALF_MOTIF_BP = 6
_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")


@dataclass(frozen=True)
class ExampleCohort:
    """Where the files of a made cohort lie.

    Parameters
    ----------
    data : ExampleData
        Genome, peaks and regions.
    variants : Path
        Phased VCF: bi-allelic substitutions, insertions and deletions, left-aligned.
    bigwigs : dict of str to Path
        Signal of each sample, by name.
    track_table : Path
        The same as a CSV with the columns sample and path.
    """

    data: ExampleData
    variants: Path
    bigwigs: dict[str, Path]
    track_table: Path

    @property
    def samples(self) -> list[str]:
        """Names, sorted."""
        return sorted(self.bigwigs)


@dataclass(frozen=True)
class _Variant:
    position: int
    ref: str
    alt: str

    @property
    def end(self) -> int:
        return self.position + len(self.ref)


def make_example_cohort(
    path: PathLike,
    seed: int = 0,
    contigs: Mapping[str, int] | None = None,
    n_samples: int = 4,
) -> ExampleCohort:
    """Make a genome, a phased VCF of some people and a BigWig track of each, without a network.

    Parameters
    ----------
    path : path-like
        Folder to write into; what was made there with the same arguments is kept.
    seed : int
        The same seed gives the same data.
    contigs : mapping of name to length in bp, optional
        See `make_example_data`.
    n_samples : int

    Returns
    -------
    ExampleCohort
        The paths.
    """
    if n_samples < 1:
        raise InvalidInputError(f"argument n_samples: expected at least 1; got {n_samples}")
    data = make_example_data(path, seed, contigs)
    folder = data.directory / "cohort"
    folder.mkdir(exist_ok=True)
    names = [f"person{i + 1}" for i in range(n_samples)]
    cohort = ExampleCohort(
        data,
        folder / "variants.vcf",
        {name: folder / f"{name}.bw" for name in names},
        folder / "tracks.csv",
    )
    genome = Genome(data.reference_genome)
    recipe = folder / "recipe.json"
    wanted = json.dumps(
        {"recipe": _RECIPE, "seed": seed, "contigs": genome.contigs, "samples": n_samples}
    )
    if recipe.exists() and recipe.read_text() == wanted:
        return cohort
    recipe.unlink(missing_ok=True)

    lines = [
        "##fileformat=VCFv4.2",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        *(f"##contig=<ID={name},length={length}>" for name, length in genome.contigs.items()),
        "\t".join((*_COLUMNS, *names)),
    ]
    signal: dict[str, dict[str, Any]] = {n: {} for n in names}
    children = np.random.SeedSequence([seed, 1]).spawn(len(genome.contigs))
    for (contig, length), child in zip(genome.contigs.items(), children, strict=True):
        rng = np.random.default_rng(child)
        sequence = genome.sequence(contig, 0, length)
        codes = np.array(["ACGT".find(letter) for letter in sequence])
        known = codes >= 0
        sites = [_find(np.where(known, codes, 4).astype(np.uint8), motif) for motif in _MOTIFS]
        sites = [where[known[where]] for where in sites]
        variants = _draw_variants(sequence, np.concatenate(sites), rng)
        frequency = rng.beta(1.0, 2.0, len(variants))
        carried = rng.random((len(variants), n_samples, 2)) < frequency[:, None, None]
        for variant, who in zip(variants, carried.astype(int).tolist(), strict=True):
            fields = (contig, variant.position + 1, ".", variant.ref, variant.alt, ".", "PASS", ".")
            lines.append("\t".join([*map(str, fields), "GT", *(f"{a}|{b}" for a, b in who)]))
        for i, name in enumerate(names):
            rates = _person_rates(sites, variants, carried[:, i], known)
            pile = _pile_up(rates, rng).astype(np.float32)
            pile[pile == 0] = np.nan
            signal[name][contig] = intervals_of(pile)
    cohort.variants.write_text("\n".join(lines) + "\n")
    for name, file in cohort.bigwigs.items():
        write_bigwig(file, genome.contigs, signal[name], WriterOptions())
    rows = [f"{name},{file.resolve()}\n" for name, file in cohort.bigwigs.items()]
    cohort.track_table.write_text("sample,path\n" + "".join(rows))
    recipe.write_text(wanted)
    return cohort


def _draw_variants(
    sequence: str, sites: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[_Variant]:
    """Variants that do not overlap: some anywhere, and one in every third motif."""
    anywhere = rng.integers(0, len(sequence) - 12, len(sequence) // _BP_PER_VARIANT)
    in_motifs = rng.choice(sites, len(sites) // 3, replace=False) if len(sites) else sites
    variants: list[_Variant] = []
    end = 0
    for position in np.unique(np.concatenate([anywhere, in_motifs])).tolist():
        variant = _draw_variant(sequence, position, rng)
        if position > end and variant is not None:
            variants.append(variant)
            end = variant.end
    return variants


def _draw_variant(sequence: str, position: int, rng: np.random.Generator) -> _Variant | None:
    """A substitution, or an insertion or deletion that cannot be moved to the left."""
    kind, n = rng.random(), int(rng.geometric(0.3))
    n = min(n, 10)
    ref = sequence[position : position + n + 1]
    anchor = sequence[position : position + 1]
    inserted = "".join(rng.choice(list("ACGT"), n))
    if not set(ref) <= set("ACGT") or not ref:
        return None
    if kind < 0.7:
        others = [letter for letter in "ACGT" if letter != anchor]
        return _Variant(position, anchor, str(rng.choice(others)))
    if kind < 0.85:
        return _Variant(position, anchor, anchor + inserted) if inserted[-1] != anchor else None
    return _Variant(position, ref, anchor) if ref[-1] != anchor else None


def _person_rates(
    sites: list[npt.NDArray[np.int64]],
    variants: list[_Variant],
    carried: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Expected fragments at each base: the mean of what the two haplotypes have."""
    background = np.where(known, 0.016, 0.0)
    start = np.array([v.position for v in variants], np.int64)
    end = np.array([v.end for v in variants], np.int64)
    rates = []
    for ploid in range(2):
        of_ploid = np.flatnonzero(carried[:, ploid])
        whole = []
        for where in sites:
            # Variants do not overlap, so their ends ascend as their starts do.
            first = np.searchsorted(end[of_ploid], where - _HALF_MOTIF_BP, side="right")
            last = np.searchsorted(start[of_ploid], where + _HALF_MOTIF_BP, side="left")
            whole.append(where[first >= last])
        rates.append(_rates(_TRACK, whole, background, known))
    return (rates[0] + rates[1]) / 2
