"""Region tokens beside gtars and geniml: ``python -m benchmarks.compare.tokens``.

Regions from arrays and from BED files, cells of AnnData files, ``.gtok`` files. The ids of both
libraries are compared before any time is looked at. Both run in one interpreter (``--peer-python``)
that has gtars, anndata and what this package needs.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.compare.measure import NotEqualError
from benchmarks.peers.region_tokens import OURS, PEER, PREPARE, TOKENIZE, TokenJob, measure
from benchmarks.record import Results, compare_with_peer, median
from benchmarks.token_data import KINDS, TokenData, TokenScale, make_token_data

FULL = TokenScale(
    (200_000, 1_000_000),
    (1_000_000, 10_000_000),
    ((500, 3_000), (10_000, 1_500)),
    100_000,
    20_000_000,
)
QUICK = TokenScale((50_000,), (100_000,), ((100, 1_000),), 20_000, 1_000_000)
TINY = TokenScale((200,), (500, 1_000), ((5, 20),), 100, 1_000)
_CALLS = 3
# Regions or tokens from which on a source is measured once.
_MANY = 5_000_000

Sources = dict[str, tuple[str, int]]


def sources_of(data: TokenData, scale: TokenScale, kind: str, first: bool) -> Sources:
    """What is tokenized against a universe, in the first round and in the later ones.

    With one wide region per contig the peer looks at nearly all regions of a contig for each
    query, so it gets the fewest queries there, once.
    """
    found: Sources = {}
    few = min(scale.queries)
    for n in scale.queries if kind == "flat" else (few,):
        calls = _CALLS if n < _MANY and kind == "flat" else 1
        if not first and calls == 1:
            continue
        found[f"arrays, {n:,} regions"] = (data.arrays(n), calls)
        for order in ("sorted", "shuffled") if n == few and kind == "flat" else ("sorted",):
            found[f"{order} BED, {n:,} regions"] = (data.bed(n, order), calls)
    return found


def compare(job: TokenJob, round_sources: list[Sources], python: str) -> list[dict[str, Any]]:
    """Both libraries, one process after the other in every round; a row for each source.

    Parameters
    ----------
    job : TokenJob
        Without library and sources.
    round_sources : list of Sources
        What is measured in each round, where there is something.
    python : str

    Raises
    ------
    NotEqualError
        If ids differ, between libraries or ways.
    """
    measured: dict[str, list[dict[str, Any]]] = {PEER: [], OURS: []}
    for sources in filter(None, round_sources):
        for library, runs in measured.items():
            runs.append(measure(replace(job, library=library, sources=sources), python))
    return [row_of(measured, name) for name in measured[PEER][0]["sources"]]


def row_of(measured: dict[str, list[dict[str, Any]]], source: str) -> dict[str, Any]:
    """One row of the results from what both libraries did in all rounds."""
    runs = {
        library: [each["sources"][source] for each in all_runs if source in each["sources"]]
        for library, all_runs in measured.items()
    }
    digests = {
        ways[way]["ids"]
        for each in runs.values()
        for ways in each
        for way in ways
        if way != PREPARE
    }
    if len(digests) != 1:
        raise NotEqualError(f"{source}: the ids differ")
    readers = {
        library: [{way: _times(found) for way, found in ways.items()} for ways in each]
        for library, each in runs.items()
    }
    return {
        "kind": "tokens",
        "source": source,
        "equal": True,
        "readers": readers,
        "open_s": {
            library: [each["open_s"] for each in all_] for library, all_ in measured.items()
        },
        "peak_bytes": {
            library: [each["peak_bytes"] for each in all_] for library, all_ in measured.items()
        },
        "versions": {library: all_[0]["versions"] for library, all_ in measured.items()},
        "ratios": ratios(readers[PEER], readers[OURS]),
    }


def _times(found: dict[str, Any]) -> dict[str, float]:
    return {key: found[key] for key in ("wall_s", "cpu_s")}


def ratios(theirs: list[Any], ours: list[Any]) -> dict[str, dict[str, float]]:
    """How many times as long the peer takes, by our ways: medians over the rounds.

    ``wall`` and ``cpu`` are those of the same step; ``wall_whole`` and ``cpu_whole`` also count
    what the peer needs first: objects that are made, a file that is read.
    """
    found: dict[str, dict[str, float]] = {}
    for way in (way for way in ours[0] if way != PREPARE):
        same = way if way in theirs[0] else TOKENIZE
        if same not in theirs[0]:
            continue
        found[way] = {}
        for unit in ("wall", "cpu"):
            key = f"{unit}_s"
            pairs = [(a[same][key], b[way][key], a) for a, b in zip(theirs, ours, strict=True)]
            found[way][unit] = median([a / b for a, b, _ in pairs])
            if PREPARE in theirs[0]:
                whole = [(a + before[PREPARE][key]) / b for a, b, before in pairs]
                found[way][f"{unit}_whole"] = median(whole)
    return found


def run(scale: TokenScale, folder: Path, results: Results, rounds: int, peer_python: str) -> None:
    """Make the data and measure."""
    data = make_token_data(folder, scale)
    for path in filter(Path.is_file, data.folder.iterdir()):
        path.read_bytes()  # so that nobody waits for a disk
    results.add({"kind": "data", "data": "tokens", **scale.__dict__})

    def add(about: dict[str, Any], job: TokenJob, round_sources: list[Sources]) -> None:
        for row in compare(job, round_sources, peer_python):
            results.add(about | row)
            print(line(about | row), flush=True)

    for n in scale.universes:
        for kind in KINDS:
            later = sources_of(data, scale, kind, first=False)
            rounds_of = [sources_of(data, scale, kind, first=True), *[later] * (rounds - 1)]
            job = TokenJob("", data.universe(n, kind), {})
            add({"universe": f"{n:,} {kind}"}, job, rounds_of)
    universe = min(scale.universes)
    job = TokenJob("", data.universe(universe, "flat"), {})
    for n_cells, per_cell in scale.cells:
        calls = _CALLS if n_cells * per_cell < _MANY else 1
        source = {
            f"AnnData, {n_cells:,} cells x {per_cell:,} features": (data.cells(n_cells), calls)
        }
        again = source if calls > 1 else {}
        add({"universe": f"{universe:,} flat"}, job, [source, *[again] * (rounds - 1)])
    with tempfile.TemporaryDirectory() as scratch:
        job = TokenJob("", "", {}, str(Path(scratch) / "tokens.gtok"))
        source = {f".gtok, {scale.n_tokens:,} tokens": (data.tokens(scale.n_tokens), _CALLS)}
        add({}, job, [source] * rounds)


def line(row: dict[str, Any]) -> str:
    """A row in words."""
    parts = [": ".join([*filter(None, [row.get("universe")]), row["source"]]) + ":"]
    for library, rounds in row["readers"].items():
        for way in rounds[0]:
            seconds = median([each[way]["wall_s"] for each in rounds])
            ratio = row["ratios"].get(way) if library == OURS else None
            text = f"{library} {way} {seconds:.3f} s"
            if ratio:
                text += f" ({ratio['wall']:.1f}x, {ratio['cpu']:.1f}x processor"
                text += f"; whole {ratio['wall_whole']:.1f}x)" if "wall_whole" in ratio else ")"
            parts.append(f"{text};")
    return " ".join(parts).rstrip(";")


if __name__ == "__main__":
    compare_with_peer(
        "tokens",
        "Compare region tokens with those of gtars and geniml on made data.",
        "100,000 regions, 100 cells",
        lambda quick, folder, results, rounds, python: run(
            QUICK if quick else FULL, folder, results, rounds, python
        ),
    )
