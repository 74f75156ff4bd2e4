"""Hashes of what decides which examples are drawn."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np

from bigwig_loader.sampling.digest import digest, function_name, sampler_fingerprint

PARTS = [1, 2, "1", 1.0, None, (1,), ("1",), np.array([1]), np.array([1.0]), np.array([[1]])]
SCRIPT = (
    "import numpy as np; from bigwig_loader.sampling.digest import digest; "
    "print(digest('a', 1, ('x', 2), np.arange(3)))"
)


def test_what_differs_has_another_hash() -> None:
    assert len({digest(part) for part in PARTS}) == len(PARTS)
    assert digest("a", "b") != digest("ab")
    assert digest() != digest(None)


def test_the_same_in_every_run_and_byte_order() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == digest("a", 1, ("x", 2), np.arange(3))
    assert digest(np.arange(3, dtype=">i8")) == digest(np.arange(3, dtype="<i8"))


def test_samplers_without_a_fingerprint_have_the_name_of_their_type() -> None:
    class Own:
        pass

    class Better(Own):
        def fingerprint(self) -> str:
            return "better"

    assert sampler_fingerprint(Own()).endswith("Own")
    assert sampler_fingerprint(Better()) == "better"


def test_functions_have_their_name_and_no_address() -> None:
    assert function_name(digest) == "bigwig_loader.sampling.digest.digest"
    assert function_name(functools.partial(digest, 1)) == function_name(digest)

    class Callable:
        def __call__(self, epoch: int) -> int:
            return epoch

    assert function_name(Callable()).endswith("Callable")
