"""Packed bases of one contig, 4 bits each, and which pages of it are loaded."""

from __future__ import annotations

import contextlib
import mmap

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.fasta_index import BLANKS

PAGE_BP = 1 << 14  # even, so that two pages share no byte

# Letters of the 16 codes; bit 0 A, bit 1 C, bit 2 G, bit 3 T. Code 0 is no base.
CODE_LETTERS = b"-ACMGRSVTWYHKDBN"
_CODE_OF_LETTER = bytearray(256)
for _code, _letter in enumerate(CODE_LETTERS):
    if _code:
        _CODE_OF_LETTER[_letter] = _CODE_OF_LETTER[_letter | 0x20] = _code
_CODE_OF_LETTER[ord("U")] = _CODE_OF_LETTER[ord("u")] = 8
CODES = bytes(_CODE_OF_LETTER)

_LARGE_BYTES = 1 << 20


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
    codes = text.translate(CODES, BLANKS)
    _pack_codes(codes, packed, first_base)
    return len(codes)


def _pack_codes(text: bytes, packed: npt.NDArray[np.uint8], first_base: int) -> None:
    codes = np.frombuffer(text, dtype=np.uint8)[: max(0, 2 * packed.size - first_base)]
    if first_base % 2 and codes.size:
        packed[first_base // 2] |= codes[0] << 4
        codes, first_base = codes[1:], first_base + 1
    n_pairs, at = codes.size // 2, first_base // 2
    pairs = np.frombuffer(codes[: 2 * n_pairs], dtype="<u2")
    packed[at : at + n_pairs] = pairs | (pairs >> 4)  # the high byte of the sum falls away
    if codes.size % 2:
        packed[at + n_pairs] |= codes[-1]


class PackedContig:
    """The packed bases of a contig, of which some pages are loaded.

    Memory for all bases is reserved at once, so that the array never moves; a page takes memory
    when it is written. Loading a page twice is harmless, and a page counts as loaded only after
    all of it was written: readers need no lock, writers need one among themselves.

    Parameters
    ----------
    n_bases : int
        Length in bp; the array has (n_bases + 1) // 2 bytes.

    Attributes
    ----------
    bases : (ceil(n_bases / 2),) uint8
        Read-only; 0 where nothing is loaded.
    loaded : (pages,) bool
        Whether each page of `PAGE_BP` bases is loaded; not kept up once all are.
    complete : bool
        Whether all pages are loaded.
    """

    def __init__(self, n_bases: int) -> None:
        self.n_bases = n_bases
        self._packed = _zeros((n_bases + 1) // 2)
        self.bases = self._packed.view()
        self.bases.flags.writeable = False
        self.loaded = np.zeros(-(-n_bases // PAGE_BP), dtype=np.bool_)
        self.complete = n_bases == 0

    @property
    def nbytes(self) -> int:
        """Bytes of the pages that are loaded."""
        if self.complete:
            return self._packed.nbytes
        n_bytes = int(np.count_nonzero(self.loaded)) * (PAGE_BP // 2)
        surplus = self.loaded.size * (PAGE_BP // 2) - self._packed.nbytes
        return n_bytes - surplus * bool(self.loaded[-1])

    def holds(self, start: int, end: int) -> bool:
        """Whether all bases of [start, end) that lie in the contig are loaded."""
        start, end = max(start, 0), min(end, self.n_bases)
        if self.complete or start >= end:
            return True
        return bool(self.loaded[start // PAGE_BP : (end - 1) // PAGE_BP + 1].all())

    def missing(
        self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Pages, ascending, that are not loaded and hold bases of a window [start, end)."""
        if self.complete:
            return np.zeros(0, dtype=np.int64)
        starts, ends = np.maximum(starts, 0), np.minimum(ends, self.n_bases)
        first = starts // PAGE_BP
        counts = ((ends - 1) // PAGE_BP + 1 - first) * (ends > starts)
        stops = counts.cumsum()
        n_pages = int(stops[-1]) if stops.size else 0
        pages = (first - (stops - counts)).repeat(counts) + np.arange(n_pages)
        missing: npt.NDArray[np.int64] = pages[~self.loaded[pages]]
        return np.unique(missing) if missing.size else missing

    def bases_of(self, first_page: int, last_page: int) -> tuple[int, int]:
        """Bases [start, end) of the pages [first_page, last_page)."""
        return first_page * PAGE_BP, min(last_page * PAGE_BP, self.n_bases)

    def put(self, first_page: int, codes: bytes) -> None:
        """Store the codes of whole pages, as `CODES` translates letters; the contig's last may
        be shorter."""
        _pack_codes(codes, self._packed, first_page * PAGE_BP)
        self.loaded[first_page : first_page - (-len(codes) // PAGE_BP)] = True
        self.complete = bool(self.loaded.all())

    @classmethod
    def filled(cls, packed: npt.NDArray[np.uint8], n_bases: int) -> PackedContig:
        """A complete contig from its packed bases, which are not copied."""
        contig = cls(0)
        contig.n_bases, contig._packed = n_bases, packed
        contig.bases = packed.view()
        contig.bases.flags.writeable = False
        return contig


def _zeros(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Zeros that take memory only where they are written.

    NumPy asks for huge pages for large arrays: one byte written would take 2 MB.
    """
    if n_bytes < _LARGE_BYTES:
        return np.zeros(n_bytes, dtype=np.uint8)
    memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype=np.uint8)
