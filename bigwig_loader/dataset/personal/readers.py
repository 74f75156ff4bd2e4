"""What a streaming loader reads: a reference, haplotypes, tracks; each under a name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.fills import Fill, Repeat5p
from bigwig_loader.plan.haplotypes import Encoding, HaplotypeLayout, HaplotypeOptions, Overlap
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    from bigwig_loader.formats.variants.read import VariantOptions

Pad = Literal["N"] | None
# The samples of a track that is the same for all.
ANNOTATION = ("",)


@dataclass(frozen=True)
class Fasta:
    """The reference sequence.

    Parameters
    ----------
    name : str
        Under which a batch holds it.
    path : path-like
        FASTA file: plain, gzip or bgzip.
    pad : {"N"}, optional
        What stands outside the contig. By default a region that leaves its contig is an error.
    alphabet : str, optional
        ``"dna"``, which it is in any case.
    in_memory : bool
        Load all contigs at once, 4 bits per base, and keep them; by default what is needed. A
        memory budget has to have room for it.
    encoding, dtype, layout : str, optional
        How bases are encoded, see `HaplotypeOptions`; letters (S1) by default.
    """

    name: str
    path: PathLike
    pad: Pad = None
    alphabet: str | None = None
    in_memory: bool = False
    encoding: Encoding = field(default="bytes", kw_only=True)
    dtype: str | None = field(default=None, kw_only=True)
    layout: HaplotypeLayout = field(default="BPLA", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.pad not in (None, "N"):
            raise InvalidInputError(f"argument pad: expected 'N' or None; got {self.pad!r}")
        if self.alphabet is not None and str(self.alphabet).lower() != "dna":
            raise InvalidInputError(
                f"argument alphabet: expected 'dna' or None; got {self.alphabet!r}"
            )

    @property
    def options(self) -> HaplotypeOptions:
        """How bases are encoded."""
        return HaplotypeOptions(self.encoding, self.dtype, self.layout)

    def open(self) -> Genome:
        """The genome, newly opened."""
        genome = Genome(self.path)
        return genome.load() if self.in_memory else genome


@dataclass(frozen=True)
class FastaVariants:
    """Haplotypes: the reference with the variants of each sample.

    Parameters
    ----------
    name : str
        Under which a batch holds it.
    reference : Fasta or path-like
        A path stands for ``Fasta(name, path)``.
    variants : Vcf, Pgen, Svar or path-like
    overlap : {"first", "bcftools", "window"}
        Which of variants that overlap on a haplotype are applied; see `HaplotypeReader`.
    variant_options : VariantOptions, optional
        How variants are read and checked; see `read_variants`.
    encoding, dtype, layout : str, optional
        How bases are encoded, see `HaplotypeOptions`; letters (S1) by default.
    """

    name: str
    reference: Fasta | PathLike
    variants: Any
    overlap: Overlap = field(default="first", kw_only=True)
    variant_options: VariantOptions | None = field(default=None, kw_only=True)
    encoding: Encoding = field(default="bytes", kw_only=True)
    dtype: str | None = field(default=None, kw_only=True)
    layout: HaplotypeLayout = field(default="BPLA", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not isinstance(self.reference, Fasta):
            if not isinstance(self.reference, (str, os.PathLike)):
                raise InvalidInputError(
                    "argument reference: expected a Fasta or a path; got "
                    f"{type(self.reference).__name__}"
                )
            object.__setattr__(self, "reference", Fasta(self.name, self.reference))

    @property
    def options(self) -> HaplotypeOptions:
        """How bases are encoded."""
        return HaplotypeOptions(self.encoding, self.dtype, self.layout)

    @property
    def ploidy(self) -> Literal[1, 2]:
        """P: what the options for variants say, else 2."""
        options = self.variant_options
        return 2 if options is None or options.ploidy is None else options.ploidy

    @property
    def fasta(self) -> Fasta:
        """The reference."""
        assert isinstance(self.reference, Fasta)
        return self.reference


class Haplotypes:
    """Haplotypes and tracks re-aligned to them, as one reader.

    Parameters
    ----------
    variants : Vcf, Pgen, Svar or path-like
    reference : Fasta
        The haplotypes stand under its name.
    tracks : BigWigs, Table, or sequence of them, optional
        Each under its own name.
    **options
        Of `FastaVariants`; bases are encoded as the reference says.
    """

    def __init__(self, variants: Any, reference: Fasta, tracks: Any = None, **options: Any) -> None:
        encoded = {name: getattr(reference, name) for name in ("encoding", "dtype", "layout")}
        self.haplotypes = FastaVariants(
            reference.name, reference, variants, **{**encoded, **options}
        )
        self.tracks = () if tracks is None else _as_sequence(tracks)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The readers of a loader, put together.

    Parameters
    ----------
    references : tuple of Fasta
        Delivered as they are.
    haplotypes : FastaVariants or None
    tracks : tuple of track sources
        With `name`, `samples` and `read`.
    fills : tuple of Fill
        For each track, what the bases of an insertion have.
    realign : bool
        Whether tracks follow the haplotypes; else they are those of the reference.
    samples : tuple of str
        Sorted; those that haplotypes and tracks all have. Empty without either.
    """

    references: tuple[Fasta, ...]
    haplotypes: FastaVariants | None
    tracks: tuple[Any, ...]
    fills: tuple[Fill, ...]
    realign: bool
    samples: tuple[str, ...]

    @property
    def fasta(self) -> Fasta | None:
        """What says how long contigs are."""
        if self.haplotypes is not None:
            return self.haplotypes.fasta
        return self.references[0] if self.references else None

    @property
    def names(self) -> tuple[str, ...]:
        """What a batch holds."""
        readers = [*self.references, *([self.haplotypes] if self.haplotypes else []), *self.tracks]
        return tuple(reader.name for reader in readers)

    @property
    def ploidy(self) -> int:
        """P; 1 without haplotypes."""
        return 1 if self.haplotypes is None else self.haplotypes.ploidy


def collect_inputs(
    readers: Any,
    samples: Sequence[str] | None = None,
    fills: Fill | Mapping[str, Fill] | None = None,
    realign: bool = True,
) -> Inputs:
    """Readers as the caller gives them, checked.

    Parameters
    ----------
    readers : reader or sequence of readers
        `Fasta`, `FastaVariants` (at most one), `Haplotypes`, and sources of tracks.
    samples : sequence of str, optional
        Only these.
    fills : Fill or mapping of track name to Fill, optional
        `Repeat5p` by default.
    realign : bool

    Raises
    ------
    InvalidInputError
        For what is no reader, two readers of one name, two of haplotypes, or no common sample.
    NotFoundError
        For an unknown sample or track.
    """
    given: list[Any] = []
    for reader in _as_sequence(readers):
        parts = (reader.haplotypes, *reader.tracks) if isinstance(reader, Haplotypes) else (reader,)
        given += parts
    tracks = [r for r in given if callable(getattr(r, "read", None)) and hasattr(r, "samples")]
    haplotypes = [r for r in given if isinstance(r, FastaVariants)]
    references = [r for r in given if isinstance(r, Fasta)]
    for reader in given:
        if not any(reader is known for known in (*tracks, *haplotypes, *references)):
            raise InvalidInputError(
                "argument readers: expected Fasta, FastaVariants, Haplotypes, BigWigs or Table; "
                f"got {type(reader).__name__}"
            )
    names = [reader.name for reader in given]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if not given or twice or len(haplotypes) > 1:
        got = f"{twice[0]!r} twice" if twice else f"{len(haplotypes)} with variants of {len(given)}"
        raise InvalidInputError(
            "argument readers: expected at least one reader, names that differ, and at most one "
            f"FastaVariants; got {got}"
        )
    chosen = _join_samples(haplotypes, tracks, samples)
    by_name = dict(fills) if isinstance(fills, Mapping) else {}
    for name in by_name:
        if name not in [t.name for t in tracks]:
            raise NotFoundError.among("track", name, [t.name for t in tracks], "the readers")
    default = Repeat5p() if fills is None or isinstance(fills, Mapping) else fills
    return Inputs(
        tuple(references),
        haplotypes[0] if haplotypes else None,
        tuple(tracks),
        tuple(by_name.get(t.name, default) for t in tracks),
        realign and bool(haplotypes),
        chosen,
    )


def _join_samples(
    haplotypes: list[FastaVariants], tracks: list[Any], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    """The samples that all have, sorted; of these the wanted ones."""
    lists = [tuple(track.samples) for track in tracks if tuple(track.samples) != ANNOTATION]
    if haplotypes:
        from bigwig_loader.formats.variants.read import open_variants

        lists.append(tuple(open_variants(haplotypes[0].variants).samples))
    if not lists:
        if wanted is not None:
            raise InvalidInputError(
                "argument samples: expected None with a reference alone; got samples"
            )
        return ()
    common = sorted(set(lists[0]).intersection(*lists[1:]))
    if not common:
        raise InvalidInputError(
            "argument readers: expected samples that all of them have; got "
            + " and ".join(f"{', '.join(names[:3])}, ..." for names in lists)
        )
    if wanted is None:
        return tuple(common)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in common:
            raise NotFoundError.among("sample", name, common, "all readers")
    return tuple(sorted(set(names)))


def _as_sequence(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (list, tuple)) else (given,)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or name in ("", "index"):
        raise InvalidInputError(
            f"argument name: expected a text that is not 'index', which batches use; got {name!r}"
        )
