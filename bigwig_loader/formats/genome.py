"""A genome packed in memory, 4 bits per base."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.fasta import FastaFile, open_fasta
from bigwig_loader.formats.fasta_index import BLANKS
from bigwig_loader.types import PathLike

# Adds the bases of some FASTA text to a packed contig: (text, packed, first_base) -> bases.

# Letters of the 16 codes; bit 0 A, bit 1 C, bit 2 G, bit 3 T. Code 0 is no base.
_CODE_LETTERS = b"-ACMGRSVTWYHKDBN"
_CODE_OF_LETTER = bytearray(256)
for _code, _letter in enumerate(_CODE_LETTERS):
    if _code:
        _CODE_OF_LETTER[_letter] = _CODE_OF_LETTER[_letter | 0x20] = _code
_CODE_OF_LETTER[ord("U")] = _CODE_OF_LETTER[ord("u")] = 8
_CODES = bytes(_CODE_OF_LETTER)


def pack_bases(text: bytes, packed: npt.NDArray[np.uint8], first_base: int) -> int:
    """Pack FASTA text from base number `first_base` of a contig on.

    Parameters
    ----------
    text : bytes
        Letters of either case; white space (line ends) is skipped.
    packed : (ceil(L / 2),) uint8
        Written in place; zero where nothing was packed yet. The even base of a byte is its low
        half.
    first_base : int
        Position of the text's first base.

    Returns
    -------
    int
        Bases in the text, also those that found no room (a text longer than the contig).
    """
    codes = np.frombuffer(text.translate(_CODES, BLANKS), dtype=np.uint8)
    n_bases = codes.size
    codes = codes[: max(0, 2 * packed.size - first_base)]
    if first_base % 2 and codes.size:
        packed[first_base // 2] |= codes[0] << 4
        codes, first_base = codes[1:], first_base + 1
    n_pairs, at = codes.size // 2, first_base // 2
    pairs = np.frombuffer(codes[: 2 * n_pairs], dtype="<u2")
    packed[at : at + n_pairs] = pairs | (pairs >> 4)  # the high byte of the sum falls away
    if codes.size % 2:
        packed[at + n_pairs] |= codes[-1]
    return n_bases


class Genome:
    """The contigs of a FASTA file, packed in memory.

    A base is a set of letters in four bits (bit 0 A, bit 1 C, bit 2 G, bit 3 T or U): IUPAC codes
    are the sets they stand for, N is 15, anything that is no nucleotide letter is 0. Case is not
    kept. Two bases share a byte, the even position in the low half, so the human genome takes
    1.55 GB when all of it is loaded (mouse 1.37 GB, yeast 6 MB).

    A contig is loaded when it is first asked for, and once. Threads may share a genome. Processes
    made by fork share what was loaded before the fork, so call `load` first; a genome that is
    pickled (spawned workers) travels as its path and is loaded again on the other side.

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
        self._packed: dict[str, npt.NDArray[np.uint8]] = {}
        self._from_arrays = fasta is None
        self._fasta = fasta  # None once everything is loaded
        self._lock = threading.Lock()
        self._pid = os.getpid()

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
            genome._keep(name, packed)
            genome.contigs[name] = len(text)
        return genome

    def __repr__(self) -> str:
        return (
            f"Genome({self.path!r}, {len(self.contigs)} contigs, "
            f"{self.nbytes / 1e6:.1f} of {self.nbytes_total / 1e6:.1f} MB loaded)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        if self._from_arrays:
            return _from_packed, (self.contigs, self._packed)
        return _open_genome, (self.path, self._wanted)

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken by the contigs loaded so far."""
        return sum(packed.nbytes for packed in list(self._packed.values()))

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
        packed = self._packed.get(name)
        if packed is not None:
            return packed
        self._length(name)
        if self._pid != os.getpid():  # a lock held by a thread that fork did not copy
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            if name not in self._packed and self._fasta is not None:
                self._load(name, self._fasta)
            return self._packed[name]

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
        pairs = self.packed(name)[start // 2 : (end + 1) // 2]
        codes = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)
        codes = codes[start % 2 : start % 2 + end - start]
        return np.frombuffer(_CODE_LETTERS, dtype=np.uint8)[codes].tobytes().decode("ascii")

    def _length(self, name: str) -> int:
        try:
            return self.contigs[name]
        except KeyError:
            raise NotFoundError.among("contig", name, self.contigs, self.path) from None

    def _load(self, name: str, fasta: FastaFile) -> None:
        """Pack a contig; all of them where the file holds its whole text in memory."""
        for each in list(self.contigs) if fasta.in_memory else [name]:
            self._keep(each, self._pack_contig(fasta, each))
        if len(self._packed) == len(self.contigs):
            fasta.close()
            self._fasta = None

    def _pack_contig(self, fasta: FastaFile, name: str) -> npt.NDArray[np.uint8]:
        length = self.contigs[name]
        packed = np.zeros((length + 1) // 2, dtype=np.uint8)
        n_bases = 0
        for piece in fasta.pieces(name):
            n_bases += pack_bases(piece, packed, n_bases)
        if n_bases != length:
            raise InvalidDataError(
                f"contig {name!r} does not hold the bases its index promises",
                path=self.path,
                offset=int(fasta.index.offset[fasta.row_of(name)]),
                field="sequence",
                expected=f"{length} bases",
                got=f"{n_bases} bases",
                hint="The index is stale: make the .fai again (samtools faidx FILE), or remove it.",
            )
        return packed

    def _keep(self, name: str, packed: npt.NDArray[np.uint8]) -> None:
        packed.flags.writeable = False
        self._packed[name] = packed


def _open_genome(path: str, contigs: list[str] | None) -> Genome:
    return Genome(path, contigs=contigs)


def _from_packed(contigs: dict[str, int], packed: dict[str, npt.NDArray[np.uint8]]) -> Genome:
    genome = Genome.from_arrays({})
    for name, bases in packed.items():
        genome._keep(name, bases)
    genome.contigs.update(contigs)
    return genome
