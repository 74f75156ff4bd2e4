"""Which contigs FASTA, BigWig, BED and VCF files name, and how long they say these are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from bigwig_loader.bigwig_paths import find_bigwigs
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.fasta import open_fasta
from bigwig_loader.formats.source import is_url
from bigwig_loader.formats.text import read_pieces

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["FASTA", "BigWig", "BED", "VCF"]

_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "FASTA": (".fa", ".fasta", ".fna", ".ffn", ".frn"),
    "BigWig": (".bw", ".bigwig"),
    "BED": (".bed", ".narrowpeak", ".broadpeak", ".bed3", ".bed6", ".bed12"),
    "VCF": (".vcf",),
}
_COMPRESSED = (".gz", ".bgz")
_CONTIG_LINE = re.compile(rb"##contig=<(.*)>\s*$")
# A value may be quoted, and a quoted one may have commas.
_FIELD = re.compile(rb'(\w+)=("(?:[^"\\]|\\.)*"|[^,]*)')


@dataclass(frozen=True, eq=False)
class Listing:
    """The contigs of one file.

    Parameters
    ----------
    path : str
    kind : str
    lengths : dict of str to int or None
        Contigs in file order, and their lengths in bp; None where the file does not tell.
    regions : DataFrame, optional
        chrom, start, end of a BED file.
    from_records : bool
        Whether the contigs are those of a VCF file's records, since its header names none.
    """

    path: str
    kind: Kind
    lengths: dict[str, int | None]
    regions: pd.DataFrame | None = None
    from_records: bool = False

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return os.path.basename(self.path)


def sort_files(files: Iterable[str], given: dict[Kind, Sequence[str]]) -> list[tuple[str, Kind]]:
    """Paths with their kinds, the FASTA first; each path once.

    Parameters
    ----------
    files : iterable of str
        Paths and URLs whose names say what they are; a folder stands for its BigWig files.
    given : dict of kind to paths
        Those that the caller has named a kind for.

    Raises
    ------
    InvalidInputError
        For a name that tells no kind, and for more than one FASTA.
    NotFoundError
        For a path that does not exist.
    """
    found: list[tuple[str, Kind]] = []
    for kind, paths in given.items():
        found += [(path, kind) for path in paths]
    found += [(path, "BigWig" if os.path.isdir(path) else _kind_of(path)) for path in files]
    order = list(_ENDINGS)
    sorted_files: dict[str, Kind] = {}
    for path, kind in sorted(found, key=lambda each: order.index(each[1])):
        if kind == "BigWig":
            sorted_files |= dict.fromkeys(find_bigwigs(path), kind)
        elif not is_url(path) and not os.path.isfile(path):
            raise NotFoundError(f"cannot open {path}: no such file")
        else:
            sorted_files[path] = kind
    genomes = [path for path, kind in sorted_files.items() if kind == "FASTA"]
    if len(genomes) > 1:
        raise InvalidInputError(f"expected one FASTA file; got {', '.join(genomes)}")
    return list(sorted_files.items())


def _kind_of(path: str) -> Kind:
    name = path.lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    for kind, endings in _ENDINGS.items():
        if name.endswith(endings):
            return kind
    if name.endswith(".bcf"):
        raise _bcf_refused(path)
    known = ", ".join(ending for endings in _ENDINGS.values() for ending in endings)
    raise InvalidInputError(
        f"cannot tell what {path} is by its name: expected {known}, or one of these and .gz or "
        ".bgz. Say it with --genome, --bigwig, --bed or --vcf"
    )


def _bcf_refused(path: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path}: expected VCF text, plain, gzip or bgzip; got BCF. Its header is enough here: "
        f"bcftools view -h {path} > header.vcf"
    )


def read_listing(path: str, kind: Kind) -> Listing:
    """Read the contigs of a file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it is damaged or of another kind.
    InvalidInputError
        For BCF, which is not read.
    """
    if kind == "FASTA":
        with open_fasta(path) as fasta:
            return Listing(path, kind, dict(fasta.contigs))
    if kind == "BigWig":
        index = read_bigwig_index(path)
        lengths = zip(index.contig_names, index.contig_lengths.tolist(), strict=True)
        return Listing(path, kind, dict(lengths))
    if kind == "BED":
        frame = read_bed(path, n_columns=3)
        return Listing(path, kind, dict.fromkeys(frame["chrom"].unique()), regions=frame)
    return _read_vcf(path)


def _read_vcf(path: str) -> Listing:
    """Contigs of the header; of all records where it names none.

    Contigs of the records that happen to be read with the header are taken too.
    """
    lengths: dict[str, int | None] = {}
    n_described = 0
    pieces = read_pieces(path)
    first = next(pieces, b"")
    _check_vcf(first, path)
    rest = b""
    for piece in chain([first], pieces):
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        in_header, n = _take_lines(lines, lengths)
        n_described += n
        if n_described and not in_header:
            rest = b""
            break
    _take_lines([rest], lengths)
    return Listing(path, "VCF", lengths, from_records=not n_described)


def _check_vcf(text: bytes, path: str) -> None:
    if text.startswith(b"BCF"):
        raise _bcf_refused(path)
    if not text.removeprefix(b"\xef\xbb\xbf").startswith(b"#"):
        raise InvalidDataError(
            "not a VCF file",
            path=path,
            offset=0,
            expected="a line that starts with '##fileformat=VCF'",
            got=repr(text[:20])[1:],
        )


def _take_lines(lines: list[bytes], lengths: dict[str, int | None]) -> tuple[bool, int]:
    """Note the contigs of some lines; whether the last is of the header, and contig lines."""
    n_described, in_header = 0, True
    names: dict[bytes, None] = {}
    for line in lines:
        in_header = line[:1] == b"#"
        if not in_header:
            names[line.partition(b"\t")[0]] = None
        elif described := _CONTIG_LINE.match(line):
            fields = dict(_FIELD.findall(described.group(1)))
            name = fields.get(b"ID", b"").strip(b'"').decode(errors="surrogateescape")
            length = fields.get(b"length", b"").strip(b'"')
            lengths[name] = int(length) if length.isdigit() else None
            n_described += 1
    for raw in names:
        if raw.strip():
            lengths.setdefault(raw.decode(errors="surrogateescape"), None)
    return in_header, n_described
