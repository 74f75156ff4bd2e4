"""In-silico mutagenesis: windows without and with a site, and all substitutions of a window."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import HaplotypeReader
from bigwig_loader.backend.select import select_backend
from bigwig_loader.dataset.prepared.indexing import Axis
from bigwig_loader.dataset.prepared.site_check import Invalid, read_sites
from bigwig_loader.dataset.prepared.site_table import sites_vcf_to_table
from bigwig_loader.dataset.prepared.window_lists import WindowLists, WindowReader, join_tables
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.types import PathLike, check_positive

if TYPE_CHECKING:
    from bigwig_loader.dataset.prepared.dataset import PreparedDataset

_BASES = np.frombuffer(b"ACGT", np.uint8)


class SitePairs:
    """Windows of the reference around sites, without and with the site.

    ``pairs[i]`` is (reference, alternate) of one site, ``pairs[[3, 1]]`` of several with a batch
    axis in front: one call into the C library for all of them. Both windows begin at the same base.
    A deletion is followed by bases from behind the window, an insertion pushes bases out.

    Parameters
    ----------
    genome : path-like or Genome
        FASTA.
    sites : path-like or table
        A VCF, read by `sites_vcf_to_table`; or a frame or mapping of columns ``CHROM``, ``POS``
        (1-based), ``REF`` and ``ALT``.
    length_bp : int
        L. The first base of REF, left-aligned, stands at base ``L // 2`` of the window.
    reverse_complement : bool
        Deliver both as reverse complement.
    invalid : {"error", "drop"}
        What happens to sites that cannot be used; see `read_sites`.
    encoding, dtype, layout
        See `HaplotypeOptions`; one-hot of float32, (L, 4), by default.
    n_threads : int
        Threads per call.

    Attributes
    ----------
    given : (n,) int64
        Row of `sites` that each pair is of, ascending. Sites on contigs that the genome lacks are
        an error, so only ``"drop"`` leaves rows out.
    dropped : dict of str to int
        How many sites were left out, by reason.

    Raises
    ------
    NotFoundError
        For a contig that the genome lacks.
    InvalidInputError
        For sites that cannot be used.

    Examples
    --------
    >>> genome = Genome.from_arrays({"c1": "ACGTACGTAC"})
    >>> sites = {"CHROM": ["c1"], "POS": [5], "REF": ["A"], "ALT": ["G"]}
    >>> reference, alternate = SitePairs(genome, sites, 4, encoding="bytes")[0]
    >>> reference.tobytes(), alternate.tobytes()
    (b'GTAC', b'GTGC')
    """

    def __init__(
        self,
        genome: PathLike | Genome,
        sites: Any,
        length_bp: int,
        *,
        reverse_complement: bool = False,
        invalid: Invalid = "error",
        n_threads: int = 1,
        **encoding: Any,
    ) -> None:
        check_positive("length_bp", length_bp)
        self.length_bp = length_bp
        self.options = HaplotypeOptions(**encoding)
        genome = genome if isinstance(genome, Genome) else Genome(genome)
        if isinstance(sites, (str, os.PathLike)):
            sites = sites_vcf_to_table(sites)
        names = tuple(dict.fromkeys(str(name) for name in sites["CHROM"]))
        for name in names:
            if name not in genome.contigs:
                raise NotFoundError.among("contig", name, genome.contigs, genome.path)
        found = read_sites(sites, genome, names, invalid)
        order = np.argsort(found.given, kind="stable")
        self.given, self.dropped = found.given[order], found.dropped
        self._order, self._sites, self._contig = order, found.table, found.contig
        self._reverse = reverse_complement
        self._reader = _bare_reader(genome, names, 2, n_threads)
        self._axis = Axis("site", len(found))

    def __len__(self) -> int:
        return len(self.given)

    def __getitem__(self, key: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        rows = self._axis.rows(key)
        reference, alternate = self._read(self._order[rows.reshape(-1)])
        if rows.ndim == 0:
            return reference[0], alternate[0]
        return reference, alternate

    def batches(self, batch_size: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """All pairs in order; the last batch may be smaller."""
        check_positive("batch_size", batch_size)
        for first in range(0, len(self), batch_size):
            yield self[first : first + batch_size]

    def _read(self, site: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        n = len(site)
        start = self._sites.position[site].astype(np.int64) - self.length_bp // 2
        windows = HaplotypeWindows(
            self._contig[site],
            start,
            start + self.length_bp,
            np.zeros(n, np.int64),
            np.full(n, True) if self._reverse else None,
            length_bp=self.length_bp,
        )
        # Of two haplotypes the first carries nothing and the second its site.
        lists = WindowLists(
            (np.arange(2 * n + 1, dtype=np.int64)) // 2, site, np.zeros(n, np.bool_)
        )
        table = join_tables(self._reader.table, self._sites, site)
        reader = WindowReader(self._reader, windows, lists, table, "window")
        data = reader.reader.encode(reader.windows, self.options).data
        return data[:, 0], data[:, 1]


class Saturation:
    """All substitutions of a window: three for each of its known bases.

    ``saturation[k]`` is the window with substitution k, ``saturation[10:20]`` ten of them with a
    batch axis in front. The window is read once; batches are copies of it with one base changed.

    Parameters
    ----------
    letters : (L,) S1 array or bytes
        Bases of the window, in the order delivered. Others than A, C, G and T stay as they are.
    ref_coords : (L,) int, optional
        Reference position of each base.
    mutate : (int, int), optional
        Bases of the window that are changed, half-open; all by default.
    encoding, dtype, layout
        See `HaplotypeOptions`; one-hot of float32, (L, 4), by default.

    Attributes
    ----------
    reference : ndarray
        The window as it is: (L, 4), (4, L) or (L,).
    positions : (M,) int64
        Base of the window that each substitution changes; ascending.
    letters : (M,) S1
        What it becomes, in the order A, C, G, T.
    ref_coords : (M,) int64 or None
        Reference position of that base.
    """

    def __init__(
        self,
        letters: npt.NDArray[np.bytes_] | bytes,
        ref_coords: npt.NDArray[np.integer] | None = None,
        mutate: tuple[int, int] | None = None,
        **encoding: Any,
    ) -> None:
        self.options = HaplotypeOptions(**encoding)
        text = np.frombuffer(letters if isinstance(letters, bytes) else letters.tobytes(), np.uint8)
        low, high = (0, len(text)) if mutate is None else mutate
        if not 0 <= low < high <= len(text):
            raise InvalidInputError(
                f"argument mutate: expected a stretch within the window's {len(text)} bases; "
                f"got {mutate}"
            )
        self.reference = self._encode(text)
        self._alphabet = self._encode(_BASES)
        if self.options.layout == "BPAL":
            self._alphabet = self._alphabet.T
        known = low + np.flatnonzero(np.isin(text[low:high], _BASES))
        base, place = np.nonzero(text[known][:, None] != _BASES)
        self.positions = known[base].astype(np.int64)
        self._base = place
        self.letters = _BASES[place].view("S1")
        self.ref_coords: npt.NDArray[np.int64] | None = None
        if ref_coords is not None:
            self.ref_coords = np.asarray(ref_coords, np.int64)[self.positions]
        self._axis = Axis("substitution", len(self.positions))

    @classmethod
    def of_genome(
        cls,
        genome: PathLike | Genome,
        chrom: str,
        start: int,
        end: int,
        *,
        reverse_complement: bool = False,
        mutate: tuple[int, int] | None = None,
        **encoding: Any,
    ) -> Self:
        """Of a window of the reference.

        Parameters
        ----------
        genome : path-like or Genome
        chrom : str
        start, end : int
            0-based half-open; bases outside the contig are N.
        reverse_complement : bool
        mutate : (int, int), optional
            In bases of the window as it is delivered.
        **encoding
            See the class.
        """
        genome = genome if isinstance(genome, Genome) else Genome(genome)
        if chrom not in genome.contigs:
            raise NotFoundError.among("contig", chrom, genome.contigs, genome.path)
        windows = HaplotypeWindows(
            np.zeros(1, np.int32),
            np.array([start]),
            np.array([end]),
            np.zeros(1, np.int64),
            np.array([reverse_complement]),
        )
        reader = _bare_reader(genome, (chrom,), 1, 1)
        found = reader.encode(windows, HaplotypeOptions(encoding="bytes"), annotate=True)
        return cls(found.data, found.ref_coords, mutate, **encoding)

    @classmethod
    def of_cell(
        cls,
        dataset: PreparedDataset,
        region: int | str,
        sample: int | str,
        ploid: int = 0,
        *,
        mutate: tuple[int, int] | None = None,
        **encoding: Any,
    ) -> Self:
        """Of a haplotype of a data set, without jitter; its insertions are changed as well.

        Parameters
        ----------
        dataset : PreparedDataset
        region, sample : int or str
        ploid : int
        mutate : (int, int), optional
            In bases of the haplotype as it is delivered.
        **encoding
            See the class.
        """
        view = dataset.with_settings(
            return_sequences="annotated",
            return_tracks=False,
            transform=False,
            return_indices=False,
            encoding="bytes",
            jitter=0,
            deterministic=True,
        )
        found = view[region, sample]
        return cls(found.haps[ploid], found.ref_coords[ploid], mutate, **encoding)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        rows = self._axis.rows(key)
        flat = rows.reshape(-1)
        out = np.repeat(self.reference[None], len(flat), axis=0)
        bases = out.swapaxes(1, 2) if self.options.layout == "BPAL" else out
        bases[np.arange(len(flat)), self.positions[flat]] = self._alphabet[self._base[flat]]
        return out[0] if rows.ndim == 0 else out

    def batches(self, batch_size: int) -> Iterator[npt.NDArray[Any]]:
        """All substitutions in order; the last batch may be smaller."""
        check_positive("batch_size", batch_size)
        for first in range(0, len(self), batch_size):
            yield self[first : first + batch_size]

    def as_matrix(self, values: npt.ArrayLike) -> npt.NDArray[Any]:
        """A value for each substitution as (L, 4): base of the window, letter.

        NaN where there is no substitution: at the letters that are there already, and at bases
        that are not changed.
        """
        given = np.asarray(values)
        if given.shape[:1] != (len(self),):
            raise InvalidInputError(
                f"argument values: expected {len(self)}, one for each substitution; "
                f"got shape {given.shape}"
            )
        n = self.reference.shape[-1 if self.options.layout == "BPAL" else 0]
        out = np.full((n, 4, *given.shape[1:]), np.nan)
        out[self.positions, self._base] = given
        return out

    def _encode(self, text: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Letters as they are delivered, (L, 4), (4, L) or (L,)."""
        reader = _bare_reader(Genome.from_arrays({"": text}), ("",), 1, 1)
        windows = HaplotypeWindows(
            np.zeros(1, np.int32),
            np.zeros(1, np.int64),
            np.array([len(text)]),
            np.zeros(1, np.int64),
            length_bp=len(text),
        )
        encoded: npt.NDArray[Any] = reader.encode(windows, self.options).data[0, 0]
        return encoded


def _bare_reader(
    genome: Genome, contig_names: tuple[str, ...], ploidy: int, n_threads: int
) -> HaplotypeReader:
    """A reader of one sample that carries nothing."""
    zeros = np.zeros(len(contig_names) + 1, np.int64)
    none, letters, one = np.empty(0, np.int32), np.empty(0, np.uint8), np.zeros(1, np.int64)
    table = VariantTable(
        contig_names, zeros, none, none, one, letters, one, letters, np.empty(0, np.int64)
    )
    offsets = np.zeros(len(contig_names) * ploidy + 1, np.int64)
    genotypes = Genotypes(("",), ploidy, offsets, none)
    return select_backend("cpu", n_threads).open_haplotypes(genome, table, genotypes)
