"""What reading signal means: one suite, put to every backend."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.helpers.made_bigwigs import file_sets, requests
from tests.helpers.signal import OpenFiles, to_numpy, verifying
from tests.oracles import signal as oracle
from tests.oracles.signal import Request


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the backend; "cuda" is skipped without a GPU (conftest) or without the backend."""
    if request.param == "cuda" and importlib.util.find_spec("bigwig_loader.backend.cuda") is None:
        if os.environ.get("BIGWIG_LOADER_REQUIRE_GPU") == "1":
            pytest.fail("BIGWIG_LOADER_REQUIRE_GPU=1, and this version has no CUDA backend")
        pytest.skip("this version has no CUDA backend")
    return str(request.param)


# Cases are small as they are, and making them smaller takes minutes.
AS_FOUND = (Phase.explicit, Phase.generate)

Case = tuple[list[bytes], Request]


@st.composite
def cases(draw: st.DrawFn, legal: bool | None = None) -> Case:
    genome, data = draw(file_sets(legal))
    contigs = sorted({name for one in data for name in oracle.parse(one).contigs})
    return data, draw(requests(genome, contigs, len(data)))


def opened(data: list[bytes], folder: str, backend: str) -> OpenFiles:
    paths = [Path(folder) / f"{i}.bw" for i in range(len(data))]
    for path, content in zip(paths, data, strict=True):
        path.write_bytes(content)
    return OpenFiles(paths, backend)


def expected(data: list[bytes], request: Request) -> np.ndarray:
    return oracle.signal([oracle.parse(one) for one in data], request)


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


class TestAgainstOracle:
    @pytest.fixture(autouse=True)
    def _device(self, backend: str) -> None:
        self.backend = backend

    @settings(max_examples=300, phases=AS_FOUND)
    @given(cases())
    def test_any_file_any_request(self, case: Case) -> None:
        data, request = case
        want = expected(data, request)
        with tempfile.TemporaryDirectory() as folder, opened(data, folder, self.backend) as files:
            # The first reading verifies whole blocks, the second may stop early.
            for _ in range(2):
                got = to_numpy(files.read(request))
                oracle.assert_equal(got, want, request)
