"""The devices that tokenizers are tried on."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["cpu", "fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The CPU, an emulated GPU, and a real one where there is one."""
    if request.param == "fake":
        request.getfixturevalue("fake_cuda")
        return "cuda:1"
    return str(request.param)
