"""Base-resolution genomic signal and sequence, from BigWig and FASTA files to training batches.

The public names are resolved when first asked for, so that ``import bigwig_loader`` stays quick
and needs none of pandas, torch, cupy or jax.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bigwig_loader.bigwig import BigWig
    from bigwig_loader.dataset.prepared.concat import concat
    from bigwig_loader.dataset.prepared.mutagenesis import Saturation, SitePairs
    from bigwig_loader.dataset.prepared.site_table import sites_vcf_to_table
    from bigwig_loader.dataset.prepared.sites import DatasetWithSites
    from bigwig_loader.dataset.prepared.update import update
    from bigwig_loader.dataset.prepared.write import write
    from bigwig_loader.errors import (
        BackendUnavailableError,
        BigWigLoaderError,
        InvalidDataError,
        InvalidInputError,
        LoaderError,
        NotFoundError,
    )
    from bigwig_loader.formats.genome import Genome
    from bigwig_loader.formats.gtf import get_splice_bed
    from bigwig_loader.formats.variants.pgen import Pgen
    from bigwig_loader.formats.variants.svar import Svar
    from bigwig_loader.formats.variants.vcf import Vcf
    from bigwig_loader.personal import GVL, Dataset, Fasta, FastaVariants
    from bigwig_loader.ragged import Ragged
    from bigwig_loader.track_sources import BigWigs, Table

__version__ = "0.1.0"

_HOME = {
    "BackendUnavailableError": "bigwig_loader.errors",
    "BigWig": "bigwig_loader.bigwig",
    "BigWigLoaderError": "bigwig_loader.errors",
    "BigWigs": "bigwig_loader.track_sources",
    "Dataset": "bigwig_loader.personal",
    "DatasetWithSites": "bigwig_loader.dataset.prepared.sites",
    "Fasta": "bigwig_loader.personal",
    "FastaVariants": "bigwig_loader.personal",
    "GVL": "bigwig_loader.personal",
    "Genome": "bigwig_loader.formats.genome",
    "InvalidDataError": "bigwig_loader.errors",
    "InvalidInputError": "bigwig_loader.errors",
    "LoaderError": "bigwig_loader.errors",
    "NotFoundError": "bigwig_loader.errors",
    "Pgen": "bigwig_loader.formats.variants.pgen",
    "Ragged": "bigwig_loader.ragged",
    "Saturation": "bigwig_loader.dataset.prepared.mutagenesis",
    "SitePairs": "bigwig_loader.dataset.prepared.mutagenesis",
    "Svar": "bigwig_loader.formats.variants.svar",
    "Table": "bigwig_loader.track_sources",
    "Vcf": "bigwig_loader.formats.variants.vcf",
    "concat": "bigwig_loader.dataset.prepared.concat",
    "get_splice_bed": "bigwig_loader.formats.gtf",
    "sites_vcf_to_table": "bigwig_loader.dataset.prepared.site_table",
    "update": "bigwig_loader.dataset.prepared.update",
    "write": "bigwig_loader.dataset.prepared.write",
}

__all__ = [
    "GVL",
    "BackendUnavailableError",
    "BigWig",
    "BigWigLoaderError",
    "BigWigs",
    "Dataset",
    "DatasetWithSites",
    "Fasta",
    "FastaVariants",
    "Genome",
    "InvalidDataError",
    "InvalidInputError",
    "LoaderError",
    "NotFoundError",
    "Pgen",
    "Ragged",
    "Saturation",
    "SitePairs",
    "Svar",
    "Table",
    "Vcf",
    "__version__",
    "concat",
    "get_splice_bed",
    "sites_vcf_to_table",
    "update",
    "write",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
