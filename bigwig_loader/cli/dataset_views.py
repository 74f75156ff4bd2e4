"""Cells of a prepared data set, as `bigwig-loader dataset explain` and `show` tell of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.cli.example_view import OUTSIDE, ExampleView, Mark, TrackView
from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.layout import open_prepared
from bigwig_loader.errors import InvalidInputError

if TYPE_CHECKING:
    from bigwig_loader.dataset.prepared.explain import Explanation

MAX_BP = 5_000_000
_PADS = (-1, 2_147_483_647)
_SHOWN_LETTERS = 6


def open_view(
    path: Path, reference: Path | None, region_names: str | None, settings: dict[str, Any]
) -> PreparedDataset:
    """Open a data set, with the FASTA that it was written with where none is named."""
    if reference is None:
        known = open_prepared(path).metadata.get("reference")
        if known is None:
            raise InvalidInputError(
                f"option --reference: expected a FASTA file, since {path} was written without one; "
                "got none"
            )
        reference = Path(known)
    given = {name: value for name, value in settings.items() if value is not None}
    return PreparedDataset.open(path, reference, region_names=region_names, **given)


def explanations(
    view: PreparedDataset, region: str, sample: str, haplotype: int | None
) -> list[Explanation]:
    """What became of the variants of one haplotype, or of all."""
    row = _row(view, region)
    ploids = range(view.ploidy or 0) if haplotype is None else [haplotype]
    return [view.explain(row, sample, ploid) for ploid in ploids]


def haplotype_views(
    view: PreparedDataset, region: str, sample: str
) -> tuple[list[ExampleView], str]:
    """What to draw of a cell, one view per haplotype, and a name for the picture."""
    row = _row(view, region)
    bed = view.get_bed().iloc[int(view._both_axes()[0].rows(row))]
    start, end = int(bed["start"]), int(bed["end"])
    if end - start > MAX_BP:
        raise InvalidInputError(
            f"region {region}: expected at most {MAX_BP:,} bp to draw; got {end - start:,}"
        )
    kind: Any = "annotated" if view.has_genotypes else "reference"
    made = view.with_settings(return_sequences=kind, encoding="bytes").with_settings(
        track_axis=True
    )
    cell = _Cell(made, row, sample)
    turned = view.settings.rc_neg and bed.get("strand") == "-"
    place = f"{bed['chrom']}:{start:,}-{end:,}" + (", reverse complement" if turned else "")
    name = f"{Path(view.path).stem}_{region}_{sample}"
    file_name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name) + ".png"
    return [cell.view(ploid, place) for ploid in range(view.ploidy or 1)], file_name


def _row(view: PreparedDataset, region: str) -> int | str:
    """A region by number, or by name where the data set was opened with names."""
    if view._region_names is not None:
        return region
    if not region.isdigit():
        raise InvalidInputError(
            f"argument REGION: expected a number from 0 to {view.n_regions - 1}, or a name with "
            f"--region-names; got {region!r}"
        )
    return int(region)


class _Cell:
    """What is read of one cell."""

    def __init__(self, view: PreparedDataset, row: int | str, sample: str) -> None:
        self._personal = view.has_genotypes
        self._tracks = view.active_tracks
        found = view[row, sample]
        self._sequence = found[0] if self._tracks else found
        self._values = self._covered = None
        if self._tracks:
            self._values = found[1]
            # The same again, so that bases without data can be told from a stored 0.
            nan = float("nan")
            self._covered = view.with_settings(uncovered=nan, out_of_bounds=nan)[row, sample][1]
        ploids = range(view.ploidy or 0)
        self._applied = [view.explain(row, sample, ploid).applied for ploid in ploids]

    def view(self, ploid: int, place: str) -> ExampleView:
        """One haplotype; the reference where there are none."""
        letters, marks = self._letters(ploid)
        n = len(letters)
        title = f"{place}, haplotype {ploid}, {n:,} bases" if self._personal else place
        tracks = tuple(
            TrackView(name, self._row(self._values, t, ploid), covered)
            for t, name in enumerate(self._tracks)
            for covered in [~np.isnan(self._row(self._covered, t, ploid)) * 1.0]
        )
        return ExampleView(
            title=title,
            chrom=place,
            start=0,
            end=n,
            contig_bp=n,
            letters=letters,
            value_start=0,
            value_end=n if tracks else 0,
            tracks=tracks,
            marks=marks,
            axis="base of the haplotype" if self._personal else "base of the region",
            mark_name="variants",
        )

    def _row(self, values: Any, track: int, ploid: int) -> npt.NDArray[np.float64]:
        key = (track, ploid) if self._personal and len(_leading(values)) > 1 else (track,)
        return np.asarray(values[key if len(key) > 1 else track], np.float64)

    def _letters(self, ploid: int) -> tuple[npt.NDArray[np.str_], tuple[Mark, ...]]:
        if not self._personal:
            sequence = self._sequence
            bases = sequence.data if hasattr(sequence, "offsets") else sequence
            return np.asarray(bases).astype("U1"), ()
        haps = self._sequence
        letters = np.asarray(haps.haps[ploid]).astype("U1")
        records, places = np.asarray(haps.var_idxs[ploid]), np.asarray(haps.ref_coords[ploid])
        letters[np.isin(places, _PADS)] = OUTSIDE
        marks = []
        for variant in self._applied[ploid]:
            bases = np.flatnonzero(records == variant.record)
            if len(bases):
                name = f"{variant.position + 1} {_short(variant.ref)}>{_short(variant.alt)}"
                marks.append(Mark(int(bases[0]), int(bases[-1]) + 1, name))
        return letters, tuple(marks)


def _leading(values: Any) -> tuple[int, ...]:
    leading: tuple[int, ...] = getattr(values, "leading", None) or np.shape(values)[:-1]
    return leading


def _short(allele: str) -> str:
    return allele if len(allele) <= _SHOWN_LETTERS else f"{allele[:4]}..({len(allele)})"
