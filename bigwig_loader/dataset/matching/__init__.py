"""Background windows that match loci in GC, unknown bases and signal."""

from bigwig_loader.dataset.matching.extract import extract_matching_loci
from bigwig_loader.dataset.matching.report import MatchingReport

__all__ = ["MatchingReport", "extract_matching_loci"]
