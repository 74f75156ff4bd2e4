"""From a batch to what a picture of its examples has to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.assemble.batch import Batch
    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.formats.genome import Genome

OUTSIDE = "."  # a base outside the contig, among the letters
_LETTERS = np.array(list("ACGT"))


@dataclass(frozen=True, eq=False)
class TrackView:
    """One track of one example, in the order delivered.

    Parameters
    ----------
    name : str
    values : (N,) float64
        As delivered.
    covered : (N,) float64
        Share of each bin's bases that the file has a number for, from 0 to 1.
    """

    name: str
    values: npt.NDArray[np.float64]
    covered: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A region to point out, 0-based half-open on the forward strand."""

    start: int
    end: int
    name: str = ""


@dataclass(frozen=True, eq=False)
class ExampleView:
    """One example as a model gets it. Coordinates are those of the forward strand.

    Parameters
    ----------
    title : str
    chrom : str
    start, end : int
        The window of the sequence, 0-based half-open; it may reach past the contig.
    contig_bp : int
        Length of the contig.
    reverse : bool
        Delivered as reverse complement: letters and values begin at `end`.
    jitter : int
        Bases by which this window was moved.
    max_jitter : int
        Most bases that training moves it by, to either side.
    letters : (L,) array of one-letter str, or None
        A, C, G, T; N where the one-hot row is all zero, `OUTSIDE` outside the contig.
    value_start, value_end : int
        What the values cover.
    tracks : tuple of TrackView
        Empty without tracks.
    marks : tuple of Mark
        Those that overlap the window, widened by the jitter.
    axis : str
        What the bases are counted along; by default the contig.
    mark_name : str
        What the marks are.
    """

    title: str
    chrom: str
    start: int
    end: int
    contig_bp: int
    reverse: bool = False
    jitter: int = 0
    max_jitter: int = 0
    letters: npt.NDArray[np.str_] | None = None
    value_start: int = 0
    value_end: int = 0
    tracks: tuple[TrackView, ...] = ()
    marks: tuple[Mark, ...] = ()
    axis: str = ""
    mark_name: str = "regions"

    @property
    def length_bp(self) -> int:
        """Width of the window."""
        return self.end - self.start

    @property
    def n_bins(self) -> int:
        """Values of each track."""
        return len(self.tracks[0].values) if self.tracks else 0

    @property
    def bin_bp(self) -> int:
        """Bases of each value."""
        return (self.value_end - self.value_start) // self.n_bins if self.tracks else 0

    @property
    def reach(self) -> tuple[int, int]:
        """First and last base that the window of any jitter covers, half-open."""
        middle = self.start - self.jitter
        return (
            min(self.start, middle - self.max_jitter),
            max(self.end, middle + self.length_bp + self.max_jitter),
        )

    @property
    def edges(self) -> npt.NDArray[np.int64]:
        """(N + 1,) borders of the bins, in the order delivered: falling where reversed."""
        edges = np.arange(self.n_bins + 1, dtype=np.int64) * self.bin_bp
        return self.value_end - edges if self.reverse else self.value_start + edges


@dataclass(frozen=True, eq=False)
class ViewSource:
    """What examples were read from, to look up what a batch does not say.

    Parameters
    ----------
    collection : BigWigCollection or None
    genome : Genome or None
    track_swap : tuple of int, optional
        Where each track goes in reversed examples, as the batch was read.
    """

    collection: BigWigCollection | None
    genome: Genome | None
    track_swap: tuple[int, ...] | None = None

    def contig_bp(self, chrom: str) -> int:
        """Length of a contig: that of the genome where there is one."""
        if self.genome is not None:
            return self.genome.contigs[chrom]
        assert self.collection is not None
        return int(self.collection.contigs.lengths[self.collection.contigs.index_of(chrom)[0]])

    def covered(self, batch: Batch, which: Sequence[int]) -> npt.NDArray[np.float64]:
        """Share of covered bases, (examples, N, T), in the order that values are delivered in."""
        assert self.collection is not None
        rows = np.asarray(which)
        assert batch.chromosomes is not None
        windows = Windows(
            self.collection.contigs.index_of(batch.chromosomes[rows]),
            batch.value_starts[rows],
            int(batch.value_ends[rows[0]] - batch.value_starts[rows[0]]),
            None if batch.reverse is None else batch.reverse[rows],
        )
        swap = None if windows.reverse is None else self.track_swap
        options = SignalOptions(
            windows.length_bp // batch.values.shape[1],
            statistic="coverage",
            track_swap=swap,
        )
        covered = self.collection.read(windows, tracks=batch.track_indices, options=options)
        return np.asarray(covered, np.float64)


def views_of(
    batch: Batch,
    which: Sequence[int],
    source: ViewSource,
    max_jitter: int = 0,
    marks: pd.DataFrame | None = None,
) -> list[ExampleView]:
    """What to draw of some examples of a batch.

    Parameters
    ----------
    batch : Batch
        Values (B, N, T), one-hot sequence (B, L, 4); either may be None.
    which : sequence of int
        Examples of the batch.
    source : ViewSource
    max_jitter : int
        Most bases that training moves a window by.
    marks : DataFrame, optional
        Columns chrom, start, end and, where there are names, name.
    """
    covered = None if batch.values is None else source.covered(batch, which)
    views = []
    for k, i in enumerate(which):
        assert batch.chromosomes is not None
        chrom = str(batch.chromosomes[i])
        reverse = batch.reverse is not None and bool(batch.reverse[i])
        jitter = 0 if batch.jitter is None else int(batch.jitter[i])
        swap = source.track_swap if reverse else None
        view = ExampleView(
            title=_title(batch, i, reverse, jitter),
            chrom=chrom,
            start=int(batch.starts[i]),
            end=int(batch.ends[i]),
            contig_bp=source.contig_bp(chrom),
            reverse=reverse,
            jitter=jitter,
            max_jitter=max_jitter,
            value_start=0 if covered is None else int(batch.value_starts[i]),
            value_end=0 if covered is None else int(batch.value_ends[i]),
            tracks=() if covered is None else _tracks(batch, i, covered[k], swap),
        )
        changes: dict[str, Any] = {}
        if batch.sequences is not None:
            changes["letters"] = letters_of(np.asarray(batch.sequences[i]), view)
        if marks is not None:
            changes["marks"] = _overlapping(marks, view)
        views.append(ExampleView(**{**vars(view), **changes}))
    return views


def _title(batch: Batch, i: int, reverse: bool, jitter: int) -> str:
    assert batch.chromosomes is not None
    start = f"{batch.starts[i]:,}" if batch.starts[i] >= 0 else f"({batch.starts[i]:,})"
    parts = [f"{batch.chromosomes[i]}:{start}-{batch.ends[i]:,}"]
    if batch.regions is not None:
        parts.append(f"region {batch.regions[i]}")
    if batch.jitter is not None:
        parts.append(f"jitter {jitter:+d} bp")
    if batch.reverse is not None:
        parts.append("reverse complement" if reverse else "forward")
    return ", ".join(parts)


def _tracks(
    batch: Batch, i: int, covered: npt.NDArray[np.float64], swap: tuple[int, ...] | None
) -> tuple[TrackView, ...]:
    values = np.asarray(batch.values[i], np.float64)
    given = names = list(batch.track_names or ())
    if swap is not None:
        held = [given[place] for place in swap]
        names = [
            own if own == other else f"{own}, which here holds {other}"
            for own, other in zip(given, held, strict=True)
        ]
    return tuple(TrackView(n, values[:, t], covered[:, t]) for t, n in enumerate(names))


def letters_of(onehot: npt.NDArray[Any], view: ExampleView) -> npt.NDArray[np.str_]:
    """Letters (L,) of one-hot rows (L, 4), in the order delivered."""
    letters = np.where(onehot.any(axis=1), _LETTERS[onehot.argmax(axis=1)], "N")
    at = np.arange(view.length_bp)
    base = view.end - 1 - at if view.reverse else view.start + at
    return np.where((base < 0) | (base >= view.contig_bp), OUTSIDE, letters)


def _overlapping(marks: pd.DataFrame, view: ExampleView) -> tuple[Mark, ...]:
    low, high = view.reach
    here = (marks["chrom"] == view.chrom) & (marks["start"] < high) & (marks["end"] > low)
    found = marks[here]
    names = found["name"] if "name" in found else [""] * len(found)
    return tuple(
        Mark(int(start), int(end), "" if str(name) == "." else str(name))
        for start, end, name in zip(found["start"], found["end"], names, strict=True)
    )
