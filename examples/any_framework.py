"""One data set for PyTorch, JAX and TensorFlow: batches stay on the GPU where they are made.

python examples/any_framework.py [FOLDER] [DEVICE] [FRAMEWORK ...]

DEVICE is auto, cpu, cuda or cuda:N; without FRAMEWORK, those that are installed.
"""

import importlib.util
import sys

from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.download_example_data import make_example_data


def with_torch(batch) -> float:
    """PyTorch shares the memory: of CuPy arrays on the GPU, of NumPy arrays on the CPU."""
    import torch

    values = torch.from_dlpack(batch.values)
    print(f"  torch: {tuple(values.shape)} {values.dtype} on {values.device}")
    return values.mean().item()


def with_jax(batch) -> float:
    """JAX: a whole batch is a pytree, which jitted functions take as it is."""
    import jax

    from bigwig_loader.jax import to_jax

    arrays = to_jax(batch)
    print(f"  jax: {arrays.values.shape} {arrays.values.dtype} on {arrays.values.device}")
    return float(jax.jit(lambda batch: batch.values.mean())(arrays))


def with_tensorflow(batch) -> float:
    """TensorFlow: a batch is a dictionary of tensors."""
    import tensorflow as tf

    from bigwig_loader.tensorflow import to_tensorflow

    values = to_tensorflow(batch)["values"]
    print(f"  tensorflow: {tuple(values.shape)} {values.dtype.name} on {values.device}")
    return float(tf.reduce_mean(values))


def main(folder: str = "example_data", device: str = "auto", *frameworks: str) -> list[float]:
    data = make_example_data(folder)
    dataset = BigWigDataset(
        regions_of_interest=data.train_regions,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=2048,
        center_bin_to_predict=1024,
        window_size=32,
        batch_size=16,
        batches_per_epoch=2,
        return_batch_objects=True,
        seed=0,
        device=device,  # "auto": the GPU where one can be used, and the CPU otherwise
    )
    print(f"batches are made by {dataset.backend.status}")

    uses = {"torch": with_torch, "jax": with_jax, "tensorflow": with_tensorflow}
    chosen = frameworks or [name for name in uses if importlib.util.find_spec(name)]
    means = []
    for batch in dataset:
        kind = f"{type(batch.values).__module__}.{type(batch.values).__name__}"
        print(f"batch {batch.index}: values are {kind}, starts {type(batch.starts).__module__}'s")
        means += [uses[name](batch) for name in chosen]
    return means


if __name__ == "__main__":
    main(*sys.argv[1:])
