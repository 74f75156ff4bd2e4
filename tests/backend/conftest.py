"""The backends that the behaviour suites are put to."""

from __future__ import annotations

import pytest

from tests.helpers.on_backend import OnBackend


@pytest.fixture(params=["cpu", "fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def on(request: pytest.FixtureRequest) -> OnBackend:
    """The CPU, the CUDA backend on an emulated GPU, and on a real one where there is one."""
    if request.param == "fake":
        request.getfixturevalue("fake_cuda")
    return OnBackend(str(request.param))
