"""The TensorFlow adapter; its tests are in `alone/tensorflow_suite.py`."""

from __future__ import annotations

import importlib.util

import pytest

from tests.helpers.alone import run_alone


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs tensorflow")
def test_suite() -> None:
    run_alone("tensorflow_suite")
