"""Tokenizing regions, ``.gtok`` files and cells in a process of its own, by one library.

``python -m benchmarks.peers.region_tokens JOB``, where JOB is a `TokenJob` as JSON, prints one JSON
line. It can be run by the interpreter of another environment, which needs the library in question,
NumPy, and for cells h5py and anndata. The parent compares the ids before it looks at times.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
PEER, OURS = "gtars", "bigwig_loader"
# Ways of the peer: what has to be there first (objects, a file that is read), and the work.
PREPARE, TOKENIZE = "prepare", "tokenize"
CONTIGS = 24  # chr1 to chr24

Work = Callable[[], Any]


@dataclass(frozen=True)
class TokenJob:
    """What one process does.

    Parameters
    ----------
    library : {"gtars", "bigwig_loader"}
    universe : str
        BED; empty for sources that need none.
    sources : dict of str to (str, int)
        Path and number of calls, of which the quickest counts, by name. The end of the path says
        what is done: ``.npz`` has arrays of regions, ``.bed`` regions, ``.h5ad`` cells that are
        tokenized; ``.npy`` has tokens that are written to a ``.gtok`` file and read again.
    output : str
        That file.
    """

    library: str
    universe: str
    sources: dict[str, tuple[str, int]]
    output: str = ""


def measure(job: TokenJob, python: str = sys.executable) -> dict[str, Any]:
    """Run a job in a process of its own.

    Returns
    -------
    dict
        ``sources``: by name of the source and then of the way, ``wall_s`` and ``cpu_s`` of the
        quickest call, and ``ids``, a digest of what came out; ``open_s`` (of the universe),
        ``peak_bytes``, ``versions``.
    """
    done = subprocess.run(
        [python, "-m", "benchmarks.peers.region_tokens", json.dumps(asdict(job))],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{', '.join(job.sources)} by {job.library} failed: {done.stderr[-2000:]}"
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(job: TokenJob) -> dict[str, Any]:
    """Do it, here."""
    began = time.perf_counter()
    tokenizer = _open(job) if job.universe else None
    opened = time.perf_counter() - began
    makers = {".npz": _arrays, ".bed": _path, ".h5ad": _cells, ".npy": _gtok}
    measured = {}
    for name, (path, n_calls) in job.sources.items():
        ways = makers[Path(path).suffix](job, tokenizer, path)
        measured[name] = {way: _time(work, n_calls) for way, work in ways.items()}
        del ways
    return {
        "sources": measured,
        "open_s": opened,
        "peak_bytes": _peak_bytes(),
        "versions": _versions(job.library),
    }


def _time(work: Work, n_calls: int) -> dict[str, Any]:
    wall, cpu = [], []
    for _ in range(n_calls):
        began, cpu_began = time.perf_counter(), time.process_time()
        found = work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
    measured: dict[str, Any] = {"wall_s": min(wall), "cpu_s": min(cpu)}
    if found is not None:
        measured["ids"] = _digest(*found) if isinstance(found, tuple) else _digest(found)
    return measured


def _digest(ids: Any, offsets: Any = None) -> str:
    """Of what came out: ids, or a list of those of each document."""
    if offsets is None and len(ids) and not np.isscalar(ids[0]):
        offsets = np.concatenate([[0], np.cumsum([len(document) for document in ids])])
        ids = np.concatenate([np.asarray(document, np.int64) for document in ids])
    digest = hashlib.sha256(np.asarray(ids, np.int64).tobytes())
    if offsets is not None:
        digest.update(np.asarray(offsets, np.int64).tobytes())
    return digest.hexdigest()


def _open(job: TokenJob) -> Any:
    if job.library == PEER:
        from gtars.tokenizers import Tokenizer

        return Tokenizer(job.universe)
    from bigwig_loader.tokens import Tokenizer as OurTokenizer

    return OurTokenizer.from_bed(job.universe)


def _arrays(job: TokenJob, tokenizer: Any, source: str) -> dict[str, Work]:
    """From contigs as text, and starts and ends as NumPy arrays."""
    with np.load(source) as arrays:
        contig, start, end = arrays["contig"], arrays["start"], arrays["end"]
    names = np.array([f"chr{number + 1}" for number in range(CONTIGS)], object)
    texts = names[contig]
    if job.library == PEER:
        regions: list[Any] = []
        region = _region()

        def prepare() -> None:
            regions[:] = map(region, texts.tolist(), start.tolist(), end.tolist())

        return {PREPARE: prepare, TOKENIZE: lambda: tokenizer(regions)["input_ids"]}
    import pandas as pd

    text = {"chrom": texts, "start": start, "end": end}
    categories = {**text, "chrom": pd.Categorical.from_codes(contig, names)}
    return {
        "text": lambda: tokenizer(text).input_ids,
        "categories": lambda: tokenizer(categories).input_ids,
    }


def _region() -> Callable[..., Any]:
    """The peer's region of contig, start and end; newer versions want the rest of the line too."""
    from gtars.models import Region

    try:
        Region("chr1", 1, 2)
    except TypeError:
        return lambda contig, start, end: Region(contig, start, end, "")
    return Region


def _path(job: TokenJob, tokenizer: Any, source: str) -> dict[str, Work]:
    if job.library == PEER:
        return {TOKENIZE: lambda: tokenizer(source)["input_ids"]}
    return {"path": lambda: tokenizer(source).input_ids}


def _cells(job: TokenJob, tokenizer: Any, source: str) -> dict[str, Work]:
    """From a file, and from an object in memory where anndata is installed."""
    loaded: list[Any] = []

    def prepare() -> None:
        import anndata

        loaded[:] = [anndata.read_h5ad(source)]

    def ragged(cells: Any) -> tuple[Any, Any]:
        batch = tokenizer(cells)
        return batch.input_ids, batch.offsets

    if job.library == PEER:
        return {PREPARE: prepare, TOKENIZE: lambda: geniml_loop(loaded[0], tokenizer)}
    ways: dict[str, Work] = {"file": lambda: ragged(source)}
    if find_spec("anndata") is not None:
        ways |= {PREPARE: prepare, "object": lambda: ragged(loaded[0])}
    return ways


def geniml_loop(cells: Any, tokenizer: Any) -> list[Any]:
    """What geniml's ``tokenize_anndata`` does, which fails with gtars since 0.5.1.

    Its region objects there lack an argument; this passes it. Ids of each cell.
    """
    region = _region()
    columns = zip(cells.var["chr"], cells.var["start"], cells.var["end"], strict=True)
    features = np.empty(cells.n_vars, object)
    for number, (contig, start, end) in enumerate(columns):
        features[number] = region(contig, int(start), int(end))
    matrix, ids = cells.X, []
    for row in range(cells.n_obs):
        _, there = matrix[row].nonzero()
        ids.append(tokenizer(features[there])["input_ids"])
    return ids


def _gtok(job: TokenJob, tokenizer: Any, source: str) -> dict[str, Work]:
    """Writing a file, and reading it again."""
    del tokenizer
    tokens = np.load(source)
    if job.library == PEER:
        from gtars.utils import read_tokens_from_gtok, write_tokens_to_gtok

        listed = tokens.tolist()

        def write_list() -> Any:
            write_tokens_to_gtok(job.output, listed)
            return tokens

        return {"write": write_list, "read": lambda: read_tokens_from_gtok(job.output)}
    from bigwig_loader.formats.gtok import read_gtok, write_gtok

    def write() -> Any:
        write_gtok(job.output, tokens)
        return tokens

    def read() -> Any:
        """Every token is touched, which is when a mapped file is read."""
        found = read_gtok(job.output)
        found.max()
        return found

    def mapped() -> Any:
        found = np.memmap(job.output, "<u4", "r", offset=5)
        found.max()
        return found

    def copied() -> Any:
        return read_gtok(job.output).astype(np.int32)

    return {"write": write, "read": read, "numpy.memmap": mapped, "read as int32": copied}


def _peak_bytes() -> int | None:
    """Linux: VmHWM, which does not count the process that this one was forked from."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def _versions(library: str) -> dict[str, str]:
    versions = {"numpy": np.__version__, "python": sys.version.split()[0]}
    if library == PEER:
        versions[PEER] = version(PEER)
    if "anndata" in sys.modules:
        versions["anndata"] = version("anndata")
    return versions


if __name__ == "__main__":
    print(json.dumps(run(TokenJob(**json.loads(sys.argv[1])))))
