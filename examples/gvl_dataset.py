"""Personal genomes from a prepared data set: GenVarLoader's quick start, its import line changed.

    python examples/gvl_dataset.py [FOLDER]

Uses a small made cohort; put your own FASTA, VCF (or PGEN), regions and table of BigWigs in place.
"""

import sys
from pathlib import Path

import numpy as np

import bigwig_loader as gvl
from bigwig_loader.example_cohort import make_example_cohort


def transform(haplotypes, tracks):
    """Letters (batch, ploidy, length) S1 to (batch, ploidy, 4, length); tracks as they are."""
    onehot = haplotypes[..., None, :] == np.array([b"A", b"C", b"G", b"T"])[:, None]
    return onehot.astype(np.float32), np.log1p(tracks)


def main(folder: str = "example_data") -> list[tuple[int, ...]]:
    cohort = make_example_cohort(folder)
    reference, regions = cohort.data.reference_genome, cohort.data.peaks

    path = Path(folder) / "cohort.gvl"
    report = gvl.write(
        path=path,
        bed=regions,
        variants=cohort.variants,
        bigwigs=gvl.BigWigs.from_table("atac", cohort.track_table),  # columns sample and path
        length=2048,
        max_jitter=128,
        overwrite=True,
        reference=reference,  # ours: REF alleles are compared with it
    )
    print(report)

    dataset = gvl.Dataset.open(path, reference=reference)
    train = dataset.subset_to(regions=cohort.data.train_regions, samples=dataset.samples[:-1])
    held_out = dataset.subset_to(samples=dataset.samples[-1:])
    print(f"{train.shape} cells to train on, {held_out.shape} of a person not seen in training")

    # (ploidy, length) letters and (tracks, ploidy, length) values that follow them.
    haplotypes, tracks = dataset[9]  # the raveled cell
    haplotypes, tracks = dataset[0, 3]  # first region, fourth sample
    haplotypes, tracks = dataset[:10, "person1"]
    haplotypes, tracks = dataset.isel(regions=0, samples=1)
    haplotypes, tracks = dataset.sel(regions=dataset.get_bed()[0], samples="person2")
    print(f"haplotypes {haplotypes.shape} {haplotypes.dtype}, tracks {tracks.shape}")
    print(dataset.explain(0, "person2"))  # ours: what was applied, what not, and why

    train = train.with_settings(jitter=128, transform=transform, seed=1)
    shapes = []
    loader = train.to_dataloader(batch_size=32, shuffle=True, num_workers=1, seed=1)
    for onehot, values in loader:  # tensors
        shapes += [tuple(onehot.shape), tuple(values.shape)]
    print(f"{len(loader)} batches of {shapes[0]} and {shapes[1]}")

    # Ours: one-hot tensors made by the library itself, without a transform.
    fast = held_out.with_settings(encoding="onehot", dtype="bfloat16", layout="BPAL")
    onehot, values = next(iter(fast.to_dataloader(batch_size=8)))
    shapes.append(tuple(onehot.shape))

    # A track made of another one, stored beside it.
    dataset = dataset.write_transformed_track("log", "atac", log_of_track, overwrite=True)
    print(dataset.with_settings(return_sequences=False, return_tracks="log")[0, 0].max())
    return shapes


def log_of_track(dataset_indices, region_indices, sample_indices, tracks):
    """A Ragged of the same shape."""
    return gvl.Ragged.from_offsets(np.log1p(tracks.data), tracks.shape, tracks.offsets)


if __name__ == "__main__":
    main(*sys.argv[1:])
