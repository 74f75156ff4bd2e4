"""The data blocks of many BigWig files in one searchable table.

Blocks are ordered by (track, contig, start). A block's place in that order is one 64-bit key,
``(track * n_contigs + contig) << 32 | position``, so that the blocks of any number of (track,
window) pairs are found by two calls of `numpy.searchsorted`, on memory or on a mapped cache file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.bigwig import BigWigIndex
from bigwig_loader.plan.windows import ContigTable

POSITION_BITS = np.uint64(32)
POSITION_MASK = np.uint64(0xFFFFFFFF)
NO_CHROM = np.uint32(0xFFFFFFFF)
# Offsets and sizes of damaged leaves can be any 64-bit number; beyond these they are all the same.
MAX_OFFSET = np.uint64(1 << 62)
MAX_BYTES = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class TrackIndex:
    """Data blocks of T tracks over C contigs; K blocks in all.

    Parameters
    ----------
    paths : (T,) tuple of str
    contigs : ContigTable
        Union of the files' contigs, in order of first appearance. A contig that a file lacks
        is uncovered there.
    chrom_ids : (T, C) uint32
        The file's own contig id; `NO_CHROM` where the file lacks the contig.
    file_bytes : (T,) int64
    swap : (T,) uint8
        1 for big-endian files.
    buf_size : (T,) uint32
        `uncompressBufSize`; 0 where blocks are not compressed.
    start_key, end_key : (K,) uint64
        Keys of each block's first base and of the furthest base any block of the same contig
        has reached so far, exclusive.
    offset : (K,) int64
        Byte offset in the file.
    n_bytes : (K,) uint32
    spans : (K,) uint8
        1 where the block may hold sections of several contigs.
    """

    paths: tuple[str, ...]
    contigs: ContigTable
    chrom_ids: npt.NDArray[np.uint32]
    file_bytes: npt.NDArray[np.int64]
    swap: npt.NDArray[np.uint8]
    buf_size: npt.NDArray[np.uint32]
    start_key: npt.NDArray[np.uint64]
    end_key: npt.NDArray[np.uint64]
    offset: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.uint32]
    spans: npt.NDArray[np.uint8]

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.file_bytes)

    @property
    def n_blocks(self) -> int:
        """Number of data blocks of all tracks."""
        return len(self.start_key)

    def track_of(self, block: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Track of each data block."""
        row = (self.start_key[block] >> POSITION_BITS).astype(np.int64)
        return row // max(len(self.contigs), 1)

    def contig_of(self, block: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Contig index of each data block."""
        row = (self.start_key[block] >> POSITION_BITS).astype(np.int64)
        return row % max(len(self.contigs), 1)

    def __repr__(self) -> str:
        return (
            f"TrackIndex({self.n_tracks} tracks, {len(self.contigs)} contigs, "
            f"{self.n_blocks} data blocks)"
        )


def build_track_index(files: Sequence[BigWigIndex]) -> TrackIndex:
    """Join the indices of many files.

    Raises
    ------
    InvalidDataError
        If two files give one contig different lengths: they belong to different assemblies.
    """
    contigs, owner = _union_of_contigs(files)
    n_tracks, n_contigs = len(files), len(contigs)
    chrom_ids = np.full((n_tracks, n_contigs), NO_CHROM, np.uint32)
    parts = []
    for track, file in enumerate(files):
        index = contigs.index_of(file.contig_names)
        differ = contigs.lengths[index] != file.contig_lengths
        if differ.any():
            at = int(np.argmax(differ))
            name = file.contig_names[at]
            raise InvalidDataError(
                f"contig {name} has another length than in {owner[name]}",
                path=file.path,
                expected=f"{contigs.lengths[index[at]]} bp",
                got=f"{file.contig_lengths[at]} bp",
                hint="The files belong to different assemblies; load them separately.",
            )
        chrom_ids[track, index] = file.chrom_ids
        parts.append(_keyed_blocks(file, track, n_contigs, index))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return TrackIndex(
        tuple(f.path for f in files),
        contigs,
        chrom_ids,
        np.array([f.n_bytes for f in files], np.int64),
        np.array([f.header.byte_order == ">" for f in files], np.uint8),
        np.array([f.header.uncompress_buf_size for f in files], np.uint32),
        *columns,
    )


def _union_of_contigs(files: Sequence[BigWigIndex]) -> tuple[ContigTable, dict[str, str]]:
    lengths: dict[str, int] = {}
    owner: dict[str, str] = {}
    for file in files:
        for name, length in zip(file.contig_names, file.contig_lengths.tolist(), strict=True):
            if lengths.setdefault(name, length) == length:
                owner.setdefault(name, file.path)
    where = files[0].path if len(files) == 1 else f"{len(files)} BigWig files"
    return ContigTable(tuple(lengths), np.array(list(lengths.values()), np.int64), where), owner


def _keyed_blocks(
    file: BigWigIndex, track: int, n_contigs: int, contig_index: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.generic], ...]:
    """start_key, end_key, offset, n_bytes and spans of one file's blocks, in key order."""
    blocks = file.blocks
    # From the file's ids to contig indices. Data of an id that has no name cannot be asked for.
    ids = np.argsort(file.chrom_ids, kind="stable")
    sorted_ids = file.chrom_ids[ids].astype(np.int64)
    low = np.searchsorted(sorted_ids, blocks.first_chrom_id, "left")
    high = np.searchsorted(sorted_ids, blocks.last_chrom_id, "right")
    n_contigs_of = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(blocks)), n_contigs_of)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(n_contigs_of) - n_contigs_of, n_contigs_of)
    at = low[which] + nth
    chrom_id = sorted_ids[at]
    start = np.where(chrom_id == blocks.first_chrom_id[which], blocks.start[which], 0)
    is_last = chrom_id == blocks.last_chrom_id[which]
    end = np.where(is_last, blocks.end[which], POSITION_MASK)
    row = (track * n_contigs + contig_index[ids][at]).astype(np.uint64) << POSITION_BITS
    start_key = row | start.astype(np.uint64)
    # Within a contig the furthest end so far; keys of later contigs are larger anyway.
    order = np.argsort(start_key, kind="stable")
    end_key = np.maximum.accumulate((row | end.astype(np.uint64))[order])
    spans = blocks.first_chrom_id[which] != blocks.last_chrom_id[which]
    return (
        start_key[order],
        end_key,
        np.minimum(blocks.offset[which][order], MAX_OFFSET).astype(np.int64),
        np.minimum(blocks.n_bytes[which][order], MAX_BYTES).astype(np.uint32),
        spans[order].astype(np.uint8),
    )
