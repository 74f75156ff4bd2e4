"""VCF and BCF files, read with cyvcf2."""

from __future__ import annotations

import contextlib
import os
import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.variants.block import (
    Block,
    Request,
)
from bigwig_loader.formats.variants.header import contigs_of, infos_of
from bigwig_loader.formats.variants.kept import Kept, file_key
from bigwig_loader.formats.variants.missing import package
from bigwig_loader.formats.variants.sites import ContigSites, Sites, SortedContigs
from bigwig_loader.formats.variants.vcf_records import Builder, guarded
from bigwig_loader.types import PathLike

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# Spans nearer than this are one query: an index knows stretches of 16 kb, and a compressed block
# holds about as much.
_QUERY_GAP_BP = 1 << 14
# Files up to this size are parsed once and kept, if what they hold takes no more than this.
_KEPT_FILE_BYTES = 64 << 20

_Header = tuple[
    tuple[str, ...], dict[str, int | None], dict[str, tuple[str, str]]
]  # samples, contigs, INFO fields

_sites: Kept[Sites] = Kept(4)
_records: Kept[dict[str, Block] | None] = Kept(2)


class Vcf:
    """A VCF or BCF file.

    Text, gzip, bgzip and BCF are read. An index (``.tbi`` or ``.csi`` beside the file) makes
    reading regions fast; without one, files of up to 64 MB are parsed once and kept in memory, and
    larger ones are read from the beginning at each call.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : str
    samples : tuple of str
        In the order of the file.
    contigs : dict of str to int or None
        Contigs that the header declares, with their lengths where it tells.
    fields : dict of str to (str, str)
        INFO fields that the header declares, with number and type.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it is no VCF or BCF, or truncated.
    """

    ploidy = 2

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        if "://" not in self.path:
            if not os.path.isfile(self.path):
                raise NotFoundError(f"unknown file {self.path!r}: expected a VCF or BCF file there")
            _check_end(self.path)

    def __repr__(self) -> str:
        return f"Vcf({self.path!r})"

    @cached_property
    def _header(self) -> _Header:
        file = self._open()
        text = file.raw_header
        samples = tuple(file.samples)
        file.close()
        return samples, contigs_of(text), infos_of(text)

    @property
    def samples(self) -> tuple[str, ...]:
        """Sample names, in the order of the file."""
        return self._header[0]

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs that the header declares, with their lengths."""
        return self._header[1]

    def contigs_with_records(self) -> tuple[str, ...]:
        """Contigs that have records, declared or not; the first call reads the whole file."""
        return tuple(self._find_sites(file_key(self.path)).contigs)

    @property
    def fields(self) -> Mapping[str, tuple[str, str]]:
        """INFO fields that the header declares, with number and type."""
        return self._header[2]

    @property
    def is_indexed(self) -> bool:
        """Whether an index lies beside the file."""
        return any(os.path.exists(self.path + end) for end in (".tbi", ".csi"))

    def blocks(self, request: Request) -> Iterator[Block]:
        """Records in the order of the file, in blocks of one contig."""
        if request.spans is None:
            yield from self._scan(request)
            return
        key = file_key(self.path)
        if key is not None and os.path.getsize(self.path) <= _KEPT_FILE_BYTES:
            records = self._kept_records(key, request)
            if records is not None:
                for contig, rows in _sites_of(records).wanted(request.spans).items():
                    yield records[contig].take(rows)
                return
        sites = self._find_sites(key)
        wanted = sites.wanted(request.spans)
        numbers = {name: sites.contigs[name].first + rows for name, rows in wanted.items()}
        if self.is_indexed:
            for contig, rows in wanted.items():
                yield from self._query(contig, sites.contigs[contig], rows, request)
        elif numbers:
            yield from self._scan(request, np.sort(np.concatenate(list(numbers.values()))))

    def _open(self, samples: tuple[str, ...] | None = None) -> Any:
        cyvcf2 = package("cyvcf2", "VCF and BCF files")
        try:
            file = cyvcf2.VCF(self.path)
            if samples is not None and samples != tuple(file.samples):
                file.set_samples(list(samples))
        except Exception as error:
            raise InvalidDataError(
                f"not a readable VCF or BCF file ({error})",
                path=self.path,
                expected="VCF 4 text, plain or compressed with bgzip, or BCF 2.2",
            ) from error
        return file

    def _builder(self, file: Any, request: Request) -> Builder:
        has_genotypes = "##FORMAT=<ID=GT," in file.raw_header
        return Builder(self.path, tuple(file.samples), request, has_genotypes)

    def _scan(
        self, request: Request, numbers: npt.NDArray[np.int64] | None = None
    ) -> Iterator[Block]:
        """All records from the beginning, or those of some numbers (ascending)."""
        file = self._open(request.samples)
        with contextlib.closing(file):
            records = enumerate(file) if numbers is None else _chosen(file, numbers.tolist())
            yield from self._builder(file, request).blocks(records)

    def _query(
        self, contig: str, sites: ContigSites, rows: npt.NDArray[np.int64], request: Request
    ) -> Iterator[Block]:
        """Some records of a contig, by its index."""
        file = self._open(request.samples)
        start, end = sites.start[rows], sites.end[rows]
        cuts = np.flatnonzero(start[1:] >= np.maximum.accumulate(end)[:-1] + _QUERY_GAP_BP) + 1

        def records() -> Iterator[tuple[int, Any]]:
            for first, last in pairwise([0, *cuts.tolist(), len(rows)]):
                reach = int(end[first:last].max())
                found = file(f"{{{contig}}}:{int(start[first]) + 1}-{reach}")
                yield from self._matched(contig, sites, rows[first:last].tolist(), found)

        with contextlib.closing(file), warnings.catch_warnings():
            # cyvcf2 warns of queries without records; here that is an error, see `_matched`.
            warnings.simplefilter("ignore", UserWarning)
            yield from self._builder(file, request).blocks(records())

    def _matched(
        self, contig: str, sites: ContigSites, rows: list[int], found: Iterator[Any]
    ) -> Iterator[tuple[int, Any]]:
        """What a query finds, with its number; rows that are not wanted are passed over."""
        for row in rows:
            at, end = int(sites.start[row]), int(sites.end[row])
            for record in found:
                if record.start == at and at + len(record.REF) == end:
                    yield sites.first + row, record
                    break
            else:
                raise InvalidDataError(
                    f"record {sites.first + row:,} at {contig}:{at + 1} is not found by the index",
                    path=self.path,
                    hint="The index is out of date: tabix -f, or bcftools index -f",
                )

    def _find_sites(self, key: tuple[object, ...] | None) -> Sites:
        return _sites.get(key, self._read_sites)

    def _read_sites(self) -> Sites:
        """Where all records lie: a pass without samples."""
        runs: list[tuple[str, int]] = []  # contigs, and the number of their first record
        start, end = array("i"), array("i")
        file = self._open(())
        with contextlib.closing(file):
            for number, record in enumerate(guarded(file, self.path)):
                if not runs or runs[-1][0] != record.CHROM:
                    runs.append((record.CHROM, number))
                at = record.start
                start.append(at)
                end.append(at + len(record.REF))
        starts, ends = np.array(start, dtype=np.int32), np.array(end, dtype=np.int32)
        order = SortedContigs(self.path)
        found = {}
        for (contig, first), (_, last) in pairwise([*runs, ("", len(starts))]):
            order.check(contig, first, starts[first:last])
            found[contig] = ContigSites(first, starts[first:last], ends[first:last])
        return Sites(found)

    def _kept_records(self, key: tuple[object, ...], request: Request) -> dict[str, Block] | None:
        """All records of a small file, by contig; None if they take too much memory."""
        everything = replace(request, spans=None)
        whole = (*key, everything)

        def read() -> dict[str, Block] | None:
            blocks: dict[str, list[Block]] = {}
            n_bytes = 0
            for block in self._scan(everything):
                n_bytes += block.nbytes
                if n_bytes > _KEPT_FILE_BYTES:
                    return None
                blocks.setdefault(block.contig, []).append(block)
            return {contig: Block.concatenate(parts) for contig, parts in blocks.items()}

        return _records.get(whole, read)


def _sites_of(records: Mapping[str, Block]) -> Sites:
    return Sites(
        {
            contig: ContigSites(
                int(block.record[0]),
                block.position.astype(np.int32),
                (block.position + block.ref.lengths).astype(np.int32),
            )
            for contig, block in records.items()
        }
    )


def _chosen(file: Iterable[Any], numbers: list[int]) -> Iterator[tuple[int, Any]]:
    """Records of some numbers, ascending."""
    wanted = iter(numbers)
    following = next(wanted)
    for number, record in enumerate(file):
        if number == following:
            yield number, record
            following = next(wanted, -1)
            if following < 0:
                return


def _check_end(path: str) -> None:
    """A file written by bgzip ends with an empty block; without it, the rest is missing."""
    with open(path, "rb") as file:
        head = file.read(18)
        if head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"BC":
            return
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - len(_BGZF_END), 0))
        if file.read() != _BGZF_END:
            raise InvalidDataError(
                "the file is truncated: it lacks the mark that ends what bgzip writes",
                path=path,
                hint="Get it anew; if it is whole and old, `bcftools view` writes the mark",
            )
