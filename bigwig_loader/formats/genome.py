"""A genome packed in memory, 4 bits per base."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.fasta import FastaFile, open_fasta
from bigwig_loader.formats.packed import CODE_LETTERS, CODES, PackedContig, pack_bases
from bigwig_loader.types import PathLike

_PAGES_PER_READ = 256  # 4 Mi bases


class Genome:
    """The contigs of a FASTA file, packed in memory.

    A base is a set of letters in four bits (bit 0 A, bit 1 C, bit 2 G, bit 3 T or U): IUPAC codes
    are the sets they stand for, N is 15, anything that is no nucleotide letter is 0. Case is not
    kept. Two bases share a byte, the even position in the low half, so the human genome takes
    1.55 GB when all of it is loaded (mouse 1.37 GB, yeast 6 MB).

    Bases are loaded when they are first asked for, and once: by pages of 16,384 bases where a
    local file can be read at random (lines of one length; plain or bgzip), by whole contigs
    otherwise. Threads may share a genome. Processes made by fork share what was loaded before the
    fork, so call `load` first where all of it will be needed; a genome that is pickled (spawned
    workers) travels as its path and is loaded again on the other side.

    Parameters
    ----------
    path : path-like
        Plain, bgzip or gzip FASTA; see `bigwig_loader.formats.fasta.open_fasta`.
    contigs : iterable of str, optional
        Keep only these; all by default.

    Attributes
    ----------
    path : str
    contigs : dict of str to int
        Length of each contig in bp, in file order.

    Raises
    ------
    NotFoundError
        If there is no such file or contig.
    InvalidDataError
        If the file or its index is damaged.

    Examples
    --------
    >>> genome = Genome.from_arrays({"chr1": "ACGTNNacgt", "chr2": b"GATTACA"})
    >>> genome.contigs
    {'chr1': 10, 'chr2': 7}
    >>> genome.sequence("chr1", 2, 8)
    'GTNNAC'
    >>> genome.packed("chr2").tolist()
    [20, 136, 33, 1]
    """

    def __init__(self, path: PathLike, *, contigs: Iterable[str] | None = None) -> None:
        fasta = open_fasta(path)
        wanted = None if contigs is None else list(contigs)
        if wanted is not None:
            for name in wanted:
                fasta.row_of(name)
        keep = set(fasta.contigs if wanted is None else wanted)
        self._setup(fasta.path, {n: bp for n, bp in fasta.contigs.items() if n in keep}, fasta)
        self._wanted = wanted

    def _setup(self, path: str, contigs: dict[str, int], fasta: FastaFile | None) -> None:
        self.path = path
        self.contigs = contigs
        self._packed: dict[str, PackedContig] = {}  # those asked for so far
        self._from_arrays = fasta is None
        self._fasta = fasta  # None once everything is loaded
        # One per process: fork copies a lock that another thread holds, but not the thread.
        self._locks = {os.getpid(): threading.Lock()}

    @classmethod
    def from_arrays(cls, sequences: Mapping[str, str | bytes | npt.NDArray[np.uint8]]) -> Genome:
        """A genome from sequences in memory.

        Parameters
        ----------
        sequences : mapping of str to str, bytes or (L,) uint8 array of ASCII letters
            Contigs by name. White space is an error here: it would shift every base after it.
        """
        genome = cls.__new__(cls)
        genome._setup("<arrays>", {}, None)
        for name, given in sequences.items():
            if isinstance(given, np.ndarray) and (given.dtype != np.uint8 or given.ndim != 1):
                raise InvalidInputError(
                    f"sequence of contig {name!r}: expected str, bytes or a (L,) uint8 array; "
                    f"got shape {given.shape} of {given.dtype}"
                )
            text = given.encode("ascii", "replace") if isinstance(given, str) else bytes(given)
            packed = np.zeros((len(text) + 1) // 2, dtype=np.uint8)
            if pack_bases(text, packed, 0) != len(text):
                raise InvalidInputError(
                    f"sequence of contig {name!r}: expected letters; got white space among them"
                )
            genome._packed[name] = PackedContig.filled(packed, len(text))
            genome.contigs[name] = len(text)
        return genome

    def __repr__(self) -> str:
        return (
            f"Genome({self.path!r}, {len(self.contigs)} contigs, "
            f"{self.nbytes / 1e6:.1f} of {self.nbytes_total / 1e6:.1f} MB loaded)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        if self._from_arrays:
            return _from_packed, (self.contigs, {n: p.bases for n, p in self._packed.items()})
        return _open_genome, (self.path, self._wanted)

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken by the bases loaded so far."""
        return sum(contig.nbytes for contig in list(self._packed.values()))

    @property
    def nbytes_total(self) -> int:
        """Bytes of memory that all contigs take when loaded."""
        return sum((bp + 1) // 2 for bp in self.contigs.values())

    def load(self, names: Iterable[str] | None = None, progress: bool = False) -> Genome:
        """Load contigs now instead of on first use.

        Parameters
        ----------
        names : iterable of str, optional
            All contigs by default.
        progress : bool
            Draw a progress bar.

        Returns
        -------
        Genome
            The genome itself.
        """
        wanted = list(self.contigs if names is None else names)
        if not progress:
            for name in wanted:
                self.packed(name)
            return self
        from rich.progress import Progress

        with Progress() as bar:
            task = bar.add_task("Loading genome", total=sum(self._length(n) for n in wanted))
            for name in wanted:
                self.packed(name)
                bar.advance(task, self._length(name))
        return self

    def packed(self, name: str) -> npt.NDArray[np.uint8]:
        """Packed bases of a contig, (ceil(L / 2),) uint8, read-only; loads it where needed."""
        return self.ensure(name, 0, self._length(name))

    def ensure(self, name: str, start: int, end: int) -> npt.NDArray[np.uint8]:
        """Load the bases [start, end) of a contig, where they are not loaded yet.

        Parameters
        ----------
        name : str
        start, end : int
            0-based, half-open; what lies outside the contig is left out.

        Returns
        -------
        (ceil(L / 2),) uint8
            The packed bases of the whole contig, read-only: the same array at every call. Bases
            that nobody asked for may read as 0.

        Raises
        ------
        NotFoundError
            If there is no such contig.
        InvalidDataError
            If the text there does not hold the bases that the index promises.
        """
        contig = self._packed.get(name)
        if contig is None or not contig.holds(start, end):
            contig = self._load(name, np.array([start]), np.array([end]))
        return contig.bases

    def ensure_many(
        self, name: str, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint8]:
        """Load the bases of many windows of one contig; see `ensure`.

        Parameters
        ----------
        name : str
        starts, ends : (B,) int64
            0-based, half-open; in any order. What lies outside the contig is left out.
        """
        contig = self._packed.get(name)
        if contig is None or contig.missing(starts, ends).size:
            contig = self._load(name, starts, ends)
        return contig.bases

    def contig(self, name: str) -> PackedContig:
        """The packed bases of a contig and which of their pages are loaded; loads nothing.

        Loading bases may put another object in its place.

        Raises
        ------
        NotFoundError
            If there is no such contig.
        """
        nothing = np.zeros(0, dtype=np.int64)
        return self._packed.get(name) or self._load(name, nothing, nothing)

    def sequence(self, name: str, start: int, end: int) -> str:
        """Bases [start, end) of a contig, upper case, U as T, and ``-`` for what is no base.

        Parameters
        ----------
        name : str
        start, end : int
            0-based, half-open; must lie inside the contig.

        Raises
        ------
        NotFoundError
            If there is no such contig.
        InvalidInputError
            If the range is not inside the contig.
        """
        length = self._length(name)
        if not 0 <= start <= end <= length:
            raise InvalidInputError(
                f"range of contig {name!r} in {self.path}: expected 0 <= start <= end <= {length}; "
                f"got start={start}, end={end}"
            )
        pairs = self.ensure(name, start, end)[start // 2 : (end + 1) // 2]
        codes = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)
        codes = codes[start % 2 : start % 2 + end - start]
        return np.frombuffer(CODE_LETTERS, dtype=np.uint8)[codes].tobytes().decode("ascii")

    def _length(self, name: str) -> int:
        try:
            return self.contigs[name]
        except KeyError:
            raise NotFoundError.among("contig", name, self.contigs, self.path) from None

    def _load(
        self, name: str, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> PackedContig:
        """Load what is missing of some windows."""
        length = self._length(name)
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            contig = self._packed.get(name)
            if contig is None:
                contig = PackedContig(length)
            fasta = self._fasta
            missing = contig.missing(starts, ends)
            if missing.size and fasta is not None:
                if fasta.in_memory:  # let go of its text as soon as possible
                    self._packed |= {n: self._whole(fasta, n) for n in self.contigs}
                elif fasta.has_random_access(name):
                    self._packed[name] = contig
                    for first, last in _runs(missing):
                        start, end = contig.bases_of(first, last)
                        contig.put(first, fasta.read(name, start, end, table=CODES))
                else:
                    self._packed[name] = self._whole(fasta, name)
                if self._packed[name].complete and self._is_complete():
                    fasta.close()
                    self._fasta = None
            return self._packed.setdefault(name, contig)

    def _is_complete(self) -> bool:
        loaded = {name for name, contig in self._packed.items() if contig.complete}
        return all(name in loaded for name, length in self.contigs.items() if length)

    def _whole(self, fasta: FastaFile, name: str) -> PackedContig:
        """A contig whose positions can only be found by reading it from its beginning."""
        length = self.contigs[name]
        packed = np.zeros((length + 1) // 2, dtype=np.uint8)
        n_bases = 0
        for piece in fasta.pieces(name):
            n_bases += pack_bases(piece, packed, n_bases)
        fasta.check(name, n_bases, length)
        return PackedContig.filled(packed, length)


def _runs(pages: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Stretches [first, last) of adjacent pages, none too long to be read at once."""
    for run in np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1):
        for first in range(int(run[0]), int(run[-1]) + 1, _PAGES_PER_READ):
            yield first, min(first + _PAGES_PER_READ, int(run[-1]) + 1)


def _open_genome(path: str, contigs: list[str] | None) -> Genome:
    return Genome(path, contigs=contigs)


def _from_packed(contigs: dict[str, int], packed: dict[str, npt.NDArray[np.uint8]]) -> Genome:
    genome = Genome.from_arrays({})
    for name, bases in packed.items():
        genome._packed[name] = PackedContig.filled(bases, contigs[name])
    genome.contigs.update(contigs)
    return genome
