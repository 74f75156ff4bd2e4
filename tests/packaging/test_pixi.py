"""pixi.toml is valid, offers the tasks and environments it should, and agrees with pyproject.toml.

The schema is pixi's own, as the package validate-pyproject-schema-store carries it: that of the
``[tool.pixi]`` table, which differs from the one of ``pixi.toml`` at the top level only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from validate_pyproject_schema_store.schema import get_schema

from tests.helpers.shared import REPOSITORY

PIXI = tomllib.loads((REPOSITORY / "pixi.toml").read_text())
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SCHEMA = get_schema("pixi")

# conda's name -> the registry's
CONDA_NAMES = {"python-build": "build", "pytorch": "torch"}
# What only the conda side names: the interpreter and the compiler.
CONDA_ONLY = {"python", "cxx-compiler"}


def pixi_tables(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every (name, version) that a feature of pixi.toml asks for."""
    for key, value in tree.items():
        if key in ("dependencies", "pypi-dependencies"):
            for name, spec in value.items():
                version = spec if isinstance(spec, str) else spec.get("version", "")
                yield canonicalize_name(CONDA_NAMES.get(name, name)), version
        elif isinstance(value, dict) and key not in ("tasks", "environments"):
            yield from pixi_tables(value)


def requirements(texts: list[str]) -> dict[str, SpecifierSet]:
    parsed = [Requirement(text) for text in texts]
    return {canonicalize_name(r.name): r.specifier for r in parsed}


EXTRAS = {name: requirements(texts) for name, texts in PROJECT["optional-dependencies"].items()}
PLAIN = requirements(PROJECT["dependencies"])


def test_schema() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(PIXI)


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": {**PIXI["workspace"], "chanels": []}},
        {"environments": {"default": {"featuers": []}}},
        {"tasks": {"demo": {"comand": "true"}}},
        {"dependencies": {"numpy": 1.26}},
    ],
)
def test_the_schema_notices_mistakes(change: dict[str, Any]) -> None:
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid({**PIXI, **change})


def test_environments_and_tasks() -> None:
    environments = PIXI["environments"]
    assert set(environments) == {"default", "cuda12", "cuda13", "dev", "lint"}
    features = PIXI["feature"]
    for names in environments.values():
        assert set(names) <= set(features)
    tasks = {**PIXI["tasks"]}
    for feature in features.values():
        tasks |= feature.get("tasks", {})
    wanted = {"demo", "test", "test-gpu", "lint", "types", "bench", "kernels"}
    assert wanted | {"download-example-data"} <= set(tasks)


def test_tasks_find_what_they_depend_on() -> None:
    features = PIXI["feature"]
    for environment, names in PIXI["environments"].items():
        tasks = {**PIXI["tasks"]}
        for name in names:
            tasks |= features[name].get("tasks", {})
        for task, spec in tasks.items():
            for other in spec.get("depends-on", []):
                assert other in tasks, f"{environment}: {task} depends on {other}"


def test_versions_agree_with_pyproject() -> None:
    known = {**PLAIN}
    for extra in EXTRAS.values():
        known |= extra
    checked = 0
    for name, version in pixi_tables(PIXI):
        if name == "bigwig-loader" or name in CONDA_ONLY:
            continue
        assert name in known, f"{name} is in pixi.toml and not in pyproject.toml"
        assert SpecifierSet(version) == known[name], name
        checked += 1
    assert checked > 25


def test_every_plain_dependency_is_named() -> None:
    top = {key: PIXI[key] for key in ("dependencies", "pypi-dependencies")}
    assert set(PLAIN) <= {name for name, _ in pixi_tables(top)}


@pytest.mark.parametrize("extra", ["cuda12", "cuda13", "test", "demo", "bench"])
def test_features_hold_their_extras(extra: str) -> None:
    named = {name for name, _ in pixi_tables(PIXI["feature"][extra])}
    if extra == "test":  # split in two
        named |= {name for name, _ in pixi_tables(PIXI["feature"]["lint"])}
        named |= {name for name, _ in pixi_tables({"dependencies": PIXI["dependencies"]})}
    # What the test and the bench extra share stands in one feature; dev has both.
    shared = {
        name for feature in ("demo", "test") for name, _ in pixi_tables(PIXI["feature"][feature])
    }
    assert set(EXTRAS[extra]) <= named | (shared if extra in ("test", "bench") else set())


def test_python_and_cmake_agree() -> None:
    assert PIXI["dependencies"]["python"] == PROJECT["requires-python"]
    assert PIXI["dependencies"]["cmake"] == PYPROJECT["tool"]["scikit-build"]["cmake"]["version"]
    cmake = (REPOSITORY / "CMakeLists.txt").read_text()
    (least,) = re.findall(r"cmake_minimum_required\(VERSION ([\d.]+?)\.\.\.", cmake)
    assert PIXI["dependencies"]["cmake"] == f">={least}"


def test_names_and_licence_agree() -> None:
    for key in ("name", "description", "license"):
        assert PIXI["workspace"][key] == PROJECT[key]
