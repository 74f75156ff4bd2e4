"""TensorFlow: batches as `tf.Tensor`, and data sets as `tf.data.Dataset`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch
from bigwig_loader.assemble.device_arrays import CUDA, host_array, is_bfloat16, is_device_array
from bigwig_loader.errors import InvalidInputError

# What TensorFlow wants memory to start at a multiple of.
ALIGN_BYTES = 64


def to_tensorflow(data: Any) -> Any:
    """NumPy arrays as `tf.Tensor` in host memory, CuPy arrays on their GPU.

    Parameters
    ----------
    data : NumPy or CuPy array, Batch, or a tuple, list or dict of arrays
        bfloat16 (that of `ml_dtypes`; of CuPy, which lacks it, uint16) becomes `tf.bfloat16`;
        arrays of str become `tf.string`.

    Returns
    -------
    tf.Tensor, or a tuple, list or dict of them
        A `Batch` becomes a dict of its fields that are not None, without `track_names`; so the
        same parts as an element of `as_tf_dataset` has.

    Notes
    -----
    Handed over by DLPack: a NumPy array that starts at a multiple of 64 bytes is not copied, and
    must not be written to any more. A CuPy array is copied on its GPU, since TensorFlow does not
    say when it is done with memory of others; where TensorFlow has no GPU, or the array does not
    start at such a multiple, it comes by way of host memory.
    """
    if isinstance(data, Batch):
        return {name: to_tensorflow(x) for name, x in _fields(data).items()}
    if isinstance(data, dict):
        return {name: to_tensorflow(x) for name, x in data.items()}
    if isinstance(data, tuple):
        return tuple(to_tensorflow(x) for x in data)
    if isinstance(data, list) and not all(isinstance(x, str) for x in data):
        return [to_tensorflow(x) for x in data]
    if is_device_array(data):
        there = data.__dlpack_device__()[0] != CUDA or tf.config.list_physical_devices("GPU")
        if there and data.size and data.data.ptr % ALIGN_BYTES == 0:
            return _from_device(data)
        data = host_array(data)
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biufcV" or not data.size:
        return tf.convert_to_tensor(data)
    if data.dtype.name == "bfloat16":
        # DLPack of NumPy does not know this type, but the same bits as integers.
        return tf.bitcast(_by_dlpack(data.view(np.int16)), tf.bfloat16)
    return _by_dlpack(data)


def _from_device(array: Any) -> Any:
    bits = array.view(np.int16) if is_bfloat16(array) else array
    copied = tf.raw_ops.DeepCopy(x=tf.experimental.dlpack.from_dlpack(bits.__dlpack__()))
    # Looking at one value waits for all of them, after which the array may go.
    copied[(0,) * array.ndim].numpy()
    return copied if bits is array else tf.bitcast(copied, tf.bfloat16)


def _by_dlpack(array: Any) -> Any:
    # NumPy exports no memory that is read-only, and TensorFlow ends the process where it works on
    # memory that is not aligned.
    if not array.flags.writeable or array.ctypes.data % ALIGN_BYTES:
        return tf.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def as_tf_dataset(dataset: Any, output_signature: Any = None) -> tf.data.Dataset:
    """A data set of this library as a `tf.data.Dataset`; each iteration is an epoch.

    Parameters
    ----------
    dataset : data set
        Any of this library that makes NumPy or CuPy arrays (`BigWigDataset`, not
        `PytorchBigWigDataset`). Its ranks, seed and saved states are used as elsewhere.
    output_signature : nested structure of tf.TensorSpec, optional
        Of a batch. By default that of the current epoch's first batch, which is read once more
        for it, with any number of examples. Needed where positions come from a generator that
        can be walked through only once.

    Returns
    -------
    tf.data.Dataset
        Of what the data set delivers: a tensor, a tuple, or for `Batch` objects a dict of the
        fields that are not None (without `track_names`; `epoch` and `index` are scalars). bfloat16
        is `tf.bfloat16`. Its length is left unknown, since a resumed epoch is shorter.

    Notes
    -----
    `tf.data` works in host memory, so batches of a data set on a GPU are copied there; iterate over
    the data set itself and call `to_tensorflow` to keep them on the GPU. The data set
    already reads ahead, so ``prefetch`` is of use only in front of a GPU. What
    `tf.data` holds ready counts as delivered: without ``prefetch`` in the pipeline,
    ``dataset.state_dict()`` is exact after every step.
    """
    if output_signature is None:
        output_signature = tf.nest.map_structure(_spec, _first(dataset))

    def deliver() -> Iterator[Any]:
        for batch in dataset:
            yield _plain(batch)

    options = tf.data.Options()
    # Otherwise tf.data puts one in by itself, and saved states run ahead of the training loop.
    options.experimental_optimization.inject_prefetch = False
    made = tf.data.Dataset.from_generator(deliver, output_signature=output_signature)
    return made.with_options(options)


def _first(dataset: Any) -> Any:
    """The first batch of the present epoch, as it is delivered."""
    # A copy has a position of its own, so that of the data set stays.
    again = copy.copy(dataset)
    again.set_epoch(dataset.epoch)
    batches = iter(again)
    batch = _plain(next(batches))
    batches.close()
    return batch


def _plain(batch: Any) -> Any:
    """What `tf.data` can take of a batch: in host memory."""
    parts = _fields(batch) if isinstance(batch, Batch) else batch
    if isinstance(parts, dict):
        return {name: _on_host(part) for name, part in parts.items()}
    return tuple(map(_on_host, parts)) if isinstance(parts, tuple) else _on_host(parts)


def _on_host(part: Any) -> Any:
    return host_array(part) if is_device_array(part) else part


def _fields(batch: Batch) -> dict[str, Any]:
    """What TensorFlow can hold of a batch: no None, and no names that are the same every time."""
    fields = {name: getattr(batch, name) for name in (*ARRAY_FIELDS, "chromosomes")}
    for name in ("epoch", "index"):
        number = getattr(batch, name)
        fields[name] = None if number is None else np.array(number, np.int64)
    return {name: x for name, x in fields.items() if x is not None}


def _spec(array: Any) -> tf.TensorSpec:
    array = np.asarray(array)
    if array.dtype.kind == "O":
        raise InvalidInputError(
            "dataset: expected batches of arrays; got objects that TensorFlow has no type for"
        )
    shape = (None, *array.shape[1:]) if array.ndim else ()
    return tf.TensorSpec(shape, tf.string if array.dtype.kind == "U" else array.dtype)
