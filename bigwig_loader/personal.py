"""Personal genomes: `Dataset` of a prepared data set, `GVL` straight from the files.

torch is imported where loaders are made; a data set is indexed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from bigwig_loader.dataset.personal.loader import Finished, StreamOptions, make_stream
from bigwig_loader.dataset.personal.readers import Fasta, FastaVariants, Haplotypes, collect_inputs
from bigwig_loader.dataset.personal.stream import StreamEpochs
from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.epochs import CellEpochs
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.dataset.state import DrawnSeed, Progress
from bigwig_loader.dataset.stats import LoaderStats
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.fills import Fill
from bigwig_loader.sampling.cells import cell_order
from bigwig_loader.sampling.digest import function_name
from bigwig_loader.sampling.ranks import Uneven

if TYPE_CHECKING:
    from bigwig_loader.personal_loader import CellExamples, CellLoader

__all__ = ["GVL", "Dataset", "Fasta", "FastaVariants", "Haplotypes"]

Transform = Callable[..., Any]


class Dataset(PreparedDataset):
    """A prepared data set, with loaders for torch; see `PreparedDataset` for all else."""

    def to_torch_dataset(
        self, return_indices: bool = False, transform: Transform | None = None
    ) -> CellExamples:
        """The cells as a map-style data set of torch.

        Parameters
        ----------
        return_indices, transform
            As for `to_dataloader`.

        Returns
        -------
        torch.utils.data.Dataset
            ``examples[i]`` is cell i, ``examples[[i, j, ...]]`` a batch.
        """
        from bigwig_loader.personal_loader import CellExamples, Finish

        return CellExamples(self, Finish(self, return_indices, transform))

    def to_dataloader(  # noqa: PLR0913 - the parameters of a published façade, and ours
        self,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Any = None,
        num_workers: int = 0,
        *,
        drop_last: bool = False,
        weights: Mapping[str, npt.ArrayLike] | None = None,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
        prefetch: int = 2,
        pin_memory: bool = False,
        return_indices: bool = False,
        transform: Transform | None = None,
        **worker_options: Any,
    ) -> CellLoader:
        """A DataLoader of batches of cells.

        Numbers come out as tensors that share the memory of their arrays; letters (S1) stay NumPy
        arrays, rows of natural length `Ragged`. Every iteration is the next epoch.

        Parameters
        ----------
        batch_size : int
            Cells of a batch, of all processes together.
        shuffle : bool
            Run through all cells in a random order of each epoch. The order is computed, not
            stored.
        sampler : iterable of int, optional
            Which cells, in which order, in place of all; has a length. It is asked in this
            process only.
        num_workers : int
            0 and 1: batches are made ahead by a thread of this process. 2 and more: by as many
            processes, which may be forked or spawned.
        drop_last : bool
        weights : mapping, optional
            ``{"region": (R,), "sample": (S,)}``, either or both: every cell comes as often in an
            epoch as the product of its weights, rounded, says.
        seed : int, optional
            Of the order; drawn by default. What is in a cell follows the data set's own seed.
        rank, world_size : int, optional
            This process, and how many share every batch; by default those of torch.distributed
            where it is initialised, or of the environment.
        uneven : {"pad", "drop"}
            How processes share a short last batch.
        prefetch : int
            Batches made ahead by the thread; 0 for none and no thread.
        pin_memory : bool
            Without effect where there is no CUDA.
        return_indices : bool
            Add two arrays (B,) int64 to every batch: region and sample in the data set as it was
            written.
        transform : function, optional
            Gets the parts of a batch as NumPy arrays, one after the other, indices included; what
            it returns is delivered, arrays of numbers in it as tensors.
        **worker_options
            timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers:
            as for torch, for worker processes.

        Returns
        -------
        CellLoader
            With ``state_dict``, ``load_state_dict``, ``set_epoch`` and ``stats``.
        """
        from bigwig_loader.personal_loader import CellLoader, Finish, choose_seed
        from bigwig_loader.pytorch import find_shard

        shard = find_shard(rank, world_size)
        chosen, seed_given = choose_seed(seed, shard)
        order = cell_order(self.n_regions, self.n_samples, shuffle, weights, sampler)
        options = CellOptions(chosen, batch_size, drop_last, shard, uneven, prefetch)
        fingerprint = {
            "dataset": self.fingerprint(),
            "return_indices": return_indices,
            "transform": None if transform is None else function_name(transform),
        }
        finish = Finish(self, return_indices, transform)
        epochs = CellEpochs(self, order, options, fingerprint, finish, seed_given)
        return CellLoader(epochs, num_workers, pin_memory, **worker_options)


class GVL:
    """Batches of haplotypes and tracks straight from their files; nothing is written.

    Regions are read in buffers that fit the memory budget, the next one while the present one is
    used. With all regions in one buffer it is read once for all epochs.

    Parameters
    ----------
    readers : reader, or list of them
        `Fasta`, `FastaVariants`, `Haplotypes`, and tracks: `BigWigs`, `Table`. With haplotypes,
        tracks follow them.
    bed : path or frame
        Regions; those on the minus strand are delivered as reverse complement.
    fixed_length : int
        Every region gets this length, around its middle.
    batch_size : int
        Examples of all processes together.
    max_memory_gb : float
        For buffers, reading and batches, in 10**9 bytes, besides what Python and its libraries
        take. Of each process.
    batch_dims : list of {"sample", "ploid"}, optional
        What makes an example besides the region. Each sample (haplotype) is an example of its own
        then; else they are axes of the arrays: (batch, [sample], [ploid], length).
    shuffle : bool
        Examples come in a random order. Larger buffers mix more regions.
    weights : mapping, optional
        ``"region"`` and any of `batch_dims` to as many weights: every example comes as often in an
        epoch as the product of its weights, rounded, says.
    seed : int, optional
        Drawn by default.
    drop_last : bool
        Whether a last batch of fewer examples is left out.
    return_tuples : list of str, or False
        Deliver tuples of these; by default dictionaries.
    return_index : bool
        Add the number of each example, under ``"index"`` or last: the region's row times the
        examples of a region, plus the place in `batch_dims`.
    transform : function, optional
        Of a batch, a dictionary of NumPy arrays, to what takes its place.
    num_workers : int
        2 and more make batches in as many processes, each with a share of the budget; 0 and 1 in
        a thread.
    jitter_bed : int, optional
        Move every region by up to as many bases to either side, drawn by (seed, epoch, cell).
    samples : list of str, optional
        Only these; else all that every reader has. They are sorted in any case.
    realign_tracks : bool
        Whether tracks follow haplotypes.
    insertion_fill : Fill or mapping of track name to Fill, optional
        What bases of insertions have in tracks; `Repeat5p` by default.
    rank, world_size : int, optional
        As for `Dataset.to_dataloader`.
    uneven : {"pad", "drop"}
    prefetch : int
    n_threads : int

    Raises
    ------
    InvalidInputError
        For a region that leaves its contig where no `Fasta` has a pad, and where the budget is too
        small for one region.
    """

    def __init__(  # noqa: PLR0913 - the parameters of a published façade, and ours
        self,
        readers: Any,
        bed: Any,
        fixed_length: int,
        batch_size: int,
        max_memory_gb: float,
        batch_dims: Sequence[str] | None = None,
        transform: Transform | None = None,
        shuffle: bool = False,
        weights: Mapping[str, npt.ArrayLike] | None = None,
        seed: int | None = None,
        return_tuples: Sequence[str] | bool = False,
        return_index: bool = False,
        drop_last: bool = False,
        num_workers: int = 1,
        jitter_bed: int | None = None,
        *,
        samples: Sequence[str] | None = None,
        realign_tracks: bool = True,
        insertion_fill: Fill | Mapping[str, Fill] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
        prefetch: int = 2,
        n_threads: int = 1,
    ) -> None:
        from bigwig_loader.personal_loader import as_tensors, choose_seed
        from bigwig_loader.pytorch import find_shard

        self.num_workers = num_workers
        self._inputs = collect_inputs(readers, samples, insertion_fill, realign_tracks)
        shard = find_shard(rank, world_size)
        chosen, self._seed_given = choose_seed(seed, shard)
        self._options = StreamOptions(
            bed,
            fixed_length,
            CellOptions(chosen, batch_size, drop_last, shard, uneven, prefetch),
            max_memory_gb / max(1, num_workers),
            tuple(batch_dims or ()),
            shuffle,
            weights,
            jitter_bed or 0,
            n_threads,
            Finished(transform, _names_of(return_tuples), return_index, as_tensors),
        )
        self._epochs = self._make()

    def _make(self) -> StreamEpochs:
        return make_stream(self._inputs, self._options, self._seed_given)

    @property
    def samples(self) -> list[str]:
        """The samples, sorted."""
        return list(self._inputs.samples)

    @property
    def seed(self) -> int:
        """The seed, given or drawn."""
        return self._epochs.seed

    @property
    def n_instances(self) -> int:
        """Examples of an epoch."""
        return self._epochs.n_examples

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._epochs)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch."""
        return iter(self.torch_dataloader())

    def torch_dataloader(self, pin_memory: bool = False, **worker_options: Any) -> CellLoader:
        """A DataLoader of the batches; all of one `GVL` run through the same epochs.

        Numbers come out as tensors, letters (S1) stay NumPy arrays.

        Parameters
        ----------
        pin_memory, **worker_options
            As for `Dataset.to_dataloader`.
        """
        from bigwig_loader.personal_loader import CellLoader

        return CellLoader(self._epochs, self.num_workers, pin_memory, **worker_options)

    def set(self, **changes: Any) -> GVL:
        """Change parameters between epochs; the others stay. Loaders that were made follow.

        Parameters
        ----------
        **changes
            Any of bed, fixed_length, batch_size, max_memory_gb, batch_dims, transform, shuffle,
            weights, seed, return_tuples, return_index, drop_last, jitter_bed.

        Returns
        -------
        GVL
            This one.
        """
        if changes.get("seed") is not None:
            self._seed_given = not isinstance(changes["seed"], DrawnSeed)
        if "max_memory_gb" in changes:
            changes["max_memory_gb"] /= max(1, self.num_workers)
        if "return_tuples" in changes:
            changes["return_tuples"] = _names_of(changes["return_tuples"])
        self._options = self._options.changed(changes)
        epoch = self._epochs.progress.following().epoch
        self._epochs.replace_by(self._make())
        self._epochs.progress = Progress(epoch)
        return self

    def stats(self) -> LoaderStats:
        """What making batches took in this process so far."""
        return self._epochs.stats()


def _names_of(return_tuples: Sequence[str] | bool) -> tuple[str, ...] | None:
    if return_tuples is False:
        return None
    if isinstance(return_tuples, (str, bool)):
        raise InvalidInputError(
            f"argument return_tuples: expected a list of names, or False; got {return_tuples!r}"
        )
    return tuple(return_tuples)
