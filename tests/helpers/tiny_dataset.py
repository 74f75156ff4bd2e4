"""Parameters of a small `BigWigDataset` on the tiny example data."""

from __future__ import annotations

from typing import Any

from bigwig_loader.example_data import ExampleData


def tiny_options(data: ExampleData, n_batches: int) -> dict[str, Any]:
    """Batches of 4 examples of 128 bp with 32 bins, as objects."""
    return {
        "regions_of_interest": data.train_regions,
        "collection": data.bigwig_dir,
        "reference_genome_path": data.reference_genome,
        "sequence_length": 128,
        "center_bin_to_predict": 64,
        "window_size": 2,
        "batch_size": 4,
        "batches_per_epoch": n_batches,
        "return_batch_objects": True,
        "n_threads": 1,
        "seed": 5,
    }
