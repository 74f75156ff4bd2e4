"""The steps of a matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.dataset.matching.background import (
    GC_CODES,
    N_CODES,
    Background,
    Cause,
    Stretches,
    WindowGrid,
    genome_groups,
)
from bigwig_loader.dataset.matching.options import MatchOptions
from bigwig_loader.dataset.matching.report import MatchingReport, bin_table, no_background
from bigwig_loader.dataset.matching.signal import SignalSums
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.sampling.loci import Loci, Reason
from bigwig_loader.sampling.locus_filters import Exclusion, Reach, apply_edges, check_contigs
from bigwig_loader.sampling.matching import Choice, choose, gc_bin_of_count, wanted_per_bin

if TYPE_CHECKING:
    import pandas as pd

_ROBUST_MINIMUM = 0.01  # the quantile of the loci's signal that the limit is taken from


class Matching:
    """The steps, in order: `open_signal` (if there is one), `count`, `choose`.

    Parameters
    ----------
    loci : Loci
    genome : Genome or str
    chroms : list of str, optional
        Contigs of the background; those of the loci, sorted, by default.
    options : MatchOptions
    backend : Backend
    """

    def __init__(
        self,
        loci: Loci,
        genome: Genome | str,
        chroms: list[str] | None,
        options: MatchOptions,
        backend: Backend,
    ) -> None:
        self.options, self.backend = options, backend
        self._genome = genome
        lengths = genome.contigs if isinstance(genome, Genome) else Genome(genome).contigs
        where = genome.path if isinstance(genome, Genome) else genome
        contig_bp = check_contigs(loci, lengths, where)
        names = sorted(set(loci.contig_names)) if chroms is None else chroms
        for name in names:
            if name not in lengths:
                raise NotFoundError.among("contig", name, lengths, where)
        self.contigs = ContigTable(
            tuple(names), np.array([lengths[name] for name in names], np.int64), where
        )
        self.grid = WindowGrid(self.contigs, options)
        reach = Reach.of(options.in_window, options.out_window)
        self.loci = apply_edges(loci, contig_bp, reach, "drop")
        # Number in `contigs` of the contig of each locus; -1 for those that are not used.
        place = {name: i for i, name in enumerate(names)}
        self._place = np.array([place.get(n, -1) for n in loci.contig_names], np.int32)[loci.contig]
        self._near_loci = self._regions_to_avoid(reach)
        self._sums: SignalSums | None = None
        self._minimum: float | None = None
        self._limit: float | None = None
        self._n_gc = np.zeros(len(loci), np.int64)
        self._number = np.empty(0, np.int32)
        self._window_gc = np.empty(0, np.int32)
        self._causes = dict.fromkeys(Cause, 0)

    @property
    def n_bases(self) -> int:
        """Bases to deal with."""
        return int((self.grid.n_windows * self.grid.stride).sum())

    def _regions_to_avoid(self, reach: Reach) -> Stretches:
        loci, width = self.loci, self.options.in_window
        used = self._place >= 0
        start, end, middle = loci.start[used], loci.end[used], loci.middle[used]
        if self.options.avoid == "tiles":
            start, end = start // width * width, (end // width + 1) * width
        else:
            start = np.minimum(start, middle - reach.left)
            end = np.maximum(end, middle + reach.right)
        return Stretches(self._place[used], start, end)

    def open_signal(self, sums: SignalSums) -> None:
        """Take the limit of signal from the loci."""
        options, which = self.options, self.loci.kept
        contig = sums.index_of(self.contigs.names)[self._place[which]]
        which, contig = which[contig >= 0], contig[contig >= 0]
        start = self.loci.middle[which] - options.out_window // 2
        if not len(which):
            if not len(self.loci.kept):
                raise self.loci.why_none("loci")
            raise InvalidInputError(
                f"argument bigwig: expected signal at the loci; none of {len(self.loci.kept)} lies "
                f"on a contig of the bigWig, which has {', '.join(sums.contig_names[:5])}, ..."
            )
        minimum = sums.low_quantile(contig, start, options.out_window, _ROBUST_MINIMUM)
        if not np.isfinite(minimum):
            raise InvalidInputError(
                "argument bigwig: expected finite signal at the loci; got infinite sums"
            )
        self._minimum = minimum
        self._limit = minimum * options.signal_beta
        self._sums = sums

    def count(self, excluded: Exclusion | None, advance: Callable[[int], None]) -> None:
        """Count G, C and N of loci and windows, and find the windows that may be chosen."""
        background = Background(
            self.grid,
            self.options,
            self.backend,
            self._near_loci,
            excluded,
            self._sums,
            np.nan if self._limit is None else self._limit,
        )
        found = []
        for genome, group in genome_groups(self._genome, self.contigs):
            self._count_loci(genome, group)
            found += [background.of_contig(genome, contig, advance) for contig in group]
        if self._sums is not None:
            self._sums.close()
        self._number = np.concatenate([self._number, *(each.number for each in found)])
        self._window_gc = np.concatenate([self._window_gc, *(each.n_gc for each in found)])
        self._causes = {cause: sum(each.causes[cause] for each in found) for cause in Cause}

    def _count_loci(self, genome: Genome, group: list[int]) -> None:
        """Count the loci on some contigs, and drop those with too many N."""
        which = self.loci.kept
        which = which[np.isin(self._place[which], group)]
        start = self.loci.middle[which] - self.options.in_window // 2
        windows = Windows(self._place[which], start, self.options.in_window)
        self._n_gc[which] = self.backend.count_bases(genome, self.contigs, windows, GC_CODES)
        n_unknown = self.backend.count_bases(genome, self.contigs, windows, N_CODES)
        known = self.options.enough_known(n_unknown, of_loci=True)
        self.loci.drop(which[~known], Reason.UNKNOWN_BASES)

    def choose(self, random_state: np.random.RandomState) -> tuple[pd.DataFrame, MatchingReport]:
        """Choose the windows."""
        options, kept = self.options, self.loci.kept
        if not len(kept):
            raise self.loci.why_none("loci")
        bin_of = gc_bin_of_count(options.in_window, options.gc_bin_width)
        n_bins = max(int(1.0 / options.gc_bin_width), int(bin_of[-1])) + 1
        loci_per_bin = np.bincount(bin_of[self._n_gc[kept]], minlength=n_bins).astype(np.int64)
        wanted = wanted_per_bin(loci_per_bin, options.ratio)
        if not wanted.any():
            raise InvalidInputError(
                f"argument ratio: expected at least one window for {len(kept)} loci; "
                f"got {options.ratio}"
            )
        # Sorting 16-bit numbers takes a fraction of the time.
        narrow = bin_of.astype(np.uint16) if n_bins <= 1 << 16 else bin_of
        choice = choose(self._number, narrow[self._window_gc], wanted, random_state, options.apart)
        report = MatchingReport(
            self.loci.counts(),
            self._causes,
            int(wanted.sum()),
            len(choice.number),
            int(choice.missing.sum()),
            self._minimum,
            self._limit,
            bin_table(options.gc_bin_width, loci_per_bin, wanted, choice),
        )
        if not len(choice.number):
            raise no_background(report)
        return self._frame(choice), report

    def _frame(self, choice: Choice) -> pd.DataFrame:
        import pandas as pd

        contig, start = self.grid.locate(choice.number)
        rank = np.argsort(np.argsort(np.array(self.contigs.names)))
        order = np.lexsort((start, rank[contig]))
        names = np.array(self.contigs.names, dtype=object)[contig[order]]
        frame = pd.DataFrame(
            {
                "chrom": pd.Series(names, dtype="str"),
                "start": start[order],
                "end": start[order] + self.options.in_window,
            }
        )
        if self.options.compatible:
            frame.index = pd.Index(order)  # there the rows are sorted with their index
        return frame
