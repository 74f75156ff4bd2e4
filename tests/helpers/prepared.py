"""Prepared data sets for tests, made in memory: nothing of the writing side takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.layout import PreparedData, TrackData
from bigwig_loader.dataset.prepared.settings import default_settings
from bigwig_loader.dataset.prepared.sources import Sources
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.windows import ContigTable
from tests.helpers.gvl_cases import Case, Region
from tests.oracles.haplotypes import Variant

Intervals = Sequence[tuple[int, int, float]]

CONTIGS = {"chr1": 400, "chr2": 260}
SAMPLES = ("anna", "ben", "carl")
MAX_JITTER = 6
REGIONS = (
    Region("chr1", 100, 140, False),
    Region("chr1", 120, 160, True),
    Region("chr1", -10, 30, False),
    Region("chr2", 30, 70, True),
    Region("chr2", 235, 275, False),
)


class MemoryData(PreparedData):
    """A data set without files."""

    def region_frame(self):
        import pandas as pd

        names = [self.contigs.names[i] for i in self.contig_index]
        strand = np.where(self.strand < 0, "-", "+")
        frame = {"chrom": names, "start": self.start, "end": self.end, "strand": strand}
        frame["name"] = [f"peak{i}" for i in range(len(names))]
        return pd.DataFrame(frame)


def interval_table(
    contigs: Sequence[str], samples: Sequence[str], intervals: Mapping[tuple[str, str], Intervals]
) -> IntervalTable:
    """Intervals by (contig, sample)."""
    lists = [sorted(intervals.get((c, s), ())) for c in contigs for s in samples]
    flat = [interval for found in lists for interval in found]
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    columns = list(zip(*flat, strict=True)) or [(), (), ()]
    return IntervalTable(
        tuple(contigs),
        tuple(samples),
        offsets,
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.float32),
    )


def prepared_data(
    regions: Sequence[Region],
    samples: Sequence[str],
    lengths: Mapping[str, int],
    variants: tuple[VariantTable, Genotypes] | None = None,
    tracks: Mapping[str, TrackData] | None = None,
    max_jitter: int = 0,
    requested_length: int | None = None,
) -> MemoryData:
    """A data set that stores everything there is of its contigs."""
    contigs = ContigTable(tuple(lengths), np.array(list(lengths.values())))
    start = np.array([region.start for region in regions], np.int64)
    end = np.array([region.end for region in regions], np.int64)
    same = len(set((end - start).tolist())) == 1
    return MemoryData(
        path=Path("in-memory"),
        contigs=contigs,
        samples=tuple(samples),
        ploidy=1 if variants is None else variants[1].ploidy,
        contig_index=np.array([contigs.names.index(r.contig) for r in regions], np.int32),
        start=start,
        end=end,
        strand=np.array([-1 if region.reverse else 1 for region in regions], np.int8),
        stored_start=start - max_jitter,
        stored_end=np.full(len(regions), max(lengths.values()), np.int64),
        table=None if variants is None else variants[0],
        genotypes=None if variants is None else variants[1],
        tracks=dict(tracks or {}),
        max_jitter=max_jitter,
        length=int(end[0] - start[0]) if same else None,
        metadata={"requested_length": requested_length, "variants": None},
    )


def opened(data: PreparedData, genome: Genome | None, **settings) -> PreparedDataset:
    """A view of it, as `PreparedDataset.open` makes one of files."""
    sources = Sources(data, genome, n_threads=1)
    whole = (np.arange(data.n_regions), np.arange(data.n_samples))
    names = settings.pop("region_names", None)
    made = PreparedDataset(sources, default_settings(sources.facts, data.metadata), *whole, names)
    return made.with_settings(**settings)


def case_data(case: Case) -> MemoryData:
    """One of the written cases, with its two tracks."""
    tracks = {}
    for track in ("t0", "t1"):
        intervals: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
        for sample in case.samples:
            text = (case.folder / f"{track}.{sample}.bedgraph").read_text()
            for line in text.splitlines():
                contig, start, end, value = line.split()
                found = intervals.setdefault((contig, sample), [])
                found.append((int(start), int(end), float(value)))
        table = interval_table(list(case.sequences), case.samples, intervals)
        tracks[track] = TrackData(table, "sample")
    return prepared_data(
        case.regions,
        case.samples,
        {name: len(sequence) for name, sequence in case.sequences.items()},
        case.tables(),
        tracks,
        max_jitter=case.options.get("max_jitter", 0),
    )


def made_world(seed=0, n_variants=60):
    """Sequences, and the variants of three diploid samples; overlaps included."""
    rng = np.random.default_rng(seed)
    sequences = {c: "".join(rng.choice(list("ACGT"), n)) for c, n in CONTIGS.items()}
    variants: dict[str, list[Variant]] = {}
    carried: dict[tuple[str, str, int], list[Variant]] = {}
    record = 0
    for contig, sequence in sequences.items():
        found = []
        for position in np.sort(rng.integers(0, len(sequence) - 12, n_variants)).tolist():
            anchor = sequence[position]
            kind, size = rng.integers(3), int(rng.integers(1, 9))
            if kind == 0:
                ref, alt = anchor, str(rng.choice([x for x in "ACGT" if x != anchor]))
            elif kind == 1:
                ref, alt = anchor, anchor + "".join(rng.choice(list("ACGT"), size))
            else:
                ref, alt = sequence[position : position + size + 1], anchor
            found.append(Variant(position, ref, alt, record))
            record += 1
        variants[contig] = found
        for sample in SAMPLES:
            for ploid in range(2):
                mine = [v for v in found if rng.random() < 0.4]
                carried[contig, sample, ploid] = mine
    return sequences, variants, carried


def ramp(contigs, samples=SAMPLES, step=0.0):
    """A track whose value at each base is the base's own position plus one."""
    intervals = {
        (c, s): [(i, i + 1, i + 1 + step * k) for i in range(n)]
        for c, n in contigs.items()
        for k, s in enumerate(samples)
    }
    return interval_table(list(contigs), samples, intervals)
