"""The data set that is being made: its axes, where it is made, and by what means."""

from __future__ import annotations

from dataclasses import dataclass

from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.work import WorkFolder


@dataclass(frozen=True)
class Target:
    """What all stages of writing need to know.

    Parameters
    ----------
    work : WorkFolder
    runner : Runner
    contig_names : tuple of str
        C contigs with regions, in order.
    samples : tuple of str
        S samples, sorted.
    """

    work: WorkFolder
    runner: Runner
    contig_names: tuple[str, ...]
    samples: tuple[str, ...]
