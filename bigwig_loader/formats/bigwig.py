"""BigWig files: header, zoom headers, total summary, contigs and data blocks.

Layout after Kent et al. 2010, doi:10.1093/bioinformatics/btq351, supplement. Versions 1 to 4 and
both byte orders are read. Data blocks themselves are read, inflated and parsed by a backend.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.rtree import DataBlocks, no_blocks, read_rtree
from bigwig_loader.formats.source import Source, open_source
from bigwig_loader.formats.tree import read_leaves
from bigwig_loader.types import PathLike

BIGWIG_MAGIC = 0x888FFC26
BIGBED_MAGIC = 0x8789F2EB
CHROM_TREE_MAGIC = 0x78CA8C91
HEADER_BYTES = 64
ZOOM_HEADER_BYTES = 24
SUMMARY_BYTES = 40
CHROM_TREE_HEADER_BYTES = 32


@dataclass(frozen=True)
class ZoomLevel:
    """One zoom header: bases per summary item and where the level's data and index stand."""

    reduction_level: int
    data_offset: int
    index_offset: int


@dataclass(frozen=True)
class TotalSummary:
    """Statistics of all stored values, as the writer of the file recorded them."""

    bases_covered: int
    minimum: float
    maximum: float
    total: float
    sum_of_squares: float


@dataclass(frozen=True)
class BigWigHeader:
    """The file's header.

    `uncompress_buf_size` is the size in bytes of the largest inflated block; 0 says that blocks
    are not compressed. `summary` is None in version 1 files, which have none.
    """

    byte_order: str
    version: int
    chrom_tree_offset: int
    data_offset: int
    index_offset: int
    uncompress_buf_size: int
    extension_offset: int
    zoom_levels: tuple[ZoomLevel, ...]
    summary: TotalSummary | None


@dataclass(frozen=True)
class BigWigIndex:
    """All of a BigWig file that is needed to find its data blocks.

    Parameters
    ----------
    path : str
    n_bytes : int
        Size of the file.
    identity : str
        Changes when the file does.
    header : BigWigHeader
    contig_names : tuple of str
        In the order of the chromosome tree.
    contig_lengths : (C,) int64
        In bp.
    chrom_ids : (C,) uint32
        The file's own id of each contig; not necessarily 0..C-1.
    blocks : DataBlocks
    """

    path: str
    n_bytes: int
    identity: str
    header: BigWigHeader
    contig_names: tuple[str, ...]
    contig_lengths: npt.NDArray[np.int64]
    chrom_ids: npt.NDArray[np.uint32]
    blocks: DataBlocks


def read_bigwig_index(path: PathLike) -> BigWigIndex:
    """Read header, contigs and R-tree of a BigWig file or URL.

    Raises
    ------
    InvalidDataError
        If the file is not a BigWig file (a BigBed says so) or is damaged where it was read.
    NotFoundError
        If there is no such file.
    """
    source = open_source(path)
    try:
        header = read_header(source)
        names, lengths, ids = _read_chrom_tree(source, header)
        if header.index_offset == 0:
            # libBigWig leaves the field 0 in a file that was closed before any item was added.
            blocks = no_blocks()
        else:
            blocks = read_rtree(source, header.index_offset, header.byte_order)
        return BigWigIndex(
            source.path, source.n_bytes, source.identity, header, names, lengths, ids, blocks
        )
    finally:
        source.close()


def read_header(source: Source) -> BigWigHeader:
    """Read and check the header, the zoom headers and the total summary."""
    if source.n_bytes < HEADER_BYTES:
        raise InvalidDataError(
            "not a BigWig file: shorter than a header",
            path=source.path,
            expected=f"at least {HEADER_BYTES} bytes",
            got=f"{source.n_bytes} bytes",
            hint="The file is empty, truncated or something else; fetch it again.",
        )
    raw = source.read(0, HEADER_BYTES)
    order = _byte_order(source, bytes(raw[:4]))
    fields = struct.unpack(f"{order}IHHQQQHHQQIQ", raw)
    _, version, n_zoom, chrom_offset, data_offset, index_offset = fields[:6]
    summary_offset, buf_size, extension_offset = fields[9:]
    if not 1 <= version <= 4:
        raise InvalidDataError(
            "unknown BigWig version",
            path=source.path,
            offset=4,
            field="version",
            expected="1 to 4",
            got=version,
        )
    for name, at, offset, least in (
        ("chromosomeTreeOffset", 8, chrom_offset, CHROM_TREE_HEADER_BYTES),
        ("fullIndexOffset", 24, index_offset, 1),
    ):
        if offset + least > source.n_bytes:
            raise InvalidDataError(
                "offset points past the end of the file",
                path=source.path,
                offset=at,
                field=name,
                expected=f"at most {source.n_bytes - least}",
                got=offset,
                hint="The file is truncated or damaged; fetch it again.",
            )
    return BigWigHeader(
        byte_order=order,
        version=version,
        chrom_tree_offset=chrom_offset,
        data_offset=data_offset,
        index_offset=index_offset,
        uncompress_buf_size=buf_size if version >= 3 else 0,
        extension_offset=extension_offset if version >= 4 else 0,
        zoom_levels=_read_zoom_headers(source, order, n_zoom),
        summary=_read_summary(source, order, summary_offset) if version >= 2 else None,
    )


def _byte_order(source: Source, magic: bytes) -> str:
    for order in "<>":
        (value,) = struct.unpack(f"{order}I", magic)
        if value == BIGWIG_MAGIC:
            return order
        if value == BIGBED_MAGIC:
            raise InvalidDataError(
                "this is a BigBed file, not a BigWig file",
                path=source.path,
                offset=0,
                field="magic",
                expected=f"{BIGWIG_MAGIC:#010x} (BigWig)",
                got=f"{BIGBED_MAGIC:#010x} (BigBed)",
                hint="BigBed files hold features, not signal; bigBedToBed reads them.",
            )
    looks = {
        b"\x89HDF": "an HDF5 file",
        b"vers": "a git-lfs pointer: the file itself was never fetched",
        b"<!DO": "an HTML page, perhaps a server's error",
        b"<htm": "an HTML page, perhaps a server's error",
        b"\x00\x00\x00\x00": "zeros, perhaps an unfinished download",
    }.get(magic[:4], "something else")
    named_bigbed = source.path.lower().endswith((".bb", ".bigbed"))
    raise InvalidDataError(
        "not a BigWig file",
        path=source.path,
        offset=0,
        field="magic",
        expected=f"{BIGWIG_MAGIC:#010x} in either byte order",
        got=f"bytes {magic.hex(' ')} ({looks})",
        hint="By its name it is a BigBed file, which holds features." if named_bigbed else None,
    )


def _read_zoom_headers(source: Source, order: str, n_zoom: int) -> tuple[ZoomLevel, ...]:
    if HEADER_BYTES + n_zoom * ZOOM_HEADER_BYTES > source.n_bytes:
        raise InvalidDataError(
            "zoom headers run past the end of the file",
            path=source.path,
            offset=6,
            field="zoomLevels",
            expected=f"at most {(source.n_bytes - HEADER_BYTES) // ZOOM_HEADER_BYTES}",
            got=n_zoom,
        )
    raw = source.read(HEADER_BYTES, n_zoom * ZOOM_HEADER_BYTES)
    levels = struct.iter_unpack(f"{order}IIQQ", raw)
    return tuple(ZoomLevel(reduction, data, index) for reduction, _, data, index in levels)


def _read_summary(source: Source, order: str, offset: int) -> TotalSummary | None:
    if offset == 0:
        return None
    return TotalSummary(*struct.unpack(f"{order}Qdddd", source.read(offset, SUMMARY_BYTES)))


def _read_chrom_tree(
    source: Source, header: BigWigHeader
) -> tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Walk the chromosome B+ tree: names, lengths in bp, ids, in tree order."""
    order, base = header.byte_order, header.chrom_tree_offset
    raw = source.read(base, CHROM_TREE_HEADER_BYTES)
    magic, _, key_bytes, value_bytes, n_items, _ = struct.unpack(f"{order}IIIIQQ", raw)
    for field, at, expected, got in (
        ("magic", 0, CHROM_TREE_MAGIC, magic),
        ("valSize", 12, 8, value_bytes),
    ):
        if got != expected:
            raise InvalidDataError(
                "no chromosome tree where the header says there is one",
                path=source.path,
                offset=base + at,
                field=f"chromosome tree {field}",
                expected=f"{expected:#x}",
                got=f"{got:#x}",
            )
    room = source.n_bytes - base
    item_bytes = key_bytes + value_bytes
    if key_bytes == 0 or max(n_items, 1) * item_bytes > room:
        raise InvalidDataError(
            "chromosome tree does not fit into the file",
            path=source.path,
            offset=base + 8,
            field="keySize, itemCount",
            expected=f"at most {room} bytes of items",
            got=f"{n_items} items of {key_bytes} + {value_bytes} bytes",
        )
    item_type = np.dtype([("key", f"S{key_bytes}"), ("id", f"{order}u4"), ("length", f"{order}u4")])
    child_type = np.dtype([("key", f"S{key_bytes}"), ("offset", f"{order}u8")])
    root = base + CHROM_TREE_HEADER_BYTES
    items = read_leaves(source, root, item_type, child_type, "chromosome tree")
    if len(items) != n_items:
        raise InvalidDataError(
            "chromosome tree holds another number of contigs than its header says",
            path=source.path,
            offset=base + 16,
            field="itemCount",
            expected=n_items,
            got=len(items),
        )
    names = tuple(key.decode("utf-8", "surrogateescape") for key in items["key"].tolist())
    ids = items["id"].astype(np.uint32)
    for what, values in (("names", names), ("ids", ids.tolist())):
        if len(set(values)) != len(values):
            raise InvalidDataError(
                f"contig {what} of the chromosome tree are not distinct",
                path=source.path,
                offset=base,
            )
    return names, items["length"].astype(np.int64), ids
