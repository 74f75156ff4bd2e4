"""gtars itself, where it is installed: the same tokens for universes and queries at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.tokens import Tokenizer

tokenizers = pytest.importorskip("gtars.tokenizers", reason="needs gtars, which is not installed")
models = pytest.importorskip("gtars.models")


@pytest.mark.parametrize("seed", range(12))
def test_random_universes(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n, length = int(rng.integers(1, 3_000)), int(rng.choice([500, 50_000, 10**7]))
    widths = (10, 400, length)[: 2 + seed % 2]
    start = rng.integers(0, length, n)
    end = start + rng.integers(1, rng.choice(widths, n) + 1)
    regions = list(dict.fromkeys(zip(rng.integers(1, 12, n), start, end, strict=True)))
    path = tmp_path / "universe.bed"
    path.write_text("".join(f"chr{c}\t{s}\t{e}\n" for c, s, e in regions))
    first = rng.integers(0, length, 2_000)
    last = first + rng.integers(0, 600, 2_000)
    queries = [(f"chr{c}", int(s), int(e)) for c, s, e in
               zip(rng.integers(1, 14, 2_000), first, last, strict=True)]  # fmt: skip
    asked = tmp_path / "queries.bed"
    asked.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in queries))
    ours, theirs = Tokenizer.from_bed(path), tokenizers.Tokenizer.from_bed(str(path))
    assert ours.get_vocab() == theirs.get_vocab()
    given = [models.Region(c, s, e, "") for c, s, e in queries]
    expected = theirs(given)["input_ids"]
    assert ours(queries).input_ids.tolist() == ours(given).input_ids.tolist() == expected
    assert ours(asked).input_ids.tolist() == theirs(str(asked))["input_ids"]
