"""From the parameters of a streaming loader to its epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.select import select_backend
from bigwig_loader.dataset.personal.buffers import BufferReader
from bigwig_loader.dataset.personal.encode import Arrays, Encoder
from bigwig_loader.dataset.personal.pieces import I64, StreamRegions
from bigwig_loader.dataset.personal.readers import Inputs
from bigwig_loader.dataset.personal.stream import StreamEpochs, StreamSettings
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.dataset.prepared.making.regions import read_regions
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.cells import check_weights
from bigwig_loader.sampling.digest import digest, function_name
from bigwig_loader.types import check_not_negative, check_number, check_positive

BATCH_DIMS = ("sample", "ploid")
# One part of the budget is for batches.
BATCH_PARTS = 4
INDEX = "index"


@dataclass(frozen=True)
class Finished:
    """What is made of a batch of arrays.

    Parameters
    ----------
    transform : function, optional
    return_tuples : tuple of str, optional
        Deliver these as a tuple.
    return_index : bool
        Add the examples' numbers.
    convert : function
        From arrays to those of a framework.
    """

    transform: Callable[..., Any] | None
    return_tuples: tuple[str, ...] | None
    return_index: bool
    convert: Callable[[Any], Any]

    def __call__(self, arrays: Arrays, index: I64) -> Any:
        batch: Any = {**arrays, INDEX: index} if self.return_index else dict(arrays)
        if self.transform is not None:
            batch = self.transform(batch)
            if self.return_index and isinstance(batch, dict):
                batch.setdefault(INDEX, index)
        if self.return_tuples is not None:
            names = list(self.return_tuples)
            if self.return_index and INDEX not in names:
                names.append(INDEX)
            batch = tuple(batch[name] for name in names)
        return self.convert(batch)


@dataclass(frozen=True)
class StreamOptions:
    """The parameters of a `GVL`; see there."""

    bed: Any
    fixed_length: int
    cells: CellOptions
    max_memory_gb: float
    batch_dims: tuple[str, ...]
    shuffle: bool
    weights: Mapping[str, npt.ArrayLike] | None
    jitter_bed: int
    n_threads: int
    finished: Finished

    def __post_init__(self) -> None:
        check_positive("fixed_length", self.fixed_length)
        check_positive("n_threads", self.n_threads)
        check_not_negative("jitter_bed", self.jitter_bed)
        check_number("max_memory_gb", self.max_memory_gb)
        for name in self.batch_dims:
            if name not in BATCH_DIMS or self.batch_dims.count(name) > 1:
                raise InvalidInputError(
                    f"argument batch_dims: expected 'sample' and 'ploid', each at most once; got "
                    f"{list(self.batch_dims)}"
                )

    def changed(self, changes: Mapping[str, Any]) -> StreamOptions:
        """The same with some parameters changed.

        Raises
        ------
        NotFoundError
            For a parameter that there is not, or that cannot be changed.
        """
        own = {f.name for f in fields(self)} - {"cells", "finished", "n_threads"}
        of_cells = {"batch_size", "seed", "drop_last"}
        of_finished = {"transform", "return_tuples", "return_index"}
        known = own | of_cells | of_finished
        for name in changes:
            if name not in known:
                raise NotFoundError.among("parameter", name, sorted(known), "GVL.set")
        made = {name: value for name, value in changes.items() if name in own}
        if "batch_dims" in made:
            made["batch_dims"] = tuple(made["batch_dims"] or ())
        if "jitter_bed" in made:
            made["jitter_bed"] = made["jitter_bed"] or 0
        cells = {n: v for n, v in changes.items() if n in of_cells and v is not None}
        finished = {n: v for n, v in changes.items() if n in of_finished}
        return replace(
            self,
            cells=replace(self.cells, **cells),
            finished=replace(self.finished, **finished),
            **made,
        )


def make_stream(inputs: Inputs, options: StreamOptions, seed_given: bool) -> StreamEpochs:
    """The epochs of a streaming loader.

    Raises
    ------
    InvalidInputError
        If parameters do not fit the inputs, or each other.
    """
    has = (bool(inputs.samples), inputs.haplotypes is not None)
    for name, there in zip(BATCH_DIMS, has, strict=True):
        if name in options.batch_dims and not there:
            raise InvalidInputError(
                f"argument batch_dims: expected dimensions that a reader has; got {name!r}, which "
                "none has"
            )
    names = options.finished.return_tuples
    if names is not None and options.finished.transform is None:
        for name in names:
            if name not in (*inputs.names, INDEX):
                raise NotFoundError.among("reader", name, inputs.names, "return_tuples")
    genome = None if inputs.fasta is None else inputs.fasta.open()
    order = None if genome is None else tuple(genome.contigs)
    found = read_regions(options.bed, options.fixed_length, order)
    regions = StreamRegions.of(found, options.fixed_length, inputs, genome, options.jitter_bed)
    dims = tuple(d for d in BATCH_DIMS if d in options.batch_dims)
    encoder = Encoder(inputs, regions, dims, options.n_threads)
    region_weights, column_weights = _weights(options.weights, inputs, encoder)
    budget = _without_batches(options, encoder)
    backend = select_backend("cpu", options.n_threads)
    reader = BufferReader(inputs, regions, backend, options.shuffle, budget, encoder.split_ploids)
    settings = StreamSettings(
        encoder, reader, options.shuffle, region_weights, column_weights, options.finished
    )
    return StreamEpochs(
        settings, options.cells, _fingerprint(inputs, options, settings), seed_given
    )


def _without_batches(options: StreamOptions, encoder: Encoder) -> int:
    """Bytes for buffers: all but a part that is always kept for batches.

    So which regions a buffer holds does not depend on how batches are made.
    """
    cells, budget = options.cells, int(options.max_memory_gb * 1e9)
    rows = cells.batch_size // cells.shard.world_size
    # Those that wait, the one that is made, with its parts, and the one that is used.
    needed = (cells.prefetch + 3) * rows * encoder.row_bytes()
    room = budget // BATCH_PARTS
    if needed > room:
        raise InvalidInputError(
            f"argument max_memory_gb: expected room for {cells.prefetch + 3} batches of {rows} "
            f"examples, {needed} bytes, in a quarter of it; got {room}. Give more, a smaller "
            "batch_size or a smaller prefetch"
        )
    return budget - room


def _weights(
    weights: Mapping[str, npt.ArrayLike] | None, inputs: Inputs, encoder: Encoder
) -> tuple[Any, Any]:
    """Weights of regions, and of the columns of each region; None for none."""
    if not weights:
        return None, None
    sizes = {"region": len(encoder.regions)}
    if "sample" in encoder.batch_dims:
        sizes["sample"] = len(inputs.samples)
    if "ploid" in encoder.batch_dims:
        sizes["ploid"] = inputs.ploidy
    for name in weights:
        if name not in sizes:
            raise NotFoundError.among("dimension", name, sizes, "argument weights")
    columns = np.ones(1)
    for name in encoder.batch_dims:
        columns = np.outer(columns, check_weights(name, weights.get(name), sizes[name])).ravel()
    return check_weights("region", weights.get("region"), sizes["region"]), columns


def _fingerprint(
    inputs: Inputs, options: StreamOptions, settings: StreamSettings
) -> dict[str, Any]:
    regions, haplotypes = settings.encoder.regions, inputs.haplotypes
    encodings = [r.options for r in (*inputs.references, haplotypes) if r is not None]
    finished = options.finished
    transform = None if finished.transform is None else function_name(finished.transform)
    contigs = regions.contigs
    return {
        "readers": digest(inputs.names, inputs.samples, encodings, inputs.fills, inputs.realign),
        "variants": None
        if haplotypes is None
        else digest(haplotypes.overlap, haplotypes.variant_options),
        "regions": digest(
            contigs.names, contigs.lengths, regions.contig_index, regions.start, regions.reverse
        ),
        "fixed_length": options.fixed_length,
        "jitter_bed": options.jitter_bed,
        "batch_dims": list(settings.encoder.batch_dims),
        "shuffle": options.shuffle,
        "weights": digest(settings.region_weights, settings.column_weights),
        "delivered": digest(transform, finished.return_tuples, finished.return_index),
        "buffer_bytes": settings.reader.capacity,
    }
