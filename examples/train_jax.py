"""Train with JAX on all devices of this machine.

python examples/train_jax.py [FOLDER]
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.jax import JaxBatch, JaxDataset


def predict(parameters, sequences):
    """(batch, 2000, 4) one-hot sequence -> (batch, 100, n_tracks) signal in bins of 10 bp."""
    hidden = jax.lax.conv_general_dilated(
        sequences,
        parameters["filters"],
        window_strides=(1,),
        padding="SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    pooled = jax.nn.relu(hidden).reshape(len(sequences), 200, 10, -1).mean(axis=2)
    return jax.nn.softplus(pooled @ parameters["heads"])[:, 50:150]


def loss_fn(parameters, batch: JaxBatch):
    predicted = predict(parameters, batch.sequences)
    return (predicted - batch.values * jnp.log(predicted + 1e-8)).mean()


@jax.jit
def train_step(parameters, batch: JaxBatch):
    loss, gradients = jax.value_and_grad(loss_fn)(parameters, batch)
    return jax.tree.map(lambda p, g: p - 0.05 * g, parameters, gradients), loss


def main(folder: str = "example_data", batches_per_epoch: int = 20) -> float:
    data = make_example_data(folder)

    def make_dataset(rank: int, world_size: int) -> BigWigDataset:
        return BigWigDataset(
            regions_of_interest=data.train_regions,
            collection=data.bigwig_dir,
            reference_genome_path=data.reference_genome,
            sequence_length=2000,
            center_bin_to_predict=1000,
            window_size=10,
            batch_size=32,  # of all processes together
            batches_per_epoch=batches_per_epoch,
            return_batch_objects=True,
            seed=0,
            rank=rank,
            world_size=world_size,
        )

    # Each device gets a part of every batch; so does each process after jax.distributed.initialize.
    mesh = Mesh(np.array(jax.devices()), ("data",))
    dataset = JaxDataset(make_dataset, NamedSharding(mesh, PartitionSpec("data")))

    keys = jax.random.split(jax.random.key(0))
    parameters = {
        "filters": jax.random.normal(keys[0], (21, 4, 16)) * 0.1,
        "heads": jax.random.normal(keys[1], (16, len(data.bigwigs))) * 0.1,
    }
    for batch in dataset:
        parameters, loss = train_step(parameters, batch)
        print(f"batch {batch.index}: {batch.values.shape} values, loss {loss:.3f}")
    print(f"dataset.state_dict() resumes here: epoch {dataset.state_dict()['epoch']}")
    return float(loss)


if __name__ == "__main__":
    main(*sys.argv[1:])
