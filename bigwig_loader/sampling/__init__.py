"""Which positions and tracks an epoch is made of; pure in (seed, epoch, index), no device."""

from bigwig_loader.sampling.augment import Augmented
from bigwig_loader.sampling.groups import GroupedRegions
from bigwig_loader.sampling.leaks import check_leaks
from bigwig_loader.sampling.mixture import Mixture
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.region_samplers import ShuffledRegions, WeightedRegions
from bigwig_loader.sampling.regions import Regions
from bigwig_loader.sampling.sampler import (
    ListedPositions,
    RandomPositions,
    RepeatedPositions,
    Sampler,
    SequentialRegions,
)
from bigwig_loader.sampling.splits import Splits

__all__ = [
    "Augmented",
    "GroupedRegions",
    "ListedPositions",
    "Mixture",
    "Positions",
    "RandomPositions",
    "Regions",
    "RepeatedPositions",
    "Sampler",
    "SequentialRegions",
    "ShuffledRegions",
    "Splits",
    "WeightedRegions",
    "check_leaks",
]
