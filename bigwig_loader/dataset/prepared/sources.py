"""What all views of one opened data set share: arrays, reference, resolved haplotypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.select import select_backend
from bigwig_loader.dataset.prepared.layout import PreparedData, open_prepared
from bigwig_loader.dataset.prepared.settings import Facts
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.sampling.digest import digest
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import HaplotypeReader
    from bigwig_loader.plan.haplotypes import Overlap

BUILT_IN_FIELDS = ("ref", "record")


class Sources:
    """An opened data set and what is made of it once.

    It travels to other processes as its path, and is opened again there. A forked process shares
    what was made before the fork.

    Parameters
    ----------
    data : PreparedData
    genome : Genome, optional
    n_threads : int, optional
        Threads of one call; by default as many as there are cores.

    Raises
    ------
    NotFoundError
        If the genome lacks a contig of the data set.
    InvalidInputError
        If a contig has another length there: another assembly.
    """

    def __init__(
        self, data: PreparedData, genome: Genome | None, n_threads: int | None = None
    ) -> None:
        self.data, self.genome = data, genome
        self.backend = select_backend("cpu", n_threads)
        self.n_threads = self.backend.n_threads
        self._readers: dict[Any, HaplotypeReader] = {}
        if genome is None:
            return
        for name, length in zip(data.contigs.names, data.contigs.lengths.tolist(), strict=True):
            if name not in genome.contigs:
                raise NotFoundError.among("contig", name, genome.contigs, genome.path)
            if 0 <= length != genome.contigs[name]:
                raise InvalidInputError(
                    f"argument reference: expected contig {name!r} of {length} bp, as when "
                    f"{data.path} was written; got {genome.contigs[name]} bp in {genome.path}. "
                    "Is it of another assembly?"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        if (self.data.path / "metadata.json").exists():
            return _reopened, (self.data.path, self.genome, self.n_threads)
        return Sources, (self.data, self.genome, self.n_threads)

    def reopened(self) -> Sources:
        """The data set as its files are now."""
        return _reopened(self.data.path, self.genome, self.n_threads)

    @property
    def facts(self) -> Facts:
        """What views may give."""
        info = () if self.data.table is None else tuple(self.data.table.info)
        return Facts(
            tracks=tuple(self.data.tracks),
            has_variants=self.data.table is not None,
            has_reference=self.genome is not None,
            max_jitter=self.data.max_jitter,
            var_fields=() if self.data.table is None else (*BUILT_IN_FIELDS, *info),
        )

    @property
    def contig_lengths(self) -> npt.NDArray[np.int64]:
        """Length of each contig in bp, (C,); the longest possible where nothing knows it."""
        names, lengths = self.data.contigs.names, self.data.contigs.lengths
        if self.genome is not None:
            return np.array([self.genome.contigs[name] for name in names], np.int64)
        return np.where(lengths < 0, np.iinfo(np.int32).max, lengths)

    def keep(self, min_af: float | None, max_af: float | None) -> npt.NDArray[np.bool_] | None:
        """Variants within the allele frequencies, (V,); one of unknown frequency is not."""
        if (min_af is None and max_af is None) or self.data.table is None:
            return None
        frequency = np.asarray(self.data.table.info["AF"], np.float32)
        keep = ~np.isnan(frequency)
        if min_af is not None:
            keep &= frequency >= np.float32(min_af)
        if max_af is not None:
            keep &= frequency <= np.float32(max_af)
        return keep

    def haplotypes(
        self, overlap: Overlap, min_af: float | None, max_af: float | None
    ) -> HaplotypeReader:
        """Reader of the haplotypes; made once for each policy and filter."""
        table, genotypes = self.data.table, self.data.genotypes
        if self.genome is None or table is None or genotypes is None:
            raise InvalidInputError(
                "haplotypes: expected a data set with variants, opened with a reference"
            )
        return self._reader(
            (overlap, min_af, max_af), table, genotypes, overlap, self.keep(min_af, max_af)
        )

    def reference(self) -> HaplotypeReader:
        """Reader of the reference: one haplotype that carries nothing."""
        names = self.data.contigs.names
        zeros = np.zeros(len(names) + 1, np.int64)
        none, letters, one = np.empty(0, np.int32), np.empty(0, np.uint8), np.zeros(1, np.int64)
        table = VariantTable(
            names, zeros, none, none, one, letters, one, letters, np.empty(0, np.int64)
        )
        return self._reader("reference", table, Genotypes(("",), 1, zeros, none), "first", None)

    def _reader(
        self,
        key: Any,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap,
        keep: npt.NDArray[np.bool_] | None,
    ) -> HaplotypeReader:
        if self.genome is None:
            raise InvalidInputError("sequence: expected a data set opened with a reference")
        if key not in self._readers:
            opened = self.backend.open_haplotypes(self.genome, table, genotypes, overlap, keep)
            self._readers[key] = opened
        return self._readers[key]


def _reopened(path: PathLike, genome: Genome | None, n_threads: int) -> Sources:
    return Sources(open_prepared(path), genome, n_threads)


def fingerprint_of(data: PreparedData) -> str:
    """Hash of what a data set holds, as far as its metadata and regions tell."""
    left_out = ("written_by", "report", "reference")
    metadata = {k: v for k, v in sorted(data.metadata.items()) if k not in left_out}
    regions = (data.contig_index, data.start, data.end, data.strand)
    return digest(metadata, data.samples, *map(np.asarray, regions))
