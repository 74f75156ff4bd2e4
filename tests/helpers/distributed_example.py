"""Run an example on tiny data, in a process of its own or under torchrun.

python -m tests.helpers.distributed_example NAME DATA FOLDER [PARAMETER=INTEGER ...]
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bigwig_loader.example_cohort import ExampleCohort
from bigwig_loader.example_data import ExampleData, make_example_data
from tests.conftest import TINY_CONTIGS
from tests.helpers.shared import REPOSITORY


def main_of(name: str, data: ExampleData | ExampleCohort) -> Callable[..., Any]:
    """The `main` of an example, with tiny data in place of what it would make."""
    path = REPOSITORY / "examples" / f"{name}.py"
    # Not as a module of its name: no bytecode is to be written beside the examples.
    module = types.ModuleType(name)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    made = "make_example_data" if isinstance(data, ExampleData) else "make_example_cohort"
    module.__dict__[made] = lambda _folder: data
    main: Callable[..., Any] = module.main
    return main


if __name__ == "__main__":
    example, folder, out, *given = sys.argv[1:]
    made = make_example_data(Path(folder), seed=1, contigs=TINY_CONTIGS)
    options = {key: int(value) for key, _, value in (pair.partition("=") for pair in given)}
    sys.stdout.write(f"{main_of(example, made)(out, **options)}\n")
