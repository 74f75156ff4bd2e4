"""Sequence of a peak loader: a genome that is a FASTA file or arrays in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend
    from bigwig_loader.formats.genome import Genome


@dataclass(frozen=True)
class PeakLoadOptions:
    """Where and how examples are read; nothing of it changes what is in them."""

    n_threads: int | None = None
    device: str = "auto"
    cache_bytes: int = 0


class PeakSequences:
    """One-hot sequence of windows, (B, 4, L), of a FASTA file or of arrays.

    Parameters
    ----------
    sequences : path, Genome, or mapping of str to (4, L) array
        Arrays may be memory maps; rows are A, C, G, T.
    load : PeakLoadOptions
    n_letters : int
        Rows that arrays have, where they are not of the four letters.

    Attributes
    ----------
    contigs : ContigTable
        What windows count.
    """

    def __init__(self, sequences: Any, load: PeakLoadOptions, n_letters: int = 4) -> None:
        from bigwig_loader.formats.genome import Genome

        self._load = load
        self.genome: Genome | None = None
        self._arrays: list[Any] = []
        sequences = getattr(sequences, "filename", sequences)  # an open pyfaidx.Fasta
        if isinstance(sequences, (str, os.PathLike)):
            sequences = Genome(sequences)
        if isinstance(sequences, Genome):
            self.genome, lengths, where = sequences, sequences.contigs, str(sequences.path)
        elif isinstance(sequences, Mapping):
            arrays = {str(name): array for name, array in sequences.items()}
            for name, array in arrays.items():
                if getattr(array, "ndim", None) != 2 or array.shape[0] != n_letters:
                    raise InvalidInputError(
                        f"sequences[{name!r}]: expected a one-hot array ({n_letters}, length); got "
                        f"{getattr(array, 'shape', type(array).__name__)}"
                    )
            self._arrays = [np.asanyarray(array) for array in arrays.values()]
            lengths = {name: array.shape[1] for name, array in arrays.items()}
            where = "the arrays given as sequences"
        else:
            raise InvalidInputError(
                "argument sequences: expected the path of a FASTA file, a Genome, or a mapping of "
                f"contig name to one-hot array (4, length); got {type(sequences).__name__}"
            )
        lengths_bp = np.array(list(lengths.values()), np.int64)
        self.contigs = ContigTable(tuple(lengths), lengths_bp, where)

    @cached_property
    def backend(self) -> Backend:
        """What encodes sequence, and counts its bases."""
        from bigwig_loader.backend.select import select_backend

        return select_backend(self._load.device, self._load.n_threads)

    @property
    def n_threads(self) -> int:
        """Threads that there are for reading."""
        return self.backend.n_threads

    def __getstate__(self) -> dict[str, Any]:
        # A backend stays on its machine; the other side selects its own.
        return {name: value for name, value in self.__dict__.items() if name != "backend"}

    def encode(self, windows: Windows, wait: bool = True) -> Any:
        """One-hot windows, (B, 4, L): int8, in the memory of the backend.

        For arrays in host memory, and of their dtype. For `wait` see `Backend.encode_one_hot`.
        """
        if self.genome is not None:
            options = SequenceOptions(dtype="int8", layout="BAL")
            return self.backend.encode_one_hot(
                self.genome, self.contigs, windows, options, wait=wait
            )
        dtype = np.result_type(*self._arrays)
        out = np.zeros((len(windows), len(self._arrays[0]), windows.length_bp), dtype)
        copy_windows(self._arrays, windows, out)
        if windows.reverse is not None:
            out[windows.reverse] = out[windows.reverse][:, ::-1, ::-1]
        return out

    def count_bases(self, windows: Windows, codes: int) -> npt.NDArray[np.int64]:
        """Bases of each window whose 4-bit code is one of a 16-bit set; see `Backend`.

        In arrays a column that is not one of the four letters has code 0.
        """
        if self.genome is not None:
            return self.backend.count_bases(self.genome, self.contigs, windows, codes)
        letters = [bool(codes >> (1 << i) & 1) for i in range(4)]
        onehot = self.encode(windows) != 0
        known = onehot.sum(axis=1) == 1
        counted = (onehot[:, letters].any(axis=1) & known).sum(axis=1)
        if codes & 1:
            counted = counted + (~known).sum(axis=1)
        return np.asarray(counted, np.int64)


def copy_windows(
    arrays: Sequence[npt.NDArray[Any] | None], windows: Windows, out: npt.NDArray[Any]
) -> None:
    """Copy the part of each window that lies on its contig; `out` stays as it is elsewhere.

    Parameters
    ----------
    arrays : sequence of (..., length) arrays
        One for each contig; None where there is nothing to copy.
    windows : Windows
    out : (B, ..., L) array
    """
    starts = windows.start.tolist()
    for row, (contig, start) in enumerate(zip(windows.contig_index.tolist(), starts, strict=True)):
        array = arrays[contig]
        if array is None:
            continue
        first, end = max(start, 0), min(start + windows.length_bp, array.shape[-1])
        if first < end:
            out[row, ..., first - start : end - start] = array[..., first:end]
