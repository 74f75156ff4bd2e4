"""The packed genome: codes, lazy loading, memory, threads and processes."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats import fasta as fasta_module
from bigwig_loader.formats.genome import Genome, pack_bases
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


def test_contigs_are_loaded_when_asked_for_and_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    pieces = fasta_module.FastaFile.pieces

    def counted(self: fasta_module.FastaFile, name: str) -> object:
        reads.append(name)
        return pieces(self, name)

    monkeypatch.setattr(fasta_module.FastaFile, "pieces", counted)
    genome = Genome(path)
    assert genome.contigs == {"a": 13, "b": 7, "empty": 0}
    assert (genome.nbytes, genome.nbytes_total) == (0, 11)
    assert genome.sequence("b", 0, 7) == "GATTACA"
    assert (genome.nbytes, reads) == (4, ["b"])
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(genome.packed, ["a", "b"] * 20))
    assert len({id(array) for array in arrays}) == 2
    assert genome.load() is genome
    assert (genome.nbytes, sorted(reads)) == (11, ["a", "b", "empty"])
    assert not genome.packed("a").flags.writeable


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
        with genome._lock:
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
