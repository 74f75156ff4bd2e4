"""What a matching found: the numbers of the warning, the report and the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.dataset.matching.background import CAUSES, Cause
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.loci import MEANINGS, Reason
from bigwig_loader.sampling.matching import Choice, Int64

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

# The reasons a matching has; the last two are no choice of the caller's.
LOCUS_REASONS = (Reason.KEPT, Reason.CONTIG, Reason.EDGE, Reason.UNKNOWN_BASES)


@dataclass(frozen=True, eq=False)
class MatchingReport:
    """How well loci were matched, and what was left out; `str()` of it is for people.

    Parameters
    ----------
    loci : dict of Reason to int
        How many loci were used (``Reason.KEPT``), and left out for each reason.
    windows : dict of Cause to int
        How many background windows could be chosen (``Cause.CANDIDATE``), and how many could not,
        by the first cause that applies.
    n_wanted, n_taken, n_missing : int
        Windows: ``ratio`` times the used loci; found; not found.
    signal_minimum : float, optional
        The loci's 0.01 quantile of signal.
    signal_limit : float, optional
        Most signal of a background window.
    bins : DataFrame
        One row per bin of GC, in order: ``gc`` (its middle, a fraction), ``loci`` (used loci),
        ``wanted`` (windows for them), ``available`` (windows that could be chosen), ``taken``
        (windows chosen, for whichever bin), ``borrowed`` (windows that this bin got from other
        bins) and ``missing`` (windows it wanted and did not get).
    """

    loci: dict[Reason, int]
    windows: dict[Cause, int]
    n_wanted: int
    n_taken: int
    n_missing: int
    signal_minimum: float | None
    signal_limit: float | None
    bins: pd.DataFrame

    def __str__(self) -> str:
        lines = [
            f"{self.n_taken:,} of {self.n_wanted:,} background windows found, "
            f"{int(self.bins['borrowed'].sum()):,} of them with the GC of a neighbouring bin",
            "loci: " + _listed({MEANINGS[k]: n for k, n in self.loci.items()}),
            "windows: " + _listed({CAUSES[k]: n for k, n in self.windows.items()}),
        ]
        if self.signal_limit is not None:
            lines.append(
                f"signal: at most {self.signal_limit:g} in a window; 99% of the loci have at "
                f"least {self.signal_minimum:g}"
            )
        return "\n".join([*lines, self.used_bins().to_string(index=False)])

    def as_dict(self) -> dict[str, Any]:
        """The report in plain numbers, lists and dicts, as it stands in ``attrs``.

        Returns
        -------
        dict
            ``loci`` and ``windows`` (numbers by the lower-case name of the reason or cause),
            ``n_wanted``, ``n_taken``, ``n_missing``, ``signal_minimum``, ``signal_limit``, and
            ``bins`` (the columns as lists: a DataFrame can be made of it).
        """
        return {
            **vars(self),
            "loci": {reason.name.lower(): self.loci[reason] for reason in LOCUS_REASONS},
            "windows": {cause.name.lower(): n for cause, n in self.windows.items()},
            "bins": {str(name): self.bins[name].tolist() for name in self.bins.columns},
        }

    def used_bins(self) -> pd.DataFrame:
        """The rows of `bins` with loci or windows."""
        return self.bins[(self.bins["wanted"] > 0) | (self.bins["available"] > 0)]

    def shortage(self) -> str:
        """Which loci have no match and why, in a sentence; empty where all have one."""
        left_out = {MEANINGS[k]: self.loci[k] for k in LOCUS_REASONS[2:]}
        parts = [f"{n:,} because {meaning}" for meaning, n in left_out.items() if n]
        text = ""
        if parts:
            n_loci = sum(n for reason, n in self.loci.items() if reason is not Reason.CONTIG)
            text = f"{sum(left_out.values()):,} of {n_loci:,} loci were left out: "
            text += ", ".join(parts) + ". "
        if self.n_missing:
            text += (
                f"{self.n_missing:,} of {self.n_wanted:,} background windows were not found: "
                f"{self.why_few()}. "
            )
        return text.rstrip()

    def why_few(self) -> str:
        """What became of all windows there are."""
        total = sum(self.windows.values())
        parts = [f"{n:,} {CAUSES[cause]}" for cause, n in self.windows.items() if n]
        text = f"of {total:,} windows on these contigs " + (", ".join(parts) or "there are none")
        if self.windows[Cause.CANDIDATE] > self.n_taken:
            text += f", and {self.n_taken:,} were chosen; the others overlap those"
        return text

    def table(self) -> Table:
        """The used bins as a table for a terminal."""
        from rich.table import Table

        table = Table(title=str(self).split("\n", 1)[0])
        frame = self.used_bins()
        for name in frame.columns:
            table.add_column(str(name), justify="right")
        for row in frame.itertuples(index=False):
            table.add_row(f"{row[0]:.3f}", *(f"{n:,}" for n in row[1:]))
        return table


def bin_table(bin_width: float, loci: Int64, wanted: Int64, choice: Choice) -> pd.DataFrame:
    """`MatchingReport.bins`."""
    import pandas as pd

    return pd.DataFrame(
        {
            "gc": np.minimum(np.arange(len(loci)) * bin_width, 1.0),
            "loci": loci,
            "wanted": wanted,
            "available": choice.available,
            "taken": choice.taken,
            "borrowed": choice.borrowed,
            "missing": choice.missing,
        }
    )


def no_background(report: MatchingReport) -> InvalidInputError:
    """The error for a matching that found no window."""
    return InvalidInputError(
        f"no background window matches {report.n_wanted:,} wanted ones: {report.why_few()}. "
        "Use a smaller in_window or stride, more contigs (chroms), a larger max_n_perc or "
        "signal_beta, or a shorter exclusion list"
    )


def _listed(counts: dict[str, int]) -> str:
    return "; ".join(f"{n:,} {what}" for what, n in counts.items() if n) or "none"
