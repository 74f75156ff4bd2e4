"""Every example runs, on tiny data."""

from __future__ import annotations

import importlib.util
import math
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from bigwig_loader.example_cohort import ExampleCohort, make_example_cohort
from bigwig_loader.example_data import ExampleData, make_example_data
from bigwig_loader.tokens import Tokenizer
from bigwig_loader.tokens.example import make_example_regions
from tests.helpers.alone import run_python
from tests.helpers.distributed_example import main_of
from tests.helpers.ranks import torchrun
from tests.helpers.shared import REPOSITORY, shared_data
from tests.test_docs import python_blocks

EXAMPLES = {path.stem: path for path in sorted((REPOSITORY / "examples").glob("*.py"))}


def test_all_examples_are_tested() -> None:
    tests = {name.removeprefix("test_") for name in globals()}
    assert set(EXAMPLES) <= tests


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_listed(name: str) -> None:
    assert len(EXAMPLES[name].read_text().splitlines()) <= 80
    assert f"`{name}.py`" in (REPOSITORY / "examples" / "README.md").read_text()


def run(name: str, data: ExampleData, out: Path, *given: str, n_ranks: int | None = None) -> str:
    """Run an example in a process of its own, or under torchrun; what it prints."""
    command = ("tests.helpers.distributed_example", name, data.directory, out, *given)
    done = run_python("-m", *command) if n_ranks is None else torchrun(n_ranks, *command)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


def test_train_pytorch(tiny_data: ExampleData, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    loss = main_of("train_pytorch", tiny_data)(str(tmp_path), batches_per_epoch=3)
    assert math.isfinite(loss)


# The tiny contigs have too few windows to match.
@pytest.mark.filterwarnings("ignore:extract_matching_loci:UserWarning")
def test_train_peaks(tiny_data: ExampleData, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    loss = main_of("train_peaks", tiny_data)(str(tmp_path), n_epochs=1)
    assert math.isfinite(loss)


@pytest.fixture(scope="module")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> ExampleCohort:
    pytest.importorskip("torch")
    pytest.importorskip("cyvcf2")
    contigs = {"chr1": 60_000, "chr2": 12_000, "chr3": 12_000}
    return make_example_cohort(tmp_path_factory.mktemp("cohort"), seed=1, contigs=contigs)


def test_gvl_dataset(tiny_cohort: ExampleCohort, tmp_path: Path) -> None:
    shapes = main_of("gvl_dataset", tiny_cohort)(str(tmp_path))
    n = len(tiny_cohort.samples)
    assert shapes[:2] == [(32, 2, 4, 2048), (32, 1, 2, 2048)]
    assert shapes[-1] == (min(8, n_peaks(tiny_cohort)), 2, 4, 2048)
    n_cells = sum(shape[0] for shape in shapes[:-1:2])
    assert 0 < n_cells <= n_peaks(tiny_cohort) * (n - 1)
    assert n_cells % (n - 1) == 0


def test_gvl_streaming(tiny_cohort: ExampleCohort, tmp_path: Path) -> None:
    shapes = main_of("gvl_streaming", tiny_cohort)(str(tmp_path), max_batches=3)
    assert shapes == [(32, 4, 1000)] * 3


def test_train_personal(
    tiny_cohort: ExampleCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = main_of("train_personal", tiny_cohort)(str(tmp_path), n_epochs=1)
    assert math.isfinite(loss)
    assert "1536 substitutions of one haplotype: (512, 4)" in capsys.readouterr().out


def test_coming_from_genvarloader(tiny_cohort: ExampleCohort, tmp_path: Path) -> None:
    names = {
        "out": tmp_path,
        "regions": tiny_cohort.data.peaks,
        "variants": tiny_cohort.variants,
        "bigwig_table": tiny_cohort.track_table,
        "reference": tiny_cohort.data.reference_genome,
    }
    page = REPOSITORY / "examples" / "COMING_FROM_GENVARLOADER.md"
    first, second = python_blocks(page)
    exec(compile(first, page.name, "exec"), names)
    assert names["haplotypes"].shape == (2, 2048)
    haplotypes, tracks = next(iter(names["loader"]))
    assert haplotypes.shape == (32, 2, 2048)
    assert tuple(tracks.shape) == (32, 1, 2, 2048)
    exec(compile(second, page.name, "exec"), names)
    assert names["batch"]["haplotypes"].shape[1:] == (2048,)
    assert f"{names['batch']['atac'].dtype}" == "torch.float32"


def test_coming_from_geniml(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("h5py", reason="needs h5py, which is not installed")
    data = make_example_regions(tmp_path, n_files=10, n_cells=6)
    names = {
        "out": tmp_path,
        "torch": torch,
        "universe": data.universe,
        "bed_files": sorted(data.beds.glob("*.bed")),
        "h5ad": data.cells,
    }
    page = REPOSITORY / "examples" / "COMING_FROM_GENIML.md"
    for block in python_blocks(page):
        exec(compile(block, page.name, "exec"), names)
    assert set(names["batch"]) == {"input_ids", "attention_mask", "labels"}
    assert len(names["batch"]["labels"]) == 2
    assert names["vectors"].shape == (6, 100)
    assert names["padded"].input_ids.shape == names["padded"].attention_mask.shape


def n_peaks(cohort: ExampleCohort) -> int:
    return len(cohort.data.peaks.read_text().splitlines())


# JAX and TensorFlow in processes of their own: see tests/alone.
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_train_jax(tiny_data: ExampleData, tmp_path: Path) -> None:
    shown = run("train_jax", tiny_data, tmp_path, "batches_per_epoch=3")
    assert shown.count("(32, 100, 4) values") == 3
    assert "resumes here: epoch 1" in shown
    assert math.isfinite(float(shown.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs tensorflow")
def test_train_tensorflow(tiny_data: ExampleData, tmp_path: Path) -> None:
    shown = run("train_tensorflow", tiny_data, tmp_path, "batches_per_epoch=3")
    assert shown.count("(32, 100, 4) values") == 3
    assert math.isfinite(float(shown.splitlines()[-1]))


# Lightning's own, with recent versions of PyTorch; and its advice for longer runs.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning")
def test_train_lightning(tiny_data: ExampleData, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning")
    main = main_of("train_lightning", tiny_data)
    assert math.isfinite(main(str(tmp_path), max_steps=7))
    assert (tmp_path / "lightning" / "last.ckpt").exists()
    # From step 5 of the 20 of an epoch.
    assert math.isfinite(main(str(tmp_path), max_steps=22))


@pytest.mark.slow
def test_train_ddp(tiny_data: ExampleData, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shown = run("train_ddp", tiny_data, tmp_path, "n_epochs=1", "batches_per_epoch=3", n_ranks=2)
    assert [line[:15] for line in shown.splitlines() if line.startswith("epoch")] == [
        f"epoch 0 batch {i}" for i in range(3)
    ]
    # Another number of processes goes on where the first run ended.
    shown = run("train_ddp", tiny_data, tmp_path, "n_epochs=2", "batches_per_epoch=3", n_ranks=1)
    assert [line[:15] for line in shown.splitlines() if line.startswith("epoch")] == [
        f"epoch 1 batch {i}" for i in range(3)
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None,
    reason="needs ray[train]",
)
def test_train_ray(tiny_data: ExampleData, tmp_path: Path) -> None:
    # Two workers share batches of 32.
    assert "'n_examples': 16" in run("train_ray", tiny_data, tmp_path, "batches_per_epoch=3")


def test_framework_agnostic(
    tiny_data: ExampleData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main_of("framework_agnostic", tiny_data)(str(tmp_path))
    shown = capsys.readouterr().out
    assert "batch (3, 32, 4)" in shown
    assert shown.count("sequences (16, 2048, 4) float32, values (16, 32, 4)") == 5


# With JAX and TensorFlow in their suites: see tests/alone.
@pytest.mark.parametrize(
    "fake_cuda", [{"mode": "late", "dlpack_as_cpu": True}], ids=["emulated"], indirect=True
)
def test_any_framework(
    fake_cuda: ModuleType,
    tiny_data: ExampleData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    main = main_of("any_framework", tiny_data)
    means = [main(str(tmp_path), device, "torch") for device in ("cpu", "cuda")]
    assert means[0] == means[1]
    assert len(means[0]) == 2
    shown = capsys.readouterr().out
    assert "values are numpy.ndarray" in shown
    assert "batches are made by cuda:0" in shown
    assert shown.count("torch: (16, 32, 4) torch.float32 on cpu") == 4


def test_train_region2vec(tiny_data: ExampleData, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    within, between = main_of("train_region2vec", tiny_data)(str(tmp_path), n_epochs=8)
    assert within > between + 0.2


def test_embed_cells(tiny_data: ExampleData, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("h5py", reason="needs h5py, which is not installed")
    data = make_example_regions(tmp_path)
    tokenizer = Tokenizer.from_bed(data.universe)
    # What a model would have learned: regions of a program have one direction.
    vectors = torch.rand(tokenizer.vocab_size, 4) * 0.1
    vectors[: len(data.program)] += torch.eye(4)[torch.from_numpy(data.program)]
    saved = {"vectors": vectors, "universe": "another"}
    torch.save(saved, tmp_path / "region2vec.pt")
    main = main_of("embed_cells", tiny_data)
    with pytest.raises(ValueError, match="trained on another universe"):
        main(str(tmp_path))
    torch.save(saved | {"universe": tokenizer.hash}, tmp_path / "region2vec.pt")
    assert main(str(tmp_path)) > 0.9
    assert torch.load(tmp_path / "cells.pt")["vectors"].shape == (200, 4)


def test_make_regions(tiny_data: ExampleData, tmp_path: Path) -> None:
    counts = main_of("make_regions", tiny_data)(str(tmp_path))
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


# Real genotypes of one person that were never phased.
@pytest.mark.filterwarnings("ignore:.*not phased:UserWarning")
def test_train_real_person(tiny_data: ExampleData) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("cyvcf2")
    folder = shared_data("sets", "na12878_q")
    files = [folder / name for name in ("q.fa", "q.vcf.gz", "na12878_q.bamCoverage_bs1.bw")]
    loss = main_of("train_real_person", tiny_data)(*map(str, files), n_epochs=1)
    assert math.isfinite(loss)
