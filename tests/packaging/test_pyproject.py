"""pyproject.toml is valid as its readers see it, and one version is told everywhere."""

from __future__ import annotations

import tomllib
from importlib.metadata import version

import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from validate_pyproject_schema_store.schema import get_schema

import bigwig_loader
from tests.helpers.shared import REPOSITORY

PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PLAIN = {"numpy", "pandas", "deflate", "fsspec", "joblib", "typer", "rich"}
EXTRAS = {
    "torch",
    "cuda12",
    "cuda13",
    "jax",
    "remote",
    "variants",
    "tokens",
    "test",
    "bench",
    "docs",
}


@pytest.mark.parametrize("tool", ["mypy", "pytest", "ruff", "scikit-build"])
def test_tool_tables(tool: str) -> None:
    jsonschema.Draft7Validator(get_schema(tool)).validate(PYPROJECT["tool"][tool])


def test_one_version_everywhere() -> None:
    assert bigwig_loader.__version__ == PROJECT["version"]
    assert version("bigwig-loader") == PROJECT["version"]


def test_plain_dependencies_are_few_and_have_lower_bounds() -> None:
    found = [Requirement(text) for text in PROJECT["dependencies"]]
    assert {canonicalize_name(r.name) for r in found} == PLAIN | {"ml-dtypes"}
    for requirement in found:
        assert [s.operator for s in requirement.specifier] == [">="], str(requirement)


def test_extras() -> None:
    assert set(PROJECT["optional-dependencies"]) >= EXTRAS
    # The test extra runs on machines without a GPU and without CUDA's larger libraries.
    test = {
        canonicalize_name(Requirement(r).name) for r in PROJECT["optional-dependencies"]["test"]
    }
    assert {name for name in test if "cu1" in name} == {"nvidia-cuda-nvrtc-cu12"}


def test_licence_text_is_whole() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text
