"""The examples of the folder's README run, and do what the text around them says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.sampling import Mixture, Sampler
from tests.helpers.samplers import check_pure
from tests.helpers.shared import REPOSITORY

README = REPOSITORY / "bigwig_loader" / "sampling" / "README.md"


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code of the README leaves behind."""
    for file in ("peaks.bed", "background.bed"):
        rows = [f"chr{c}\t{s}\t{s + 500}\n" for c in range(1, 11) for s in range(1000, 9000, 1000)]
        (tmp_path / file).write_text("".join(rows))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    return names


def test_mixture_by_epoch(names: dict[str, Any]) -> None:
    assert isinstance(names["mixed"], Mixture)
    for epoch, share in ((0, 0), (4, 0), (5, 1 / 4), (20, 1 / 2)):
        drawn = names["sampler"].draw(epoch, np.arange(6400))
        assert drawn.source.mean() == share
    assert abs(drawn.jitter).max() == 128


def test_a_sampler_of_ones_own(names: dict[str, Any]) -> None:
    sampler = names["EveryKilobase"](3)
    assert isinstance(sampler, Sampler)
    drawn = sampler.draw(0, np.arange(1000))
    assert (drawn.position // 1000).tolist() == list(range(1000))
    order = np.random.default_rng(0).permutation(50).tolist()
    check_pure(sampler, 1, list(range(50)), 0, order, other=names["EveryKilobase"](3))


def test_splits(names: dict[str, Any]) -> None:
    assert {name: len(part) for name, part in names["parts"].items()} == {
        "train": 64,
        "valid": 8,
        "test": 8,
    }
