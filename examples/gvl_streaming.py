"""Personal genomes with no write step: GenVarLoader's first quick start, its import line changed.

    python examples/gvl_streaming.py [FOLDER]

Nothing is written: regions are read in buffers that fit the memory budget. Uses a small made
cohort.
"""

import sys

import numpy as np

import bigwig_loader as gvl
from bigwig_loader.example_cohort import make_example_cohort


def one_hot(batch):
    """The haplotypes (batch, length) S1 of a batch as (batch, 4, length)."""
    letters = np.array([b"A", b"C", b"G", b"T"])[:, None]
    batch["haplotypes"] = (batch["haplotypes"][:, None] == letters).astype(np.float32)
    return batch


def main(folder: str = "example_data", max_batches: int = 10) -> list[tuple[int, ...]]:
    cohort = make_example_cohort(folder)

    reference = gvl.Fasta(name="reference", path=cohort.data.reference_genome, pad="N")
    variants = gvl.Vcf(cohort.variants)  # or gvl.Pgen
    haplotypes = gvl.FastaVariants(name="haplotypes", reference=reference, variants=variants)
    signal = gvl.BigWigs("atac", cohort.bigwigs)

    loader = gvl.GVL(
        readers=[haplotypes, signal],
        bed=cohort.data.peaks,
        fixed_length=1000,
        batch_size=32,
        max_memory_gb=1,
        batch_dims=["sample", "ploid"],  # each haplotype of each person is an example
        shuffle=True,
        weights={"sample": np.array([2, 1, 1, 1])},  # the first person twice
        seed=0,
        transform=one_hot,
    )
    shapes = []
    for number, batch in enumerate(loader.torch_dataloader()):
        if number == max_batches:
            break
        shapes.append(tuple(batch["haplotypes"].shape))
        print(f"batch {number}: {shapes[-1]}, signal {tuple(batch['atac'].shape)}")
    print(f"{loader.n_instances:,} haplotypes an epoch, {len(loader):,} batches")
    return shapes


if __name__ == "__main__":
    main(*sys.argv[1:])
