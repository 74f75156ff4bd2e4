"""One process of a JAX cluster on the CPU; writes what its devices hold of every batch.

python -m tests.helpers.distributed_jax FOLDER RANK N_PROCESSES N_DEVICES
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(folder: Path, rank: int, n_processes: int, n_devices: int) -> None:
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={n_devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    if n_processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address(folder, rank), n_processes, rank)

    from bigwig_loader.dataset import BigWigDataset
    from bigwig_loader.errors import InvalidInputError
    from bigwig_loader.jax import JaxDataset, to_jax

    def make(rank: int, world_size: int) -> BigWigDataset:
        return BigWigDataset(
            regions_of_interest=folder / "data" / "train.bed",
            collection=folder / "data" / "bigwig",
            reference_genome_path=folder / "data" / "genome.fa",
            sequence_length=128,
            center_bin_to_predict=64,
            window_size=2,
            batch_size=8,
            batches_per_epoch=3,
            return_batch_objects=True,
            n_threads=1,
            seed=5,
            rank=rank,
            world_size=world_size,
        )

    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    dataset = JaxDataset(make, sharding)
    add_up = jax.jit(lambda batch: batch.values.sum())
    batches = []
    for batch in dataset:
        shards = sorted(batch.starts.addressable_shards, key=lambda s: s.index[0].start or 0)
        batches.append(
            {
                "shape": list(batch.values.shape),
                "starts": [np.asarray(shard.data).tolist() for shard in shards],
                "tracks": np.asarray(batch.track_indices.addressable_data(0)).tolist(),
                "sum": float(add_up(batch)),
            }
        )
    try:
        to_jax({"values": np.ones((n_devices + 1, 2), np.float32)}, sharding)
        error = ""
    except InvalidInputError as refused:
        error = str(refused)
    found = {"batches": batches, "error": error}
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


def address(folder: Path, rank: int) -> str:
    """Where the first process listens: a free port that it chooses."""
    import socket

    place = folder / "port"
    if rank == 0:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            (folder / "port.new").write_text(str(free.getsockname()[1]))
        (folder / "port.new").rename(place)
    while not place.exists():
        time.sleep(0.01)
    return f"127.0.0.1:{place.read_text()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
