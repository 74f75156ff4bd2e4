"""NumPy batches, without any deep-learning framework.

python examples/framework_agnostic.py [FOLDER]
"""

import sys

from bigwig_loader import BigWig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.download_example_data import make_example_data


def main(folder: str = "example_data") -> None:
    data = make_example_data(folder)

    # One file: values are float32, NaN where the file has no data.
    with BigWig(data.bigwigs[0]) as bigwig:
        chrom, length = next(iter(bigwig.contigs.items()))
        values = bigwig.values(chrom, 15_000, 16_000, bin_size=100, statistic="max")
        print(f"{data.bigwigs[0].name}: {chrom} has {length:,} bp; maxima {values}")

    # Many files: windows of all tracks in one call, (batch, bins, tracks).
    collection = BigWigCollection(data.bigwig_dir)
    batch = collection.get_batch(
        chromosomes=["chr1", "chr1", "chr2"],
        start=[15_000, 21_000, 12_000],
        end=[16_024, 22_024, 13_024],
        window_size=32,
    )
    print(f"{len(collection)} tracks {list(collection.track_names)}: batch {batch.shape}")

    # Sequence and signal at random positions of the regions, read ahead in background threads.
    dataset = BigWigDataset(
        regions_of_interest=data.train_regions,
        collection=collection,
        reference_genome_path=data.reference_genome,
        sequence_length=2048,
        center_bin_to_predict=1024,
        window_size=32,
        batch_size=16,
        batches_per_epoch=5,
        seed=0,  # the same seed gives the same batches, whatever the number of threads
    )
    for sequences, values in dataset:
        print(f"sequences {sequences.shape} {sequences.dtype}, values {values.shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])
