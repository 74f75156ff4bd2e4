"""A small convolutional model from sequence to binned signal."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Peaks of the example data reach some hundreds; outputs near 1 before scaling train faster.
_SIGNAL_SCALE = 30.0


class SignalModel(nn.Module):
    """Motif filters, pooling to bins, dilated convolutions across bins, one output per track.

    Parameters
    ----------
    n_tracks : int
    n_bins : int
        Bins of the output: the central ones of the window.
    bin_size_bp : int
    channels : int
    n_dilated : int
        Residual layers; dilations are 1, 2, 4, ... bins.
    """

    def __init__(
        self, n_tracks: int, n_bins: int, bin_size_bp: int, channels: int = 24, n_dilated: int = 5
    ) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.bin_size_bp = bin_size_bp
        self.motifs = nn.Conv1d(4, channels, kernel_size=11, padding=5)
        self.layers = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size=3, dilation=2**i, padding=2**i)
            for i in range(n_dilated)
        )
        self.tracks = nn.Conv1d(channels, n_tracks, kernel_size=1)
        if self.tracks.bias is not None:
            nn.init.constant_(self.tracks.bias, -1.5)  # most bins are background

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Predict signal.

        Parameters
        ----------
        sequences : (B, L, 4) float
            One-hot; L is a multiple of `bin_size_bp`.

        Returns
        -------
        (B, n_bins, n_tracks) float
            Mean signal per bp of every bin, at least 0.
        """
        x = self.motifs(sequences.transpose(1, 2))
        x = functional.relu(functional.max_pool1d(x, self.bin_size_bp))
        for layer in self.layers:
            x = x + functional.relu(layer(x))
        margin = (x.shape[-1] - self.n_bins) // 2
        x = self.tracks(x[..., margin : margin + self.n_bins])
        return _SIGNAL_SCALE * functional.softplus(x).transpose(1, 2)


def poisson_loss(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Poisson deviance per bin: 0 where the two are equal, and always comparable between data."""
    eps = 1e-6
    return (true * torch.log((true + eps) / (predicted + eps)) - true + predicted).mean()
