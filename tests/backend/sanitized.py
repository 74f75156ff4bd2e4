"""What test_sanitizers.py runs on a library built with sanitizers: reads whatever there is to read.

    python tests/backend/sanitized.py {files,fuzz,threads,haplotypes,tokens}

Ends with status 0 and says how much was read; a sanitizer ends the process otherwise.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig  # noqa: E402
from bigwig_loader.backend.cpu.files import FileTable  # noqa: E402
from bigwig_loader.backend.cpu.library import library  # noqa: E402
from bigwig_loader.collection import BigWigCollection  # noqa: E402
from bigwig_loader.errors import BigWigLoaderError  # noqa: E402
from tests.helpers.shared import SHARED  # noqa: E402

MAX_FILE_BYTES = 50_000


def ask(collection: BigWigCollection, rng: np.random.Generator) -> int:
    """Put some requests of every kind to a collection; returns how many were answered."""
    answered = 0
    lengths = collection.contigs.lengths
    for bin_size, statistic, dtype in (
        (1, "mean", "float32"), (1, "max", "bfloat16"), (7, "std", "float16"),
        (32, "coverage", "float32"), (500, "sum", "float32"),
    ):  # fmt: skip
        contig = rng.integers(0, len(lengths), 5)
        start = (rng.random(5) * (lengths[contig] + 600)).astype(np.int64) - 300
        names = [collection.contigs.names[c] for c in contig]
        try:
            collection.get_batch(names, start, start + 2_100, bin_size, 0.5, dtype, statistic)
            answered += 1
        except BigWigLoaderError:
            continue
    return answered


def read_files() -> str:
    """Every small public file, sound or bad, and made ones of every shape."""
    from tests.fuzz import fuzz_bigwig

    rng = np.random.default_rng(0)
    folders = [SHARED / "data" / f for f in ("bigwig", "bigwig_derived", "bad", "bad_derived")]
    paths = [p for f in folders for p in sorted(f.glob("*")) if p.stat().st_size < MAX_FILE_BYTES]
    answered = opened = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, (_, content) in enumerate(fuzz_bigwig.made_files()):
            paths.append(Path(folder) / f"{i}.bw")
            paths[-1].write_bytes(content)
        cases = ((False, 0), (False, 20_000), (True, 0), (True, 1 << 20))
        for built_in_inflate, cache_bytes in cases:
            if built_in_inflate:
                library().bwl_use_libdeflate(None)
            for path in paths:
                try:
                    collection = BigWigCollection(path, n_threads=2, cache_bytes=cache_bytes)
                except BigWigLoaderError:
                    continue
                opened += 1
                with collection:
                    answered += ask(collection, rng) + ask(collection, rng)
                    try:
                        answered += len(collection.intervals(merge=True)) > 0
                    except BigWigLoaderError:
                        continue
    return f"{opened} files opened, {answered} requests answered"


def fuzz() -> str:
    """Some damaged files, in this process."""
    from tests.fuzz import fuzz_bigwig

    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz_bigwig.work(seed=11, first=0, n_cases=250, progress=Path(folder) / "progress")
    assert tally["FOUND"] == 0
    return str(dict(tally))


def threads() -> str:
    """Several threads that read the same blocks at once, each with threads of its own."""
    rng = np.random.default_rng(0)
    n = 20_000
    with tempfile.TemporaryDirectory() as folder:
        for i in range(6):
            data = {"a": (np.arange(n) * 4, np.arange(n) * 4 + 3, rng.random(n))}
            options = WriterOptions(items_per_block=300, section="variableStep")
            write_bigwig(Path(folder) / f"{i}.bw", {"a": 4 * n}, data, options)
        starts = np.arange(0, 60_000, 3_000)
        sums = set()
        for cache_bytes in (0, 300_000, 1 << 30):  # none, one that gets full, one that does not
            options = {"n_threads": 4, "cache_bytes": cache_bytes}
            with BigWigCollection(folder, **options) as collection, ThreadPoolExecutor(3) as pool:

                def work(_: int, source: BigWigCollection = collection) -> float:
                    return float(source.get_batch(["a"] * 20, starts, starts + 5_000).sum())

                sums |= set(pool.map(work, range(9)))
                assert collection.counts.cached_bytes <= cache_bytes
                assert (collection.counts.n_cached_blocks > 0) == (cache_bytes > 0)
        n_ranges = read_ranges(sorted(Path(folder).glob("*.bw")), rng)
    assert len(sums) == 1
    return f"sum {sums.pop()}, {n_ranges} ranges"


def read_ranges(paths: list[Path], rng: np.random.Generator) -> int:
    """Ranges of files, fewer of them open than there are, and some past their ends."""
    sizes = np.array([path.stat().st_size for path in paths], np.int64)
    n = 2_000
    file = rng.integers(0, len(paths), n)
    offset = rng.integers(0, sizes[file])
    n_bytes = np.minimum(rng.integers(0, 900, n), sizes[file] - offset)
    to = np.cumsum(n_bytes) - n_bytes
    memory = np.empty(int(n_bytes.sum()), np.uint8)
    table = FileTable([str(path) for path in paths], sizes, max_open=2)
    assert table.read(file, offset, n_bytes, to + memory.ctypes.data, 4) is None
    for f, start, size, at in list(zip(file, offset, n_bytes, to, strict=True))[::50]:
        assert memory[at : at + size].tobytes() == paths[f].read_bytes()[start : start + size]
    offset[rng.integers(500, n, 20)] = 1 << 62
    first = int(np.flatnonzero(offset == 1 << 62)[0])
    failure = table.read(file, offset, n_bytes, to + memory.ctypes.data, 4)
    assert failure is not None
    assert failure[0] == first
    table.close()
    return n


def haplotypes() -> str:
    """Windows of made haplotypes, into arrays that are exactly as long as they have to be."""
    from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
    from bigwig_loader.backend.cpu.realign import realign_tracks
    from bigwig_loader.formats.interval_table import IntervalTable
    from bigwig_loader.plan.fills import FlankSample, Interpolate, Repeat5p
    from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
    from bigwig_loader.plan.realign import Draws, RealignOptions, TrackRows
    from tests.helpers.haplotypes import random_world

    rng = np.random.default_rng(0)
    ways = [HaplotypeOptions(e) for e in ("bytes", "codes", "tokens", "onehot")]
    ways += [HaplotypeOptions(dtype=d, layout="BPAL") for d in ("uint8", "bfloat16", "float32")]
    n_bases = 0
    for i in range(30):
        lengths = {"a": int(rng.integers(1, 90)), "b": int(rng.integers(1, 4_000))}
        world = random_world(rng, lengths, 2, 1 + i % 3, int(rng.integers(0, 60)), 0.6)
        table, genotypes = world.tables()
        counts = rng.integers(0, 50, 4)
        start = np.concatenate([np.sort(rng.choice(4_000, n, False)) for n in counts])
        offsets = np.concatenate([[0], np.cumsum(counts)])
        signal = IntervalTable(
            ("a", "b"), ("s0", "s1"), offsets, start.astype(np.int32),
            start.astype(np.int32) + 1, rng.random(len(start), np.float32),
        )  # fmt: skip
        for overlap in ("first", "bcftools", "window"):
            reader = HaplotypeReader(
                world.genome(), table, genotypes, overlap=overlap, n_threads=1 + i % 4
            )
            start = rng.integers(-200, 4_000, 50)
            for length in (None, 1, 333):
                windows = HaplotypeWindows(
                    rng.integers(0, 2, 50), start, start + rng.integers(0, 700, 50),
                    rng.integers(-1, 2, 50), rng.random(50) < 0.5,
                    rng.integers(0, 40, (50, world.ploidy)), length,
                )  # fmt: skip
                got = reader.encode(windows, ways[i % len(ways)], annotate=i % 2 == 0)
                n_bases += got.data.size
                assert (reader.ends(windows) >= start[:, None]).all()
                fill = (Repeat5p(), Interpolate(3), FlankSample(5))[i % 3]
                tracks = [TrackRows(signal, np.maximum(windows.sample, 0))] * 2
                n_bases += realign_tracks(
                    reader, windows, tracks, [fill, Repeat5p()], RealignOptions(1 + i % 2 * 6),
                    Draws(0, 0, np.arange(50)), n_threads=1 + i % 3,
                ).data.size  # fmt: skip
    return f"{n_bases} elements"


def tokens() -> str:
    """Universes and documents at random, lines of any text, into arrays that are no longer."""
    from bigwig_loader.backend.region_text import read_regions
    from bigwig_loader.backend.token_rows import count_row_tokens, write_row_tokens
    from bigwig_loader.plan.overlap import Matrix
    from bigwig_loader.tokens import Tokenizer

    rng = np.random.default_rng(0)
    n_tokens = 0
    for i in range(10):
        n, length = int(rng.integers(1, 1_000)), int(rng.choice([50, 4_000, 2**32 - 1]))
        start = rng.integers(0, length, n)
        end = np.minimum(start + rng.integers(0, rng.choice([3, length], n) + 1), 2**32 - 1)
        universe = {"chrom": rng.integers(0, 4, n), "start": start, "end": end}
        tokenizer = Tokenizer.from_bed(universe, duplicates="first", n_threads=1 + i % 4)
        first = rng.integers(0, length, 5_000)
        query = {"chrom": rng.integers(0, 5, 5_000), "start": first, "end": first + i}
        found = tokenizer.documents([query, [], query], ("document", "region", "drop")[i % 3])
        n_tokens += tokenizer.shape(found).input_ids.size
        for options in ({"truncation": "first"}, {"truncation": "sample", "seed": i}):
            batch = tokenizer(query, order="sorted", max_length=1 + 400 * i, **options)
            n_tokens += batch.input_ids.size
        rows = Matrix(found.offsets, rng.integers(0, n, len(found.values)))
        counts = count_row_tokens(rows, np.arange(n + 1), tokenizer.n_threads)
        out = np.empty(int(counts.sum()), np.int32)
        ends = np.concatenate([[0], np.cumsum(counts)])
        write_row_tokens(rows, (np.arange(n + 1), np.arange(n, dtype=np.int32)), ends, out, 3)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.bed"
            letters = np.frombuffer(b"a\t\t\t\t 112\n\n\r#tb.", np.uint8)
            path.write_bytes(rng.choice(letters, int(rng.integers(1, 300))).tobytes())
            try:
                n_tokens += len(read_regions(path, key_column=i % 5 - 1, with_lines=i % 2 == 0))
            except BigWigLoaderError:
                n_tokens += 1
            text = "".join(f"c{k % 70}\t{k}\t{k + 9}\tb{k % 999}\n" for k in range(99 * i))
            path.write_text(text)
            n_tokens += len(read_regions(path, key_column=3))
    return f"{n_tokens} tokens"


if __name__ == "__main__":
    jobs = {"files": read_files, "fuzz": fuzz, "threads": threads, "haplotypes": haplotypes}
    jobs["tokens"] = tokens
    sys.stdout.write(jobs[sys.argv[1]]() + "\n")
