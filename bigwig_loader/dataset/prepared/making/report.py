"""What was written, for people: counts, what was left out, what was not checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigwig_loader.dataset.prepared.making.samples import short_list


@dataclass(frozen=True)
class WriteReport:
    """What a data set holds and what became of its sources.

    Parameters
    ----------
    path : Path
    n_regions, n_samples : int
    n_variants, n_carried : int
        Variants, and entries of all haplotypes' lists of them.
    tracks : dict of str to int
        Intervals of each track that was written.
    left_out : dict of str to list of str
        Samples of each source that another source lacks.
    notes : tuple of str
        What was not checked, and other things to know.
    variants : object, optional
        What reading the variants told: a `VariantReport`.
    """

    path: Path
    n_regions: int
    n_samples: int
    n_variants: int = 0
    n_carried: int = 0
    tracks: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    variants: Any = None

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.n_regions:,} regions x {self.n_samples:,} samples"]
        if self.variants is not None:
            lines.append(f"{self.n_variants:,} variants, carried {self.n_carried:,} times")
            lines += str(self.variants).splitlines()
        lines += [f"track {name}: {n:,} intervals" for name, n in self.tracks.items()]
        for what, names in self.left_out.items():
            lines.append(f"left out, since not in all sources: {short_list(names)} of {what}")
        lines += self.notes
        return "\n  ".join(lines)
