"""The packed genome: codes, lazy loading, memory, threads and processes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats import genome as genome_module
from bigwig_loader.formats import packed as packed_module
from bigwig_loader.formats.fasta import FastaFile
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.packed import PackedContig, pack_bases
from tests.formats.test_fasta import bgzip
from tests.helpers.shared import SHARED, shared_data
from tests.oracles import sequence as oracle

LETTERS = "ACGTUacgtuNnRYSWKMBDHVryswkmbdhvXx-.*5"
FASTA = b">a words\nACGTN\nacgtn\nRYK\n>b\nGATTACA\n>empty\n"
TRUTH = sorted((SHARED / "data" / "truth" / "sets").glob("*/*.fa*.json"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.fa"
    path.write_bytes(FASTA)
    return path


@given(st.text(LETTERS, max_size=60))
def test_packing_equals_oracle(sequence: str) -> None:
    packed = Genome.from_arrays({"c": sequence}).packed("c")
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(packed, oracle.pack(sequence))


@given(st.text(LETTERS + "\n\r \t", max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_packing_in_pieces_equals_packing_at_once(text: str, cuts: list[int]) -> None:
    expected = oracle.pack("".join(text.split()))
    packed = np.zeros_like(expected)
    bounds = [0, *sorted(cuts), len(text)]
    n_bases = 0
    for first, stop in itertools.pairwise(bounds):
        n_bases += pack_bases(text[first:stop].encode(), packed, n_bases)
    assert n_bases == len("".join(text.split()))
    np.testing.assert_array_equal(packed, expected)


def test_text_longer_than_the_contig_is_counted_but_not_written() -> None:
    packed = np.zeros(2, dtype=np.uint8)
    assert pack_bases(b"ACGTACGT", packed[:1], 0) == 8
    assert pack_bases(b"ACGT", packed[:1], 9) == 4
    assert packed.tolist() == [0x21, 0]


@given(st.text("ACGTRYSWKMBDHVN", min_size=1, max_size=40), st.data())
def test_sequence_gives_back_what_was_packed(letters: str, data: st.DataObject) -> None:
    genome = Genome.from_arrays({"c": letters.lower()})
    start = data.draw(st.integers(0, len(letters)))
    end = data.draw(st.integers(start, len(letters)))
    assert genome.sequence("c", start, end) == letters[start:end]


def test_what_is_no_nucleotide_reads_as_a_gap_and_uracil_as_thymine() -> None:
    assert Genome.from_arrays({"c": "AUu-X*n"}).sequence("c", 0, 7) == "ATT---N"


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (0, 8), (3, 2)])
def test_sequence_must_lie_inside(start: int, end: int) -> None:
    with pytest.raises(InvalidInputError, match="expected 0 <= start <= end <= 7"):
        Genome.from_arrays({"c": "GATTACA"}).sequence("c", start, end)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """The ranges that were read since the test began."""
    seen: list[tuple[str, int, int]] = []
    read = FastaFile.read

    def counted(
        self: FastaFile, name: str, start: int, end: int, table: bytes | None = None
    ) -> bytes:
        seen.append((name, start, end))
        return read(self, name, start, end, table)

    monkeypatch.setattr(FastaFile, "read", counted)
    return seen


def test_contigs_are_loaded_when_asked_for_and_once(
    path: Path, reads: list[tuple[str, int, int]]
) -> None:
    genome = Genome(path)
    assert genome.contigs == {"a": 13, "b": 7, "empty": 0}
    assert (genome.nbytes, genome.nbytes_total) == (0, 11)
    assert genome.sequence("b", 0, 7) == "GATTACA"
    assert (genome.nbytes, reads) == (4, [("b", 0, 7)])
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(genome.packed, ["a", "b"] * 20))
    assert len({id(array) for array in arrays}) == 2
    assert genome.load() is genome
    assert (genome.nbytes, sorted(reads)) == (11, [("a", 0, 13), ("b", 0, 7)])
    assert not genome.packed("a").flags.writeable
    assert genome.packed("empty").size == 0


# ------------------------------------------------------------------------------------- pages ----

PAGE = 6  # bases, in tests that set it


@contextlib.contextmanager
def pages_of_six_bases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_module, "PAGE_BP", PAGE)
        patch.setattr(genome_module, "_PAGES_PER_READ", 3)
        yield


@pytest.fixture
def small_pages() -> Iterator[None]:
    with pages_of_six_bases():
        yield


def fasta_text(sequence: str, line_bases: int, newline: str = "\n") -> bytes:
    lines = [sequence[i : i + line_bases] for i in range(0, len(sequence), line_bases)]
    return newline.join([">before", "ACGT", ">c", *lines, ">after", "TTT", ""]).encode()


def pages_of(start: int, end: int, length: int) -> set[int]:
    """Pages that hold a base of [start, end): one base at a time."""
    return {p // PAGE for p in range(max(start, 0), min(end, length))}


@pages_of_six_bases()
@given(
    sequence=st.text(LETTERS, min_size=1, max_size=90),
    line_bases=st.integers(1, 20),
    newline=st.sampled_from(["\n", "\r\n"]),
    kind=st.sampled_from(["plain", "bgzip"]),
    windows=st.lists(st.lists(st.tuples(st.integers(-20, 110), st.integers(-2, 40)), max_size=4)),
    one_by_one=st.booleans(),
)
def test_pages_in_any_order_are_the_whole_contig(
    tmp_path_factory: pytest.TempPathFactory,
    sequence: str,
    line_bases: int,
    newline: str,
    kind: str,
    windows: list[list[tuple[int, int]]],
    one_by_one: bool,
) -> None:
    text = fasta_text(sequence, line_bases, newline)
    path = tmp_path_factory.getbasetemp() / "pages.fa"
    path.write_bytes(text if kind == "plain" else bgzip(text, 50)[0])
    expected, length = oracle.pack(sequence), len(sequence)
    genome = Genome(path)
    wanted: set[int] = set()
    for batch in windows:
        starts = np.array([start for start, _ in batch], dtype=np.int64)
        ends = starts + np.array([width for _, width in batch], dtype=np.int64)
        if one_by_one:
            for start, end in zip(starts, ends, strict=True):
                packed = genome.ensure("c", int(start), int(end))
        if not one_by_one or not batch:
            packed = genome.ensure_many("c", starts, ends)
        wanted.update(*(pages_of(s, e, length) for s, e in zip(starts, ends, strict=True)))
        for page in wanted:
            half = slice(page * PAGE // 2, (page + 1) * PAGE // 2)
            np.testing.assert_array_equal(packed[half], expected[half])
        n_bytes = sum(len(expected[p * PAGE // 2 : (p + 1) * PAGE // 2]) for p in wanted)
        assert genome.nbytes == n_bytes
        assert packed is genome.ensure("c", 0, 0)
    np.testing.assert_array_equal(genome.packed("c"), expected)
    assert genome.sequence("c", 0, length) == Genome.from_arrays({"c": sequence}).sequence(
        "c", 0, length
    )


def test_a_page_is_read_once_and_neighbours_together(
    small_pages: None, tmp_path: Path, reads: list[tuple[str, int, int]]
) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(fasta_text("ACGTN" * 10, 7))
    genome = Genome(path)
    genome.ensure_many("c", np.array([20, 1, 14]), np.array([22, 3, 20]))
    assert reads == [("c", 0, 6), ("c", 12, 24)]
    genome.ensure_many("c", np.array([13, 2]), np.array([23, 5]))
    genome.ensure("c", -5, 6)
    genome.ensure("c", 50, 90)
    genome.sequence("c", 14, 20)
    assert len(reads) == 2
    genome.packed("c")
    assert reads[2:] == [("c", 6, 12), ("c", 24, 42), ("c", 42, 50)]
    assert genome.load().nbytes == genome.nbytes_total == len(oracle.pack("ACGTN" * 10)) + 4


def test_what_has_no_random_access_is_loaded_whole(
    small_pages: None, tmp_path: Path, reads: list[tuple[str, int, int]]
) -> None:
    sequence = "ACGTNRYK" * 5
    irregular = tmp_path / "x.fa"
    irregular.write_bytes(f">c\n{sequence[:5]}\n\n{sequence[5:]}\n>d\nAC\n".encode())
    zipped = tmp_path / "x.fa.gz"
    zipped.write_bytes(gzip.compress(irregular.read_bytes()))
    for path, n_bytes in ((irregular, 20), (zipped, 21)):
        genome = Genome(path)
        np.testing.assert_array_equal(genome.ensure("c", 3, 4), oracle.pack(sequence))
        assert genome.nbytes == n_bytes
    assert reads == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"GGGG", b"G GG", "6 bases"),
        (b"GGGG\nCC", b"GG\nGGCC", "lines of 4 bases"),
        (b"\nCCCC", b"C\nCCC", "lines of 4 bases"),
        (b"CCCC", b">ccc", "lines of 4 bases"),
    ],
)
def test_text_that_changed_is_found_in_the_page_that_is_read(
    small_pages: None, tmp_path: Path, old: bytes, new: bytes, expected: str
) -> None:
    path = tmp_path / "x.fa"
    text = b">c\nAAAA\nAAAA\nAAAA\nGGGG\nCCCC\nTTTT\nTTTT\n"
    path.write_bytes(text)
    genome = Genome(path)
    path.write_bytes(text.replace(old, new))
    assert genome.sequence("c", 2, 5) == "AAA"
    for _ in range(2):
        with pytest.raises(InvalidDataError, match=r"does not hold the bases.*stale") as caught:
            genome.ensure_many("c", np.array([12]), np.array([18]))
        assert (caught.value.offset, caught.value.expected) == (18, expected)
    path.write_bytes(text)
    assert genome.sequence("c", 10, 22) == "AAGGGGCCCCTT"


def test_threads_load_pages_together(small_pages: None, tmp_path: Path) -> None:
    sequence = "ACGTTGCANRYKACC" * 200
    path = tmp_path / "x.fa"
    path.write_bytes(fasta_text(sequence, 61))
    expected = Genome.from_arrays({"c": sequence})
    for seed in range(5):
        genome = Genome(path)
        starts = np.random.default_rng(seed).permutation(len(sequence) - 40)[:400].tolist()

        def read(start: int, genome: Genome = genome) -> str:
            return genome.sequence("c", start, start + 40)

        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(read, starts))
        assert got == [expected.sequence("c", s, s + 40) for s in starts]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_processes_load_pages_of_their_own(small_pages: None, tmp_path: Path) -> None:
    sequence = "ACGTTGCANRYKACC" * 20
    path = tmp_path / "x.fa"
    path.write_bytes(fasta_text(sequence, 61))
    genome = Genome(path)
    before = genome.sequence("c", 100, 150)
    children = []
    for start in (0, 90, 200):
        child = os.fork()
        if child == 0:
            same = genome.sequence("c", start, start + 90) == sequence[start : start + 90]
            os._exit(0 if same and genome.sequence("c", 100, 150) == before else 1)
        children.append(child)
    assert genome.sequence("c", 0, 300) == sequence
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_pages_that_are_not_loaded_take_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    contig = PackedContig(200_000_000)
    before = resident()
    pages = range(0, 200_000_000 // packed_module.PAGE_BP, 2**22 // packed_module.PAGE_BP)
    for page in pages:  # one in every 2 MiB
        contig.put(page, bytes([5]) * packed_module.PAGE_BP)
    assert contig.nbytes == len(pages) * packed_module.PAGE_BP // 2
    assert resident() - before < 10 * contig.nbytes < contig.bases.nbytes / 10


@pytest.mark.parametrize("name", ["hg38_chr1/hg38_chr1_10M.fa.gz", "yeast/sacCer3.fa.gz"])
def test_windows_of_a_real_bgzip_genome(name: str) -> None:
    path = shared_data("sets", *name.split("/"))
    whole, paged = Genome(path).load(), Genome(path)
    rng = np.random.default_rng(3)
    for contig, length in paged.contigs.items():
        starts = rng.integers(-2000, length, 12)
        paged.ensure_many(contig, starts, starts + 2114)
        for start in np.clip(starts, 0, length):
            end = min(int(start) + 2114, length)
            assert paged.sequence(contig, start, end) == whole.sequence(contig, start, end)
    assert paged.nbytes < whole.nbytes


def test_load_takes_names_and_draws_progress(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome = Genome(path).load(["b"])
    assert genome.nbytes == 4
    assert capsys.readouterr().out == ""
    genome.load(progress=True)
    assert genome.nbytes == genome.nbytes_total
    assert "Loading genome" in capsys.readouterr().out


def test_only_some_contigs(path: Path) -> None:
    genome = Genome(path, contigs=["empty", "b"])
    assert genome.contigs == {"b": 7, "empty": 0}
    with pytest.raises(NotFoundError, match="'a'"):
        genome.packed("a")
    with pytest.raises(NotFoundError, match=r"'A'.*near names"):
        Genome(path, contigs=["A"])


def test_gzip_file_is_let_go_after_the_first_load(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(FASTA))
    genome = Genome(path)
    genome.packed("b")
    path.unlink()
    assert genome.nbytes == genome.nbytes_total
    assert genome.sequence("a", 0, 13) == "ACGTNACGTNRYK"


def test_text_that_changed_is_an_error(path: Path) -> None:
    genome = Genome(path)
    path.write_bytes(FASTA.replace(b"acgtn", b"ac\n\n\n"))
    with pytest.raises(InvalidDataError, match="does not hold the bases") as caught:
        genome.packed("a")
    assert (caught.value.offset, caught.value.expected) == (9, "13 bases")


@pytest.mark.parametrize(
    "given_sequence", ["AC GT", b"AC\n", np.zeros(3, np.int64), np.zeros((2, 2), np.uint8)]
)
def test_arrays_are_checked(given_sequence: object) -> None:
    with pytest.raises(InvalidInputError, match="contig 'c'"):
        Genome.from_arrays({"c": given_sequence})  # type: ignore[dict-item]


def test_pickled_by_path_or_by_arrays(path: Path) -> None:
    genome = pickle.loads(pickle.dumps(Genome(path, contigs=["b"]).load()))
    assert (genome.contigs, genome.nbytes) == ({"b": 7}, 0)
    assert genome.sequence("b", 1, 4) == "ATT"
    arrays = pickle.loads(pickle.dumps(Genome.from_arrays({"c": "GATTACA"})))
    assert (arrays.contigs, arrays.sequence("c", 0, 7)) == ({"c": 7}, "GATTACA")


def test_repr_tells_the_memory(path: Path) -> None:
    assert "0.0 of 0.0 MB loaded" in repr(Genome(path))


def test_spawned_process_loads_its_own(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(Genome(path).sequence, "b", 0, 7).result(60) == "GATTACA"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_process_does_not_inherit_a_held_lock(path: Path) -> None:
    genome = Genome(path)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with genome._locks[os.getpid()]:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if genome.sequence("b", 0, 7) == "GATTACA" else 1)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        thread.join()


@pytest.mark.skipif(not TRUTH, reason="needs ../shared/data, which is not there")
@pytest.mark.parametrize("truth_path", TRUTH, ids=lambda p: p.name.removesuffix(".json"))
def test_real_genomes(truth_path: Path) -> None:
    truth = json.loads(truth_path.read_text())
    genome = Genome(shared_data(*truth["file"].split("/")))
    for record in truth["sequences"]:
        text = genome.sequence(record["name"], 0, genome.contigs[record["name"]])
        assert hashlib.sha256(text.encode()).hexdigest() == record["sha256_upper"]
