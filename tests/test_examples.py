"""Every example runs, on tiny data."""

from __future__ import annotations

import math
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigwig_loader.example_data import ExampleData, make_example_data
from tests.helpers.shared import REPOSITORY

EXAMPLES = {path.stem: path for path in sorted((REPOSITORY / "examples").glob("*.py"))}


def main_of(name: str, monkeypatch: pytest.MonkeyPatch, data: ExampleData) -> Callable[..., Any]:
    """The `main` of an example, with tiny data in place of what it would make."""
    # Not as a module of its name: no bytecode is to be written beside the examples.
    code = compile(EXAMPLES[name].read_text(), str(EXAMPLES[name]), "exec")
    module = types.ModuleType(name)
    exec(code, module.__dict__)
    monkeypatch.setattr(module, "make_example_data", lambda _folder: data)
    main: Callable[..., Any] = module.main
    return main


def test_all_examples_are_tested() -> None:
    assert set(EXAMPLES) == {"train_pytorch", "framework_agnostic", "make_regions"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_listed(name: str) -> None:
    assert len(EXAMPLES[name].read_text().splitlines()) <= 80
    assert f"`{name}.py`" in (REPOSITORY / "examples" / "README.md").read_text()


def test_train_pytorch(
    tiny_data: ExampleData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = main_of("train_pytorch", monkeypatch, tiny_data)(str(tmp_path), batches_per_epoch=3)
    assert math.isfinite(loss)


def test_framework_agnostic(
    tiny_data: ExampleData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main_of("framework_agnostic", monkeypatch, tiny_data)(str(tmp_path))
    shown = capsys.readouterr().out
    assert "batch (3, 32, 4)" in shown
    assert shown.count("sequences (16, 2048, 4) float32, values (16, 32, 4)") == 5


def test_make_regions(
    tiny_data: ExampleData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = main_of("make_regions", monkeypatch, tiny_data)(str(tmp_path))
    assert set(counts) == {"train", "validation", "test"}
    assert all(count > 0 for count in counts.values())
    for split, count in counts.items():
        rows = (tmp_path / f"regions_{split}.bed").read_text().splitlines()
        assert len(rows) == count


def test_examples_make_their_data(tmp_path: Path) -> None:
    # What the other tests replace: the folder is made, and kept by a second call.
    contigs = {"a": 12_000, "b": 12_000, "c": 12_000}
    first = make_example_data(tmp_path / "data", contigs=contigs)
    changed = first.reference_genome.stat().st_mtime_ns
    assert make_example_data(tmp_path / "data", contigs=contigs) == first
    assert first.reference_genome.stat().st_mtime_ns == changed
    shutil.rmtree(tmp_path / "data")
    assert make_example_data(tmp_path / "data", contigs=contigs) == first
