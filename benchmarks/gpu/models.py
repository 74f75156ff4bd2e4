"""Two models of the sizes that are trained on such data: after BPNet and after Borzoi.

They have the layers and widths that make a training step take as long as that of the published
ones, and are good for nothing else.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.gpu.sizes import TrainingSize

_HEAD_WIDTH = 192
_POOLED = 7  # halvings: 128 bp a position
_RAISED = 2  # doublings: 32 bp a position


def make_model(size: TrainingSize) -> nn.Module:
    """From one-hot sequence (B, L, 4) to logarithms of values (B, N, T)."""
    return (BpNet if size.model == "bpnet" else Borzoi)(size)


class BpNet(nn.Module):
    """Avsec et al. 2021: dilated convolutions over 2,114 bp, a profile of the middle 1,000 bp."""

    def __init__(self, size: TrainingSize) -> None:
        super().__init__()
        self.n_bins, width = size.predicted_bp // size.bin_size, size.width
        self.first = nn.Conv1d(4, width, 21, padding=10)
        self.dilated = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=2**i, dilation=2**i)
            for i in range(1, size.depth + 1)
        )
        self.profile = nn.Conv1d(width, size.tracks, 75, padding=37)

    def forward(self, sequence: Tensor) -> Tensor:
        """As `make_model` says."""
        x = functional.relu(self.first(sequence.transpose(1, 2)))
        for layer in self.dilated:
            x = x + functional.relu(layer(x))
        return _middle(self.profile(x), self.n_bins).transpose(1, 2)


class Borzoi(nn.Module):
    """Linder et al. 2025: 524,288 bp by convolutions to 4,096 positions, attention, 32-bp bins."""

    def __init__(self, size: TrainingSize) -> None:
        super().__init__()
        self.n_bins, width = size.predicted_bp // size.bin_size, size.width
        widths = [max(int(w) // 8 * 8, 8) for w in np.geomspace(width / 3, width, _POOLED)]
        self.first = nn.Conv1d(4, widths[0], 15, padding=7)
        self.tower = nn.ModuleList(_Conv(before, after, 5) for before, after in pairwise(widths))
        self.attention = nn.ModuleList(_Attention(widths[-1]) for _ in range(size.depth))
        beside = widths[-1 - _RAISED : -1][::-1]
        self.beside = nn.ModuleList(nn.Conv1d(n, widths[-1], 1) for n in beside)
        self.raised = nn.ModuleList(_Conv(widths[-1], widths[-1], 3) for _ in beside)
        self.head = nn.Conv1d(widths[-1], size.tracks, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        """As `make_model` says."""
        x = functional.max_pool1d(self.first(sequence.transpose(1, 2)), 2)
        levels = []
        for layer in self.tower:
            x = functional.max_pool1d(layer(x), 2)
            levels.append(x)
        for block in self.attention:
            x = block(x)
        for layer, convolution, level in zip(
            self.raised, self.beside, levels[-2 : -2 - _RAISED : -1], strict=True
        ):
            x = layer(functional.interpolate(x, scale_factor=2.0) + convolution(level))
        return _middle(self.head(x), self.n_bins).transpose(1, 2)


class _Conv(nn.Module):
    def __init__(self, before: int, after: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(before)
        self.convolution = nn.Conv1d(before, after, width, padding=width // 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.convolution(functional.gelu(self.norm(x)))
        return made


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_heads = max(width // _HEAD_WIDTH, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.inner, self.outer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(1, 2)
        batch, length, width = y.shape
        parts = self.inner(self.norms[0](y)).view(batch, length, 3, self.n_heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(q, k, v)
        y = y + self.outer(found.transpose(1, 2).reshape(batch, length, width))
        made: Tensor = y + self.dense(self.norms[1](y))
        return made.transpose(1, 2)


def _middle(x: Tensor, n: int) -> Tensor:
    margin = (x.shape[-1] - n) // 2
    return x[..., margin : margin + n]


class Trainer:
    """A model and what a step of training it does.

    Parameters
    ----------
    size : TrainingSize
    device : torch.device
    """

    def __init__(self, size: TrainingSize, device: torch.device) -> None:
        self.device = device
        self.model = make_model(size).to(device)
        fused = True if device.type == "cuda" else None
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=fused)

    @property
    def n_parameters(self) -> int:
        """Numbers that are learned."""
        return sum(p.numel() for p in self.model.parameters())

    def step(self, sequences: Tensor, values: Tensor) -> Tensor:
        """Forward, backward, update; the loss."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            predicted = self.model(sequences)
        loss = functional.poisson_nll_loss(predicted.float().clamp(max=20), values.float())
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()
