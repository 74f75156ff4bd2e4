"""Train on personal genomes and their own signal, then ask the model what variants do.

    python examples/train_personal.py [FOLDER]

Uses a small made cohort, whose signal is lost where a variant breaks a motif.
"""

import sys
from pathlib import Path

import torch

import bigwig_loader as gvl
from bigwig_loader.dataset.prepared.mutagenesis import Saturation, SitePairs
from bigwig_loader.example_cohort import make_example_cohort

LENGTH = 512


class Model(torch.nn.Module):
    """(batch, 4, length) one-hot haplotypes -> (batch,) log of the mean signal."""

    def __init__(self) -> None:
        super().__init__()
        self.motifs = torch.nn.Conv1d(4, 32, 15, padding=7)
        self.head = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU())
        self.out = torch.nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.motifs(x.float())).amax(dim=2)
        return self.out(self.head(found))[:, 0]


def main(folder: str = "example_data", n_epochs: int = 2) -> float:
    cohort = make_example_cohort(folder)
    reference, path = cohort.data.reference_genome, Path(folder) / "train_personal.gvl"
    gvl.write(
        path,
        cohort.data.peaks,
        cohort.variants,
        gvl.BigWigs.from_table("atac", cohort.track_table),
        length=LENGTH,
        max_jitter=64,
        reference=reference,
        overwrite=True,
    )
    dataset = gvl.Dataset.open(path, reference, encoding="onehot", dtype="uint8", layout="BPAL")
    train = dataset.subset_to(cohort.data.train_regions).with_settings(jitter=64, seed=0)
    loader = train.to_dataloader(batch_size=64, shuffle=True, seed=0)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(n_epochs):
        for haplotypes, signal in loader:  # (64, 2, 4, 512), (64, 1, 2, 512)
            predicted = model(haplotypes.flatten(0, 1))
            # A track is the sum of both haplotypes, so they share its value.
            wanted = torch.log1p(signal[:, 0].mean(dim=-1).flatten())
            loss = torch.nn.functional.mse_loss(predicted, wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {len(loader)} batches, loss {loss.item():.3f}")

    with torch.inference_mode():
        # What variants of the VCF do to the reference: windows without and with each of them.
        pairs = SitePairs(reference, cohort.variants, LENGTH, dtype="uint8", layout="BPAL")
        plain, changed = (torch.from_numpy(x.copy()) for x in pairs[:500])
        effects = model(changed) - model(plain)
        # And every substitution of one haplotype.
        cell = Saturation.of_cell(dataset, 0, "person1", dtype="uint8", layout="BPAL")
        scores = torch.cat([model(torch.from_numpy(x)) for x in cell.batches(256)])
        matrix = cell.as_matrix(scores - model(torch.from_numpy(cell.reference[None])))
    print(f"{len(effects)} of {len(pairs)} variants, largest effect {effects.abs().max():.2f}")
    print(f"{len(scores)} substitutions of one haplotype: {matrix.shape}")
    return loss.item()


if __name__ == "__main__":
    main(*sys.argv[1:])
