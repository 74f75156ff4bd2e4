"""Peaks and negatives in memory: the examples of cherimoya's sampler, and none of its defects."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader.errors import InvalidInputError  # noqa: E402
from bigwig_loader.io import PeakNegativeSampler  # noqa: E402
from tests.helpers.shared import shared_peers  # noqa: E402
from tests.oracles.peaks import cherimoya_epoch  # noqa: E402

W, V, J = 12, 8, 3


def arrays(n: int, margin: int, seed: int, controls: bool = True) -> list[Any]:
    """One-hot sequences, three tracks of signal and two of controls."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 4, (n, W + 2 * margin))
    x = (bases[:, None, :] == np.arange(4)[:, None]).astype(np.int8)
    y = rng.normal(size=(n, 3, V + 2 * margin)).astype(np.float32)
    c = rng.normal(size=(n, 2, W + 2 * margin)).astype(np.float32)
    return [torch.from_numpy(a) for a in ((x, y, c) if controls else (x, y))]


def make(n_peaks: int = 9, n_pool: int = 5, controls: bool = True, **options: Any) -> Any:
    usual: dict[str, Any] = {
        "negative_ratio": 0.5,
        "in_window": W,
        "out_window": V,
        "max_jitter": J,
        "reverse_complement": True,
        "random_state": 3,
        "signal_perm": torch.tensor([1, 0, 2]),
        "control_perm": [1, 0] if controls else None,
    }
    peaks = arrays(n_peaks, (usual | options)["max_jitter"], 0, controls)
    pool = arrays(n_pool, 0, 1, controls)
    more = {"peak_controls": peaks[2], "negative_controls": pool[2]} if controls else {}
    return PeakNegativeSampler(*peaks[:2], *pool[:2], **more, **(usual | options))


def as_lists(item: tuple[Any, ...]) -> list[Any]:
    return [part.tolist() if torch.is_tensor(part) else part for part in item]


@given(
    st.integers(1, 12),
    st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    st.sampled_from([0, 1, J]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**40),
    st.integers(0, 3),
)
def test_equals_the_rules(
    n: int, ratio: float, j: int, rc: bool, shuffle: bool, controls: bool, seed: int, epoch: int
) -> None:
    sampler = make(
        n,
        controls=controls,
        negative_ratio=ratio,
        max_jitter=j,
        reverse_complement=rc,
        shuffle=shuffle,
        random_state=seed,
    )
    plan = cherimoya_epoch(n, 5, ratio, j, rc, shuffle, seed, epoch)
    assert len(sampler) == len(plan["label"])
    kinds = {True: arrays(n, j, 0), False: arrays(5, 0, 1)}
    for i, (is_peak, source, jitter, flipped) in enumerate(zip(*plan.values(), strict=True)):
        x, y, c = (a[source].numpy() for a in kinds[bool(is_peak)])
        x, c, y = (a[:, jitter : jitter + w] for a, w in ((x, W), (c, W), (y, V)))
        if flipped:
            x, c, y = x[::-1, ::-1], c[[1, 0], ::-1], y[[1, 0, 2], ::-1]
        expected = [x, c, y] if controls else [x, y]
        item = sampler[(epoch, i)]
        assert as_lists(item) == [*(a.tolist() for a in expected), int(is_peak)]
        assert [p.dtype for p in item[:-1]] == [torch.int8, *[torch.float32] * (len(item) - 2)]
        assert type(item[-1]) is int


def test_cases() -> None:
    folder = shared_peers("cherimoya")
    n_cases = 0
    for path in sorted(folder.glob("g*.json")):
        case = json.loads(path.read_text())
        if "error" in case:
            continue
        k, outputs, z = case["kwargs"], case["outputs"], np.load(folder / case["npz"])
        with_controls = "ds_peak_controls" in z
        parts = ("sequences", "signals", "controls")[: 2 + with_controls]
        given_arrays = {
            f"{kind}_{p}": z[f"ds_{kind}_{p}"] for kind in ("peak", "negative") for p in parts
        }
        sampler = PeakNegativeSampler(
            **given_arrays,
            negative_ratio=k.get("negative_ratio", 0.25),
            in_window=k.get("in_window", 2114),
            out_window=k.get("out_window", 1000),
            max_jitter=k.get("max_jitter", 500),
            reverse_complement=k.get("reverse_complement", True),
            shuffle=k.get("shuffle", True),
            random_state=k["random_state"],
            signal_perm=outputs["signal_perm"],
            control_perm=outputs["control_perm"],
        )
        assert len(sampler) == outputs["len_dataset"]
        keys = ["X", "X_ctl", "y", "label"] if with_controls else ["X", "y", "label"]
        for epoch in range(len(outputs["batch_sizes"])):
            sampler.set_epoch(epoch)
            whole = next(iter(DataLoader(sampler, batch_size=len(sampler))))
            for key, got in zip(keys, whole, strict=True):
                np.testing.assert_array_equal(got.numpy(), z[f"e{epoch}_{key}"], err_msg=path.name)
        n_cases += 1
    assert n_cases > 3


@pytest.mark.parametrize("rng", ["cherimoya-0.3", "philox"])
def test_examples_are_pure(rng: str) -> None:
    sampler = make(rng=rng)
    first = [as_lists(sampler[i]) for i in range(13)]
    for i in (5, 3, 5, 0, 12, 12, 1):
        assert as_lists(sampler[i]) == first[i]
        assert as_lists(sampler[i - 13]) == first[i]
        assert as_lists(sampler[(0, i)]) == first[i]
    assert sampler.epoch == 0
    second = [as_lists(sampler[(1, i)]) for i in range(13)]
    assert second != first
    assert [as_lists(item) for item in sampler] == first
    sampler.set_epoch(1)
    assert [as_lists(sampler[i]) for i in range(13)] == second
    copy = pickle.loads(pickle.dumps(sampler))
    assert [as_lists(copy[i]) for i in range(13)] == second
    labels = [item[-1] for item in first]
    assert labels.count(1) == 9
    for wrong in (13, -14, (0, 13)):
        with pytest.raises(IndexError, match="0 to 12"):
            sampler[wrong]
    with pytest.raises(InvalidInputError, match="argument epoch"):
        sampler[(-1, 0)]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_workers_that_live_on_see_the_epoch() -> None:
    """One example a batch, as many batches as workers could take: the peer's epoch stands still."""
    sampler, alone = make(), make()
    loader = DataLoader(
        sampler, 1, num_workers=2, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in (0, 1, 2):
        sampler.set_epoch(epoch)
        labels = [int(batch[-1]) for batch in loader]
        assert labels == [alone[(epoch, i)][-1] for i in range(13)]


def test_peaks_alone() -> None:
    x, y = arrays(4, 0, 0)[:2]
    none = (torch.zeros(0, 4, W), torch.zeros(0, 3, V))
    sampler = PeakNegativeSampler(x, y, *none, negative_ratio=0, in_window=W, out_window=V)
    assert len(sampler) == 4
    assert {sampler[i][-1] for i in range(4)} == {1}
    assert sampler.n_negatives == 0
    with pytest.raises(InvalidInputError, match=r"negative_ratio.*0\.1"):
        PeakNegativeSampler(x, y, *none, in_window=W, out_window=V)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_jitter": -1}, "max_jitter"),
        ({"negative_ratio": -0.5}, "negative_ratio"),
        ({"in_window": W + 1}, "peak_sequences"),
        ({"out_window": V + 1}, "peak_signals"),
        ({"signal_perm": [0, 1]}, "signal_perm"),
        ({"signal_perm": [0, 1, 1]}, "signal_perm"),
        ({"control_perm": [0, 1, 2]}, "control_perm"),
        ({"controls": False, "control_perm": [0, 1]}, "control_perm"),
        ({"rng": "numpy"}, "rng"),
        ({"random_state": -1, "rng": "philox"}, "2\\*\\*64"),
    ],
)
def test_bad_arguments(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        make(**change)
    assert isinstance(caught.value, ValueError)


def test_arrays_that_do_not_fit() -> None:
    x, y, c = arrays(4, 0, 0)
    negatives = arrays(3, 0, 1)
    sizes = {"in_window": W, "out_window": V}
    with pytest.raises(InvalidInputError, match="both or neither"):
        PeakNegativeSampler(x, y, *negatives[:2], peak_controls=c, **sizes)
    with pytest.raises(InvalidInputError, match="peak_signals"):
        PeakNegativeSampler(x, y[:3], *negatives[:2], **sizes)
    with pytest.raises(InvalidInputError, match="negative_sequences"):
        PeakNegativeSampler(x, y, negatives[0][:, :, 1:], negatives[1], **sizes)
