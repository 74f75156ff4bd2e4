"""Damaged BigWig files by the thousand: an error of the right kind, or values; never anything else.

    python tests/fuzz/fuzz_bigwig.py --cases 100000 --seed 1

A case is a small file, real or made, with one thing wrong: flipped bits, an edited field of the
header, of a tree or of a section, a cut, a splice. Cases are worked off in child processes, so
that a crash is caught, and every case can be repeated by its number (--first N --cases 1).
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import struct
import subprocess
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[2]
if __name__ == "__main__":  # run as a script: the package and `tests` are found from the checkout
    sys.path.insert(0, str(REPOSITORY))

from bigwig_loader import BigWig  # noqa: E402
from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig  # noqa: E402
from bigwig_loader.collection import BigWigCollection  # noqa: E402
from bigwig_loader.errors import InvalidDataError, NotFoundError  # noqa: E402
from tests.helpers.shared import SHARED  # noqa: E402

MAX_FILE_BYTES = 40_000
CASE_SECONDS = 20
MAX_GROWTH_BYTES = 256 << 20
CASES_PER_CHILD = 2_500
NUMBERS = (0, 1, 2, 3, 4, 127, 255, 256, 1 << 15, (1 << 16) - 1, (1 << 31) - 1, 1 << 31)
NUMBERS += ((1 << 32) - 1, 1 << 32, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


@dataclass
class Seed:
    """A sound file and where its fields stand."""

    name: str
    content: bytes
    order: str
    compressed: bool
    fields: list[tuple[int, int]] = field(default_factory=list)  # offset, bytes
    leaves: list[int] = field(default_factory=list)  # offsets of R-tree leaf items
    blocks: list[tuple[int, int]] = field(default_factory=list)  # offset, bytes
    places: list[tuple[str, int, int]] = field(default_factory=list)  # contig, start, end


def survey(name: str, content: bytes) -> Seed:
    """Find the fields of a file."""
    order = "<" if content[:4] == bytes.fromhex("26fc8f88") else ">"
    sizes = (4, 2, 2, 8, 8, 8, 2, 2, 8, 8, 4, 8)
    head = struct.unpack_from(order + "IHHQQQHHQQIQ", content)
    seed = Seed(name, content, order, head[1] >= 3 and head[10] > 0)

    def add(at: int, *n_bytes: int) -> int:
        for n in n_bytes:
            seed.fields.append((at, n))
            at += n
        return at

    def nodes(at: int, leaf: tuple[int, ...], inner: tuple[int, ...]) -> list[int]:
        is_leaf, _, count = struct.unpack_from(order + "BBH", content, at)
        at = add(at, 1, 1, 2)
        found = []
        for _ in range(count):
            first, at = at, add(at, *(leaf if is_leaf else inner))
            if is_leaf:
                found.append(first)
            else:
                (child,) = struct.unpack_from(order + "Q", content, at - 8)
                found += nodes(child, leaf, inner)
        return found

    add(0, *sizes)
    tree, index = head[3], head[5]
    add(tree, 4, 4, 4, 4, 8, 8)
    (key,) = struct.unpack_from(order + "I", content, tree + 8)
    contigs = {}
    for at in nodes(tree + 32, (key, 4, 4), (key, 8)):
        chrom_id, length = struct.unpack_from(order + "II", content, at + key)
        contigs[chrom_id] = content[at : at + key].rstrip(b"\0").decode(), length
    if index:
        add(index, 4, 4, 8, 4, 4, 4, 4, 8, 4, 4)
        seed.leaves = nodes(index + 48, (4, 4, 4, 4, 8, 8), (4, 4, 4, 4, 8))
    for at in seed.leaves:
        first, start, _, end, offset, n_bytes = struct.unpack_from(order + "4I2Q", content, at)
        seed.blocks.append((offset, n_bytes))
        if not seed.compressed:
            add(offset, 4, 4, 4, 4, 4, 1, 1, 2, 4, 4)
        if first in contigs:
            seed.places.append((contigs[first][0], start, max(end, start + 1)))
    seed.places += [(n, max(length - 300, 0), length + 100) for n, length in contigs.values()]
    return seed


def made_files() -> list[tuple[str, bytes]]:
    """Small files of several shapes."""
    rng = np.random.default_rng(0)
    contigs = {"chr1": 9_000, "chr2": 3_000, "chr10": 500}
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for section in ("bedGraph", "variableStep", "fixedStep"):
            for i, shape in enumerate(
                (
                    {"items_per_block": 60, "rtree_block_size": 3, "chrom_block_size": 2},
                    {"items_per_block": 300, "byte_order": ">"},
                    {"items_per_block": 100, "compress": False, "version": 2},
                )
            ):
                data = {
                    c: (np.arange(0, n, 9), np.arange(0, n, 9) + 5, rng.random(-(-n // 9)))
                    for c, n in contigs.items()
                }
                path = Path(folder) / "made.bw"
                write_bigwig(path, contigs, data, WriterOptions(section=section, **shape))  # type: ignore[arg-type]
                files.append((f"made {section} {i}", path.read_bytes()))
    return files


def seeds() -> list[Seed]:
    """The files that cases start from: made ones, and small real ones where they are there."""
    found = made_files()
    for folder in ("bigwig", "bigwig_derived"):
        for path in sorted((SHARED / "data" / folder).glob("*")):
            if path.stat().st_size <= MAX_FILE_BYTES:
                found.append((path.name, path.read_bytes()))
    return [survey(name, content) for name, content in found]


# --------------------------------------------------------------------------------- damage ----


def flip_bits(seed: Seed, rng: random.Random) -> bytes:
    content = bytearray(seed.content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def edit_field(seed: Seed, rng: random.Random) -> bytes:
    content = bytearray(seed.content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, n_bytes = rng.choice(seed.fields)
        byte_order = "little" if seed.order == "<" else "big"
        old = int.from_bytes(content[at : at + n_bytes], byte_order)
        new = rng.choice(
            [
                *NUMBERS,
                old + 1,
                old - 1,
                old * 2,
                len(content),
                len(content) - 1,
                rng.choice(seed.fields)[0],
                rng.getrandbits(64),
                rng.getrandbits(8),
            ]
        )
        content[at : at + n_bytes] = (new % (1 << 8 * n_bytes)).to_bytes(n_bytes, byte_order)
    return bytes(content)


def edit_section(seed: Seed, rng: random.Random) -> bytes:
    """Damage inside an inflated block, deflated again at the end of the file."""
    if not seed.leaves:
        return flip_bits(seed, rng)
    which = rng.randrange(len(seed.leaves))
    offset, n_bytes = seed.blocks[which]
    block = seed.content[offset : offset + n_bytes]
    raw = bytearray(zlib.decompress(block) if seed.compressed else block)
    at = rng.choice([0, 4, 8, 12, 16, 20, 22, rng.randrange(max(len(raw) - 4, 1))])
    raw[at : at + 2] = rng.choice(NUMBERS).to_bytes(8, "little")[: rng.choice([1, 2])]
    if rng.random() < 0.3:
        raw = raw[: rng.randrange(len(raw) + 1)]
    if rng.random() < 0.1:
        raw = raw * rng.randrange(2, 40)
    stored = zlib.compress(bytes(raw)) if seed.compressed else bytes(raw)
    content = bytearray(seed.content) + stored
    place = struct.pack(seed.order + "QQ", len(seed.content), len(stored))
    content[seed.leaves[which] + 16 : seed.leaves[which] + 32] = place
    if rng.random() < 0.5 and seed.compressed:
        struct.pack_into(seed.order + "I", content, 52, rng.choice([len(raw), 1 << 31, 0xFFFFFFFF]))
    return bytes(content)


def cut(seed: Seed, rng: random.Random) -> bytes:
    return seed.content[: rng.randrange(len(seed.content))]


def splice(seed: Seed, rng: random.Random) -> bytes:
    content = seed.content
    a, b, c = (rng.randrange(len(content)) for _ in range(3))
    n = rng.choice([1, 4, 24, 300])
    piece = content[a : a + n]
    return rng.choice(
        [
            content[:b] + piece + content[b + n :],
            content[:b] + piece + content[b:],
            content[:b] + content[b + n :],
            content[: max(b, 64)] + content[c:],
        ]
    )


def damage_data(seed: Seed, rng: random.Random) -> bytes:
    """Damage in compressed data alone, which checksums have to find."""
    content = bytearray(seed.content)
    for _ in range(rng.choice([1, 1, 2, 6])):
        offset, n_bytes = rng.choice(seed.blocks)
        content[offset + rng.randrange(n_bytes)] ^= rng.randrange(1, 256)
    return bytes(content)


KINDS: list[Callable[[Seed, random.Random], bytes]] = [
    flip_bits, edit_field, edit_field, edit_field, edit_section, edit_section, cut, splice,
    damage_data,
]  # fmt: skip


# ------------------------------------------------------------------------------------ cases ----


@dataclass
class Case:
    number: int
    seed: Seed
    kind: str
    content: bytes
    rng: random.Random


def make_case(all_seeds: list[Seed], seed: int, number: int) -> Case:
    rng = random.Random(f"{seed} {number}")
    start = rng.choice(all_seeds)
    kind = rng.choice(KINDS)
    if kind is damage_data and not (start.compressed and start.blocks):
        kind = edit_field
    return Case(number, start, kind.__name__, kind(start, rng), rng)


def read_all(path: Path, rng: random.Random, places: list[tuple[str, int, int]]) -> list[object]:
    """Outcome of opening a file and of some questions to it: values, or the name of an error."""
    outcomes: list[object] = []

    def ask(question: Callable[[], object]) -> None:
        try:
            outcomes.append(question())
        except (InvalidDataError, NotFoundError) as error:
            outcomes.append(type(error).__name__)

    try:
        bigwig = BigWig(path)
    except InvalidDataError:
        return ["InvalidDataError"]
    places = list(places)
    for name in rng.sample(sorted(bigwig.contigs), min(2, len(bigwig.contigs))):
        length = bigwig.contigs[name]
        places += [(name, 0, 300), (name, length - 200, length + 50)]
    with bigwig:
        for chrom, start, end in places:
            end = min(end, start + 3_000)
            for _ in range(2):
                ask(lambda c=chrom, s=start, e=end: bigwig.values(c, s, e))
            ask(lambda c=chrom, s=start, e=end: bigwig.values(c, s, e, bin_size=7, statistic="std"))
        ask(lambda: contents(bigwig.intervals(places[0][0])) if places else b"")
    if rng.random() < 0.1:
        with BigWigCollection(path, n_threads=2) as collection:
            known = [p for p in places if p[0] in bigwig.contigs]
            chroms = [p[0] for p in known]
            starts = np.array([p[1] for p in known], np.int64)
            if known:
                ask(
                    lambda: collection.get_batch(chroms, starts, starts + 500, default_value=np.nan)
                )
            if rng.random() < 0.1:
                ask(lambda: contents(collection.intervals(merge=True)))
    return outcomes


def contents(frame: pd.DataFrame) -> bytes:
    return b"".join(frame[name].to_numpy().tobytes() for name in frame.columns if name != "chrom")


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.tobytes() == b.tobytes()
    return repr(a) == repr(b)


def run_case(case: Case, folder: Path) -> str:
    """Read the damaged file; an assertion or any other error is a finding."""
    path = folder / "case.bw"
    path.write_bytes(case.content)
    places = case.rng.sample(case.seed.places, min(2, len(case.seed.places)))
    state = case.rng.getstate()
    outcomes = read_all(path, case.rng, places)
    if case.kind == "damage_data":
        path.write_bytes(case.seed.content)
        case.rng.setstate(state)
        sound = read_all(path, case.rng, places)
        for got, want in zip(outcomes, sound, strict=True):
            assert got == "InvalidDataError" if isinstance(got, str) else same(got, want)
    if outcomes == ["InvalidDataError"]:
        return "refused at opening"
    errors = sum(isinstance(o, str) for o in outcomes)
    return "values" if not errors else "errors" if errors == len(outcomes) else "values and errors"


def peak_bytes() -> int:
    """Most memory this process has had; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) << 10
    except OSError:
        return 0


def work(seed: int, first: int, n_cases: int, progress: Path) -> Counter[str]:
    """Run cases in this process; `progress` always holds the number of the current one."""
    all_seeds = seeds()
    tally: Counter[str] = Counter()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, progress.open("w") as mark:
        for number in range(first, first + n_cases):
            mark.seek(0)
            mark.write(f"{number:<12}")
            mark.flush()
            faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
            before = peak_bytes()
            case = make_case(all_seeds, seed, number)
            try:
                tally[run_case(case, Path(folder))] += 1
                growth = peak_bytes() - before
                assert growth < MAX_GROWTH_BYTES, f"memory grew by {growth >> 20} MB"
            except Exception:
                tally["FOUND"] += 1
                sys.stderr.write(f"case {number} ({case.kind} of {case.seed.name}):\n")
                traceback.print_exc()
    faulthandler.cancel_dump_traceback_later()
    return tally


def run(seed: int, first: int, n_cases: int, log: Callable[[str], object]) -> Counter[str]:
    """Run cases in child processes; returns how many ended how."""
    tally: Counter[str] = Counter()
    stop = first + n_cases
    while first < stop:
        n = min(CASES_PER_CHILD, stop - first)
        with tempfile.TemporaryDirectory() as folder:
            progress = Path(folder) / "progress"
            command = [sys.executable, __file__, "--child", str(progress)]
            command += ["--seed", str(seed), "--first", str(first), "--cases", str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.stderr:
                log(done.stderr)
            if done.returncode == 0:
                for line in done.stdout.splitlines():
                    count, _, outcome = line.partition(" ")
                    tally[outcome] += int(count)
                first += n
                continue
            at = int(progress.read_text()) if progress.exists() else first
            log(f"case {at}: the process ended with status {done.returncode}")
            tally["FOUND"] += 1
            tally["not counted: before a crash"] += at - first
            first = at + 1
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["BIGWIG_LOADER_CACHE_DIR"] = ""
    if options.child:
        tally = work(options.seed, options.first, options.cases, options.child)
        sys.stdout.write("".join(f"{n} {outcome}\n" for outcome, n in tally.items()))
        return 0
    tally = run(
        options.seed, options.first, options.cases, lambda text: sys.stderr.write(text + "\n")
    )
    sys.stdout.write("".join(f"{n:8} {outcome}\n" for outcome, n in tally.most_common()))
    return 1 if tally["FOUND"] else 0


if __name__ == "__main__":
    sys.exit(main())
