"""Haplotypes of a data set with sites written into them: wild type, mutant, and what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.changed_cells import ChangedCells
from bigwig_loader.dataset.prepared.indexing import Axis, Cells, cells_of
from bigwig_loader.dataset.prepared.outputs import AnnotatedHaplotypes, Output, with_batch_axes
from bigwig_loader.dataset.prepared.site_check import Invalid, Sites, read_sites
from bigwig_loader.dataset.prepared.swap import APPLIED, DELETED, EXISTED, OUTSIDE, swap_sites
from bigwig_loader.dataset.prepared.window_lists import span_ends
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.ragged import Ragged, offsets_of, stretches
from bigwig_loader.types import check_positive

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.dataset.prepared.dataset import PreparedDataset

__all__ = ["APPLIED", "DELETED", "EXISTED", "OUTSIDE", "DatasetWithSites"]


class DatasetWithSites:
    """Rows of (region, site) x samples: haplotypes without and with one more variant.

    ``both[row, sample]`` is indexed as a data set is, ``both[row]`` being the row with all samples.
    It gives ``(wild_type, mutant, flags)`` and, where the data set has tracks, ``tracks``, which
    follow the mutant. One call into the C library per index or batch.

    Flags, (batch, ploidy) uint8: 0, the site was applied; 1, the haplotype lacks the bases that it
    changes; 2, the haplotype carries it anyway; 3, it was applied, but lies behind the bases that
    are returned. Mutants of 1, 2 and 3 are the wild type. Bases that come from a site have the
    record number -2 in ``var_idxs``. What the haplotype carries at the site's position of the same
    kind gives way to it; all else stays: see `swap_sites`.

    Parameters
    ----------
    dataset : PreparedDataset
        With haplotypes. Jitter, random shift and transform are switched off.
    sites : table
        ``CHROM``, ``POS`` (1-based), ``REF``, ``ALT`` and any other columns, as
        `sites_vcf_to_table` gives them. Substitutions of a base, insertions and deletions; REF and
        ALT are upper-cased, trimmed and left-aligned. Sites outside all regions are passed over.
    max_variants_per_region : int
        1: every row has one site.
    invalid : {"error", "drop"}
        What happens to sites that cannot be used; see `read_sites`. `dropped` counts them.
    annotate : bool
        Return `AnnotatedHaplotypes`, or the bases alone.

    Attributes
    ----------
    rows : DataFrame
        A row for each region and site in it: ``region_idx``, the region's columns, ``site_idx``
        (row of `sites`), ``POS0`` (0-based, left-aligned) and the other columns of `sites`.
    dropped : dict of str to int
        How many sites were left out, by reason.

    Raises
    ------
    InvalidInputError
        For a data set without haplotypes, sites that cannot be used, and if none is in a region.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        sites: Any,
        max_variants_per_region: int = 1,
        *,
        invalid: Invalid = "error",
        annotate: bool = True,
    ) -> None:
        if max_variants_per_region != 1:
            raise InvalidInputError(
                f"argument max_variants_per_region: expected 1; got {max_variants_per_region}"
            )
        if not dataset.has_genotypes or dataset.reference is None:
            raise InvalidInputError(
                "sites: expected a data set with variants, opened with a reference"
            )
        if dataset.is_spliced or dataset.settings.var_filter is not None:
            raise InvalidInputError(
                "sites: expected a data set without splice_info and var_filter; got one with. Use "
                "with_settings(splice_info=False, var_filter=False)"
            )
        self._kind = "annotated" if annotate else "haplotypes"
        self._sites = read_sites(sites, dataset.reference, dataset.contigs, invalid)
        self.dropped = self._sites.dropped
        self.dataset = dataset
        self._region, self._site = _rows(self._reader, dataset, self._sites)
        if not len(self._region):
            raise InvalidInputError(
                f"sites: expected at least one in the data set's {dataset.n_regions:,} regions; "
                f"got none of {len(self._sites):,}. Do contig names and assembly agree?"
            )
        self.rows = self._frame(sites)

    @property
    def dataset(self) -> PreparedDataset:
        """The data set; may be replaced by a view of it with other tracks, samples or length."""
        return self._dataset

    @dataset.setter
    def dataset(self, dataset: PreparedDataset) -> None:
        self._dataset = dataset.with_settings(
            return_sequences=self._kind,  # type: ignore[arg-type]
            jitter=0,
            deterministic=True,
            transform=False,
            return_indices=False,
            track_axis=True,
        )
        view = self._dataset
        self._reader = ChangedCells(view._sources, view.settings, view._regions, view._samples)

    def _frame(self, sites: Any) -> pd.DataFrame:
        import pandas as pd

        given = self._sites.given[self._site]
        bed = self._dataset.get_bed()
        columns: dict[str, Any] = {"region_idx": self._region}
        for name in bed.columns:
            columns[str(name)] = bed[name].to_numpy()[self._region]
        columns["site_idx"] = given
        columns["POS0"] = self._sites.table.position[self._site].astype(np.int64)
        for name in sites.keys() if isinstance(sites, dict) else sites.columns:
            if name not in columns and name not in ("CHROM", "POS"):
                column = pd.Series(list(sites[name]))
                columns[str(name)] = column.take(given).array
        return pd.DataFrame(columns)

    @property
    def n_rows(self) -> int:
        """Pairs of a region and a site in it."""
        return len(self._region)

    @property
    def n_samples(self) -> int:
        """Samples of the data set."""
        return self._dataset.n_samples

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and samples."""
        return self.n_rows, self.n_samples

    def __len__(self) -> int:
        """Rows x samples."""
        return self.n_rows * self.n_samples

    def __getitem__(self, key: Any) -> tuple[Any, ...]:
        samples = {name: i for i, name in enumerate(self._dataset.samples)}
        axes = Axis("row", self.n_rows), Axis("sample", self.n_samples, samples)
        cells, shape = cells_of(key, *axes, "region")
        out = self.batch_of(cells)
        if shape == cells.shape:
            return out
        flags = out[2].reshape(*shape, out[2].shape[-1])
        wild, mutant, _, *tracks = (with_batch_axes(x, shape) for x in out)
        return wild, mutant, flags, *tracks

    def batches(self, batch_size: int) -> Iterator[tuple[Any, ...]]:
        """All rows with all samples, row by row; the last batch may be smaller."""
        check_positive("batch_size", batch_size)
        for first in range(0, len(self), batch_size):
            yield self.batch_of(np.arange(first, min(first + batch_size, len(self))))

    def batch_of(self, cells: npt.NDArray[np.int64]) -> tuple[Any, ...]:
        """``(wild_type, mutant, flags[, tracks])`` of cells (B,), ``row * n_samples + sample``."""
        row, sample = np.divmod(np.asarray(cells, np.int64), self.n_samples)
        of_dataset = self._region[row] * self.n_samples + sample
        windows = self._reader.windows(of_dataset)
        swapped = swap_sites(self._reader.reader, windows, self._sites.table, self._site[row])
        if swapped.ends is not None:
            self._check_stored(row, swapped.ends.max(axis=1, initial=0))
        found = self._reader.read_lists(swapped.made, windows, of_dataset, 0)
        wild, mutant = _halves(found[0], len(cells))
        return wild, mutant, swapped.flags, *(_halves(x, len(cells))[1] for x in found[1:])

    def _check_stored(self, row: Cells, ends: npt.NDArray[np.int64]) -> None:
        """Raise where a deletion needs variants from behind what is stored of its region."""
        data = self._dataset._sources.data
        region = self._dataset._regions[self._region[row]]
        lengths = self._dataset._sources.contig_lengths[data.contig_index[region]]
        beyond = np.minimum(ends, lengths) - data.stored_end[region]
        k = int(beyond.argmax()) if len(beyond) else 0
        if len(beyond) and beyond[k] > 0:
            raise InvalidInputError(
                f"row {int(row[k])} of the sites: expected variants to be stored up to position "
                f"{int(ends[k])}, which the deletion takes bases from; got "
                f"{int(data.stored_end[region[k]])}. Write the data set with a max_jitter larger "
                f"by {int(beyond[k])}, or use with_len('ragged')"
            )


def _rows(reader: ChangedCells, dataset: PreparedDataset, sites: Sites) -> tuple[Cells, Cells]:
    """Region and site of every pair that overlap, region by region."""
    n_regions = dataset.n_regions
    windows: HaplotypeWindows = reader.windows(np.arange(n_regions) * dataset.n_samples)
    end = windows.end if windows.length_bp is None else windows.start + windows.length_bp
    table = sites.table
    position = table.position.astype(np.int64)
    reach = int(np.maximum(0, -table.ilen).max(initial=0))
    first, last = np.empty(n_regions, np.int64), np.empty(n_regions, np.int64)
    for contig, low in enumerate(table.contig_offsets[:-1].tolist()):
        here = windows.contig_index == contig
        places = position[low : int(table.contig_offsets[contig + 1])]
        first[here] = low + np.searchsorted(places, windows.start[here] - reach)
        last[here] = low + np.searchsorted(places, end[here])
    counts = np.maximum(last - first, 0)
    region = np.repeat(np.arange(n_regions), counts)
    site = stretches(first, counts)
    inside = span_ends(table, site) > windows.start[region]
    return region[inside], site[inside]


def _halves(output: Output, n: int) -> tuple[Any, Any]:
    """The first `n` rows of an output, and the others."""
    if isinstance(output, AnnotatedHaplotypes):
        parts = [_halves(x, n) for x in (output.haps, output.var_idxs, output.ref_coords)]
        first, second = zip(*parts, strict=True)
        return AnnotatedHaplotypes(*first), AnnotatedHaplotypes(*second)
    if isinstance(output, Ragged):
        rest = output.leading[1:]
        at = n * int(np.prod(rest, dtype=np.int64))
        lengths = np.diff(output.offsets)
        cut = int(output.offsets[at])
        return (
            Ragged(output.data[:cut], (n, *rest), offsets_of(lengths[:at])),
            Ragged(output.data[cut:], (output.leading[0] - n, *rest), offsets_of(lengths[at:])),
        )
    assert isinstance(output, np.ndarray)
    return output[:n], output[n:]
