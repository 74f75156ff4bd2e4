"""What the data blocks of a BigWig file hold, and whether they are sound.

The reading of batches lies with a backend. This is the plain way to look into a file: one block
after the other, with NumPy and zlib alone, for people who want to know what they have.
Section layout after Kent et al. 2010, doi:10.1093/bioinformatics/btq351, supplement, tables 13 to
16.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.bigwig import BigWigIndex
from bigwig_loader.formats.source import Source, UrlSource, open_source

SECTION_TYPES = {1: "bedGraph", 2: "variableStep", 3: "fixedStep"}
_SECTION_HEADER_BYTES = 24
_ITEM_COLUMNS = {
    1: (("start", "u4"), ("end", "u4"), ("value", "f4")),
    2: (("start", "u4"), ("value", "f4")),
    3: (("value", "f4"),),
}
# Remote blocks are asked for in groups, so that many requests are in flight.
_REMOTE_GROUP = 256

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Section:
    """One section: a run of items of one contig.

    Parameters
    ----------
    chrom_id : int
        The file's own id of the contig.
    kind : str
        ``"bedGraph"``, ``"variableStep"`` or ``"fixedStep"``.
    start, end : (K,) int64
        0-based half-open, as stored.
    value : (K,) float32
    """

    chrom_id: int
    kind: str
    start: Int64Array
    end: Int64Array
    value: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with one data block.

    Parameters
    ----------
    block : int
        Number of the block in the order of the R-tree.
    offset : int
        Where it stands in the file, in bytes.
    kind : {"damaged", "irregular"}
        A damaged block cannot be read. An irregular one can, but holds what the format does not
        allow, and readers may differ on it.
    what : str
    """

    block: int
    offset: int
    kind: Literal["damaged", "irregular"]
    what: str


@dataclass
class Survey:
    """What was found in the data blocks that were looked at.

    Parameters
    ----------
    n_blocks, n_sections, n_items : int
        Damaged blocks count as blocks only.
    sections : dict of str to int
        Sections of each type.
    items_bp : int
        Sum of the items' lengths; bases that two items cover count twice.
    stored_bytes, inflated_bytes : int
        Of the blocks that could be read.
    findings : list of Finding
    """

    n_blocks: int = 0
    n_items: int = 0
    sections: dict[str, int] = field(default_factory=dict)
    items_bp: int = 0
    stored_bytes: int = 0
    inflated_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def n_sections(self) -> int:
        """Sections of all types."""
        return sum(self.sections.values())

    @property
    def mean_item_bp(self) -> float:
        """Mean length of an item in bp; NaN without items."""
        return self.items_bp / self.n_items if self.n_items else float("nan")

    @property
    def compression_ratio(self) -> float:
        """Inflated by stored bytes; NaN without readable blocks."""
        return self.inflated_bytes / self.stored_bytes if self.stored_bytes else float("nan")


def sample_blocks(n_blocks: int, n_wanted: int) -> Int64Array:
    """Numbers of at most `n_wanted` of `n_blocks` blocks, evenly spaced, ascending."""
    if n_wanted >= n_blocks:
        return np.arange(n_blocks)
    return np.arange(n_wanted, dtype=np.int64) * n_blocks // n_wanted


def survey_blocks(
    index: BigWigIndex,
    which: Int64Array | None = None,
    on_block: Callable[[], None] | None = None,
) -> Survey:
    """Read, verify and summarize data blocks.

    Every block that is looked at is inflated whole; its checksum, its sections and the order and
    place of its items are verified. What is wrong becomes a `Finding`, not an error.

    Parameters
    ----------
    index : BigWigIndex
    which : (K,) int64, optional
        Numbers of the blocks, ascending; None for all. Whether items overlap those of the block
        before is seen only if that block is looked at too.
    on_block : callable, optional
        Called after each block, e.g. to move a progress bar.

    Raises
    ------
    NotFoundError
        If the file is gone.
    """
    numbers = np.arange(len(index.blocks)) if which is None else which
    ids = (int(chrom_id) for chrom_id in index.chrom_ids)
    contigs = {
        chrom_id: (name, length)
        for chrom_id, name, length in zip(
            ids, index.contig_names, index.contig_lengths.tolist(), strict=True
        )
    }
    survey = Survey()
    last = (-1, -1, 0)  # block, chrom id and furthest end of the block before
    source = open_source(index.path)
    try:
        for number, stored in _stored_blocks(source, index, numbers):
            survey.n_blocks += 1
            offset = int(index.blocks.offset[number])
            try:
                if isinstance(stored, InvalidDataError):
                    raise stored
                raw = inflate_block(stored, index.header.uncompress_buf_size)
                sections = list(parse_sections(raw, index.header.byte_order))
                last = _verify(index, number, sections, contigs, last, survey)
            except InvalidDataError as error:
                survey.findings.append(Finding(number, offset, "damaged", str(error)))
            else:
                survey.stored_bytes += len(stored)
                survey.inflated_bytes += len(raw)
                for section in sections:
                    survey.sections[section.kind] = survey.sections.get(section.kind, 0) + 1
                    survey.n_items += len(section.start)
                    survey.items_bp += int(np.maximum(section.end - section.start, 0).sum())
            if on_block is not None:
                on_block()
    finally:
        source.close()
    return survey


def inflate_block(stored: bytes, buf_size: int) -> bytes:
    """The bytes of a section, or several, from a data block.

    Parameters
    ----------
    stored : bytes
        The block as it stands in the file.
    buf_size : int
        `uncompressBufSize` of the header; 0 if blocks are not compressed.

    Raises
    ------
    InvalidDataError
        If it is not one whole zlib stream of at most `buf_size` bytes with the right checksum.
    """
    if buf_size == 0:
        return stored
    stream = zlib.decompressobj()
    try:
        # One byte more than allowed, so that a stream which ends right there is seen to end.
        raw = stream.decompress(stored, buf_size + 1)
    except zlib.error as error:
        raise InvalidDataError(f"does not inflate ({error})") from None
    if len(raw) > buf_size:
        raise InvalidDataError(
            "inflates to more than the header allows", expected=f"at most {buf_size} bytes"
        )
    if not stream.eof:
        raise InvalidDataError("ends in the middle of its zlib stream")
    return raw


def parse_sections(raw: bytes, byte_order: str) -> Iterator[Section]:
    """The sections of an inflated data block; there is at least one.

    Parameters
    ----------
    raw : bytes
    byte_order : {"<", ">"}

    Raises
    ------
    InvalidDataError
        If a header or an item does not fit, or a section is of an unknown type.
    """
    header = np.dtype(
        [(name, f"{byte_order}u4") for name in ("chrom_id", "start", "end", "step", "span")]
        + [("type", "u1"), ("reserved", "u1"), ("n_items", f"{byte_order}u2")]
    )
    at = 0
    while at < len(raw) or at == 0:
        left = len(raw) - at
        if left < _SECTION_HEADER_BYTES:
            if at > 0 and not any(raw[at:]):
                return  # padding behind the last section
            raise InvalidDataError(
                "too short for a section header",
                expected=f"{_SECTION_HEADER_BYTES} bytes",
                got=f"{left} bytes",
            )
        head = np.frombuffer(raw, header, 1, at)[0]
        at += _SECTION_HEADER_BYTES
        section_type, n_items = int(head["type"]), int(head["n_items"])
        if section_type not in SECTION_TYPES:
            raise InvalidDataError("section of unknown type", expected="1 to 3", got=section_type)
        item = np.dtype([(n, f"{byte_order}{code}") for n, code in _ITEM_COLUMNS[section_type]])
        if n_items * item.itemsize > len(raw) - at:
            raise InvalidDataError(
                "section has more items than the block holds",
                expected=f"{n_items * item.itemsize} bytes of items",
                got=f"{len(raw) - at} bytes",
            )
        items = np.frombuffer(raw, item, n_items, at)
        at += items.nbytes
        if section_type == 3:
            start = int(head["start"]) + np.arange(n_items, dtype=np.int64) * int(head["step"])
        else:
            start = items["start"].astype(np.int64)
        end = items["end"].astype(np.int64) if section_type == 1 else start + int(head["span"])
        value = items["value"].astype(np.float32)
        yield Section(int(head["chrom_id"]), SECTION_TYPES[section_type], start, end, value)


def _stored_blocks(
    source: Source, index: BigWigIndex, numbers: Int64Array
) -> Iterator[tuple[int, bytes | InvalidDataError]]:
    """Number and stored bytes of each block; the error of one whose place is impossible."""
    group = _REMOTE_GROUP if isinstance(source, UrlSource) else 1
    for first in range(0, len(numbers), group):
        chosen = numbers[first : first + group].tolist()
        ranges = [(int(index.blocks.offset[i]), int(index.blocks.n_bytes[i])) for i in chosen]
        inside = [at + n <= source.n_bytes for at, n in ranges]
        wanted = [byte_range for byte_range, ok in zip(ranges, inside, strict=True) if ok]
        if isinstance(source, UrlSource):
            parts = iter(source.read_ranges(wanted))
        else:
            parts = (bytes(source.read(at, n)) for at, n in wanted)
        for number, (at, n), ok in zip(chosen, ranges, inside, strict=True):
            if ok:
                yield number, next(parts)
            else:
                yield (
                    number,
                    InvalidDataError(
                        "lies past the end of the file",
                        expected=f"an end of at most {source.n_bytes}",
                        got=at + n,
                    ),
                )


def _verify(
    index: BigWigIndex,
    number: int,
    sections: list[Section],
    contigs: dict[int, tuple[str, int]],
    last: tuple[int, int, int],
    survey: Survey,
) -> tuple[int, int, int]:
    """Note what is irregular; returns what the next block has to come after."""
    blocks = index.blocks
    offset = int(blocks.offset[number])
    low = int(blocks.first_chrom_id[number]), int(blocks.start[number])
    high = int(blocks.last_chrom_id[number]), int(blocks.end[number])
    last_block, at_chrom, at_end = last
    after = last_block == number - 1
    found: dict[str, int] = {}

    def note(what: str, n: int) -> None:
        if n:
            found[what] = found.get(what, 0) + n

    for section in sections:
        start, end, chrom_id = section.start, section.end, section.chrom_id
        if not low[0] <= chrom_id <= high[0]:
            raise InvalidDataError(
                "section belongs to another contig than the index says",
                field="chromId",
                expected=low[0] if low[0] == high[0] else f"{low[0]} to {high[0]}",
                got=chrom_id,
            )
        first_allowed = low[1] if chrom_id == low[0] else 0
        last_allowed = high[1] if chrom_id == high[0] else np.iinfo(np.int64).max
        note("outside the index entry", _count((start < first_allowed) | (end > last_allowed)))
        if chrom_id in contigs:
            note("past the end of the contig", _count(end > contigs[chrom_id][1]))
        else:
            note("of a contig without a name", len(start))
        note("ending where or before they start", _count(end <= start))
        before = at_end if after and chrom_id == at_chrom else 0
        reach = np.maximum.accumulate(np.concatenate(([before], end)))
        note("overlapping or out of order", _count(start < reach[:-1]))
        after, at_chrom, at_end = True, chrom_id, int(reach[-1])
    for what, n in found.items():
        place = contigs.get(low[0], (f"contig id {low[0]}", 0))[0]
        text = f"{n} item{'s' * (n > 1)} {what}, {place}:{low[1]}-{high[1]}"
        survey.findings.append(Finding(number, offset, "irregular", text))
    return number, at_chrom, at_end


def _count(mask: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))
