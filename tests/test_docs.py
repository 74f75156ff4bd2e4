"""The examples in docstrings and in the README run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from bigwig_loader.example_cohort import make_example_cohort
from bigwig_loader.example_data import ExampleData, make_example_data
from bigwig_loader.tokens.example import make_example_regions
from tests.helpers.shared import REPOSITORY

PACKAGE = REPOSITORY / "bigwig_loader"
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE)
)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> ExampleData:
    return make_example_data(tmp_path_factory.mktemp("docs"))


def test_there_are_examples() -> None:
    assert "bigwig_loader.collection" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstrings(name: str, example: ExampleData) -> None:
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, extraglobs={"example": example})
    assert outcome.attempted > 0
    assert outcome.failed == 0


def python_blocks(path: Path) -> list[str]:
    """The python code blocks of a Markdown file."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


# The made genome is so full of peaks that not every one has a match.
@pytest.mark.filterwarnings("ignore:extract_matching_loci:UserWarning")
def test_readme(example: ExampleData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("cyvcf2")
    pytest.importorskip("h5py")
    cohort = make_example_cohort(example.directory)
    regions = make_example_regions(example.directory)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "bigwig_dir": example.bigwig_dir,
        "bigwig_file": example.bigwigs[0],
        "bigwig_files": list(example.bigwigs),
        "peaks": example.peaks,
        "reference_genome": example.reference_genome,
        "vcf": cohort.variants,
        "bigwig_of_person": cohort.bigwigs,
        "universe": regions.universe,
        "h5ad": regions.cells,
        "bed_files": sorted(regions.beds.glob("*.bed")),
    }
    blocks = python_blocks(REPOSITORY / "README.md")
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    batch, chosen = names["batch"], names["regions"]
    assert tuple(names["X"].shape[1:]) == (4, 2114)
    assert tuple(names["y"].shape[1:]) == (len(example.bigwigs), 1000)
    assert names["why"]["kept"].any()
    assert tuple(batch.sequences.shape) == (32, 2000, 4)
    assert tuple(batch.values.shape) == (32, 1000, len(example.bigwigs))
    assert len(chosen) > 0
    assert tuple(names["haplotypes"].shape[1:]) == (2, 2048, 4)
    assert tuple(names["tracks"].shape[1:]) == (1, 2, 2048)
    assert names["cells"].input_ids.shape == names["cells"].attention_mask.shape
    assert (names["masked"]["labels"] != -100).any()
