"""The examples that ``bigwig-loader show`` draws, read as a data set delivers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bigwig_loader.cli.example_view import ExampleView, ViewSource, views_of
from bigwig_loader.cli.regions_text import RegionText, parse_region
from bigwig_loader.dataset.bigwig import BigWigDataset
from bigwig_loader.dataset.options import LoadOptions, SourceOptions
from bigwig_loader.dataset.sources import Sources, choose_groups, open_sources
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.sampler import ListedPositions

if TYPE_CHECKING:
    import pandas as pd

# More bases than this are no picture of single values any more, and their one-hot sequence fills
# the memory.
MAX_BP = 5_000_000


@dataclass(frozen=True)
class ShowOptions:
    """What is delivered, in the words of `BigWigDataset`.

    Parameters
    ----------
    bigwigs : sequence of str
        Files or folders; may be empty where there is a genome.
    genome : str or None
        FASTA file.
    sequence_length : int or None
        None, for a region only, is the width of the region.
    center : int or None
    window_size : int
    default_value : float
    max_jitter : int
    reverse_complement : bool
        A region is delivered as reverse complement; of a batch, the examples that the data set
        chooses.
    bed : str or None
        Regions to mark.
    pairs : sequence of str
        Tracks that change places on reverse complement, each ``"PLUS,MINUS"``.
    """

    bigwigs: Sequence[str] = ()
    genome: str | None = None
    sequence_length: int | None = None
    center: int | None = None
    window_size: int = 1
    default_value: float = 0.0
    max_jitter: int = 0
    reverse_complement: bool = False
    bed: str | None = None
    pairs: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.bigwigs and self.genome is None:
            raise InvalidInputError(
                "options --bigwig and --genome: expected at least one of them; got neither"
            )
        if self.max_jitter < 0:
            raise InvalidInputError(f"option --max-jitter: expected >= 0; got {self.max_jitter}")

    def open(self) -> Sources:
        """Open the files."""
        # The figures go into host memory in any case.
        load = LoadOptions(device="cpu", prefetch=0)
        return open_sources(list(self.bigwigs) or None, self.genome, SourceOptions(), load)

    @property
    def track_groups(self) -> list[list[str]] | None:
        """The pairs as `BigWigDataset` takes them."""
        return [pair.split(",") for pair in self.pairs] or None

    def view_source(self, sources: Sources) -> ViewSource:
        """Where the pictures' further figures are read from."""
        groups = choose_groups(sources, self.track_groups, reverses=False)
        swap = None if groups is None else groups.swap()
        return ViewSource(sources.collection, sources.genome, swap)


@dataclass(frozen=True)
class BatchChoice:
    """Which examples of which batch.

    Parameters
    ----------
    regions : str
        BED file.
    batch, epoch, seed, batch_size : int
    n_examples : int
        The first so many examples of the batch are shown.
    shuffle : bool
    """

    regions: str
    batch: int = 0
    epoch: int = 0
    seed: int = 0
    batch_size: int = 256
    n_examples: int = 3
    shuffle: bool = True


@dataclass(frozen=True, eq=False)
class Shown:
    """What to draw.

    Parameters
    ----------
    title : str
    file_name : str
        A name for the picture.
    views : list of ExampleView
    note : str
        What else to tell; may be empty.
    """

    title: str
    file_name: str
    views: list[ExampleView]
    note: str = ""


def show_region(text: str, options: ShowOptions) -> Shown:
    """The example centred on a region.

    Parameters
    ----------
    text : str
        As `parse_region` reads it.
    options : ShowOptions

    Raises
    ------
    InvalidInputError
        For a region that cannot be read, or that is too long to draw.
    NotFoundError
        For a contig that is not in all files.
    """
    sources = options.open()
    usable = sources.usable
    lengths = dict(zip(usable.names, usable.lengths.tolist(), strict=True))
    region = parse_region(text, lengths, usable.where)
    length = options.sequence_length
    if length is None:
        if region.is_position:
            raise InvalidInputError(
                f"region {text!r}: expected a START and an END, or --sequence-length for the "
                "window around a position; got a position alone"
            )
        length = region.end - region.start
    if length > MAX_BP:
        raise InvalidInputError(
            f"region {text!r}: expected at most {MAX_BP:,} bp to draw; got {length:,}. Choose a "
            "part of it"
        )
    is_whole = region.end - region.start == length
    position = Positions(
        usable.index_of(region.chrom),
        np.array([region.position]),
        reverse=np.array([True]) if options.reverse_complement else None,
    )
    data_set = BigWigDataset(
        None,
        sources.collection,
        sources.genome,
        length,
        options.center,
        options.window_size,
        batch_size=1,
        maximum_unknown_bases_fraction=None,
        default_value=options.default_value,
        custom_position_sampler=ListedPositions(usable.names, position),
        seed=0,
        prefetch=0,
        track_groups=options.track_groups,
    )
    marks = _marks(options.bed, None if region.is_position or is_whole else region, text)
    source = options.view_source(sources)
    views = views_of(next(data_set.batches(0)), [0], source, options.max_jitter, marks)
    view = views[0]
    name = f"{view.chrom}_{max(view.start, 0)}-{view.end}"
    return Shown("What a model sees", _file_name(name), views)


def show_batch(choice: BatchChoice, options: ShowOptions) -> Shown:
    """The first examples of a batch of a `BigWigDataset`.

    Raises
    ------
    InvalidInputError
        For a batch that the epoch does not have, and whatever the data set refuses.
    """
    if options.sequence_length is None:
        raise InvalidInputError("option --sequence-length: expected with --batch; got none")
    sources = options.open()
    data_set = BigWigDataset(
        choice.regions,
        sources.collection,
        sources.genome,
        options.sequence_length,
        options.center,
        options.window_size,
        batch_size=choice.batch_size,
        default_value=options.default_value,
        seed=choice.seed,
        shuffle=choice.shuffle,
        drop_last=False,
        prefetch=0,
        reverse_complement=options.reverse_complement,
        max_jitter=options.max_jitter,
        track_groups=options.track_groups,
    )
    if choice.batch >= len(data_set):
        raise InvalidInputError(
            f"option --batch: expected one of the epoch's {len(data_set):,} batches of "
            f"{choice.batch_size:,}, counted from 0; got {choice.batch}"
        )
    batch = next(data_set.batches(choice.epoch, choice.batch))
    n_shown = min(choice.n_examples, len(batch))
    marks = _marks(options.bed or choice.regions, None, "")
    source = options.view_source(sources)
    views = views_of(batch, range(n_shown), source, options.max_jitter, marks)
    which = "example 0" if n_shown == 1 else f"examples 0 to {n_shown - 1}"
    title = (
        f"Batch {choice.batch} of epoch {choice.epoch}, seed {choice.seed}: {which} of {len(batch)}"
    )
    name = f"batch{choice.batch}_epoch{choice.epoch}_seed{choice.seed}.png"
    n_left_out = data_set.n_regions_left_out
    note = f"{n_left_out:,} regions are left out, for too many unknown bases" if n_left_out else ""
    return Shown(title, name, views, note)


def _marks(bed: str | None, region: RegionText | None, text: str) -> pd.DataFrame | None:
    """The regions of a BED file, and one more."""
    import pandas as pd

    from bigwig_loader.formats.bed import read_bed

    parts = []
    if region is not None:
        row = {"chrom": region.chrom, "start": region.start, "end": region.end, "name": text}
        parts.append(pd.DataFrame([row]))
    if bed is not None:
        parts.append(read_bed(bed))
    return pd.concat(parts, ignore_index=True) if parts else None


def _file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name) + ".png"


def picture_path(out: Path | None, shown: Shown) -> Path:
    """Where the picture goes: `out`, or the current folder under a name of its own."""
    return Path(shown.file_name) if out is None else out
