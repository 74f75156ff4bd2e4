"""`import bigwig_loader` is light: counted in modules, so that a busy machine fails no test."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("cupy", "jax", "kvikio", "matplotlib", "nvidia", "pandas", "torch")
# The package's own modules; with the standard library's that they need, some 20 in all.
MOST_NEW_MODULES = 60


def new_modules(statement: str) -> list[str]:
    """Modules that a statement brings into a fresh interpreter."""
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    modules: list[str] = json.loads(done.stdout)
    return modules


def test_import_is_light_and_silent() -> None:
    modules = new_modules("import bigwig_loader")
    assert "bigwig_loader" in modules
    assert not {name.partition(".")[0] for name in modules} & {*HEAVY, "numpy"}
    assert len(modules) <= MOST_NEW_MODULES, modules


@pytest.mark.parametrize(
    "statement",
    [
        "from bigwig_loader import BigWig, Genome",
        "from bigwig_loader.collection import BigWigCollection",
        "from bigwig_loader.dataset import BigWigDataset",
        "from bigwig_loader.tokens import Documents, TokenBatch, Tokenizer, Universe",
        "import bigwig_loader.cli",
        "import bigwig_loader.config, bigwig_loader.download_example_data",
    ],
)
def test_doors_open_without_the_heavy_ones(statement: str) -> None:
    modules = new_modules(statement)
    assert not {name.partition(".")[0] for name in modules} & set(HEAVY)


def test_names_resolve_when_asked() -> None:
    modules = new_modules(
        "import bigwig_loader\n"
        "assert bigwig_loader.InvalidDataError.__name__ == 'InvalidDataError'\n"
        "assert set(bigwig_loader.__all__) <= set(dir(bigwig_loader))\n"
        "try: bigwig_loader.Nonsense\n"
        "except AttributeError: pass\n"
        "else: raise SystemExit('no error')"
    )
    assert "bigwig_loader.errors" in modules
