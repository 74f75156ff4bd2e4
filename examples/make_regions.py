"""Choose regions for training, validation and test from the signal itself, split by chromosome.

python examples/make_regions.py [FOLDER]
"""

import sys
from pathlib import Path

from bigwig_loader.collection import BigWigCollection
from bigwig_loader.download_example_data import make_example_data

# By chromosome, so that no part of what is tested on was seen in training.
SPLITS = {"train": ["chr1"], "validation": ["chr2"], "test": ["chr3"]}


def main(folder: str = "example_data", threshold: float = 10.0) -> dict[str, int]:
    data = make_example_data(folder)
    collection = BigWigCollection(data.bigwig_dir)
    counts = {}
    for split, chromosomes in SPLITS.items():
        # Where any track is above the threshold, with 500 bp on both sides; what then lies
        # within 100 bp of each other becomes one region.
        regions = collection.intervals(
            include_chromosomes=chromosomes,
            threshold=threshold,
            padding=500,
            merge=True,
            merge_allow_gap=100,
        )
        path = Path(folder) / f"regions_{split}.bed"
        regions[["chrom", "start", "end"]].to_csv(path, sep="\t", header=False, index=False)
        total_kb = (regions["end"] - regions["start"]).sum() / 1e3
        print(f"{path}: {len(regions)} regions, {total_kb:,.0f} kb")
        counts[split] = len(regions)
    return counts


if __name__ == "__main__":
    main(*sys.argv[1:])
