"""Which positions and tracks an epoch is made of; pure in (seed, epoch, index), no device."""

from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.regions import Regions
from bigwig_loader.sampling.sampler import (
    ListedPositions,
    RandomPositions,
    RepeatedPositions,
    Sampler,
)

__all__ = [
    "ListedPositions",
    "Positions",
    "RandomPositions",
    "Regions",
    "RepeatedPositions",
    "Sampler",
]
