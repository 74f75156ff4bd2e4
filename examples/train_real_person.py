"""Train on a real person's haplotypes and the signal measured in that person.

    python examples/train_real_person.py FASTA VCF BIGWIG

The files are of one assembly; the BigWig is of the first sample of the VCF. Variants that are not
bi-allelic and atomic are split and decomposed on the way, as `bcftools norm -a -m-` does.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import bigwig_loader as gvl
from bigwig_loader.formats.variants.read import read_variants

LENGTH, BIN_BP = 512, 32


def tiles(variants: str) -> pd.DataFrame:
    """Regions side by side over the stretch of each contig that has variants."""
    table = read_variants(variants, samples=()).table
    rows = []
    for name, first, last in zip(
        table.contig_names, table.contig_offsets[:-1], table.contig_offsets[1:], strict=True
    ):
        if last > first:
            starts = np.arange(table.position[first], table.position[last - 1] - LENGTH, LENGTH)
            rows += [(name, start, start + LENGTH) for start in starts.tolist()]
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def main(reference: str, variants: str, bigwig: str, n_epochs: int = 5) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "person.gvl"
        person = gvl.Vcf(variants).samples[0]
        report = gvl.write(
            path,
            tiles(variants),
            variants,
            gvl.BigWigs("signal", {person: bigwig}),
            reference=reference,
            normalize="atomize",
        )
        print(report)
        dataset = gvl.Dataset.open(path, reference, length=LENGTH, encoding="onehot", layout="BPAL")
        print(dataset.explain(0, person))
        dataset = dataset.with_settings(bin_size=BIN_BP, statistic="mean")
        loader = dataset.to_dataloader(batch_size=8, shuffle=True, seed=0)
        model = torch.nn.Sequential(
            torch.nn.Conv1d(4, 32, 15, padding=7),
            torch.nn.ReLU(),
            torch.nn.AvgPool1d(BIN_BP),
            torch.nn.Conv1d(32, 1, 1),
            torch.nn.Softplus(),
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for epoch in range(n_epochs):
            for haplotypes, signal in loader:  # (8, 2, 4, 512), (8, 1, 2, 16)
                predicted = model(haplotypes.flatten(0, 1))
                wanted = signal.transpose(1, 2).flatten(0, 1)
                loss = torch.nn.functional.poisson_nll_loss(predicted, wanted, log_input=False)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            print(f"epoch {epoch}: {len(loader)} batches, loss {loss.item():.3f}")
        print(loader.stats())
        return loss.item()


if __name__ == "__main__":
    main(*sys.argv[1:])
