"""The JAX adapter; its tests are in `alone/jax_suite.py`."""

from __future__ import annotations

import importlib.util

import pytest

from tests.helpers.alone import run_alone


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_suite() -> None:
    run_alone("jax_suite")
