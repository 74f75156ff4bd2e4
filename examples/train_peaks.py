"""Train a small BPNet-style model on peaks and background regions.

    python examples/train_peaks.py [FOLDER]

Uses a small made data set. PeakGenerator takes the place of that of cherimoya or bpnet-lite.
"""

import sys
from pathlib import Path

import torch

from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.io import PeakGenerator, extract_matching_loci

IN_WINDOW, OUT_WINDOW = 2114, 1000
TRIM = (IN_WINDOW - OUT_WINDOW) // 2


class Model(torch.nn.Module):
    """(batch, 4, 2114) one-hot sequence -> profile logits (batch, tracks, 1000), log counts."""

    def __init__(self, n_tracks: int) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv1d(4, 16, 21, padding=10),
            torch.nn.ReLU(),
            torch.nn.Conv1d(16, 16, 3, padding=8, dilation=8),
            torch.nn.ReLU(),
        )
        self.profile = torch.nn.Conv1d(16, n_tracks, 75, padding=37)
        self.counts = torch.nn.Linear(16, n_tracks)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(x.float())
        return self.profile(x)[:, :, TRIM:-TRIM], self.counts(x.mean(dim=2))


def main(folder: str = "example_data", n_epochs: int = 2) -> float:
    data = make_example_data(folder)
    # Background regions with the GC content of the peaks, away from them.
    negatives = extract_matching_loci(
        str(data.peaks), str(data.reference_genome), IN_WINDOW, OUT_WINDOW, random_state=0
    )
    loader = PeakGenerator(
        peaks=data.peaks,
        negatives=negatives,
        sequences=data.reference_genome,
        # Each its own group; [[plus, minus]] would be the two strands of one experiment.
        signals=[str(path) for path in data.bigwigs],
        max_jitter=50,
        negative_ratio=0.25,
        summits=True,
        count_target="log1p",  # what the count head predicts
        random_state=0,
        num_workers=0,  # batches are made in a background thread
        batch_size=16,
    )
    print(loader.dataset.reasons["reason"].value_counts().to_string())
    model = Model(len(data.bigwigs))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(n_epochs):
        for step, (x, y, log_counts, is_peak) in enumerate(loader):
            profile, counts = model(x)
            loss = -(y * torch.log_softmax(profile, dim=2)).sum(dim=2).mean()
            loss = loss / y.sum(dim=2).mean().clamp(min=1)
            loss = loss + torch.nn.functional.mse_loss(counts, log_counts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_peaks = int(is_peak.sum())
            print(f"epoch {epoch} batch {step}: {n_peaks} peaks, loss {loss.item():.3f}")
    state = {"model": model.state_dict(), "loader": loader.state_dict()}
    torch.save(state, Path(folder) / "peaks.pt")
    return loss.item()


if __name__ == "__main__":
    main(*sys.argv[1:])
