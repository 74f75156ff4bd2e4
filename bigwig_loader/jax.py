"""`JaxDataset`: batches as `jax.Array`, on one device or sharded over many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch
from bigwig_loader.assemble.device_arrays import CUDA, host_array, is_bfloat16, is_device_array
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.ranks import Shard

INT32 = np.iinfo(np.int32)
# JAX publishes no types for these.
make_spec: Any = PartitionSpec
make_global_array: Any = jax.make_array_from_process_local_data
# The only array field whose first axis is not that of the examples.
WHOLE_FIELDS = ("track_indices",)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class JaxBatch(Batch):
    """A `Batch` whose arrays are of JAX.

    It is a pytree of its arrays, so jitted functions take it as it is. `chromosomes`,
    `track_names`, `epoch` and `index` are no arrays: what a jitted function or ``jax.tree.map``
    gets or gives back has None there, since they would make every batch a new compilation.
    """

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The arrays, in the order of `ARRAY_FIELDS`."""
        return tuple(getattr(self, name) for name in ARRAY_FIELDS), None

    @classmethod
    def tree_unflatten(cls, _: None, arrays: tuple[Any, ...]) -> JaxBatch:
        """A batch of these arrays."""
        return cls(**dict(zip(ARRAY_FIELDS, arrays, strict=True)))


def to_jax(data: Any, device: jax.Device | Sharding | None = None) -> Any:
    """Arrays as `jax.Array`.

    Parameters
    ----------
    data : NumPy array, array with DLPack, Batch, or a tuple, list or dict of these
        bfloat16 (that of `ml_dtypes`), uint8, int8 and bool keep their types. CuPy arrays of
        uint16 are taken for bfloat16, which CuPy lacks.
    device : jax.Device or jax.sharding.Sharding, optional
        Where to. None for JAX's default device. With a `NamedSharding`, the first entry of its
        spec is for the examples; arrays with fewer axes than the spec has use its beginning, and
        `Batch.track_indices` is on every device. Where the sharding is over several processes,
        `data` is this process's share of the examples, and the result is the whole of them.

    Returns
    -------
    jax.Array, JaxBatch, or a tuple, list or dict of jax.Array
        What is no array of numbers (a list of str, an array of str, None) stays as it is.

    Raises
    ------
    InvalidInputError
        For another kind of sharding, an array that cannot be divided over the devices, and int64
        values that int32 cannot hold while ``jax_enable_x64`` is off.

    Notes
    -----
    On the CPU, an array that starts at a multiple of 64 bytes is not copied: JAX then keeps its
    memory alive, and it must not be written to any more. Without ``jax_enable_x64``, JAX has no
    64-bit types: int64 becomes int32 where every value fits, and float64 becomes float32.

    CuPy arrays are copied on their GPU, which takes a fraction of a millisecond: JAX does not say
    when it is done with memory of others. Where JAX has no GPU, they come by way of host memory.
    """
    if isinstance(data, Batch):
        fields = data.map_arrays(lambda array: array)
        for name in ARRAY_FIELDS:
            fields[name] = _convert(fields[name], device, name in WHOLE_FIELDS, name)
        return JaxBatch(**fields)
    return _convert(data, device, False, "array")


def _convert(data: Any, device: Any, whole: bool, name: str) -> Any:
    if isinstance(data, tuple):
        return tuple(_convert(x, device, whole, name) for x in data)
    if isinstance(data, list):
        return [_convert(x, device, whole, name) for x in data]
    if isinstance(data, dict):
        return {key: _convert(x, device, whole, str(key)) for key, x in data.items()}
    if is_device_array(data):
        data = _from_device(_checked(data, name))
    if isinstance(data, np.ndarray):
        # ml_dtypes are of kind V.
        is_numeric = data.dtype.kind in "biufc" or data.dtype.name == "bfloat16"
        return _place(_checked(data, name), device, whole, name) if is_numeric else data
    if hasattr(data, "__dlpack__"):
        if not isinstance(data, jax.Array):
            data = jax.numpy.from_dlpack(_checked(data, name))
        return data if device is None else _place(data, device, whole, name)
    return data


def _from_device(array: Any) -> Any:
    """A copy of an array of CuPy: of JAX on the same GPU, else of NumPy."""
    if array.__dlpack_device__()[0] == CUDA and jax.default_backend() != "gpu":
        return host_array(array)
    bits = array.view(np.int16) if is_bfloat16(array) else array
    # `from_dlpack` has a parameter `copy`, which does not always make one.
    copied: Any = jax.numpy.array(jax.numpy.from_dlpack(bits), copy=True)
    if bits is not array:
        copied = jax.lax.bitcast_convert_type(copied, jax.numpy.bfloat16)
    return copied.block_until_ready()


def _checked(array: Any, name: str) -> Any:
    """The array, unless JAX would cut off its int64 values."""
    is_long = str(array.dtype).rpartition(".")[2] in ("int64", "uint64")
    if not is_long or jax.dtypes.canonicalize_dtype(np.int64) == np.int64 or not len(array):
        return array
    lowest, highest = int(array.min()), int(array.max())
    if lowest < INT32.min or highest > INT32.max:
        raise InvalidInputError(
            f"{name}: expected int64 values that fit int32, because jax_enable_x64 is off; got "
            f'{lowest} to {highest}. Call jax.config.update("jax_enable_x64", True) first'
        )
    return array.astype(np.int32) if isinstance(array, np.ndarray) else array


def _place(array: Any, device: Any, whole: bool, name: str) -> Any:
    if not isinstance(device, Sharding) or isinstance(device, SingleDeviceSharding):
        return jax.device_put(array, device)
    if not isinstance(device, NamedSharding):
        raise InvalidInputError(
            "argument sharding: expected a jax.sharding.NamedSharding, whose spec says how the "
            f"examples are divided; got {type(device).__name__}"
        )
    spec = () if whole else tuple(device.spec)[: array.ndim]
    sharding: Any = NamedSharding(device.mesh, make_spec(*spec))
    shape = tuple(array.shape)
    if spec:
        n_processes = len({d.process_index for d in sharding.device_set})
        shape = (shape[0] * n_processes, *shape[1:])
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        raise InvalidInputError(
            f"{name}: expected a shape that {sharding.spec} can divide over a mesh of "
            f"{dict(device.mesh.shape)}; got {shape}. Choose a batch_size that is a multiple of "
            "the devices, and drop_last=True where a short last batch does not divide"
        ) from error
    return make_global_array(sharding, array, shape)


class _Taken:
    """State after the batch that an iteration delivered last."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state


class JaxDataset:
    """A data set of this library that delivers `jax.Array`.

    Parameters
    ----------
    dataset : data set, or function
        Any data set of this library, best one that makes NumPy or CuPy arrays (`BigWigDataset`,
        not `PytorchBigWigDataset`). A function is called as ``dataset(rank=jax.process_index(),
        world_size=jax.process_count())`` and returns one.
    sharding : jax.Device or jax.sharding.Sharding, optional
        Where batches go; see `to_jax`. With several processes, a sharding over all their devices
        makes each batch one global array, of which every process reads its own part.
    prefetch : int
        Batches put on the device ahead, in a background thread, besides those that the data set
        itself makes ahead; 0 for none and no thread.

    Attributes
    ----------
    dataset
        What makes the batches.

    Raises
    ------
    InvalidInputError
        If JAX runs in several processes and the data set makes another one's examples.
    LoaderError
        While iterating, for a batch that cannot be made or placed.

    Notes
    -----
    Iterations are epochs, as those of the data set. A state counts batches that were delivered
    here, not those made ahead, and is one of the data set: either loads the other's.
    """

    def __init__(
        self,
        dataset: Any,
        sharding: jax.Device | Sharding | None = None,
        prefetch: int = 1,
    ) -> None:
        self.dataset = dataset if hasattr(dataset, "__iter__") else _make(dataset)
        self._sharding = sharding
        self._prefetch = prefetch
        self._taken: _Taken | None = None
        _check_rank(self.dataset)

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Any]:
        """The next epoch, or the rest of a saved one."""
        source = iter(self.dataset)
        taken = self._taken = _Taken(self.dataset.state_dict())
        return self._deliver(source, taken)

    def _deliver(self, source: Iterator[Any], taken: _Taken) -> Iterator[Any]:
        for batch, taken.state in Prefetcher(self._made(source), self._prefetch, "bigwig-to-jax"):
            yield batch
        if self._taken is taken:
            self._taken = None

    def _made(self, source: Iterator[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
        first: dict[str, Any] = {}
        for n, batch in enumerate(source):
            first = first or self.dataset.state_dict()
            yield to_jax(batch, self._sharding), {**first, "batch": first["batch"] + n}

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return int(self.state_dict()["epoch"])

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.dataset.set_epoch(epoch)
        self._taken = None

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands: a small dictionary that JSON can hold."""
        return self.dataset.state_dict() if self._taken is None else dict(self._taken.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved."""
        self.dataset.load_state_dict(state)
        self._taken = None

    def stats(self) -> Any:
        """What making batches took; see the data set's own."""
        return self.dataset.stats()


def _make(factory: Callable[..., Any]) -> Any:
    if not callable(factory):
        raise InvalidInputError(
            "argument dataset: expected a data set or a function that makes one; "
            f"got {type(factory).__name__}"
        )
    return factory(rank=jax.process_index(), world_size=jax.process_count())


def _check_rank(dataset: Any) -> None:
    here = Shard(jax.process_index(), jax.process_count())
    theirs = getattr(dataset, "shard", here)
    if here.world_size > 1 and theirs != here:
        raise InvalidInputError(
            f"argument dataset: expected one of rank {here.rank} of {here.world_size}, which this "
            f"process is to JAX; got rank {theirs.rank} of {theirs.world_size}. Pass a function of "
            "rank and world_size that makes the data set"
        )
