"""What keeps files from being used together: other contigs, spellings, lengths, regions outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import basename
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.cli.contig_files import Kind, Listing, read_listing
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.aliases import alias_key

if TYPE_CHECKING:
    import pandas as pd

# Assemblies by the length of a contig, in bp: chrom.sizes of each assembly at UCSC.
_ASSEMBLIES: dict[tuple[str, int], str] = {
    ("1", 247_249_719): "hg18",
    ("1", 249_250_621): "hg19 (GRCh37)",
    ("22", 51_304_566): "hg19 (GRCh37)",
    ("1", 248_956_422): "hg38 (GRCh38)",
    ("22", 50_818_468): "hg38 (GRCh38)",
    ("1", 248_387_328): "hs1 (T2T-CHM13)",
    ("1", 197_195_432): "mm9",
    ("1", 195_471_971): "mm10 (GRCm38)",
    ("1", 195_154_279): "mm39 (GRCm39)",
    ("1", 282_763_074): "rn6",
    ("1", 260_522_016): "rn7",
    ("1", 59_578_282): "danRer11 (GRCz11)",
    ("2L", 23_513_712): "dm6",
    ("I", 15_072_434): "ce11",
    ("I", 230_218): "sacCer3",
}
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """Something to know about a file.

    Parameters
    ----------
    is_problem : bool
        Whether it keeps the file from being used with the others.
    what : str
    advice : str
        What to do; empty where nothing needs to be done.
    """

    is_problem: bool
    what: str
    advice: str = ""


@dataclass(frozen=True)
class FileReport:
    """One file against the file that all are compared with.

    Parameters
    ----------
    path, kind : str
    n_contigs : int
    total_bp : int, optional
        None where the file does not tell all lengths.
    assembly : str, optional
        The assembly that has a contig of that length; None where none is known.
    n_shared : int
        Contigs that have the same name in the reference.
    findings : list of Finding
    """

    path: str
    kind: Kind
    n_contigs: int = 0
    total_bp: int | None = None
    assembly: str | None = None
    n_shared: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_usable(self) -> bool:
        """Whether nothing was found that is a problem."""
        return not any(finding.is_problem for finding in self.findings)


def check_files(files: Sequence[tuple[str, Kind]]) -> list[FileReport]:
    """Compare the contigs of files with those of the first, a FASTA or else a BigWig.

    Parameters
    ----------
    files : sequence of (path, kind)
        In the order of `sort_files`.

    Raises
    ------
    NotFoundError, InvalidDataError
        If the first file cannot be read. Others that cannot are reported.
    InvalidInputError
        If there are not two files, the first of them a FASTA or BigWig, or for BCF.
    """
    if len(files) < 2 or files[0][1] not in ("FASTA", "BigWig"):
        got = ", ".join(path for path, _ in files) or "none"
        raise InvalidInputError(
            f"expected at least two files, one of them FASTA or BigWig, to be compared; got {got}"
        )
    reference = read_listing(*files[0])
    reports = [_report(reference, reference)]
    lengths = {name: (bp, reference.path) for name, bp in reference.lengths.items()}
    with_signal = set(reference.lengths) if reference.kind == "BigWig" else set()
    for path, kind in files[1:]:
        try:
            listing = read_listing(path, kind)
        except InvalidDataError as error:
            reports.append(FileReport(path, kind, findings=[Finding(True, str(error))]))
            continue
        report = _report(listing, reference)
        report.findings.extend(_compare(listing, reference))
        if kind == "BigWig":
            report.findings.extend(_compare_tracks(listing, reference, lengths))
            with_signal.update(listing.lengths)
        elif with_signal and listing.regions is not None:
            report.findings.extend(_without_signal(listing.regions, reference, with_signal))
        reports.append(report)
    return reports


def _report(listing: Listing, reference: Listing) -> FileReport:
    known = [bp for bp in listing.lengths.values() if bp is not None]
    return FileReport(
        listing.path,
        listing.kind,
        len(listing.lengths),
        sum(known) if known and len(known) == len(listing.lengths) else None,
        _assembly(listing.lengths),
        sum(name in reference.lengths for name in listing.lengths),
    )


def _assembly(lengths: Mapping[str, int | None]) -> str | None:
    found = (_ASSEMBLIES.get((alias_key(n), bp)) for n, bp in lengths.items() if bp is not None)
    return next((name for name in found if name is not None), None)


def _compare(listing: Listing, reference: Listing) -> list[Finding]:
    """One file against the reference, by names first."""
    spelled: dict[str, str] = {}  # contig of the reference for each that is spelled otherwise
    by_key = {alias_key(name): name for name in reference.lengths}
    absent = []
    for name in listing.lengths:
        if name in reference.lengths:
            continue
        other = by_key.get(alias_key(name))
        if other is None or other in listing.lengths:
            absent.append(name)
        else:
            spelled[name] = other
    if listing.regions is None and not listing.lengths:
        return [Finding(False, "names no contig")]
    if listing.lengths and len(absent) == len(listing.lengths):
        return [
            Finding(
                True,
                f"no contig in common with {reference.name}: {_names(listing.lengths)} here, "
                f"{_names(reference.lengths)} there",
                "These are files of different genomes, or the contigs have names of another "
                "kind (accessions); rename them in one of the files.",
            )
        ]
    same = {name: name for name in listing.lengths if name in reference.lengths}
    findings = _other_lengths(listing, reference, same | spelled)
    if spelled:
        findings.append(_other_spelling(listing, reference, spelled, bool(same)))
    if listing.regions is not None:
        findings += _check_regions(listing.regions, reference, same, absent)
        return findings
    if absent:
        what = f"{_count(len(absent), 'contig')} not in {reference.name}: {_names(absent)}"
        findings.append(Finding(False, what))
    matched = {*same, *spelled.values()}
    lacking = [name for name in reference.lengths if name not in matched]
    if lacking and not listing.from_records:
        what = f"lacks {_count(len(lacking), 'contig')} of {reference.name}: {_names(lacking)}"
        findings.append(Finding(False, what))
    return findings


def _other_lengths(listing: Listing, reference: Listing, match: dict[str, str]) -> list[Finding]:
    """`match`: the reference's name of each contig that both have."""
    pairs = [(n, listing.lengths[n], reference.lengths[other]) for n, other in match.items()]
    differ = [(n, here, there) for n, here, there in pairs if here is not None and here != there]
    if not differ:
        return []
    name, here, there = differ[0]
    what = (
        f"{len(differ)} of {_count(len(pairs), 'shared contig')} with another length, the first "
        f"{name}: {here:,} bp here, {there:,} bp in {reference.name}"
    )
    mine, other = _assembly(listing.lengths), _assembly(reference.lengths)
    advice = "Use files of one assembly."
    if mine and other and mine != other:
        what += f". By its length, this file is of {mine} and {reference.name} of {other}"
    elif mine:
        what += f". By its length, this file is of {mine}"
        advice += f" {reference.name} is of another, or a part of it."
    elif other:
        what += f". By its length, {reference.name} is of {other}"
        advice += " This file is of another, or made with a part of it."
    return [Finding(True, what, advice)]


def _other_spelling(
    listing: Listing, reference: Listing, spelled: dict[str, str], some_match: bool
) -> Finding:
    name, other = next(iter(spelled.items()))
    what = (
        f"{_count(len(spelled), 'contig')} spelled otherwise than in {reference.name}, "
        f"e.g. {name} for {other}"
    )
    if listing.kind == "BigWig":
        call = "BigWigCollection(...).with_contig_names(names of the other file's contigs)"
        return Finding(not some_match, what, f"{call} matches them.")
    rename = {
        "BED": "Rename them in the first column",
        "VCF": "Rename them, e.g. bcftools annotate --rename-chrs TABLE",
    }[listing.kind]
    return Finding(listing.kind == "BED" or not some_match, what, f"{rename}.")


def _check_regions(
    regions: pd.DataFrame, reference: Listing, same: Mapping[str, str], absent: list[str]
) -> list[Finding]:
    """Regions of a BED file: on unknown contigs, past an end, empty."""
    if not len(regions):
        return [Finding(True, "no regions", "Is this the right file?")]
    findings = []
    chrom, start, end = (regions[c].to_numpy() for c in ("chrom", "start", "end"))
    unknown = regions["chrom"].isin(absent).to_numpy()
    if unknown.any():
        contigs = f"{_count(len(absent), 'contig')} that {reference.name} does not have"
        what = f"{_regions(regions, unknown)} on {contigs}: {_names(absent)}"
        findings.append(Finding(True, what, "Remove these regions."))
    length = regions["chrom"].map({n: reference.lengths[n] for n in same}).to_numpy(np.float64)
    outside = end > length  # never where it is NaN, on a contig that is not known
    if outside.any():
        k = int(np.flatnonzero(outside)[0])
        what = (
            f"{_regions(regions, outside)} past the end of a contig; {chrom[k]} has "
            f"{int(length[k]):,} bp in {reference.name}"
        )
        advice = "Cut or remove them; if they are many, the file is of another assembly."
        findings.append(Finding(True, what, advice))
    empty = end <= start
    if empty.any():
        what = f"{_regions(regions, empty)} empty (end = start)"
        findings.append(Finding(True, what, "Remove them, or widen them about their position."))
    return findings


def _compare_tracks(
    listing: Listing, reference: Listing, known: dict[str, tuple[int | None, str]]
) -> list[Finding]:
    """BigWigs must agree also on contigs that the reference does not have.

    `known` has the length of each contig so far, and the file that says so; it is added to.
    """
    findings: list[Finding] = []
    for name, length in listing.lengths.items():
        there, path = known.setdefault(name, (length, listing.path))
        if name not in reference.lengths and there != length and not findings:
            what = f"contig {name}: {length:,} bp here, {there:,} bp in {basename(path)}"
            findings = [Finding(True, what, "Use BigWig files of one assembly.")]
    return findings


def _without_signal(
    regions: pd.DataFrame, reference: Listing, with_signal: set[str]
) -> list[Finding]:
    """Regions on contigs of the genome that no BigWig has."""
    keys = {alias_key(name) for name in with_signal}
    names = [str(name) for name in regions["chrom"].unique()]
    without = [n for n in names if n in reference.lengths and alias_key(n) not in keys]
    if not without:
        return []
    found = _regions(regions, regions["chrom"].isin(without).to_numpy())
    what = f"{found} on {_count(len(without), 'contig')} that no BigWig has: {_names(without)}"
    return [Finding(True, what, "Remove these regions.")]


def _regions(regions: pd.DataFrame, which: Any) -> str:
    first = regions.iloc[int(np.flatnonzero(which)[0])]
    place = f"{first['chrom']}:{first['start']:,}-{first['end']:,}"
    return f"{_count(int(np.count_nonzero(which)), 'region')} (the first {place})"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _names(names: Sequence[str] | Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
