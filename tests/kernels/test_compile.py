"""Every kernel and every header of cuda_kernels compiles for every architecture, without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.nvrtc import ARCHITECTURES, CompileError, Nvcc, Nvrtc, entry_names, find_compiler
from tests.helpers.shared import REPOSITORY

KERNELS = REPOSITORY / "cuda_kernels"
SOURCES = sorted(KERNELS.glob("*.cu"))
HEADERS = sorted(KERNELS.glob("*.cuh"))

# What the CUDA backend asks for by name.
ENTRIES = {
    "haplotype.cu": {
        *("bwl_haplotype_one_hot_4", "bwl_haplotype_one_hot_2", "bwl_haplotype_one_hot_1"),
        *("bwl_haplotype_8", "bwl_haplotype_4", "bwl_haplotype_2", "bwl_haplotype_1"),
        "bwl_measure_haplotypes",
    },
    "inflate.cu": {"bwl_inflate_streams"},
    "realign.cu": {"bwl_realign_bases"},
    "sequence.cu": {"bwl_one_hot_4", "bwl_one_hot_2", "bwl_one_hot_1", "bwl_count_bases"},
    "signal.cu": {
        *("bwl_parse_items", "bwl_bins_mean", "bwl_bins_sum", "bwl_bins_max", "bwl_bins_min"),
        *("bwl_bins_std", "bwl_bins_coverage"),
    },
    "value_bins.cu": {
        *("bwl_value_bins_mean", "bwl_value_bins_sum", "bwl_value_bins_max"),
        *("bwl_value_bins_min", "bwl_value_bins_std"),
    },
}


@pytest.fixture(scope="module")
def compiler() -> Nvrtc | Nvcc:
    found = find_compiler()
    if found is None:
        pytest.skip("needs NVRTC (pip install nvidia-cuda-nvrtc-cu12) or nvcc; neither is here")
    return found


@pytest.fixture(scope="module")
def headers() -> dict[str, str]:
    return {path.name: path.read_text() for path in HEADERS}


def test_every_source_is_listed() -> None:
    assert {path.name for path in SOURCES} == set(ENTRIES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_kernels_compile(
    compiler: Nvrtc | Nvcc, headers: dict[str, str], source: Path, architecture: str
) -> None:
    cubin = compiler.compile(source.read_text(), headers, architecture)
    assert entry_names(cubin) == ENTRIES[source.name]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_headers_compile(
    compiler: Nvrtc | Nvcc, headers: dict[str, str], architecture: str
) -> None:
    # All of them in one program, so that two headers that define the same name are found too.
    source = "".join(f'#include "{name}"\n' for name in headers)
    source += 'extern "C" __global__ void nothing() {}\n'
    compiler.compile(source, headers, architecture)


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_each_header_stands_alone(
    compiler: Nvrtc | Nvcc, headers: dict[str, str], header: Path
) -> None:
    source = f'#include "{header.name}"\nextern "C" __global__ void nothing() {{}}\n'
    assert entry_names(compiler.compile(source, headers, "sm_80")) == {"nothing"}


def test_a_mistake_is_noticed(compiler: Nvrtc | Nvcc) -> None:
    with pytest.raises(CompileError, match="nowhere"):
        compiler.compile("__global__ void broken() { nowhere(); }", {}, "sm_80")
    with pytest.raises(CompileError, match="never referenced"):
        compiler.compile("__global__ void warns() { int unused; }", {}, "sm_80")


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_headers_compile_on_the_host(tmp_path: Path, header: Path) -> None:
    source = tmp_path / "source.cpp"
    source.write_text(f'#include "{header}"\n')
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    command = ["c++", "-std=c++17", "-fsyntax-only", *warnings, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
