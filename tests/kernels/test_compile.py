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

# Of these a device sees nothing: its decoder is another one (inflate_lanes.cuh).
HOST_HEADERS = {"bit_reader.cuh", "inflate.cuh", "inflate_entries.cuh", "inflate_tables.cuh"}

# What the CUDA backend asks for by name, and how many registers a thread of it may take on any
# architecture: what it took when this was written, and up to eight more for other compilers.
ENTRIES = {
    "describe.cu": {
        "bwl_place_blocks": 40,
        "bwl_describe_blocks": 80,
        "bwl_first_failure": 48,
    },
    "haplotype.cu": {
        **dict.fromkeys((f"bwl_haplotype_one_hot_{n}" for n in (4, 2, 1)), 88),
        **dict.fromkeys((f"bwl_haplotype_{n}" for n in (8, 4, 2, 1)), 88),
    },
    "inflate.cu": {"bwl_inflate_blocks": 112, "bwl_check_adler": 48},
    "nvcomp.cu": {"bwl_align_streams": 72, "bwl_nvcomp_outcomes": 40},
    "overlap.cu": {"bwl_count_overlaps": 48, "bwl_write_overlaps": 48},
    "rasterize.cu": {
        "bwl_link_rows": 48,
        "bwl_rasterize_bases": 72,
        "bwl_rasterize_sums": 88,
        "bwl_rasterize_extremes": 88,
        "bwl_rasterize_spreads": 88,
    },
    "realign.cu": {"bwl_realign_bases": 128},
    "sequence.cu": {
        **dict.fromkeys((f"bwl_one_hot_{n}" for n in (4, 2, 1)), 56),
        "bwl_count_bases": 48,
    },
    "smooth.cu": {"bwl_smooth_bins": 56},
    "value_bins.cu": {
        **dict.fromkeys((f"bwl_value_bins_{s}" for s in ("mean", "sum", "max", "min")), 72),
        "bwl_value_bins_std": 80,
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
    return {path.name: path.read_text() for path in HEADERS if path.name not in HOST_HEADERS}


def test_every_source_is_listed() -> None:
    assert {path.name for path in SOURCES} == set(ENTRIES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_kernels_compile(
    compiler: Nvrtc | Nvcc, headers: dict[str, str], source: Path, architecture: str
) -> None:
    cubin, resources = compiler.compile_with_resources(source.read_text(), headers, architecture)
    assert entry_names(cubin) == set(ENTRIES[source.name]) == set(resources)
    local = {n: r for n, r in resources.items() if r.stack_bytes or r.spilled_bytes}
    assert not local, "kernels with local memory: registers spilled, or arrays indexed at run time"
    taken = {name: found.registers for name, found in resources.items()}
    assert {n: r for n, r in taken.items() if r > ENTRIES[source.name][n]} == {}


@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], ARCHITECTURES[-1]])
def test_headers_compile(
    compiler: Nvrtc | Nvcc, headers: dict[str, str], architecture: str
) -> None:
    # All of them in one program, so that two headers that define the same name are found too.
    source = "".join(f'#include "{name}"\n' for name in headers)
    source += 'extern "C" __global__ void nothing() {}\n'
    compiler.compile(source, headers, architecture)


@pytest.mark.parametrize(
    "header", [h for h in HEADERS if h.name not in HOST_HEADERS], ids=lambda path: path.name
)
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
