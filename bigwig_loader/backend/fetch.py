"""Byte ranges of remote files, for backends that read local ones by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.source import Source, UrlSource, is_url, open_source

Int64Array = npt.NDArray[np.int64]


def open_sources(paths: Sequence[str]) -> list[Source]:
    """All files, opened, if any of them is remote; else none.

    One remote file, and all are fetched the same way, with many requests in flight.
    """
    return [open_source(path) for path in paths] if any(map(is_url, paths)) else []


def fetch_ranges(
    sources: Sequence[Source], track: Int64Array, offset: Int64Array, n_bytes: Int64Array
) -> list[bytes]:
    """The bytes of R ranges, those of one file asked for together.

    Parameters
    ----------
    sources : sequence of Source
        One per track.
    track, offset, n_bytes : (R,) int64

    Raises
    ------
    InvalidDataError
        If a range cannot be had: path, offset, and what is there.
    """
    parts = [b""] * len(track)
    for number in np.unique(track).tolist():
        at = np.flatnonzero(track == number)
        ranges = list(zip(offset[at].tolist(), n_bytes[at].tolist(), strict=True))
        source = sources[number]
        if isinstance(source, UrlSource):
            found = source.read_ranges(ranges)
        else:
            found = [bytes(source.read(*byte_range)) for byte_range in ranges]
        for i, part in zip(at.tolist(), found, strict=True):
            parts[i] = part
    return parts
