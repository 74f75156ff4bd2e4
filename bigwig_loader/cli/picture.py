"""Draws examples: where they lie, their tracks and their sequence.

What is drawn is decided in `example_view.py`; here is only how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.cli.example_view import OUTSIDE, ExampleView, TrackView
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError

MAX_TRACKS = 40
MAX_LETTERS = 120  # bases up to which letters are drawn
MAX_BARS = 200  # bins up to which each is a bar of its own
MAX_STEPS = 1500  # bins, or bases, up to which each is drawn; beyond, several share a column

# Colours of Okabe and Ito, which people with any colour vision tell apart.
_SIGNAL = "#0072B2"
_BASES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
_UNKNOWN = "0.55"
_MARK = "#CC79A7"
_JITTER = "#F0E442"
_UNCOVERED = {"facecolor": "0.93", "edgecolor": "0.72", "hatch": "////", "lw": 0}
_PARTLY = {"facecolor": "0.93", "edgecolor": "none", "lw": 0}
_OUTSIDE = {"facecolor": "0.78", "edgecolor": "0.45", "hatch": "xx", "lw": 0}
_SHADED = {"facecolor": _JITTER, "edgecolor": "none", "alpha": 0.35, "lw": 0}
_INCHES = {"map": 0.3, "track": 1.15, "letters": 0.45, "strip": 0.85}


def require_matplotlib() -> None:
    """Raise `BackendUnavailableError`, with the command that installs it, where there is none."""
    if find_spec("matplotlib") is None:
        raise BackendUnavailableError(
            "pictures need matplotlib, which is not installed: pip install 'bigwig-loader[demo]'"
        )


def draw_examples(path: Path, views: Sequence[ExampleView], title: str) -> Path:
    """Draw examples side by side: a map of each, then a panel per track, then the sequence.

    Parameters
    ----------
    path : Path
        Picture to write; its ending says what kind.
    views : sequence of ExampleView
        At least one; all with the same tracks, and all with sequence or none.
    title : str

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidInputError
        For more than `MAX_TRACKS` tracks, or an ending that is no kind of picture.
    """
    require_matplotlib()
    from matplotlib.figure import Figure  # no pyplot: it needs no display and keeps no state

    first = views[0]
    if len(first.tracks) > MAX_TRACKS:
        raise InvalidInputError(
            f"picture: expected at most {MAX_TRACKS} tracks, which is as many as can be told "
            f"apart; got {len(first.tracks)}. Name fewer BigWig files"
        )
    heights = _heights(views)
    width = 12.0 if len(views) == 1 else 6.0 * len(views)
    figure = Figure(figsize=(width, sum(heights) + 1.9), layout="constrained")
    kinds = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise InvalidInputError(
            f"picture {path}: expected a name that ends in one of "
            f"{', '.join('.' + kind for kind in sorted(kinds))}; got {path.suffix or 'no ending'}"
        )
    axes = figure.subplots(
        len(heights), len(views), sharex="col", squeeze=False, height_ratios=heights
    )
    for column, view in zip(axes.T, views, strict=True):
        _draw_column(column, view, is_left=column[0] is axes[0, 0])
    for row, _ in enumerate(first.tracks):
        _share_height(axes[row + 1], [view.tracks[row].values for view in views])
    figure.suptitle(title, fontsize=12, fontweight="bold")
    if first.tracks:
        figure.supylabel("signal" if first.bin_bp == 1 else "mean signal of bin", fontsize=10)
    handles = _legend(views)
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(3, len(handles)), frameon=False
        )
    figure.savefig(path, dpi=120)
    return path


def _heights(views: Sequence[ExampleView]) -> list[float]:
    """Inches of each row."""
    n_rows = max(len(_map_rows(view)) for view in views)
    heights = [_INCHES["map"] * n_rows, *(_INCHES["track"] for _ in views[0].tracks)]
    if views[0].letters is not None:
        heights.append(_INCHES["letters" if _has_letters(views[0]) else "strip"])
    return heights


def _draw_column(column: npt.NDArray[Any], view: ExampleView, is_left: bool) -> None:
    """All panels of one example."""
    _draw_map(column[0], view, is_left)
    column[0].set_title(view.title, fontsize=10)
    for axis, track in zip(column[1:], view.tracks, strict=False):
        _draw_background(axis, view, (view.value_start, view.value_end))
        _draw_track(axis, view, track)
    if view.letters is not None:
        _draw_background(column[-1], view, (view.start, view.end))
        column[-1].spines["left"].set_visible(False)
        if _has_letters(view):
            _draw_letters(column[-1], view)
        else:
            _draw_strip(column[-1], view, is_left)
    low, high = view.reach
    pad = 0.01 * (high - low)
    column[0].set_xlim(*((high + pad, low - pad) if view.reverse else (low - pad, high + pad)))
    _label_positions(column[-1], view, n_ticks=8 if _is_alone(column[0]) else 4)


def _is_alone(axis: Any) -> bool:
    """Whether the picture has one column."""
    return bool(axis.get_subplotspec().get_gridspec().ncols == 1)


def _label_positions(axis: Any, view: ExampleView, n_ticks: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=n_ticks, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    label = view.axis or f"position on {view.chrom} (bp)"
    if view.reverse:
        label += "\nreverse complement: as delivered, so positions fall from left to right"
    axis.set_xlabel(label)


def _map_rows(view: ExampleView) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Rows of the map: label, and bars as start, end, text."""
    rows = []
    if view.letters is not None:
        rows.append(("sequence", [(view.start, view.end, f"{view.length_bp:,} bp")]))
    if view.tracks:
        bins = f"{view.n_bins:,} bin{'s' if view.n_bins > 1 else ''} of {view.bin_bp:,} bp"
        rows.append(("values", [(view.value_start, view.value_end, bins)]))
    if view.marks:
        rows.append((view.mark_name, [(m.start, m.end, m.name) for m in view.marks]))
    return rows


def _draw_map(axis: Any, view: ExampleView, is_left: bool) -> None:
    """Bars for what the window, the values and the regions cover."""
    rows = _map_rows(view)
    low, high = view.reach
    n_letters = 140 if _is_alone(axis) else 60
    colours = {"sequence": "0.35", "values": _SIGNAL, view.mark_name: _MARK}
    for y, (label, bars) in enumerate(rows):
        if view.max_jitter and label != view.mark_name:
            half = view.max_jitter
            for start, end, _ in bars:
                middle = start - view.jitter
                span = (middle - half, end - start + 2 * half)
                axis.broken_barh([span], (y - 0.36, 0.72), **_SHADED)
        spans = [(max(start, low), min(end, high)) for start, end, _ in bars]
        axis.broken_barh(
            [(start, end - start) for start, end in spans],
            (y - 0.26, 0.52),
            facecolor=colours[label],
            edgecolor=colours[label],  # so that narrow ones can be seen
            lw=0.5,
        )
        for (start, end), (_, _, text) in zip(spans, bars, strict=True):
            # About as many letters as fit the bar.
            if text and len(text) < n_letters * (end - start) / (high - low):
                axis.text(
                    (start + end) / 2, y, text, ha="center", va="center", color="white", size=7.5
                )
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [label for label, _ in rows] if is_left else [])
    axis.tick_params(left=False, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)


def _draw_background(axis: Any, view: ExampleView, covers: tuple[int, int]) -> None:
    """What lies outside the contig, and where the edges of what is delivered may fall."""
    low, high = view.reach
    if low < 0:
        axis.axvspan(low, 0, zorder=0, **_OUTSIDE)
    if high > view.contig_bp:
        axis.axvspan(view.contig_bp, high, zorder=0, **_OUTSIDE)
    if view.max_jitter:
        for edge in covers:
            middle = edge - view.jitter
            axis.axvspan(middle - view.max_jitter, middle + view.max_jitter, zorder=0.5, **_SHADED)
    for mark in view.marks:
        span = max(mark.start, low), min(mark.end, high)
        axis.axvspan(*span, zorder=0.2, facecolor=_MARK, alpha=0.13, lw=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(bottom=False)


def _draw_track(axis: Any, view: ExampleView, track: TrackView) -> None:
    """The values of one track, and where the file has none."""
    edges = view.edges
    inside = _inside(view)
    for select, style in (
        ((track.covered == 0) & inside, _UNCOVERED),
        ((track.covered > 0) & (track.covered < 1) & inside, _PARTLY),
    ):
        for start, stop in _runs(select):
            span = sorted((int(edges[start]), int(edges[stop])))
            axis.axvspan(max(span[0], 0), min(span[1], view.contig_bp), zorder=0.1, **style)
    values = np.where(np.isfinite(track.values), track.values, np.nan)
    if view.n_bins <= MAX_BARS:
        width = edges[1:] - edges[:-1]
        line = 0.6 if view.n_bins > 1 else 0
        axis.bar(edges[:-1], values, width, align="edge", color=_SIGNAL, edgecolor="w", lw=line)
    elif view.n_bins <= MAX_STEPS:
        axis.stairs(values, edges, baseline=0, fill=True, color=_SIGNAL, lw=0)
    else:
        borders = _borders(view.n_bins, MAX_STEPS)
        highest = _reduce(np.fmax, values, borders)
        lowest = np.fmin(_reduce(np.fmin, values, borders), 0)
        axis.stairs(np.fmax(highest, 0), edges[borders], baseline=lowest, fill=True, color=_SIGNAL)
    axis.axhline(0, color="0.2", lw=0.6)
    if not track.values.any() and (track.covered > 0).any():
        middle = (view.value_start + view.value_end) / 2
        axis.text(
            middle, 0.5, "0 throughout", transform=axis.get_xaxis_transform(),
            ha="center", va="center", color="0.4", size=8,
        )  # fmt: skip
    axis.axvline(view.value_start, color="0.4", lw=0.7, ls=":")
    axis.axvline(view.value_end, color="0.4", lw=0.7, ls=":")
    axis.set_title(track.name, loc="left", fontsize=8.5, pad=3)
    if view.letters is not None:
        _name_margins(axis, view)


def _name_margins(axis: Any, view: ExampleView) -> None:
    """Say why nothing is drawn beside the values, where there is room to."""
    low = max(view.start, 0), view.value_start - view.jitter - view.max_jitter
    high = view.value_end - view.jitter + view.max_jitter, min(view.end, view.contig_bp)
    for start, end in (low, high):
        if end - start > 0.12 * view.length_bp:
            axis.text(
                (start + end) / 2, 0.5, "sequence only", transform=axis.get_xaxis_transform(),
                ha="center", va="center", color="0.4", size=8,
            )  # fmt: skip


def _inside(view: ExampleView) -> npt.NDArray[np.bool_]:
    """Bins (N,) that have a base on the contig."""
    low, high = np.sort(np.stack([view.edges[1:], view.edges[:-1]]), axis=0)
    inside: npt.NDArray[np.bool_] = (high > 0) & (low < view.contig_bp)
    return inside


def _runs(select: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of True, half-open."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], select, [False]])))
    return [(int(a), int(b)) for a, b in change.reshape(-1, 2)]


def _borders(n: int, n_columns: int) -> npt.NDArray[np.int64]:
    """0..n cut into `n_columns` nearly equal parts."""
    return np.linspace(0, n, min(n, n_columns) + 1).astype(np.int64)


def _reduce(
    function: np.ufunc, values: npt.NDArray[np.float64], borders: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    reduced: npt.NDArray[np.float64] = function.reduceat(values, borders[:-1])
    return reduced


def _share_height(row: npt.NDArray[Any], values: Sequence[npt.NDArray[np.float64]]) -> None:
    """One scale for a track in all examples; 0 is in it."""
    known = np.concatenate([[0.0], *values])
    known = known[np.isfinite(known)]
    low, high = known.min(), known.max()
    span = (high - low) or 1.0
    for axis in row:
        axis.set_ylim(low - (0.05 * span if low < 0 else 0), low + 1.08 * span)
        axis.locator_params(axis="y", nbins=3)


def _has_letters(view: ExampleView) -> bool:
    return view.length_bp <= MAX_LETTERS


def _draw_letters(axis: Any, view: ExampleView) -> None:
    assert view.letters is not None
    size = min(11.0, 950.0 / view.length_bp)
    for i, letter in enumerate(view.letters.tolist()):
        if letter != OUTSIDE:
            base = view.end - 1 - i if view.reverse else view.start + i
            colour = _BASES.get(letter, _UNKNOWN)
            axis.text(
                base + 0.5, 0.5, letter, color=colour, size=size, ha="center", va="center",
                family="monospace", fontweight="bold", clip_on=True,
            )  # fmt: skip
    _name_sequence(axis, view)
    axis.set_ylim(0, 1)
    axis.set_yticks([])


def _draw_strip(axis: Any, view: ExampleView, is_left: bool) -> None:
    """One row for each of A, C, G and T: the one-hot matrix itself, N as a grey column."""
    from matplotlib.colors import to_rgb

    assert view.letters is not None
    borders = _borders(view.length_bp, MAX_STEPS)
    image = np.ones((4, len(borders) - 1, 4))
    width = np.diff(borders)
    for row, (letter, colour) in enumerate(_BASES.items()):
        image[row, :, :3] = to_rgb(colour)
        image[row, :, 3] = np.add.reduceat(view.letters == letter, borders[:-1]) / width
    unknown = np.add.reduceat(view.letters == "N", borders[:-1]) / width > 0.5
    image[:, unknown] = (*to_rgb(_UNKNOWN), 1.0)
    ends = (view.end, view.start) if view.reverse else (view.start, view.end)
    axis.imshow(image, extent=(*ends, 4, 0), aspect="auto", interpolation="nearest", zorder=1)
    axis.set_yticks(np.arange(4) + 0.5, list(_BASES) if is_left else [])
    axis.tick_params(left=False)
    for tick, colour in zip(axis.get_yticklabels(), _BASES.values(), strict=False):
        tick.set(color=colour, fontweight="bold", size=8)
    per_column = -(-view.length_bp // MAX_STEPS)
    _name_sequence(axis, view, f", up to {per_column:,} bp per column" if per_column > 1 else "")


def _name_sequence(axis: Any, view: ExampleView, more: str = "") -> None:
    assert view.letters is not None
    name = "sequence, complemented" if view.reverse else "sequence"
    n_unknown = int((view.letters == "N").sum())
    if n_unknown:
        more += f"; {n_unknown:,} unknown base{'s' if n_unknown > 1 else ''} in grey"
    axis.set_title(name + more, loc="left", fontsize=8.5, pad=3)


def _legend(views: Sequence[ExampleView]) -> list[Any]:
    """A patch for each kind of shading that is in the picture."""
    from matplotlib.patches import Patch

    handles = []

    def add(label: str, style: dict[str, Any], wanted: Callable[[ExampleView], bool]) -> None:
        if any(wanted(view) for view in views):
            handles.append(Patch(label=label, **style))

    add(
        f"no data in the file{_delivered_as(views)}",
        _UNCOVERED,
        lambda v: any(((t.covered == 0) & _inside(v)).any() for t in v.tracks),
    )
    add(
        "bin with data for some of its bases",
        _PARTLY,
        lambda v: any(((t.covered > 0) & (t.covered < 1) & _inside(v)).any() for t in v.tracks),
    )
    add("outside the contig", _OUTSIDE, lambda v: v.reach[0] < 0 or v.reach[1] > v.contig_bp)
    jitter = max(view.max_jitter for view in views)
    add(f"jitter: edges fall in here (up to {jitter:,} bp)", _SHADED, lambda v: v.max_jitter > 0)
    add(views[0].mark_name, {"facecolor": _MARK, "alpha": 0.4}, lambda v: bool(v.marks))
    return handles


def _delivered_as(views: Sequence[ExampleView]) -> str:
    """What bins without data are delivered as, where that is one value."""
    found = np.concatenate(
        [t.values[(t.covered == 0) & _inside(v)] for v in views for t in v.tracks] or [np.empty(0)]
    )
    different = np.unique(found)
    return f" (delivered as {different[0]:g})" if len(different) == 1 else ""
