"""`PytorchBigWigDataset`: batches as torch tensors, for `torch.utils.data.DataLoader`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.bigwig import BigWigDataset
from bigwig_loader.dataset.iterator import as_tuple
from bigwig_loader.dataset.options import SequenceEncoder
from bigwig_loader.dataset.state import DrawnSeed
from bigwig_loader.dataset.stats import LoaderStats
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.targets import Target
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import new_seed
from bigwig_loader.sampling.sampler import Sampler
from bigwig_loader.torch_arrays import consumer_stream, pinned, to_tensor, torch_device
from bigwig_loader.torch_workers import WorkerPasses, check_no_worker
from bigwig_loader.types import DtypeName, PathLike

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.formats.genome import Genome


@dataclass(frozen=True, eq=False)
class TorchBatch(Batch):
    """A `Batch` whose arrays are tensors; `chromosomes` stays a NumPy array of str."""

    def to(self, device: torch.device | str | int, non_blocking: bool = False) -> TorchBatch:
        """The batch on another device; parameters as of `torch.Tensor.to`."""

        def move(x: Any) -> Any:
            return x.to(device, non_blocking=non_blocking) if torch.is_tensor(x) else x

        return TorchBatch(**self.map_arrays(move))

    def pin_memory(self) -> TorchBatch:
        """The batch in page-locked host memory; what ``DataLoader(pin_memory=True)`` calls.

        Tensors that are on a GPU stay there.
        """
        return TorchBatch(**self.map_arrays(pinned))


class PytorchBigWigDataset(IterableDataset[Any]):
    """A `BigWigDataset` that delivers torch tensors.

    Use it as ``DataLoader(dataset, num_workers=0, batch_size=None)``, or iterate over it directly.
    Reading runs in threads that hold no interpreter lock, so worker processes are rarely needed.
    With them (fork or spawn) every worker makes a share of the batches, and the loader delivers
    the same batches in the same order as without.

    Parameters
    ----------
    regions_of_interest, collection, ..., samples
        All parameters are those of `BigWigDataset`. Without `rank` and `world_size`, they are
        those of `torch.distributed` where it is initialised, now or when the first epoch begins,
        and of the environment (RANK, WORLD_SIZE) elsewhere. With several processes and no `seed`,
        rank 0 draws one and sends it to the others; all of them have to make the data set then,
        after ``init_process_group``.

    Attributes
    ----------
    dataset : BigWigDataset
        What makes the batches, as NumPy or CuPy arrays.

    Notes
    -----
    Tensors share the memory of the arrays they are made from; bfloat16 is `torch.bfloat16`. With
    `return_batch_objects`, batches are `TorchBatch` objects, which have ``to(device)``.

    With `device` of ``"auto"`` and ``"cuda"``, sequences and values are made on PyTorch's current
    GPU (`torch.cuda.set_device`), each rank's own; ``"auto"`` is the CPU where none can be used.
    Memory of dropped tensors is used again after what the stream that was current in the loop had
    been given by then; who uses them on another stream calls ``dataset.dataset.hand_over``. A
    loader of them has ``num_workers=0`` and no ``pin_memory``: they are on the GPU already.

    In worker processes an epoch begins at its beginning: each pass over the loader is the next
    epoch, also after a loop that was left early. The main process cannot see how many batches a
    loader with workers has delivered, so `state_dict` has to be told; nor what they measured, so
    `stats` wants ``num_workers=0``. Forked workers share a genome that was loaded before.
    """

    def __init__(
        self,
        regions_of_interest: pd.DataFrame | PathLike | None,
        collection: BigWigCollection | PathLike | Sequence[PathLike] | None,
        reference_genome_path: PathLike | Genome | None = None,
        sequence_length: int = 1000,
        center_bin_to_predict: int | None = None,
        window_size: int = 1,
        moving_average_window_size: int = 1,
        batch_size: int = 256,
        super_batch_size: int | None = None,
        batches_per_epoch: int | None = None,
        maximum_unknown_bases_fraction: float | None = 0.1,
        sequence_encoder: SequenceEncoder = "onehot",
        file_extensions: Sequence[str] = (".bigWig", ".bw"),
        crawl: bool = True,
        scale: Any = None,
        default_value: float = 0.0,
        first_n_files: int | None = None,
        position_sampler_buffer_size: int = 100000,
        repeat_same_positions: bool = False,
        sub_sample_tracks: int | None = None,
        n_threads: int = 4,
        custom_position_sampler: Sampler | Iterable[tuple[str, int]] | None = None,
        custom_track_sampler: Iterable[Any] | None = None,
        return_batch_objects: bool = False,
        dtype: DtypeName = "float32",
        device: str = "auto",
        seed: int | None = None,
        shuffle: bool = True,
        drop_last: bool = True,
        prefetch: int = 2,
        reverse_complement: bool = False,
        max_jitter: int = 0,
        use_strand: bool = False,
        track_groups: Sequence[Sequence[int | str]] | None = None,
        targets: Target | Mapping[str, Target] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
        cache_bytes: int = 0,
        variants: Any = None,
        samples: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._rank_given = rank is not None or world_size is not None
        if not self._rank_given and is_distributed():
            shard = find_shard()
            rank, world_size = shard.rank, shard.world_size
        if seed is None and is_distributed() and world_size != 1:
            seed = shared_seed()
        self.dataset = BigWigDataset(
            regions_of_interest=regions_of_interest,
            collection=collection,
            reference_genome_path=reference_genome_path,
            sequence_length=sequence_length,
            center_bin_to_predict=center_bin_to_predict,
            window_size=window_size,
            moving_average_window_size=moving_average_window_size,
            batch_size=batch_size,
            super_batch_size=super_batch_size,
            batches_per_epoch=batches_per_epoch,
            maximum_unknown_bases_fraction=maximum_unknown_bases_fraction,
            sequence_encoder=sequence_encoder,
            file_extensions=file_extensions,
            crawl=crawl,
            scale=scale,
            default_value=default_value,
            first_n_files=first_n_files,
            position_sampler_buffer_size=position_sampler_buffer_size,
            repeat_same_positions=repeat_same_positions,
            sub_sample_tracks=sub_sample_tracks,
            n_threads=n_threads,
            custom_position_sampler=custom_position_sampler,
            custom_track_sampler=custom_track_sampler,
            return_batch_objects=True,
            dtype=dtype,
            device=torch_device(device),
            seed=seed,
            shuffle=shuffle,
            drop_last=drop_last,
            prefetch=prefetch,
            reverse_complement=reverse_complement,
            max_jitter=max_jitter,
            use_strand=use_strand,
            track_groups=track_groups,
            targets=targets,
            rank=rank,
            world_size=world_size,
            uneven=uneven,
            cache_bytes=cache_bytes,
            variants=variants,
            samples=samples,
        )
        self._as_objects = return_batch_objects
        self._passes = WorkerPasses()
        # In a worker process: epoch and number of its next batch, and those of a loaded state.
        self._place: tuple[int, int] | None = None
        self._loaded: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Batches per epoch, of all workers together; TypeError where that is unknown."""
        return len(self.dataset)

    @property
    def epoch(self) -> int:
        """The current epoch; with workers, the one that was begun last."""
        return self._passes.epoch_begun() if self._passes.n_begun() else self.dataset.epoch

    def __iter__(self) -> Iterator[Any]:
        """The next epoch, or the rest of a saved one; in a worker process, its share of that."""
        self._find_rank()
        worker = get_worker_info()
        if worker is None:
            return self._deliver_here()
        check_no_worker(self.dataset)
        epoch, batch = self._passes.begin(worker.id, worker.num_workers)
        self._place = self._loaded or (epoch, batch + worker.id)
        self._loaded = None
        return self._deliver_share(*self._place, worker.num_workers)

    def __getstate__(self) -> dict[str, Any]:
        # Into a spawned worker process, which knows nothing of torch.distributed.
        self._find_rank()
        return self.__dict__

    def _find_rank(self) -> None:
        """Take up a rank that torch.distributed has got since the data set was made."""
        if not self._rank_given and is_distributed():
            shard = find_shard()
            self.dataset.set_rank(shard.rank, shard.world_size)

    def stats(self) -> LoaderStats:
        """What making batches took in this process; see `BigWigDataset.stats`.

        Worker processes measure for themselves, and what they did cannot be seen from here.
        """
        return self.dataset.stats()

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; workers (persistent ones too) in their next pass."""
        self.dataset.set_epoch(epoch)
        self._share_start()

    def state_dict(self, batch: int | None = None, epoch: int | None = None) -> dict[str, Any]:
        """Where the epoch stands; see `BigWigDataset.state_dict`.

        In a worker process, where torchdata's `StatefulDataLoader` asks, where that worker stands.

        Parameters
        ----------
        batch : int, optional
            Batches of the epoch that the training loop has taken, since the epoch's beginning.
            Needed after a pass with worker processes, and only then: workers are ahead of the
            loop, and only the loop can count.
        epoch : int, optional
            Where `batch` is given, its epoch; by default `epoch`.
        """
        state = self.dataset.state_dict()
        if get_worker_info() is not None and self._place is not None:
            return {**state, "epoch": self._place[0], "batch": self._place[1]}
        if batch is not None:
            return {**state, "epoch": self.epoch if epoch is None else epoch, "batch": int(batch)}
        if self._passes.n_begun():
            raise InvalidInputError(
                "state_dict: expected argument batch, the number of batches taken in this epoch, "
                "because worker processes make batches and are ahead of the loop; got None"
            )
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved; see `BigWigDataset.load_state_dict`."""
        self.dataset.load_state_dict(state)
        worker = get_worker_info()
        if worker is None:
            self._share_start()
        else:
            self._loaded = (state["epoch"], state["batch"])
            self._passes.resume(state["epoch"], worker.id, worker.num_workers)

    def _deliver_here(self) -> Iterator[Any]:
        if self._passes.n_begun():
            self.set_epoch(self.epoch + 1)
        try:
            for batch in self.dataset:
                yield self._convert(batch)
        finally:
            self._share_start()

    def _deliver_share(self, epoch: int, first: int, n_workers: int) -> Iterator[Any]:
        for batch in self.dataset.batches(epoch, first, n_workers):
            first += n_workers
            self._place = (epoch, first)
            yield self._convert(batch)

    def _share_start(self) -> None:
        state = self.dataset.state_dict()
        self._passes.start_at(state["epoch"], state["batch"])

    def _convert(self, batch: Batch) -> Any:
        tensors = TorchBatch(**batch.map_arrays(to_tensor))
        stream = consumer_stream((tensors.values, tensors.sequences))
        if stream is not None:
            self.dataset.hand_over(batch, stream)
        return tensors if self._as_objects else as_tuple(tensors)


def is_distributed() -> bool:
    """Whether this process is one of a group of `torch.distributed`."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def find_shard(rank: int | None = None, world_size: int | None = None) -> Shard:
    """Which of how many processes this is.

    Parameters
    ----------
    rank, world_size : int, optional
        Both or neither. Without them, `torch.distributed` is asked where it is initialised, and
        the environment (RANK, WORLD_SIZE) elsewhere.
    """
    if rank is None and world_size is None and is_distributed():
        return Shard(torch.distributed.get_rank(), torch.distributed.get_world_size())
    return Shard.choose(rank, world_size)


def shared_seed() -> DrawnSeed:
    """A seed that rank 0 draws, on all ranks; every process has to call this."""
    drawn = [new_seed()]
    torch.distributed.broadcast_object_list(drawn, src=0)
    return DrawnSeed(drawn[0])
