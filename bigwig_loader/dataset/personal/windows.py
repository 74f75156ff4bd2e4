"""Windows of a `BigWigDataset` on the haplotypes of samples: sequence, and signal that follows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.options import SamplingOptions, ValueOptions, WindowOptions
from bigwig_loader.dataset.personal.pieces import I64, read_haplotypes
from bigwig_loader.dataset.personal.readers import FastaVariants
from bigwig_loader.dataset.prepared.making.neighbourhood import Wanted
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.fills import Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.plan.realign import DenseRows, RealignOptions
from bigwig_loader.plan.signal import SignalOptions, TrackTransform
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.sampling.digest import digest

if TYPE_CHECKING:
    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.dataset.sources import Sources
    from bigwig_loader.sampling.regions import Regions


@dataclass(frozen=True, eq=False)
class Personal:
    """The haplotypes of a data set's samples.

    Parameters
    ----------
    source : FastaVariants
    reader : HaplotypeReader
    contig : (C,) int32
        Of every contig that windows count, the contig of the reader; -1 where it has none.
    samples : tuple of str
    window : WindowOptions
    value : ValueOptions
    """

    source: FastaVariants
    reader: Any
    contig: npt.NDArray[np.int32]
    samples: tuple[str, ...]
    window: WindowOptions
    value: ValueOptions

    def fingerprint(self) -> dict[str, Any]:
        """What decides what the haplotypes are, by name."""
        source = self.source
        return {
            "samples": digest(*self.samples),
            "variants": digest(source.overlap, source.variant_options),
        }

    def windows(
        self, windows: Windows, sample: I64, length_bp: int, offset_bp: int = 0
    ) -> HaplotypeWindows:
        """Haplotype bases [offset, offset + length) of windows (B,) of the reference."""
        contig = self.contig[windows.contig_index]
        if len(contig) and contig.min() < 0:
            at = int(np.argmin(contig))
            raise InvalidInputError(
                f"windows: expected those of contigs with regions; got contig "
                f"{int(windows.contig_index[at])}, whose variants were not read"
            )
        shift = None
        if offset_bp:
            shift = np.full((len(windows), self.reader.ploidy), offset_bp, np.int64)
        start = windows.start
        return HaplotypeWindows(
            contig, start, start + windows.length_bp, sample, windows.reverse, shift, length_bp
        )

    def sequences(self, windows: Windows, sample: I64) -> Any:
        """One-hot haplotypes, (B, P, L, 4)."""
        options = HaplotypeOptions("onehot", self.value.dtype)
        return self.reader.encode(self.windows(windows, sample, windows.length_bp), options).data

    def values(
        self,
        collection: BigWigCollection,
        tracks: I64,
        windows: Windows,
        sample: I64,
        swap: tuple[int, ...] | None,
    ) -> Any:
        """Signal of the central part of each haplotype, (B, P, N, T).

        It is read base by base, as far along the reference as the haplotypes reach. `swap` says
        which tracks change places in reversed windows.
        """
        window, value = self.window, self.value
        dtype: Any = value.dtype
        options = RealignOptions(
            bin_size=window.window_size,
            statistic=value.statistic,
            dtype=dtype,
            uncovered=value.default_value,
            out_of_bounds=value.default_value,
            track_swap=swap,
            layout="BPNT",
        )
        wanted = self.windows(windows, sample, window.value_bp, window.value_offset_bp)
        reach = int((self.reader.ends(wanted).max(axis=1) - windows.start).max(initial=1))
        # The anchor of an insertion may lie behind the last base that is needed.
        span = Windows(windows.contig_index, windows.start, max(reach, windows.length_bp) + 1)
        plain = collection.with_transforms(
            {
                name: TrackTransform(scale=t.scale, nan_to=t.nan_to)
                for name, t in zip(collection.track_names, collection.transforms, strict=True)
            }
        )
        bases = SignalOptions(
            layout="BTN", uncovered=options.uncovered, out_of_bounds=options.out_of_bounds
        )
        dense = plain.read(span, tracks=tracks, options=bases)
        transforms = [collection.transforms[t] for t in tracks.tolist()]
        rows = [DenseRows(dense[:, i], span.start, t) for i, t in enumerate(transforms)]
        fills = [Repeat5p()] * len(rows)
        return collection.backend.realign(self.reader, wanted, rows, fills, options).data


def as_reader(variants: Any) -> FastaVariants:
    """Variants as a reader of haplotypes; its reference is not used."""
    return variants if isinstance(variants, FastaVariants) else FastaVariants("_", "_", variants)


def reference_of(variants: Any, samples: Any, reference: Any) -> Any:
    """The genome to use: the one that is given, or that of the variants' reader.

    Raises
    ------
    InvalidInputError
        For samples without variants.
    """
    if variants is None and samples is not None:
        raise InvalidInputError("argument samples: expected None without variants; got samples")
    if reference is None and isinstance(variants, FastaVariants):
        return variants.fasta.path
    return reference


def open_personal(
    variants: Any,
    samples: Sequence[str] | None,
    sources: Sources,
    regions: Regions | None,
    window: WindowOptions,
    sampling: SamplingOptions,
    value: ValueOptions,
) -> Personal:
    """Read the variants of all windows that a data set may deliver.

    Parameters
    ----------
    variants : Vcf, Pgen, Svar, path, or FastaVariants
    samples : sequence of str, optional
        Which, in this order; all by default, sorted.
    sources : Sources
    regions : Regions or None
        Where windows lie; None for anywhere on the contigs that all inputs have.
    window, sampling, value
        Of the data set.

    Raises
    ------
    InvalidInputError
        Without a genome, or for options that have no meaning on haplotypes.
    NotFoundError
        For an unknown sample.
    """
    from bigwig_loader.formats.variants.read import open_variants

    for name, wrong, why in (
        ("reference_genome_path", sources.genome is None, "a genome"),
        ("sequence_encoder", value.sequence_encoder != "onehot", "'onehot'"),
        ("moving_average_window_size", window.moving_average_window_size > 1, "1"),
    ):
        if wrong:
            raise InvalidInputError(f"argument {name}: expected {why} with variants; got another")
    genome = sources.genome
    assert genome is not None
    source = as_reader(variants)
    known = tuple(open_variants(source.variants).samples)
    chosen = tuple(sorted(known)) if samples is None else _names(samples)
    for name in chosen:
        if name not in known:
            where = os.fspath(getattr(source.variants, "path", "the variants"))
            raise NotFoundError.among("sample", name, known, where)
    names, wanted = _reach(sources, regions, window, sampling)
    lengths = np.array([genome.contigs[name] for name in names], np.int64)
    contigs = ContigTable(names, lengths, "the genome")
    table, genotypes, _ = read_haplotypes(source, chosen, wanted, contigs, genome)
    reader = sources.backend.open_haplotypes(genome, table, genotypes, overlap=source.overlap)
    place = {name: i for i, name in enumerate(names)}
    contig = np.array([place.get(name, -1) for name in sources.contigs.names], np.int32)
    return Personal(source, reader, contig, chosen, window, value)


def _names(samples: Sequence[str]) -> tuple[str, ...]:
    names = (samples,) if isinstance(samples, str) else tuple(samples)
    if not names or len(set(names)) < len(names):
        raise InvalidInputError(
            f"argument samples: expected at least one sample, each once; got {list(names)[:5]}"
        )
    return names


def _reach(
    sources: Sources, regions: Regions | None, window: WindowOptions, sampling: SamplingOptions
) -> tuple[tuple[str, ...], Wanted]:
    """Contigs, in the order of the genome, and what windows of them may cover."""
    assert sources.genome is not None
    if regions is None:
        usable = dict(zip(sources.usable.names, sources.usable.lengths.tolist(), strict=True))
        names = tuple(name for name in sources.genome.contigs if name in usable)
        ends = np.array([usable[name] for name in names], np.int64)
        return names, Wanted(np.arange(len(names), dtype=np.int32), np.zeros_like(ends), ends)
    here = {regions.contig_names[i] for i in np.unique(regions.contig).tolist()}
    names = tuple(name for name in sources.genome.contigs if name in here)
    place = {name: i for i, name in enumerate(names)}
    contig = np.array([place.get(name, -1) for name in regions.contig_names], np.int32)
    half, jitter = window.sequence_length // 2, sampling.max_jitter
    start = regions.start - half - jitter
    end = regions.end - 1 - half + jitter + window.sequence_length
    return names, Wanted(contig[regions.contig], start, end)
