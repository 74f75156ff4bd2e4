"""Writing and reading a data set of personal genomes in a process of its own, by one library.

``python -m benchmarks.peers.personal_genomes JOB``, where JOB is a `GenomeJob` as JSON, prints one
JSON line. It can be run by the interpreter of another environment, which needs the library in
question and NumPy. The parent compares what was read before it looks at times.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
TRACK = "signal"
PEER = "genvarloader"
_MIN_BATCHES = 4

Read = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class GenomeJob:
    """What one process does.

    Parameters
    ----------
    library : {"genvarloader", "bigwig_loader"}
    task : {"write", "read"}
    dataset, genome, variants, regions : str
        Paths; `dataset` is written or read.
    bigwigs : dict of str to str
        BigWig by sample, or none.
    max_mem : str
        Of `write`.
    output : {"bytes", "one_hot_planes", "one_hot_rows", "tracks", "realigned"}
        What is read: letters; one-hot float32 (B, P, 4, L) or (B, P, L, 4) as tensors; signal on
        the reference; sequence (one-hot planes) and signal on haplotypes.
    length_bp, n_regions, n_samples, batch : int
    threads : int
        Of torch, and of ours.
    checked : str
        Folder for arrays of the first batches.
    round_s : float
        A way is timed over so many seconds, and over four batches at least.
    """

    library: str
    task: str
    dataset: str
    genome: str
    variants: str
    regions: str
    bigwigs: dict[str, str] = field(default_factory=dict)
    max_mem: str = "1g"
    output: str = "bytes"
    length_bp: int = 0
    n_regions: int = 0
    n_samples: int = 0
    batch: int = 32
    threads: int = 2
    checked: str = ""
    round_s: float = 1.5


def measure(job: GenomeJob, python: str = sys.executable) -> dict[str, Any]:
    """Run a job in a process of its own."""
    command = [python, "-m", "benchmarks.peers.personal_genomes", json.dumps(asdict(job))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job.library} {job.task} failed: {done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def run(job: GenomeJob) -> dict[str, Any]:
    """Do it, here."""
    result = _write(job) if job.task == "write" else _read(job)
    return result | {"version": importlib.import_module(job.library).__version__}


def _write(job: GenomeJob) -> dict[str, Any]:
    """Write the data set: first from files that were never read, then over it."""
    for index in Path(job.variants).parent.glob(Path(job.variants).name + ".gv*"):
        index.unlink()  # what genvarloader makes of a VCF when it first reads it
    if job.library == PEER:
        import genvarloader as gvl

        tracks = gvl.BigWigs(TRACK, job.bigwigs) if job.bigwigs else None
        write, more = gvl.write, {"tracks": tracks}
    else:
        import bigwig_loader

        bigwigs = bigwig_loader.BigWigs(TRACK, job.bigwigs) if job.bigwigs else None
        write, more = bigwig_loader.write, {"bigwigs": bigwigs}
    before = memory_mb("VmHWM")
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        write(
            job.dataset, job.regions, variants=job.variants, overwrite=True, max_mem=job.max_mem,
            **more,
        )  # fmt: skip
        seconds.append(time.perf_counter() - began)
    files = [path for path in Path(job.dataset).rglob("*") if path.is_file()]
    return {
        "first_s": seconds[0],
        "again_s": seconds[1],
        "memory_before_mb": before,
        "memory_peak_mb": memory_mb("VmHWM"),
        "memory_peak_child_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "disk_mb": sum(path.stat().st_size for path in files) / 1e6,
    }


def _read(job: GenomeJob) -> dict[str, Any]:
    """Open the data set, keep the first batches for comparison, time the quickest way."""
    import torch

    importlib.import_module(job.library)
    torch.set_num_threads(job.threads)
    began = time.perf_counter()
    ways = _peer_ways(job) if job.library == PEER else _our_ways(job)
    opened = time.perf_counter() - began
    rng = np.random.default_rng(3)

    def draw() -> tuple[Any, Any]:
        return (
            rng.integers(0, job.n_regions, job.batch),
            rng.integers(0, job.n_samples, job.batch),
        )

    first = [draw() for _ in range(2)]
    hashes: dict[str, list[list[str]]] = {}
    for name, read in ways.items():
        hashes[name] = []
        for i, cells in enumerate(first):
            parts = [np.ascontiguousarray(part) for part in as_tuple(read(*cells))]
            hashes[name].append([hashlib.sha256(part.tobytes()).hexdigest() for part in parts])
            if job.checked and job.output in ("tracks", "realigned"):
                np.save(Path(job.checked) / f"{job.library}_{i}.npy", parts[-1])
    for found in hashes.values():
        assert found == hashes[next(iter(ways))], "ways of one library differ"
    times = {name: _batch_ms(read, draw, job.round_s) for name, read in ways.items()}
    way = min(times, key=lambda name: times[name])
    return {
        "open_s": opened,
        "way": way,
        "ways_ms": times,
        "ms": times[way],
        "hashes": hashes[way],
        "reverse": [_is_reverse(job.regions)[cells[0]].tolist() for cells in first],
        "memory_peak_mb": memory_mb("VmHWM"),
    }


def as_tuple(found: Any) -> tuple[Any, ...]:
    """Parts of a batch."""
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _batch_ms(read: Read, draw: Callable[[], tuple[Any, Any]], round_s: float) -> float:
    """Milliseconds of a batch of random cells, the median, after some that do not count."""
    for _ in range(3):
        read(*draw())
    seconds: list[float] = []
    began = time.perf_counter()
    while len(seconds) < _MIN_BATCHES or time.perf_counter() - began < round_s:
        cells = draw()
        start = time.perf_counter()
        read(*cells)
        seconds.append(time.perf_counter() - start)
    return 1e3 * float(np.median(seconds))


def _is_reverse(regions: str) -> Any:
    lines = Path(regions).read_text().splitlines()
    return np.array([line.split("\t")[5] == "-" for line in lines])


def _peer_ways(job: GenomeJob) -> dict[str, Read]:
    """genvarloader: its letters, and one-hot made of them in several ways."""
    import genvarloader as gvl

    dataset = gvl.Dataset.open(job.dataset, reference=job.genome).with_len(job.length_bp)
    if job.output == "tracks":
        plain = dataset.with_seqs(None).with_tracks(TRACK)
        return {"index": lambda r, s: plain[r, s]}
    if job.output == "realigned":
        both = dataset.with_seqs("haplotypes").with_tracks(TRACK)
        encoders = _one_hot_planes()

        def way(encode: Callable[[Any], Any]) -> Read:
            def read(r: Any, s: Any) -> Any:
                letters, tracks = both[r, s]
                return encode(letters), tracks

            return read

        return {name: way(encode) for name, encode in encoders.items()}
    letters = dataset.with_seqs("haplotypes")
    if job.bigwigs:
        letters = letters.with_tracks(False)
    if job.output == "bytes":
        return {"index": lambda r, s: letters[r, s]}
    made = _one_hot_planes() if job.output == "one_hot_planes" else _one_hot_rows()
    return {
        name: (lambda r, s, encode=encode: encode(letters[r, s])) for name, encode in made.items()
    }


def _one_hot_planes() -> dict[str, Callable[[Any], Any]]:
    """Letters (B, P, L) S1 to float32 (B, P, 4, L) tensors."""
    import seqpro
    import torch

    alphabet = np.frombuffer(b"ACGT", np.uint8)[:, None]

    def compared(letters: Any) -> Any:
        return torch.from_numpy(letters.view(np.uint8)[:, :, None, :] == alphabet).float()

    def documented(letters: Any) -> Any:
        one_hot = torch.from_numpy(seqpro.ohe(letters, seqpro.DNA)).float()
        return one_hot.transpose(-1, -2).contiguous()

    return {"seqpro": documented, "compared": compared}


def _one_hot_rows() -> dict[str, Callable[[Any], Any]]:
    """Letters (B, P, L) S1 to float32 (B, P, L, 4) tensors."""
    import seqpro
    import torch

    table = np.zeros((256, 4), np.float32)
    table[np.frombuffer(b"ACGT", np.uint8)] = np.eye(4)
    rows = torch.from_numpy(table)

    def documented(letters: Any) -> Any:
        return torch.from_numpy(seqpro.ohe(letters, seqpro.DNA)).float()

    def taken(letters: Any) -> Any:
        return torch.from_numpy(np.take(table, letters.view(np.uint8), axis=0))

    def embedded(letters: Any) -> Any:
        return torch.nn.functional.embedding(torch.from_numpy(letters.view(np.uint8)).int(), rows)

    return {"seqpro": documented, "taken": taken, "embedded": embedded}


def _our_ways(job: GenomeJob) -> dict[str, Read]:
    import bigwig_loader

    settings: dict[str, Any] = {
        "bytes": {"return_sequences": "haplotypes", "return_tracks": False, "encoding": "bytes"},
        "one_hot_planes": {
            "return_sequences": "haplotypes",
            "return_tracks": False,
            "encoding": "onehot",
            "layout": "BPAL",
        },
        "one_hot_rows": {
            "return_sequences": "haplotypes",
            "return_tracks": False,
            "encoding": "onehot",
            "layout": "BPLA",
        },
        "tracks": {"return_sequences": False, "return_tracks": TRACK},
        "realigned": {
            "return_sequences": "haplotypes",
            "return_tracks": TRACK,
            "encoding": "onehot",
            "layout": "BPAL",
        },
    }[job.output]
    dataset = bigwig_loader.Dataset.open(job.dataset, reference=job.genome)
    dataset = dataset.with_settings(length=job.length_bp, **settings)
    return {"index": lambda r, s: dataset[r, s]}


def memory_mb(name: str) -> float:
    """A line of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.stdout.write("\n" + json.dumps(run(GenomeJob(**json.loads(sys.argv[1])))) + "\n")
