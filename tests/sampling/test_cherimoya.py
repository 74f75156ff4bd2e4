"""The epochs of cherimoya 0.3, equal to what it drew and to its rules written out."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.cherimoya import MODULUS, CherimoyaPlan
from bigwig_loader.sampling.peaks import PeakExamples
from tests.helpers.shared import shared_peers
from tests.oracles.peaks import cherimoya_epoch


def as_lists(examples: PeakExamples, max_jitter: int) -> dict[str, list[int]]:
    """As the peer says it: jitter counts from the left end, and is 0 for negatives."""
    return {
        "label": examples.is_peak.tolist(),
        "source": examples.locus.tolist(),
        "jitter": np.where(examples.is_peak, examples.jitter + max_jitter, 0).tolist(),
        "reverse": examples.reverse.tolist(),
    }


def test_cases() -> None:
    folder = shared_peers("cherimoya")
    n_epochs = 0
    for path in sorted(folder.glob("g*.json")):
        case = json.loads(path.read_text())
        if "error" in case:
            continue
        kwargs, outputs = case["kwargs"], case["outputs"]
        arrays = np.load(folder / case["npz"])
        max_jitter = kwargs.get("max_jitter", 500)
        plan = CherimoyaPlan(
            outputs["n_peaks"],
            outputs["n_negatives"],
            int(outputs["n_peaks"] * kwargs.get("negative_ratio", 0.25)),
            max_jitter,
            kwargs.get("reverse_complement", True),
            kwargs.get("shuffle", True),
            kwargs["random_state"],
        )
        assert plan.n_examples == outputs["len_dataset"]
        for epoch in range(len(outputs["batch_sizes"])):
            drawn = plan.draw(epoch, np.arange(plan.n_examples))
            assert as_lists(drawn, max_jitter) == {
                "label": arrays[f"e{epoch}_labels"].tolist(),
                "source": arrays[f"e{epoch}_source_idx"].tolist(),
                "jitter": arrays[f"e{epoch}_jitters"].tolist(),
                "reverse": arrays[f"e{epoch}_rc_flags"].tolist(),
            }, path.name
            ordering = drawn.locus[drawn.is_peak].tolist()
            assert ordering == arrays[f"e{epoch}_peak_ordering"].tolist()
            assert (drawn.jitter[~drawn.is_peak] == 0).all()
            n_epochs += 1
    assert n_epochs > 5


@given(
    st.integers(1, 30),
    st.integers(0, 9),
    st.floats(0, 3),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.integers(-(2**40), 2**64),
    st.integers(0, 2**32 - 1),
)
def test_any_epoch(
    n_peaks: int, n_pool: int, ratio: float, jitter: int, rc: bool, shuffle: bool, seed: int, e: int
) -> None:
    ratio = ratio if n_pool else 0
    plan = CherimoyaPlan(n_peaks, n_pool, int(n_peaks * ratio), jitter, rc, shuffle, seed)
    drawn = plan.draw(e, np.arange(plan.n_examples))
    expected = cherimoya_epoch(n_peaks, n_pool, ratio, jitter, rc, shuffle, seed, e)
    assert as_lists(drawn, jitter) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 13)), max_size=20))
def test_any_order(asked: list[tuple[int, int]]) -> None:
    plan, other = (CherimoyaPlan(10, 5, 4, 3, True, True, 7) for _ in range(2))
    for epoch, index in asked:
        one = plan.draw(epoch, np.array([index]))
        whole = other.draw(epoch, np.arange(14)).take(np.array([index]))
        assert as_lists(one, 3) == as_lists(whole, 3)


def test_state() -> None:
    plan = CherimoyaPlan(10, 5, 4, 3, True, True, MODULUS + 7)
    drawn = plan.draw(5, np.arange(14))
    copy = pickle.loads(pickle.dumps(plan))
    assert copy.fingerprint() == plan.fingerprint()
    assert as_lists(copy.draw(5, np.arange(14)), 3) == as_lists(drawn, 3)
    assert len(pickle.dumps(plan)) < 1000  # the epoch is drawn again on the other side
    fingerprints = {plan.fingerprint()}
    usual = [10, 5, 4, 3, True, True, 7]
    for i, value in enumerate([11, 6, 5, 4, False, False, 8]):
        fingerprints.add(CherimoyaPlan(*usual[:i], value, *usual[i + 1 :]).fingerprint())  # type: ignore[arg-type]
    assert len(fingerprints) == 7  # all but the seed, which a saved state has beside it
    for epoch in (-1, 2**32, 0.5):
        with pytest.raises(InvalidInputError, match="argument epoch"):
            plan.draw(epoch, np.arange(3))  # type: ignore[arg-type]
