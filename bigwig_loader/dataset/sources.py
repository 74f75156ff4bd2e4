"""What a data set reads from: a collection of tracks, a genome, or both."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.bigwig_paths import track_numbers
from bigwig_loader.dataset.options import LoadOptions, SourceOptions, WindowOptions
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.targets import Target, choose_targets
from bigwig_loader.plan.track_groups import TrackGroups, strand_pairs
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.sampling.regions import Regions
from bigwig_loader.types import PathLike, Statistic

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend
    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.formats.genome import Genome


@dataclass(frozen=True, eq=False)
class Sources:
    """Opened inputs. `collection` or `genome` may be None, not both.

    Parameters
    ----------
    collection : BigWigCollection or None
    genome : Genome or None
    contigs : ContigTable
        The contigs that windows count: those of the collection, or of the genome without one.
    usable : ContigTable
        The contigs that all inputs have, with the smallest length any of them gives.
    load : LoadOptions
    """

    collection: BigWigCollection | None
    genome: Genome | None
    contigs: ContigTable
    usable: ContigTable
    load: LoadOptions

    @cached_property
    def backend(self) -> Backend:
        """What encodes sequence: that of the collection where there is one."""
        if self.collection is not None:
            return self.collection.backend
        from bigwig_loader.backend.select import select_backend

        return select_backend(self.load.device, self.load.n_threads)

    def __getstate__(self) -> dict[str, Any]:
        # A backend stays on its machine; the other side selects its own.
        return {k: v for k, v in self.__dict__.items() if k != "backend"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def check_regions(self, regions: Regions) -> None:
        """Raise unless all regions lie within the contigs of all inputs.

        Warns where the inputs disagree on the length of a contig that has regions: cut-down
        files do, but so do files of different genome assemblies.
        """
        if self.collection is not None:
            regions.check_within(_lengths(self.contigs), "the bigWig collection")
        if self.genome is not None:
            regions.check_within(self.genome.contigs, _genome_name(self.genome))
        if self.collection is None or self.genome is None:
            return
        lengths = _lengths(self.contigs)
        differ = [n for n in regions.contig_names if lengths[n] != self.genome.contigs[n]]
        if differ:
            name = differ[0]
            warnings.warn(
                f"{len(differ)} contigs have another length in the bigWig collection than in "
                f"{_genome_name(self.genome)}; the first is {name}: {lengths[name]} and "
                f"{self.genome.contigs[name]} bp. Are they of the same assembly?",
                stacklevel=5,
            )


def open_sources(
    collection: BigWigCollection | PathLike | Sequence[PathLike] | None,
    genome: Genome | PathLike | None,
    source: SourceOptions,
    load: LoadOptions,
) -> Sources:
    """Open what is given as paths, and take what is open already as it is.

    Raises
    ------
    InvalidInputError
        If neither is given, or an option is given that an open collection cannot follow.
    """
    opened = _open_collection(collection, source, load)
    opened_genome = _open_genome(genome)
    if opened is not None:
        contigs = opened.contigs
    elif opened_genome is not None:
        contigs = _table(opened_genome.contigs, _genome_name(opened_genome))
    else:
        raise InvalidInputError(
            "arguments collection and reference_genome_path: expected at least one; got None twice"
        )
    usable = contigs
    if opened is not None and opened_genome is not None:
        genome_lengths = opened_genome.contigs
        shared = {n: bp for n, bp in _lengths(contigs).items() if n in genome_lengths}
        usable = _table(
            {n: min(bp, genome_lengths[n]) for n, bp in shared.items()},
            f"both the bigWig collection and {_genome_name(opened_genome)}",
        )
        if not len(usable):
            raise NotFoundError(
                "no contig is in both the bigWig collection (with "
                f"{', '.join(contigs.names[:3])}, ...) and {_genome_name(opened_genome)} (with "
                f"{', '.join(list(genome_lengths)[:3])}, ...)"
            )
    sources = Sources(opened, opened_genome, contigs, usable, load)
    _ = sources.backend  # chosen in the thread that made the data set, whose GPU is meant
    return sources


def with_targets(
    sources: Sources, targets: Target | Mapping[str, Target] | None, window: WindowOptions
) -> tuple[Sources, Statistic]:
    """The tracks as training targets, and the statistic of their bins.

    Parameters
    ----------
    sources : Sources
    targets : str, TrackTransform, TargetPreset, mapping, or None
        See `choose_targets`. None leaves the tracks as they are, and takes the mean.
    window : WindowOptions

    Raises
    ------
    InvalidInputError
        If there are targets and no tracks, or a preset with a moving average, which comes after
        the transforms; else as `choose_targets` says.
    """
    if targets is None:
        return sources, "mean"
    collection = sources.collection
    if collection is None:
        raise InvalidInputError(
            f"argument targets: expected None without a collection; got {targets!r}"
        )
    names = collection.track_names
    bin_size, width = window.window_size, window.moving_average_window_size
    transforms, statistic = choose_targets(targets, names, collection.transforms, bin_size)
    if statistic is not None and width > 1:
        raise InvalidInputError(
            "argument moving_average_window_size: expected 1 with a target preset, which is made "
            f"for bins of values as they are stored; got {width}"
        )
    changed = collection.with_transforms(dict(zip(names, transforms, strict=True)))
    return replace(sources, collection=changed), statistic or "mean"


def choose_groups(
    sources: Sources, track_groups: Sequence[Sequence[int | str]] | None, reverses: bool
) -> TrackGroups | None:
    """The groups of tracks that change places on reverse complement.

    Warns where there are none although examples are reversed and names of tracks look like the
    two strands of one experiment.

    Raises
    ------
    InvalidInputError
        If it is not a list of lists of track names or numbers, or a track is in it twice.
    NotFoundError
        For an unknown track.
    """
    names = () if sources.collection is None else tuple(sources.collection.track_names)
    if track_groups is None:
        pairs = strand_pairs(names) if reverses else []
        if pairs:
            plus, minus = (names[i] for i in pairs[0])
            warnings.warn(
                f"{len(pairs)} pairs of tracks look like the two strands of one experiment, the "
                f"first {plus!r} and {minus!r}, but do not change places in windows delivered as "
                f"reverse complement. Give track_groups=[[{plus!r}, {minus!r}], ...], or "
                "track_groups=[] if they are not",
                stacklevel=3,
            )
        return None
    given: Any = track_groups
    is_list = isinstance(given, (list, tuple))
    if not is_list or not all(isinstance(group, (list, tuple)) for group in given):
        raise InvalidInputError(
            "argument track_groups: expected a list of lists of track names or numbers, such as "
            f"[['plus', 'minus']]; got {track_groups!r}"
        )
    if track_groups and not names:
        raise InvalidInputError(
            f"argument track_groups: expected None without a collection; got {track_groups!r}"
        )
    numbers = (track_numbers(list(group), names).tolist() for group in track_groups)
    return TrackGroups(tuple(map(tuple, numbers)), names) if track_groups else None


def _open_collection(
    collection: BigWigCollection | PathLike | Sequence[PathLike] | None,
    source: SourceOptions,
    load: LoadOptions,
) -> BigWigCollection | None:
    if collection is None:
        return None
    from bigwig_loader.collection import BigWigCollection

    if not isinstance(collection, BigWigCollection):
        return BigWigCollection(
            collection,
            file_extensions=source.file_extensions,
            crawl=source.crawl,
            scale=source.scale,
            first_n_files=source.first_n_files,
            device=load.device,
            n_threads=load.n_threads,
            cache_bytes=source.cache_bytes,
        )
    given = [
        name
        for name in ("file_extensions", "crawl", "scale", "first_n_files", "cache_bytes")
        if getattr(source, name) != getattr(SourceOptions(), name)
    ]
    if given:
        raise InvalidInputError(
            f"arguments {', '.join(given)}: say how files are opened, but collection is open "
            "already. Give them to BigWigCollection, or pass a path as collection"
        )
    return collection


def _open_genome(genome: Genome | PathLike | None) -> Genome | None:
    if genome is None:
        return None
    if isinstance(genome, (str, os.PathLike)):
        from bigwig_loader.formats.genome import Genome

        return Genome(genome)
    return genome


def _genome_name(genome: Genome) -> str:
    return os.fspath(genome.path)


def _table(lengths: dict[str, int], where: str) -> ContigTable:
    return ContigTable(tuple(lengths), np.array(list(lengths.values()), np.int64), where)


def _lengths(contigs: ContigTable) -> dict[str, int]:
    return dict(zip(contigs.names, contigs.lengths.tolist(), strict=True))
