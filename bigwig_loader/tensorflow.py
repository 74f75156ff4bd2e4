"""TensorFlow: batches as `tf.Tensor`, and data sets as `tf.data.Dataset`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch
from bigwig_loader.errors import InvalidInputError


def to_tensorflow(data: Any) -> Any:
    """NumPy arrays as `tf.Tensor` in host memory.

    Parameters
    ----------
    data : NumPy array, Batch, or a tuple, list or dict of arrays
        bfloat16 (that of `ml_dtypes`) becomes `tf.bfloat16`; arrays of str become `tf.string`.

    Returns
    -------
    tf.Tensor, or a tuple, list or dict of them
        A `Batch` becomes a dict of its fields that are not None, without `track_names`; so the
        same parts as an element of `as_tf_dataset` has.

    Notes
    -----
    Handed over by DLPack: an array that starts at a multiple of 64 bytes is not copied, and must
    not be written to any more.
    """
    if isinstance(data, Batch):
        return {name: to_tensorflow(x) for name, x in _fields(data).items()}
    if isinstance(data, dict):
        return {name: to_tensorflow(x) for name, x in data.items()}
    if isinstance(data, tuple):
        return tuple(to_tensorflow(x) for x in data)
    if isinstance(data, list) and not all(isinstance(x, str) for x in data):
        return [to_tensorflow(x) for x in data]
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biufcV" or not data.size:
        return tf.convert_to_tensor(data)
    if data.dtype.name == "bfloat16":
        # DLPack of NumPy does not know this type, but the same bits as integers.
        return tf.bitcast(_by_dlpack(data.view(np.int16)), tf.bfloat16)
    return _by_dlpack(data)


def _by_dlpack(array: Any) -> Any:
    if not array.flags.writeable:
        return tf.convert_to_tensor(array)  # NumPy exports no memory that is read-only
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def as_tf_dataset(dataset: Any, output_signature: Any = None) -> tf.data.Dataset:
    """A data set of this library as a `tf.data.Dataset`; each iteration is an epoch.

    Parameters
    ----------
    dataset : data set
        Any of this library that makes NumPy arrays (`BigWigDataset`, not `PytorchBigWigDataset`).
        Its ranks, seed and saved states are used as elsewhere.
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
    The data set already reads ahead, so ``prefetch`` is of use only in front of a GPU. What
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
    return _fields(batch) if isinstance(batch, Batch) else batch


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
