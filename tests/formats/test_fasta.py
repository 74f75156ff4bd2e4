"""FASTA files: every layout the text may have, indices that fit, and indices that do not."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import pickle
import shutil
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats import fasta_index
from bigwig_loader.formats.fasta import FastaFile, open_fasta
from tests.helpers.shared import SHARED, shared_data
from tests.oracles.sequence import fasta_records

TRUTH = sorted(
    path
    for pattern in ("fasta/*.json", "sets/*/*.fa*.json")
    for path in (SHARED / "data" / "truth").glob(pattern)
    if path.name != "nucleus__malformed.fasta.json"  # has a test of its own
)
SIMPLE = b">a first\nACGTACGT\nacgtnnnn\nAC\n>b\nGATTACA\n"
SIMPLE_FAI = b"a\t18\t9\t8\t9\nb\t7\t33\t7\t8\n"


def bgzip(text: bytes, block: int = 60_000) -> tuple[bytes, bytes]:
    """A bgzip file and its .gzi."""
    out, starts, at = b"", [], 0
    for piece in [text[i : i + block] for i in range(0, len(text), block)] + [b""]:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        data = packer.compress(piece) + packer.flush()
        starts.append((len(out), at))
        at += len(piece)
        out += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(data) + 25)
        out += data + struct.pack("<II", zlib.crc32(piece), len(piece))
    rows = b"".join(struct.pack("<QQ", *start) for start in starts[1:])
    return out, struct.pack("<Q", len(starts) - 1) + rows


def write(folder: Path, text: bytes = SIMPLE, fai: bytes | None = None, name: str = "x.fa") -> Path:
    path = folder / name
    path.write_bytes(text)
    if fai is not None:
        path.with_name(name + ".fai").write_bytes(fai)
    return path


def contents(fasta: FastaFile) -> dict[str, str]:
    return {name: fasta.read_contig(name).tobytes().decode() for name in fasta.contigs}


# ------------------------------------------------------------------------- files with truth ----


@pytest.mark.skipif(not TRUTH, reason="needs ../shared/data, which is not there")
@pytest.mark.parametrize("truth_path", TRUTH, ids=lambda p: p.name.removesuffix(".json"))
@pytest.mark.parametrize("indexed", [True, False], ids=["as published", "no index"])
def test_file_with_truth(truth_path: Path, indexed: bool, tmp_path: Path) -> None:
    truth = json.loads(truth_path.read_text())
    path = shared_data(*truth["file"].split("/"))
    if not indexed or path.name == "indexedfasta-js__end.fa.gz":  # whose .fai does not fit
        path = Path(shutil.copy(path, tmp_path))
    records = truth["sequences"]
    if path.name == "samtools__dict.fa":
        # Its last line has a '>' in the middle, which no reader of lines takes for a header.
        records = records[:-2]
    with open_fasta(path) as fasta:
        assert list(fasta.contigs)[: len(records)] == [r["name"] for r in records]
        assert path.name == "samtools__dict.fa" or len(fasta.contigs) == len(records)
        for record in records:
            bases = fasta.read_contig(record["name"]).tobytes()
            assert len(bases) == record["length"] == fasta.contigs[record["name"]]
            assert hashlib.sha256(bases).hexdigest() == record["sha256"]
            assert hashlib.sha256(bases.upper()).hexdigest() == record["sha256_upper"]
            assert bases.upper().count(b"N") == record["N"]
            for window in record["windows"]:
                got = fasta.read(record["name"], window["start"], window["end"])
                assert got.decode() == window["seq"]


def test_text_before_the_first_header_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="text before the first header") as caught:
        open_fasta(shared_data("fasta", "nucleus__malformed.fasta"))
    assert (caught.value.offset, caught.value.field) == (0, "header")


def test_published_index_that_is_too_short_is_refused() -> None:
    """Its .fai says 64,628 bases; the text has 100,100."""
    with pytest.raises(InvalidDataError, match="does not fit") as caught:
        open_fasta(shared_data("fasta", "indexedfasta-js__end.fa.gz"))
    assert str(caught.value.path).endswith(".fai")
    assert caught.value.offset == 0
    assert caught.value.field == "LENGTH of the last record"


# ------------------------------------------------------------------- any text: scan and read ----

LINE = st.text("ACGTNacgtn", max_size=12)
RECORD = st.tuples(
    st.text("abcXYZ01.|_", min_size=1, max_size=5),
    st.sampled_from(["", " words", "\ttab", "  "]),
    st.lists(LINE, max_size=6),
)


@given(
    st.lists(RECORD, min_size=1, max_size=5, unique_by=lambda r: r[0]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["plain", "gzip", "bgzip"]),
    st.integers(1, 40),
)
def test_any_text_reads_like_the_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[str, str, list[str]]],
    newline: str,
    final: bool,
    kind: str,
    scan_bytes: int,
) -> None:
    lines = [line for name, words, body in records for line in (f">{name}{words}", *body)]
    text = (newline.join(lines) + newline * final).encode()
    stored = {"plain": text, "gzip": gzip.compress(text), "bgzip": bgzip(text, 17)[0]}[kind]
    path = write(tmp_path_factory.mktemp("any"), stored)
    expected = fasta_records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta_index, "_SCAN_BYTES", scan_bytes)
        fasta = open_fasta(path)
    with fasta:
        assert contents(fasta) == expected
        for name, sequence in expected.items():
            for start in range(0, len(sequence) + 1, 3):
                for end in (start, start + 1, start + 7, len(sequence)):
                    if start <= end <= len(sequence):
                        assert fasta.read(name, start, end).decode() == sequence[start:end]


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=4),
    st.integers(1, 13),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_scan_finds_what_pyfaidx_indexes(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    width: int,
    newline: str,
    final: bool,
) -> None:
    rng = np.random.default_rng(sum(lengths))
    text = ""
    for i, length in enumerate(lengths):
        bases = "".join(rng.choice(list("ACGTacgtN"), length))
        body = [bases[k : k + width] for k in range(0, length, width)]
        text += newline.join([f">c{i} words", *body]) + newline
    text = text if final or not lengths[-1] else text.removesuffix(newline)
    folder = tmp_path_factory.mktemp("faidx")
    ours, theirs = write(folder, text.encode()), write(folder, text.encode(), name="y.fa")
    with pyfaidx.Fasta(str(theirs)) as reference, open_fasta(ours) as scanned:
        assert list(reference.keys()) == list(scanned.contigs)
        assert contents(scanned) == {n: str(reference[n]) for n in reference.keys()}  # noqa: SIM118
        rows = [line.split("\t") for line in (folder / "y.fa.fai").read_text().splitlines()]
        for i, (name, length, offset, line_bases, line_width) in enumerate(rows):
            assert name == scanned.index.names[i]
            assert [int(length), int(offset)] == [scanned.index.lengths[i], scanned.index.offset[i]]
            if int(length) > int(line_bases):  # one line alone: its width is a matter of taste
                got = [scanned.index.line_bases[i], scanned.index.line_width[i]]
                assert got == [int(line_bases), int(line_width)]
    with open_fasta(theirs) as indexed:
        assert contents(indexed) == fasta_records(text.encode())


def test_irregular_lines_are_scanned_but_refused_by_index(tmp_path: Path) -> None:
    text = b">a\nACGT\nAC\nGTAC\n>b\nA C\nG\n"
    with open_fasta(write(tmp_path, text)) as fasta:
        assert fasta.index.line_bases.tolist() == [0, 0]
        assert contents(fasta) == {"a": "ACGTACGTAC", "b": "ACG"}
        assert fasta.read("a", 3, 8) == b"TACGT"
    fai = b"a\t10\t3\t4\t5\nb\t3\t20\t3\t4\n"
    with pytest.raises(InvalidDataError, match="does not fit"):
        open_fasta(write(tmp_path, text, fai))


def test_line_that_hides_inside_a_fitting_index_is_found_when_read(tmp_path: Path) -> None:
    """Two irregular lines can cancel out; the bases that are read are counted."""
    text = b">a\nACGT\nAC\nACGTAC\nACGT\n"
    path = write(tmp_path, text, b"a\t16\t3\t4\t5\n")
    with open_fasta(path) as fasta:
        assert fasta.read("a", 0, 4) == b"ACGT"
        with pytest.raises(InvalidDataError, match="does not hold the bases"):
            fasta.read("a", 4, 8)


# ----------------------------------------------------------------------------------- indices ----


def test_index_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, SIMPLE, SIMPLE_FAI)
    monkeypatch.setattr("bigwig_loader.formats.fasta.scan", None)
    with open_fasta(path) as fasta:
        assert contents(fasta) == fasta_records(SIMPLE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.fa", "x.fa.fai"]


@pytest.mark.parametrize(
    ("fai", "offset", "field"),
    [
        (b"a\t18\t9\t8\t9\n", 0, "LENGTH of the last record"),
        (b"b\t7\t33\t7\t8\n", 0, "OFFSET of 'b'"),
        (b"a\t17\t9\t8\t9\nb\t7\t33\t7\t8\n", 11, "OFFSET of 'b'"),
        (b"a\t18\t9\t8\t9\nb\t6\t33\t7\t8\n", 11, "LENGTH of the last record"),
        (b"a\t18\t9\t8\t9\nb\t70\t33\t7\t8\n", 11, "LENGTH of the last record"),
        (b"a\t18\t9\t8\t9\nc\t7\t33\t7\t8\n", 11, "OFFSET of 'c'"),
        (b"a\t18\t9\t6\t7\nb\t7\t33\t7\t8\n", 0, "LINEBASES of 'a'"),
        (b"a\t18\t5\t8\t9\nb\t7\t33\t7\t8\n", 0, "OFFSET of 'a'"),
        (b"a\t18\t9\t8\t9\nb\t7\t999999999999\t7\t8\n", 11, "OFFSET of 'b'"),
        (b"a\t18\t9\t8\nb\t7\t33\t7\t8\n", 0, "line"),
        (b"a\t18\t9\t8\t9\t2\nb\t7\t33\t7\t8\n", 0, "line"),
        (b"a\t-18\t9\t8\t9\nb\t7\t33\t7\t8\n", 0, "line"),
        (b"a\t18\t9\t8\t9\nb\t7\t33\t7\n", 11, "line"),
        (b"a\t18\t9\t0\t9\nb\t7\t33\t7\t8\n", 0, "LINEBASES and LINEWIDTH of 'a'"),
        (b"a\t18\t9\t8\t7\nb\t7\t33\t7\t8\n", 0, "LINEBASES and LINEWIDTH of 'a'"),
        (b"a\t18\t9\t8\t9\na\t7\t33\t7\t8\n", 11, "NAME"),
        (b"\xff\t18\t9\t8\t9\n", 0, "name"),
        (b"", 0, "LENGTH of the last record"),
    ],
)
def test_index_that_does_not_fit_is_refused(
    tmp_path: Path, fai: bytes, offset: int, field: str
) -> None:
    with pytest.raises(InvalidDataError) as caught:
        open_fasta(write(tmp_path, SIMPLE, fai))
    error = caught.value
    assert str(error.path).endswith("x.fa.fai")
    assert (error.offset, error.field) == (offset, field)
    assert error.expected is not None
    assert error.got is not None


def test_index_of_the_file_before_it_grew_is_refused(tmp_path: Path) -> None:
    for changed in (SIMPLE + b">c\nA\n", b">z\nA\n" + SIMPLE, SIMPLE.replace(b"nnnn", b"nn")):
        with pytest.raises(InvalidDataError, match="does not fit"):
            open_fasta(write(tmp_path, changed, SIMPLE_FAI))


def test_index_may_have_crlf_and_any_order(tmp_path: Path) -> None:
    fai = b"b\t7\t33\t7\t8\r\na\t18\t9\t8\t9\r\n"
    with open_fasta(write(tmp_path, SIMPLE, fai)) as fasta:
        assert list(fasta.contigs) == ["b", "a"]
        assert contents(fasta) == fasta_records(SIMPLE)


# ------------------------------------------------------------------------------- compression ----


@pytest.mark.parametrize("with_fai", [True, False])
@pytest.mark.parametrize("with_gzi", [True, False])
@pytest.mark.parametrize("block", [1, 5, 1000])
def test_bgzip(tmp_path: Path, with_fai: bool, with_gzi: bool, block: int) -> None:
    data, gzi = bgzip(SIMPLE, block)
    path = write(tmp_path, data, SIMPLE_FAI if with_fai else None, "x.fa.gz")
    if with_gzi:
        (tmp_path / "x.fa.gz.gzi").write_bytes(gzi)
    with open_fasta(path) as fasta:
        assert not fasta.in_memory
        assert contents(fasta) == fasta_records(SIMPLE)


def test_damaged_bgzip_is_refused(tmp_path: Path) -> None:
    data, gzi = bgzip(SIMPLE, 20)

    def opened(data: bytes, gzi: bytes | None = None) -> None:
        (tmp_path / "x.fa.gz.gzi").unlink(missing_ok=True)
        path = write(tmp_path, data, name="x.fa.gz")
        if gzi is not None:
            (tmp_path / "x.fa.gz.gzi").write_bytes(gzi)
        open_fasta(path)

    with pytest.raises(InvalidDataError, match="without the block that ends it"):
        opened(data[:-28])
    with pytest.raises(InvalidDataError, match="not a bgzip block"):
        opened(data[:16] + b"\xff\xff" + data[18:])
    with pytest.raises(InvalidDataError, match="damaged bgzip block"):
        opened(data[:20] + bytes([data[20] ^ 0xFF]) + data[21:])
    with pytest.raises(InvalidDataError, match=r"damaged \.gzi"):
        opened(data, gzi[:-1])
    with pytest.raises(InvalidDataError, match=r"\.gzi index does not fit"):
        opened(data, gzi[:8] + struct.pack("<Q", 0) + gzi[16:])
    with pytest.raises(InvalidDataError, match="bgzip block"):
        opened(data, gzi[:8] + struct.pack("<QQ", 30, 20) + gzi[24:])


@given(st.data())
def test_flipped_byte_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    stored, gzi = bgzip(SIMPLE, 20)
    at = data.draw(st.integers(0, len(stored) + len(gzi) - 1))
    both = bytearray(stored + gzi)
    both[at] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flip")
    path = write(folder, bytes(both[: len(stored)]), name="x.fa.gz")
    (folder / "x.fa.gz.gzi").write_bytes(bytes(both[len(stored) :]))
    read = None
    with contextlib.suppress(InvalidDataError), open_fasta(path) as fasta:
        read = contents(fasta)
    assert read in (None, fasta_records(SIMPLE))


def test_gzip_is_kept_in_memory(tmp_path: Path) -> None:
    members = gzip.compress(SIMPLE[:20]) + gzip.compress(SIMPLE[20:])
    with open_fasta(write(tmp_path, members, SIMPLE_FAI, "x.fa.gz")) as fasta:
        assert fasta.in_memory
        assert contents(fasta) == fasta_records(SIMPLE)
    with pytest.raises(InvalidDataError, match="damaged gzip"):
        open_fasta(write(tmp_path, gzip.compress(SIMPLE)[:-4], name="y.fa.gz"))


# ------------------------------------------------------------------------------ errors, misc ----


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "not a FASTA file"),
        (b"\n\n", "not a FASTA file"),
        (b"chr1\t1\t2\n", "text before the first header"),
        (b">a\nAC\n>a words\nGT\n", "two records have one name"),
        (b">a\rACGT\r", "lines end in CR alone"),
        (b">\xff\nACGT\n", "a contig name is not text"),
    ],
)
def test_text_that_is_not_fasta_is_refused(tmp_path: Path, text: bytes, what: str) -> None:
    with pytest.raises(InvalidDataError, match=what) as caught:
        open_fasta(write(tmp_path, text))
    assert caught.value.offset is not None


def test_missing_file_and_contig(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.fa"):
        open_fasta(tmp_path / "none.fa")
    with (
        open_fasta(write(tmp_path, b">chr1\nACGT\n")) as fasta,
        pytest.raises(NotFoundError, match="near names: chr1"),
    ):
        fasta.read("1", 0, 1)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 19), (5, 4), (19, 19)])
def test_range_must_lie_inside(tmp_path: Path, start: int, end: int) -> None:
    with open_fasta(write(tmp_path)) as fasta, pytest.raises(InvalidInputError, match="range"):
        fasta.read("a", start, end)


def test_truncated_while_open(tmp_path: Path) -> None:
    path = write(tmp_path)
    with open_fasta(path) as fasta:
        path.write_bytes(SIMPLE[:12])
        with pytest.raises(InvalidDataError, match="ends too early"):
            fasta.read("b", 0, 7)


def test_pickled_and_shared_by_threads(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bases = rng.choice(np.frombuffer(b"ACGT", np.uint8), 20_000).tobytes()
    lines = b"\n".join(bases[i : i + 60] for i in range(0, len(bases), 60))
    path = write(tmp_path, bgzip(b">a\n" + lines + b"\n", 700)[0], name="x.fa.gz")
    starts = rng.integers(0, 19_000, 400).tolist()
    with pickle.loads(pickle.dumps(open_fasta(path))) as fasta, ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda s: fasta.read("a", s, s + 900), starts))
    assert got == [bases[s : s + 900] for s in starts]


def test_remote_file_is_scanned() -> None:
    import fsspec

    with fsspec.open("memory://folder/x.fa", "wb") as file:
        file.write(SIMPLE)
    with open_fasta("memory://folder/x.fa") as fasta:
        assert contents(fasta) == fasta_records(SIMPLE)
