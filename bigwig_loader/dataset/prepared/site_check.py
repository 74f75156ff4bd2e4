"""Sites, variants without genotypes, checked and brought to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.site_table import SITE_COLUMNS
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.check import ref_differs
from bigwig_loader.formats.variants.letters import Letters
from bigwig_loader.formats.variants.table import VariantTable
from bigwig_loader.ragged import offsets_of
from bigwig_loader.types import check_choice

Invalid = Literal["error", "drop"]

_N_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Sites:
    """Checked sites.

    Parameters
    ----------
    table : VariantTable
        n sites sorted by contig and position; `record` is their number in the given table.
    given : (n,) int64
        Row of the given table of each.
    contig : (n,) int32
        Into the contigs of `table`.
    dropped : dict of str to int
        How many rows were left out, by reason.
    """

    table: VariantTable
    given: npt.NDArray[np.int64]
    contig: npt.NDArray[np.int32]
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.given)


def read_sites(
    sites: Any, genome: Genome, contig_names: Sequence[str], invalid: Invalid = "error"
) -> Sites:
    """Check sites, trim what REF and ALT share, and left-align.

    Parameters
    ----------
    sites : DataFrame, polars frame or mapping of columns
        ``CHROM``, ``POS`` (1-based), ``REF`` and ``ALT``; upper or lower case.
    genome : Genome
    contig_names : sequence of str
        Contigs of the result; sites on others are passed over.
    invalid : {"error", "drop"}
        What happens to sites that cannot be used: symbolic alleles, breakends, letters that are
        no bases, REF that differs from the genome, and changes of several bases in one record.

    Raises
    ------
    InvalidInputError
        For a missing column, and with ``"error"`` for sites that cannot be used: how many for
        which reason, and the first ones.
    """
    check_choice("invalid", invalid, ("error", "drop"))
    chrom, position, ref, alt = _columns(sites)
    place = {name: i for i, name in enumerate(contig_names)}
    contig = np.array([place.get(name, -1) for name in chrom], np.int32)
    rows = np.flatnonzero(contig >= 0)
    contig, position = contig[rows], position[rows]
    refs, alts = Letters.of([ref[i] for i in rows]), Letters.of([alt[i] for i in rows])
    reasons = _reasons(genome, contig_names, contig, position, refs, alts)
    bad = reasons != ""
    if bad.any() and invalid == "error":
        raise _refused(reasons, chrom, position, rows, (refs, alts))
    dropped = dict(
        zip(*(x.tolist() for x in np.unique(reasons[bad], return_counts=True)), strict=True)
    )
    keep = np.flatnonzero(~bad)
    rows, contig, position = rows[keep], contig[keep], position[keep]
    texts_ref, texts_alt = refs.take(keep), alts.take(keep)
    position, texts_ref, texts_alt = _aligned(
        genome, contig_names, contig, position, texts_ref, texts_alt
    )
    order = np.lexsort((position, contig))
    contig, position = contig[order], position[order]
    final_ref, final_alt = texts_ref.take(order), texts_alt.take(order)
    counts = np.bincount(contig, minlength=len(contig_names)).astype(np.int64)
    table = VariantTable(
        contig_names=tuple(contig_names),
        contig_offsets=offsets_of(counts),
        position=position.astype(np.int32),
        ilen=(final_alt.lengths - final_ref.lengths).astype(np.int32),
        ref_offsets=final_ref.offsets,
        ref=final_ref.data,
        alt_offsets=final_alt.offsets,
        alt=final_alt.data,
        record=rows[order],
    )
    return Sites(table, rows[order], contig, dropped)


def _columns(sites: Any) -> tuple[list[str], npt.NDArray[np.int64], list[str], list[str]]:
    has = list(sites.keys() if isinstance(sites, dict) else sites.columns)
    for name in SITE_COLUMNS:
        if name not in has:
            expected, got = ", ".join(SITE_COLUMNS), ", ".join(map(str, has))
            raise InvalidInputError(f"sites: expected the columns {expected}; got {got}")
    chrom, ref, alt = ([str(x) for x in sites[name]] for name in ("CHROM", "REF", "ALT"))
    position = np.asarray(list(sites["POS"]))
    if len(position) and position.dtype.kind not in "iu":
        raise InvalidInputError(f"sites, column 'POS': expected integers; got {position.dtype}")
    return chrom, position.astype(np.int64) - 1, ref, alt


_SYMBOLIC = "symbolic allele or breakend"
_LETTERS = "letters other than A, C, G, T and N"
_SAME = "REF and ALT are equal"
_OUTSIDE = "outside its contig"
_REF = "REF differs from the genome"
_NO_ANCHOR = "no base before the change"
_SEVERAL = "several changes in one record"


def _reasons(
    genome: Genome,
    contig_names: Sequence[str],
    contig: npt.NDArray[np.int32],
    position: npt.NDArray[np.int64],
    refs: Letters,
    alts: Letters,
) -> npt.NDArray[np.str_]:
    """Why a site cannot be used, or nothing, (n,)."""
    reasons = np.full(len(position), "", dtype="<U40")

    def note(reason: str, select: npt.NDArray[np.bool_]) -> None:
        reasons[(reasons == "") & select] = reason

    symbols = np.frombuffer(b"<>[]*.", np.uint8)
    note(_SYMBOLIC, alts.any_of(np.isin(alts.data, symbols)))
    bases = np.frombuffer(b"ACGTN", np.uint8)
    wrong = refs.any_of(~np.isin(refs.data, bases)) | alts.any_of(~np.isin(alts.data, bases))
    note(_LETTERS, wrong | (refs.lengths == 0) | (alts.lengths == 0))
    lengths = np.array([genome.contigs[name] for name in contig_names], np.int64)
    end = position + refs.lengths
    note(_OUTSIDE, (position < 0) | (end > lengths[contig]))
    known = np.flatnonzero(reasons == "")
    note(_REF, _differs(genome, contig_names, contig, position, refs, known))
    for i in known.tolist():
        ref, alt = refs[i], alts[i]
        if ref == alt:
            reasons[i] = reasons[i] or _SAME
        elif len(ref) > 1 or len(alt) > 1:
            prefix = _n_shared(ref, alt)
            suffix = _n_shared(ref[prefix:][::-1], alt[prefix:][::-1])
            left = len(ref) - prefix - suffix, len(alt) - prefix - suffix
            if left != (1, 1) and min(left) > 0:
                reasons[i] = reasons[i] or _SEVERAL
            elif min(left) == 0 and prefix == 0 and position[i] == 0:
                reasons[i] = reasons[i] or _NO_ANCHOR
    return reasons


def _n_shared(first: str, second: str) -> int:
    """Letters that two strings begin with alike."""
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n


def _differs(
    genome: Genome,
    contig_names: Sequence[str],
    contig: npt.NDArray[np.int32],
    position: npt.NDArray[np.int64],
    refs: Letters,
    known: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Whether REF is not what the genome has, (n,); looked at for `known` sites."""
    differs = np.zeros(len(position), np.bool_)
    for c in np.unique(contig[known]).tolist():
        of_contig = known[contig[known] == c]
        differs[of_contig] = ref_differs(
            genome, contig_names[c], position[of_contig], refs.take(of_contig)
        )
    return differs


def _aligned(
    genome: Genome,
    contig_names: Sequence[str],
    contig: npt.NDArray[np.int32],
    position: npt.NDArray[np.int64],
    refs: Letters,
    alts: Letters,
) -> tuple[npt.NDArray[np.int64], Letters, Letters]:
    """Sites without shared letters but one anchor, as far to the left as they go."""
    plain = (refs.lengths == 1) & (alts.lengths == 1)
    tidy = (
        ((refs.lengths == 1) | (alts.lengths == 1))
        & (refs.first == alts.first)
        & (refs.last != alts.last)
    )
    other = np.flatnonzero(~(plain | tidy))
    if not len(other):
        return position, refs, alts
    position = position.copy()
    texts = [[letters[i] for i in range(len(letters))] for letters in (refs, alts)]
    for i in other.tolist():
        name = contig_names[contig[i]]
        position[i], texts[0][i], texts[1][i] = _left(
            genome, name, int(position[i]), texts[0][i], texts[1][i]
        )
    return position, Letters.of(texts[0]), Letters.of(texts[1])


def _left(genome: Genome, name: str, position: int, ref: str, alt: str) -> tuple[int, str, str]:
    while ref[-1] == alt[-1] and (min(len(ref), len(alt)) > 1 or position > 0):
        ref, alt = ref[:-1], alt[:-1]
        if not ref or not alt:
            position -= 1
            base = genome.sequence(name, position, position + 1)
            ref, alt = base + ref, base + alt
    while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
        ref, alt, position = ref[1:], alt[1:], position + 1
    return position, ref, alt


def _refused(
    reasons: npt.NDArray[np.str_],
    chrom: list[str],
    position: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    alleles: tuple[Letters, Letters],
) -> InvalidInputError:
    parts = []
    for reason in dict.fromkeys(reasons[reasons != ""].tolist()):
        which = np.flatnonzero(reasons == reason)
        shown = ", ".join(
            f"{chrom[rows[i]]}:{position[i] + 1} {alleles[0][i]}>{alleles[1][i]} (row {rows[i]})"
            for i in which[:_N_EXAMPLES].tolist()
        )
        more = ", ..." if len(which) > _N_EXAMPLES else ""
        parts.append(f"{len(which):,} with {reason}: {shown}{more}")
    return InvalidInputError(
        f"sites: expected changes of one base, insertions and deletions; got {'; '.join(parts)}. "
        "Use invalid='drop' to leave them out"
    )
