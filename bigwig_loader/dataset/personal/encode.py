"""Examples of a buffer to arrays: haplotypes, references and tracks under their names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.select import select_backend
from bigwig_loader.dataset.personal.buffers import Buffer
from bigwig_loader.dataset.personal.pieces import I64, Piece, StreamRegions
from bigwig_loader.dataset.personal.readers import ANNOTATION, Inputs
from bigwig_loader.plan.fills import FlankSample
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.plan.realign import Draws, TrackRows
from bigwig_loader.sampling.rng import Stream, random_below

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Encoder:
    """Makes the arrays of examples.

    An example is a region with one column of the batch: a sample, a haplotype number, both
    (``sample * P + ploid``), or 0. What is not in the batch stays an axis.

    Parameters
    ----------
    inputs : Inputs
    regions : StreamRegions
    batch_dims : tuple of {"sample", "ploid"}
    n_threads : int
        Of one call.
    """

    inputs: Inputs
    regions: StreamRegions
    batch_dims: tuple[str, ...]
    n_threads: int

    @cached_property
    def backend(self) -> Backend:
        """What puts signal on haplotypes."""
        return select_backend("cpu", self.n_threads)

    def __getstate__(self) -> dict[str, Any]:
        # A backend stays on its machine; the other side selects its own.
        return {name: value for name, value in self.__dict__.items() if name != "backend"}

    @property
    def n_columns(self) -> int:
        """Columns of a region: examples of it, each once."""
        n = len(self.inputs.samples) if "sample" in self.batch_dims else 1
        return n * (self.inputs.ploidy if "ploid" in self.batch_dims else 1)

    @property
    def split_ploids(self) -> bool:
        """Whether each haplotype is read by itself.

        Draws of `FlankSample` depend on the number of the haplotype, so with it all are read.
        """
        drawn = any(isinstance(fill, FlankSample) for fill in self.inputs.fills)
        return "ploid" in self.batch_dims and not drawn

    def row_bytes(self) -> int:
        """Bytes of an example."""
        length, inputs = self.regions.length_bp, self.inputs
        samples = 1 if "sample" in self.batch_dims else max(1, len(inputs.samples))
        ploids = 1 if "ploid" in self.batch_dims else inputs.ploidy
        options = [(fasta.options, 1) for fasta in inputs.references]
        if inputs.haplotypes is not None:
            options.append((inputs.haplotypes.options, samples * ploids))
        letters = sum(_itemsize(o) * o.letters * n for o, n in options)
        return length * (letters + 4 * len(inputs.tracks) * samples * ploids)

    def encode(self, buffer: Buffer, regions: I64, columns: I64, seed: int, epoch: int) -> Arrays:
        """Arrays of examples (k,) whose regions are in a buffer."""
        which = buffer.piece_of[regions]
        numbers = np.unique(which).tolist()
        if len(numbers) == 1:
            return self._encode(buffer.pieces[numbers[0]], regions, columns, seed, epoch)
        parts: list[tuple[I64, Arrays]] = []
        for number in numbers:
            at = np.flatnonzero(which == number)
            piece = buffer.pieces[number]
            parts.append((at, self._encode(piece, regions[at], columns[at], seed, epoch)))
        return join_rows(parts, len(regions))

    def _encode(self, piece: Piece, regions: I64, columns: I64, seed: int, epoch: int) -> Arrays:
        inputs, made = self.inputs, self.regions
        n_samples = max(1, len(inputs.samples))
        ploid = np.zeros(len(regions), np.int64)
        if "ploid" in self.batch_dims:
            columns, ploid = np.divmod(columns, inputs.ploidy)
        # One window for each sample that an example shows.
        shown = n_samples if "sample" not in self.batch_dims else 1
        row = np.repeat(regions, shown)
        sample = columns if shown == 1 and "sample" in self.batch_dims else None
        if sample is None:
            sample = np.tile(np.arange(n_samples), len(regions))
        ploid = np.repeat(ploid, shown)
        cells = row * n_samples + sample
        start = made.start[row]
        if made.max_jitter:
            width = 2 * made.max_jitter + 1
            drawn = random_below(width, seed, epoch, cells, stream=Stream.JITTER)
            start = start + drawn - made.max_jitter
        contig, length = piece.local(row), made.length_bp
        reverse = made.reverse[row] if made.reverse.any() else None
        lists = sample * inputs.ploidy + ploid if self.split_ploids else sample

        def windows(of: I64, every: int = 1) -> HaplotypeWindows:
            turned = None if reverse is None else reverse[::every]
            at = start[::every]
            return HaplotypeWindows(
                contig[::every], at, at + length, of[::every], turned, length_bp=length
            )

        shape = _Shape(len(regions), shown, ploid, self)
        arrays: Arrays = {}
        nobody = np.full(len(row), -1, np.int64)
        for fasta in inputs.references:
            # Jitter is drawn by cell, so samples need not have the same reference bases.
            every = 1 if made.max_jitter else shown
            data = piece.reader.encode(windows(nobody, every), fasta.options).data[:, 0]
            arrays[fasta.name] = shape.of_samples(data) if every == 1 else data
        if inputs.haplotypes is not None:
            data = piece.reader.encode(windows(lists), inputs.haplotypes.options).data
            arrays[inputs.haplotypes.name] = shape.of_haplotypes(data)
        if inputs.tracks:
            arrays |= self._tracks(piece, windows(lists), sample, cells, shape, (seed, epoch))
        return arrays

    def _tracks(
        self,
        piece: Piece,
        windows: HaplotypeWindows,
        sample: I64,
        cells: I64,
        shape: _Shape,
        key: tuple[int, int],
    ) -> Arrays:
        none = np.zeros(len(sample), np.int64)
        rows = [
            TrackRows(table, none if table.samples == ANNOTATION else sample)
            for table in piece.tracks
        ]
        names = [track.name for track in self.inputs.tracks]
        if self.inputs.realign:
            seed, epoch = key
            draws = Draws(seed, epoch, cells)
            fills = self.inputs.fills
            data = self.backend.realign(piece.reader, windows, rows, fills, draws=draws).data
            return {name: shape.of_haplotypes(data[:, i]) for i, name in enumerate(names)}
        data = self.backend.along_reference(piece.contigs, windows, rows).data
        return {name: shape.of_samples(data[:, i]) for i, name in enumerate(names)}


class _Shape:
    """Windows of examples to axes: (examples, samples, haplotypes), those in the batch left out."""

    def __init__(self, n_examples: int, n_shown: int, ploid: I64, encoder: Encoder) -> None:
        self.n_examples, self.n_shown, self.ploid = n_examples, n_shown, ploid
        self.has_samples = "sample" not in encoder.batch_dims and bool(encoder.inputs.samples)
        self.has_ploids = "ploid" not in encoder.batch_dims
        self.is_split = encoder.split_ploids

    def of_samples(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(windows, ...) to (examples, [samples], ...)."""
        if not self.has_samples:
            return data
        return data.reshape(self.n_examples, self.n_shown, *data.shape[1:])

    def of_haplotypes(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(windows, haplotypes, ...) to (examples, [samples], [haplotypes], ...)."""
        if not self.has_ploids:
            data = data[:, 0] if self.is_split else data[np.arange(len(data)), self.ploid]
        return self.of_samples(data)


def join_rows(parts: list[tuple[I64, Arrays]], n_rows: int) -> Arrays:
    """Arrays of n rows, of which each part has some."""
    if len(parts) == 1 and len(parts[0][0]) == n_rows and (np.diff(parts[0][0]) == 1).all():
        return parts[0][1]
    joined: Arrays = {}
    for name, first in parts[0][1].items():
        joined[name] = np.empty((n_rows, *first.shape[1:]), first.dtype)
        for at, arrays in parts:
            joined[name][at] = arrays[name]
    return joined


def _itemsize(options: HaplotypeOptions) -> int:
    names = {"float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2}
    return names.get(str(options.dtype), 1)
