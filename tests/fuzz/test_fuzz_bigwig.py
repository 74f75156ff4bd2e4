"""A short run of the fuzzer; README.md tells of the long ones."""

from __future__ import annotations

from tests.fuzz.fuzz_bigwig import run

CASES = 2_000


def test_two_thousand_damaged_files() -> None:
    findings: list[str] = []
    tally = run(seed=7, first=0, n_cases=CASES, log=findings.append)
    assert tally["FOUND"] == 0, "\n".join(findings)
    assert sum(tally.values()) == CASES
    # All kinds of ends occur, or the cases are not worth much.
    assert {"refused at opening", "values", "values and errors"} <= set(tally)
