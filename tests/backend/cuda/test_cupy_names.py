"""Every name of CuPy that the backend uses exists, in the real CuPy as in the fake one."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[3] / "bigwig_loader" / "backend" / "cuda"


def chain_of(node: ast.AST) -> str:
    """``"cupy.cuda.Event"`` for such an expression, else nothing."""
    if isinstance(node, ast.Name):
        return node.id if node.id == "cupy" else ""
    if isinstance(node, ast.Attribute):
        before = chain_of(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def used_names() -> dict[str, str]:
    """What is used, and a file that uses it."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            chain = chain_of(node)
            if "." in chain:
                found[chain] = path.name
    return found


def missing_names(cupy: ModuleType) -> list[str]:
    def exists(chain: str) -> bool:
        try:
            functools.reduce(getattr, chain.split(".")[1:], cupy)
        except AttributeError:
            return False
        return True

    return [f"{chain} ({path})" for chain, path in used_names().items() if not exists(chain)]


def test_what_is_used_is_found() -> None:
    assert {
        "cupy.cuda.Event",
        "cupy.cuda.runtime.memcpyAsync",
        "cupy.ndarray",
    } <= used_names().keys()


@pytest.mark.usefixtures("fake_cuda")
def test_names_of_the_fake() -> None:
    cupy = importlib.import_module("cupy")
    assert missing_names(cupy) == []


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="needs CuPy")
def test_names_of_cupy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # deprecated names count as missing
        assert missing_names(importlib.import_module("cupy")) == []
