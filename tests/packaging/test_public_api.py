"""The public surface, written out: a name or a default that changes, changes here too."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from math import nan
from typing import Any

import pytest

import bigwig_loader
from bigwig_loader import errors
from bigwig_loader.assemble.batch import Batch
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.config import config
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.download_example_data import download_example_data, make_example_data

REQUIRED = object()

NAMES = {
    "bigwig_loader": {
        *("BigWig", "Genome", "__version__"),
        *("BackendUnavailableError", "BigWigLoaderError", "InvalidDataError"),
        *("InvalidInputError", "LoaderError", "NotFoundError"),
        # Personal genomes: the names that GenVarLoader has, and those of its first generation.
        *("BigWigs", "Dataset", "DatasetWithSites", "Ragged", "Table", "concat", "update", "write"),
        *("get_splice_bed", "sites_vcf_to_table"),
        *("Fasta", "FastaVariants", "GVL", "Pgen", "Svar", "Vcf"),
        *("Saturation", "SitePairs"),
    },
    "bigwig_loader.collection": {"BigWigCollection"},
    "bigwig_loader.dataset": {"Batch", "BigWigDataset", "Sampler"},
    "bigwig_loader.pytorch": {"PytorchBigWigDataset"},
    "bigwig_loader.io": {
        *("PeakGenerator", "PeakNegativeSampler", "extract_loci", "extract_matching_loci"),
    },
    "bigwig_loader.config": {"config"},
    "bigwig_loader.download_example_data": {"download_example_data", "make_example_data"},
    "bigwig_loader.cli": {"main"},
}

DATASET = {
    "regions_of_interest": REQUIRED,
    "collection": REQUIRED,
    "reference_genome_path": None,
    "sequence_length": 1000,
    "center_bin_to_predict": None,
    "window_size": 1,
    "moving_average_window_size": 1,
    "batch_size": 256,
    "super_batch_size": None,
    "batches_per_epoch": None,
    "maximum_unknown_bases_fraction": 0.1,
    "sequence_encoder": "onehot",
    "file_extensions": (".bigWig", ".bw"),
    "crawl": True,
    "scale": None,
    "default_value": 0.0,
    "first_n_files": None,
    "position_sampler_buffer_size": 100000,
    "repeat_same_positions": False,
    "sub_sample_tracks": None,
    "n_threads": 4,
    "custom_position_sampler": None,
    "custom_track_sampler": None,
    "return_batch_objects": False,
    "dtype": "float32",
    "device": "auto",
    "seed": None,
    "shuffle": True,
    "drop_last": True,
    "prefetch": 2,
    "reverse_complement": False,
    "max_jitter": 0,
    "use_strand": False,
    "track_groups": None,
    "targets": None,
    "rank": None,
    "world_size": None,
    "uneven": "pad",
    "cache_bytes": 0,
    "variants": None,
    "samples": None,
}

SIGNATURES: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (bigwig_loader.BigWig, {"path": REQUIRED}),
    (
        bigwig_loader.BigWig.values,
        {
            "chrom": REQUIRED,
            "start": REQUIRED,
            "end": REQUIRED,
            "bin_size": 1,
            "statistic": "mean",
            "uncovered": nan,
            "out_of_bounds": nan,
        },
    ),
    (bigwig_loader.BigWig.intervals, {"chrom": REQUIRED, "start": 0, "end": None}),
    (bigwig_loader.Genome, {"path": REQUIRED, "contigs": None}),
    (
        BigWigCollection,
        {
            "bigwig_path": REQUIRED,
            "file_extensions": (".bigWig", ".bw"),
            "crawl": True,
            "scale": None,
            "first_n_files": None,
            "device": "auto",
            "n_threads": None,
            "memory_budget": None,
            "cache_bytes": 0,
        },
    ),
    (
        BigWigCollection.get_batch,
        {
            "chromosomes": REQUIRED,
            "start": REQUIRED,
            "end": REQUIRED,
            "window_size": 1,
            "default_value": 0.0,
            "dtype": "float32",
            "statistic": "mean",
            "tracks": None,
            "out": None,
        },
    ),
    (
        BigWigCollection.intervals,
        {
            "include_chromosomes": "all",
            "exclude_chromosomes": None,
            "blacklist": None,
            "blacklist_buffer": 0,
            "padding": 0,
            "merge": False,
            "threshold": None,
            "merge_allow_gap": 0,
        },
    ),
    (BigWigDataset, DATASET),
    (BigWigDataset.set_epoch, {"epoch": REQUIRED}),
    (BigWigDataset.set_rank, {"rank": REQUIRED, "world_size": REQUIRED}),
    (BigWigDataset.state_dict, {}),
    (BigWigDataset.stats, {}),
    (download_example_data, {"path": None}),
    (make_example_data, {"path": REQUIRED, "seed": 0, "contigs": None}),
]


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    found = inspect.signature(function).parameters.values()
    return {
        p.name: REQUIRED if p.default is p.empty else p.default for p in found if p.name != "self"
    }


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    if module in ("bigwig_loader", "bigwig_loader.pytorch", "bigwig_loader.io"):
        pytest.importorskip("torch")
    found = importlib.import_module(module)
    for name in NAMES[module]:
        assert hasattr(found, name), name
    if hasattr(found, "__all__"):
        assert NAMES[module] <= set(found.__all__)


def test_the_package_has_no_other_names() -> None:
    assert set(bigwig_loader.__all__) == NAMES["bigwig_loader"]


@pytest.mark.parametrize(
    ("function", "expected"), SIGNATURES, ids=lambda x: getattr(x, "__qualname__", "")
)
def test_signatures(function: Callable[..., Any], expected: dict[str, Any]) -> None:
    # By repr: nan is not equal to itself. In order: the names may be used as positions.
    assert list(map(repr, parameters(function).items())) == list(map(repr, expected.items()))


# What cherimoya 0.3 and tangermeme 1.6 document, in their order; what is ours comes after it.
PEAK_GENERATOR = {
    "peaks": REQUIRED,
    "negatives": REQUIRED,
    "sequences": REQUIRED,
    "signals": REQUIRED,
    "controls": None,
    "chroms": None,
    "in_window": 2114,
    "out_window": 1000,
    "max_jitter": 50,
    "negative_ratio": 0.1,
    "reverse_complement": True,
    "shuffle": True,
    "min_counts": None,
    "max_counts": None,
    "summits": False,
    "exclusion_lists": None,
    "random_state": None,
    "pin_memory": True,
    "num_workers": 1,
    "batch_size": 32,
    "verbose": False,
    "signal_groups": None,
    "control_groups": None,
}
PEAK_NEGATIVE_SAMPLER = {
    "peak_sequences": REQUIRED,
    "peak_signals": REQUIRED,
    "negative_sequences": REQUIRED,
    "negative_signals": REQUIRED,
    "peak_controls": None,
    "negative_controls": None,
    "negative_ratio": 0.1,
    "in_window": 2114,
    "out_window": 1000,
    "max_jitter": 0,
    "reverse_complement": False,
    "shuffle": True,
    "random_state": None,
    "signal_perm": None,
    "control_perm": None,
}
EXTRACT_LOCI = {
    "loci": REQUIRED,
    "sequences": REQUIRED,
    "signals": None,
    "in_signals": None,
    "chroms": None,
    "in_window": 2114,
    "out_window": 1000,
    "max_jitter": 0,
    "min_counts": None,
    "max_counts": None,
    "target_idx": 0,
    "n_loci": None,
    "summits": False,
    "alphabet": ("A", "C", "G", "T"),
    "ignore": ("N",),
    "exclusion_lists": None,
    "return_mask": False,
    "verbose": False,
}
EXTRACT_MATCHING_LOCI = {
    "loci": REQUIRED,
    "fasta": REQUIRED,
    "in_window": 2114,
    "out_window": 1000,
    "max_n_perc": 0.1,
    "gc_bin_width": 0.02,
    "bigwig": None,
    "signal_beta": 0.5,
    "chroms": None,
    "random_state": None,
    "n_jobs": 1,
    "verbose": False,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PeakGenerator", PEAK_GENERATOR),
        ("PeakNegativeSampler", PEAK_NEGATIVE_SAMPLER),
        ("extract_loci", EXTRACT_LOCI),
        ("extract_matching_loci", EXTRACT_MATCHING_LOCI),
    ],
)
def test_peak_arguments_are_those_of_the_peers(name: str, expected: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    function = getattr(importlib.import_module("bigwig_loader.io"), name)
    parameters = list(inspect.signature(function).parameters.values())[: len(expected)]
    found = {p.name: REQUIRED if p.default is p.empty else p.default for p in parameters}
    assert list(found.items()) == list(expected.items())


def test_torch_data_set_has_the_same_signature() -> None:
    pytest.importorskip("torch")
    from bigwig_loader.pytorch import PytorchBigWigDataset

    assert parameters(PytorchBigWigDataset) == DATASET
    for name in ("set_epoch", "state_dict", "load_state_dict", "stats", "__iter__", "__len__"):
        assert hasattr(PytorchBigWigDataset, name)


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (bigwig_loader.BigWig, ["header", "__enter__", "__exit__"]),
        (BigWigCollection, ["__len__"]),
        (BigWigDataset, ["__iter__", "load_state_dict"]),
    ],
)
def test_members(owner: type, names: list[str]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


def test_batch_fields() -> None:
    fields = list(inspect.signature(Batch).parameters)
    wanted = ["sequences", "values", "chromosomes", "starts", "ends", "track_indices"]
    assert set(wanted) | {"track_names"} <= set(fields)
    assert fields[:2] == ["sequences", "values"]


def test_settings() -> None:
    for name in ("example_data_dir", "bigwig_dir", "reference_genome"):
        assert hasattr(type(config), name)


def test_errors_are_a_closed_set() -> None:
    found = {
        cls: cls.__mro__[1:]
        for cls in vars(errors).values()
        if inspect.isclass(cls) and cls.__module__ == errors.__name__
    }
    base = errors.BigWigLoaderError
    also = {
        base: Exception,
        errors.InvalidInputError: ValueError,
        errors.InvalidDataError: ValueError,
        errors.NotFoundError: LookupError,
        # The peers raise ValueError for it.
        errors.UnknownContigError: ValueError,
        errors.BackendUnavailableError: RuntimeError,
        errors.LoaderError: RuntimeError,
    }
    assert set(found) == set(also)
    for cls, builtin in also.items():
        assert issubclass(cls, base)
        assert issubclass(cls, builtin)
