"""Exact outputs of tangermeme 1.6, cherimoya 0.3.1 and bpnet-lite 1.1, case by case."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.io import PeakGenerator, extract_loci
from tests.helpers.shared import shared_peers

FOLDER = shared_peers("cherimoya")
ALL_LETTERS = list("QWERYUIOPSDFHJKLZXVBNM")
# Keywords that are not paths, among those whose values are lists of str.
NO_PATHS = ("chroms", "alphabet", "ignore")
# cherimoya's own defaults, where ours are those of its documentation.
DEFAULTS = {"max_jitter": 500, "negative_ratio": 0.25, "batch_size": 64}


def cases(kind: str, failing: bool) -> list[str]:
    """Names of the cases of a kind: x extract_loci, g PeakGenerator."""
    found = sorted(FOLDER.glob(f"{kind}*.json"))
    return [p.stem for p in found if ("error" in json.loads(p.read_text())) == failing]


def read_case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case, and its arguments."""
    case = json.loads((FOLDER / f"{name}.json").read_text())
    return case, {k: v if k in NO_PATHS else absolute(v) for k, v in case["kwargs"].items()}


def absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [absolute(v) for v in value]
    return str(FOLDER / value) if isinstance(value, str) else value


def assert_equal(got: torch.Tensor, expected: np.ndarray) -> None:
    assert got.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.filterwarnings("ignore:signal is 0 on contigs:UserWarning")
@pytest.mark.parametrize("name", cases("x", failing=False))
def test_extract_loci(name: str) -> None:
    _, arguments = read_case(name)
    found = extract_loci(**arguments)
    arrays = np.load(FOLDER / f"{name}.npz")
    names = [n for n in ("sequences", "signals", "controls", "kept_mask") if n in arrays]
    for got, key in zip(found if isinstance(found, list) else [found], names, strict=True):
        assert_equal(got, arrays[key])


def peak_generator(arguments: dict[str, Any]) -> Any:
    return PeakGenerator(**(DEFAULTS | arguments), rng="cherimoya-0.3")


@pytest.mark.filterwarnings("ignore:.*look like the two strands:UserWarning")
@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("name", cases("g", failing=False))
def test_peak_generator(name: str, in_memory: bool) -> None:
    case, arguments = read_case(name)
    outputs, arrays = case["outputs"], np.load(FOLDER / f"{name}.npz")
    loader = peak_generator(arguments | {"in_memory": in_memory})
    ours = {"len_dataset": len(loader.dataset)}
    ours |= {n: getattr(loader.dataset, n) for n in ("n_peaks", "n_negatives")}
    assert ours == {n: outputs[n] for n in ours}
    keys = [key for key in ("X", "X_ctl", "y", "label") if f"e0_{key}" in arrays]
    for epoch, sizes in enumerate(outputs["batch_sizes"]):
        batches = list(loader)
        assert [len(batch[0]) for batch in batches] == sizes
        for key, parts in zip(keys, zip(*batches, strict=True), strict=True):
            assert_equal(torch.cat(parts), arrays[f"e{epoch}_{key}"])


@pytest.mark.parametrize("name", cases("x", failing=True) + cases("g", failing=True))
def test_what_the_peers_refuse_is_refused(name: str) -> None:
    case, arguments = read_case(name)
    assert case["error"].startswith("ValueError")
    call = extract_loci if case["function"].endswith("extract_loci") else peak_generator
    with pytest.raises(InvalidInputError) as caught:
        call(**arguments) if call is extract_loci else call(arguments)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    if "None left" in case["error"] or "No loci remain" in case["error"]:
        assert "no loci remain after filtering" in message
        assert " because " in message
    if "chromosomes that are not in the sequences" in case["error"]:
        assert "chrZ" in message
    if "negative_ratio" in case["error"]:
        assert "negative_ratio" in message
    if "alphabet" in case["error"]:
        assert "alphabet" in message
        assert "chr2:2937-3065" in message


def test_missing_contigs_warn_once_not_once_a_locus() -> None:
    case, arguments = read_case("x19_missing_chrom_in_bigwig")
    assert len(case["warnings"]) == 3
    with pytest.warns(UserWarning, match=r"partial\.bw lacks chr10") as caught:
        extract_loci(**arguments)
    assert len(caught) == 1
    assert Path(caught[0].filename) == Path(__file__)


def test_bpnet_lite() -> None:
    """Its windows are ours; not so its epochs.

    They depend on what was drawn before, with a share of negatives that is itself random, jitter
    that never reaches the right end, and every track flipped whatever it is. It drops outliers by
    the sum over all tracks; of 16 loci none can be one.
    """
    case, arguments = read_case("b01_bpnetlite")
    arrays = np.load(FOLDER / "b01_bpnetlite.npz")
    for kind, loci, jitter in (
        ("peak", "peaks", arguments["max_jitter"]),
        ("negative", "negatives", 0),
    ):
        found = extract_loci(
            arguments[loci],
            arguments["sequences"],
            signals=arguments["signals"],
            in_signals=arguments["controls"],
            in_window=arguments["in_window"],
            out_window=arguments["out_window"],
            max_jitter=jitter,
            ignore=ALL_LETTERS,
        )
        for part, got in zip(("sequences", "signals", "controls"), found, strict=True):
            assert_equal(got, arrays[f"ds_{kind}_{part}"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # flat strands
        loader = peak_generator(arguments)
    outputs = case["outputs"]
    assert len(loader.dataset) == outputs["len_dataset"]
    assert [len(batch[0]) for batch in loader] == outputs["batch_sizes"][0]


def test_facts() -> None:
    """The peer's defects are absent: examples do not depend on which were asked for before."""
    facts = json.loads((FOLDER / "facts.json").read_text())
    assert facts["bare_index_not_pure"]["first_is_same"] is False
    assert facts["batch1_16workers_16peaks_epoch_stuck"] is True
    _, arguments = read_case("g01_plain")
    dataset = peak_generator(arguments).dataset
    first = [dataset[i] for i in (5, 3, 5)]
    assert dataset.epoch == 0
    for part, again in zip(first[0], first[2], strict=True):
        assert np.array_equal(part, again)
    assert not np.array_equal(first[0][0], dataset[(1, 5)][0])
    for part, again in zip(dataset[(0, 5)], first[0], strict=True):
        assert np.array_equal(part, again)


def test_epochs_go_on_whatever_the_batch_size() -> None:
    """The peer's epoch stands still where no index is smaller than the one before."""
    _, arguments = read_case("g06_peaks_only")
    loader = peak_generator(arguments | {"batch_size": 1})
    X = [torch.cat([batch[0] for batch in loader]) for _ in range(2)]
    arrays = np.load(FOLDER / "g06_peaks_only.npz")
    assert_equal(X[0], arrays["e0_X"])
    assert_equal(X[1], arrays["e1_X"])
    whole = peak_generator(arguments | {"batch_size": 10_000})
    assert [torch.equal(next(iter(whole))[0], x) for x in X] == [True, True]
