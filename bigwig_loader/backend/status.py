"""What the kernels' status codes (`cuda_kernels/common.cuh`, enum Status) say to a person."""

from __future__ import annotations

import errno
import os
from enum import IntEnum

from bigwig_loader.errors import BigWigLoaderError, InvalidDataError, LoaderError


class Status(IntEnum):
    """Outcome of reading one data block; the numbers are those of the kernels."""

    OK = 0
    READ_FAILED = 1
    BAD_ZLIB_HEADER = 2
    BAD_DEFLATE = 3
    TRUNCATED_DEFLATE = 4
    TOO_LONG = 5
    BAD_CHECKSUM = 6
    SHORT_SECTION = 7
    BAD_SECTION_TYPE = 8
    ITEMS_PAST_END = 9
    BAD_CHROM_ID = 10
    OUT_OF_MEMORY = 11
    PAST_END = 12
    # Left at the window's end, and then found out of order: the backend reads the block again,
    # whole. It never reaches a person.
    NEEDS_WHOLE = 13


_MESSAGES: dict[Status, tuple[str, str, str, str]] = {
    # what, field, expected, got; {0} and {1} are the status' two details
    Status.PAST_END: (
        "data block lies past the end of the file",
        "R-tree leaf dataOffset, dataSize",
        "an end of at most {1}",
        "{0}",
    ),
    Status.BAD_ZLIB_HEADER: (
        "data block is not a zlib stream",
        "CMF, FLG",
        "a zlib header",
        "bytes {0:#04x} {1:#04x}",
    ),
    Status.BAD_DEFLATE: (
        "data block does not inflate",
        "deflate stream",
        "valid codes and distances",
        "an invalid one after {1} bytes of output",
    ),
    Status.TRUNCATED_DEFLATE: (
        "data block ends in the middle of its deflate stream",
        "deflate stream",
        "a last deflate block",
        "the end of the data after {1} bytes of output",
    ),
    Status.TOO_LONG: (
        "data block inflates to more than the header allows",
        "uncompressBufSize",
        "at most {0} bytes",
        "more",
    ),
    Status.BAD_CHECKSUM: ("data block has a wrong checksum", "adler32", "{0:#010x}", "{1:#010x}"),
    Status.SHORT_SECTION: (
        "data block is too short for a section header",
        "section",
        "at least {0} bytes",
        "{1} bytes",
    ),
    Status.BAD_SECTION_TYPE: (
        "section has an unknown type",
        "type",
        "1 (bedGraph), 2 (variableStep) or 3 (fixedStep)",
        "{1}",
    ),
    Status.ITEMS_PAST_END: (
        "section has more items than its data block holds",
        "itemCount",
        "{0} bytes",
        "{1} bytes",
    ),
    Status.BAD_CHROM_ID: (
        "section belongs to another contig than the index says",
        "chromId",
        "{0}",
        "{1}",
    ),
}


def block_error(
    status: int, detail: tuple[int, int], path: str, offset: int, region: str
) -> BigWigLoaderError:
    """The error to raise for a data block that failed.

    Parameters
    ----------
    status : int
        A `Status`.
    detail : (int, int)
    path : str
    offset : int
        Byte offset of the data block.
    region : str
        What was being read, e.g. ``"chr1:100-200"``.
    """
    code = Status(status)
    if code is Status.OUT_OF_MEMORY:
        return LoaderError(
            f"out of memory while reading {region} of {path}; "
            "give the collection a smaller memory_budget, or read fewer windows at once"
        )
    if code is Status.READ_FAILED:
        error, n_bytes = detail
        if error == errno.ESTALE:
            what = "file has changed since its index was read"
        else:
            what = f"cannot read data block for {region}: {os.strerror(error)}"
        return InvalidDataError(
            what,
            path=path,
            offset=offset,
            got=f"{n_bytes} bytes",
            hint="Open the collection again; if that fails, fetch the file again.",
        )
    what, field, expected, got = _MESSAGES[code]
    return InvalidDataError(
        f"{what} (needed for {region})",
        path=path,
        offset=offset,
        field=field,
        expected=expected.format(*detail),
        got=got.format(*detail),
        hint="The file is damaged; fetch it again.",
    )


def stream_error(status: int, detail: tuple[int, int], number: int) -> BigWigLoaderError:
    """The error to raise for a zlib stream, the `number`-th of those given, that failed."""
    code = Status(status)
    if code is Status.OUT_OF_MEMORY:
        return LoaderError(f"out of memory while inflating stream {number}; inflate fewer at once")
    if code is Status.TOO_LONG:
        return InvalidDataError(
            f"stream {number} holds more than was expected",
            expected=f"at most {detail[0]} bytes",
            got="more",
        )
    what, field, expected, got = _MESSAGES[code]
    return InvalidDataError(
        f"stream {number}: {what.replace('data block', 'it')}",
        field=field,
        expected=expected.format(*detail),
        got=got.format(*detail),
    )
