"""How much memory streaming takes: run as ``python -m tests.helpers.stream_memory FOLDER GB``."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.dataset.personal.loader import Finished, StreamOptions, make_stream
from bigwig_loader.dataset.personal.readers import Fasta, FastaVariants, collect_inputs
from bigwig_loader.dataset.personal.stream import StreamEpochs
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.dataset.prepared.making.memory import resident_bytes
from bigwig_loader.formats.variants.pgen import Pgen

N_BASES, N_VARIANTS, N_SAMPLES = 400_000, 4_000, 1_000


def make_files(folder: Path) -> None:
    """A contig with substitutions, every other allele of which is ALT; 200 regions."""
    import pgenlib

    rng = np.random.default_rng(1)
    bases = rng.choice(np.frombuffer(b"ACGT", np.uint8), N_BASES)
    (folder / "made.fa").write_bytes(b">chr1\n" + bases.tobytes() + b"\n")
    positions = np.sort(rng.choice(N_BASES, N_VARIANTS, replace=False))
    lines = ["##contig=<ID=chr1>", "#CHROM\tPOS\tID\tREF\tALT"]
    with pgenlib.PgenWriter(
        bytes(folder / "made.pgen"),
        N_SAMPLES,
        variant_ct=N_VARIANTS,
        nonref_flags=False,
        hardcall_phase_present=True,
    ) as writer:
        for position in positions.tolist():
            writer.append_alleles(rng.integers(0, 2, 2 * N_SAMPLES, np.int32), all_phased=True)
            ref = chr(bases[position])
            alt = "C" if ref == "A" else "A"
            lines.append(f"chr1\t{position + 1}\t.\t{ref}\t{alt}")
    (folder / "made.pvar").write_text("\n".join(lines) + "\n")
    samples = "".join(f"s{i:04d}\tNA\n" for i in range(N_SAMPLES))
    (folder / "made.psam").write_text("#IID\tSEX\n" + samples)
    starts = range(0, N_BASES - 2_000, 2_000)
    (folder / "made.bed").write_text("".join(f"chr1\t{s}\t{s + 2000}\n" for s in starts))


def stream(folder: Path, max_memory_gb: float, bed: Any) -> StreamEpochs:
    haplotypes = FastaVariants("hap", Fasta("ref", folder / "made.fa"), Pgen(folder / "made.pgen"))
    finished = Finished(None, None, False, len)
    options = StreamOptions(
        bed, 2_000, CellOptions(1, 64), max_memory_gb, ("sample",), True, None, 0, 1, finished
    )
    return make_stream(collect_inputs(haplotypes), options, True)


def peak_bytes() -> int:
    """The most memory that this process has held; what `getrusage` says is older than it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def main(folder: Path, max_memory_gb: float) -> None:
    first = folder / "first.bed"
    first.write_text("chr1\t0\t2000\n")
    list(stream(folder, max_memory_gb, first))  # whatever is loaded once
    before = resident_bytes()
    epochs = stream(folder, max_memory_gb, folder / "made.bed")
    # Batches are not what takes time here: one of many.
    for plan in islice(epochs.plans(1), 0, None, 50):
        epochs.read(plan)
    n_buffers = len(epochs._begun[1])
    peak = peak_bytes()
    costs = int(epochs.settings.reader._costs.sum())
    found = {"taken": peak - before, "n_buffers": n_buffers, "costs": costs}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
