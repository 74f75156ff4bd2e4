"""Data sets: batches for a training loop."""

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.bigwig import BigWigDataset
from bigwig_loader.sampling.sampler import Sampler

__all__ = ["Batch", "BigWigDataset", "Sampler"]
