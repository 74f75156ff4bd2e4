"""Header, contigs and the format cases of a BigWig file, each by a file made for it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader import BigWig
from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.bigwig import BigWigIndex, read_bigwig_index
from tests.helpers.bigwig_bytes import (
    BED_GRAPH,
    FIXED_STEP,
    VARIABLE_STEP,
    Block,
    Section,
    Shape,
    build_bigwig,
    write_bigwig_bytes,
)
from tests.helpers.made_bigwigs import COMPRESSORS
from tests.oracles import signal as oracle

A = {"a": (0, 100)}
NAN, INF = float("nan"), float("inf")


def index_of(path: Path, content: bytes) -> BigWigIndex:
    path.write_bytes(content)
    return read_bigwig_index(path)


def values(path: Path, blocks: list[Block], shape: Shape | None = None, end: int = 40) -> list:
    """Values of a:0-end, read twice: verified, and stopping early."""
    write_bigwig_bytes(path, A, blocks, shape)
    with BigWig(path) as bigwig:
        first = bigwig.values("a", 0, end, uncovered=0.0)
        again = [bigwig.values("a", i, i + 5, uncovered=0.0) for i in range(0, end, 5)]
        np.testing.assert_array_equal(np.concatenate(again), first)
    return first.tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made.bw"


# ------------------------------------------------------------------- the cases of the format ----


class TestCase1SectionTypes:
    def test_bed_graph(self, path: Path) -> None:
        section = Section(0, BED_GRAPH, ((2, 4, 1.5), (4, 7, -2.0)))
        assert values(path, [Block((section,))], end=10) == [0, 0, 1.5, 1.5, -2, -2, -2, 0, 0, 0]

    def test_variable_step_with_a_span(self, path: Path) -> None:
        section = Section(0, VARIABLE_STEP, ((1, 1.0), (6, 2.0)), span=3)
        assert values(path, [Block((section,))], end=10) == [0, 1, 1, 1, 0, 0, 2, 2, 2, 0]

    def test_fixed_step_with_gaps(self, path: Path) -> None:
        section = Section(0, FIXED_STEP, (1.0, 2.0, 3.0), start=1, step=3, span=2)
        assert values(path, [Block((section,))], end=10) == [0, 1, 1, 0, 2, 2, 0, 3, 3, 0]

    def test_fixed_step_of_one_base(self, path: Path) -> None:
        section = Section(0, FIXED_STEP, (1.0, 2.0, 3.0), start=1, step=1, span=1)
        assert values(path, [Block((section,))], end=5) == [0, 1, 2, 3, 0]

    def test_all_types_in_one_file(self, path: Path) -> None:
        blocks = [
            Block((Section(0, FIXED_STEP, (1.0, 2.0), start=0, step=2, span=1),)),
            Block((Section(0, VARIABLE_STEP, ((4, 3.0),), span=2),)),
            Block((Section(0, BED_GRAPH, ((7, 8, 4.0),)),)),
        ]
        assert values(path, blocks, end=10) == [1, 0, 2, 0, 3, 3, 0, 4, 0, 0]

    def test_all_types_in_one_block(self, path: Path) -> None:
        sections = (
            Section(0, FIXED_STEP, (1.0, 2.0), start=0, step=2, span=1),
            Section(0, VARIABLE_STEP, ((4, 3.0),), span=2),
            Section(0, BED_GRAPH, ((7, 8, 4.0),)),
        )
        assert values(path, [Block(sections)], end=10) == [1, 0, 2, 0, 3, 3, 0, 4, 0, 0]

    @pytest.mark.parametrize("kind", [0, 4, 255])
    def test_an_unknown_type_is_an_error(self, path: Path, kind: int) -> None:
        raw = bytearray(Section(0, BED_GRAPH, ((2, 4, 1.5),)).packed("<"))
        raw[20] = kind
        block = Block(bounds=(0, 2, 0, 4), stored=zlib.compress(bytes(raw)))
        with pytest.raises(InvalidDataError, match="unknown type") as caught:
            values(path, [block], Shape(buf_size=100))
        assert caught.value.got == str(kind)


class TestCase2And3Compression:
    SECTION = Section(0, BED_GRAPH, tuple((i, i + 1, i % 7 + 0.1) for i in range(40)))

    @pytest.mark.parametrize("name", COMPRESSORS)
    def test_every_kind_of_stream(self, path: Path, name: str) -> None:
        want = [np.float32(i % 7 + 0.1) for i in range(40)]
        assert values(path, [Block((self.SECTION,))], Shape(compress=COMPRESSORS[name])) == want

    @pytest.mark.parametrize("buf_size", [504, 16_384, 36_864, 0xFFFFFFFF])
    def test_the_buffer_size_is_taken_from_the_header(self, path: Path, buf_size: int) -> None:
        want = [np.float32(i % 7 + 0.1) for i in range(40)]
        assert values(path, [Block((self.SECTION,))], Shape(buf_size=buf_size)) == want

    def test_a_block_larger_than_the_header_says_is_an_error(self, path: Path) -> None:
        with pytest.raises(InvalidDataError, match="more than the header allows") as caught:
            values(path, [Block((self.SECTION,))], Shape(buf_size=503))
        assert caught.value.field == "uncompressBufSize"

    def test_a_large_block_that_inflates_to_megabytes(self, path: Path) -> None:
        # Larger than what is allocated at first for any block.
        filler = tuple(Section(9, FIXED_STEP, (0.0,) * 60_000, 0, 1, 1) for _ in range(9))
        last = Section(0, BED_GRAPH, ((3, 5, 2.0),))
        block = Block((*filler, last), bounds=(0, 0, 9, 60_000))
        assert values(path, [block], end=10) == [0, 0, 0, 2, 2, 0, 0, 0, 0, 0]

    def test_a_damaged_checksum_is_an_error(self, path: Path) -> None:
        stream = bytearray(zlib.compress(self.SECTION.packed("<")))
        stream[-1] ^= 1
        block = Block(bounds=(0, 0, 0, 40), stored=bytes(stream))
        with pytest.raises(InvalidDataError, match="wrong checksum"):
            values(path, [block], Shape(buf_size=600))

    @pytest.mark.parametrize("header", [b"\x77\x9c", b"\x88\x9c", b"\x78\x9d", b"\x78\xbb"])
    def test_a_header_that_is_not_zlibs_is_an_error(self, path: Path, header: bytes) -> None:
        stream = header + zlib.compress(self.SECTION.packed("<"))[2:]
        block = Block(bounds=(0, 0, 0, 40), stored=stream)
        with pytest.raises(InvalidDataError, match="not a zlib stream"):
            values(path, [block], Shape(buf_size=600))

    def test_every_truncated_stream_is_an_error(self, path: Path) -> None:
        stream = zlib.compress(self.SECTION.packed("<"))
        for n_bytes in range(0, len(stream), 7):
            block = Block(bounds=(0, 0, 0, 40), stored=stream[:n_bytes])
            with pytest.raises(InvalidDataError):
                values(path, [block], Shape(buf_size=600))


class TestCase4ByteOrdersAndVersions:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("version", [1, 2, 3, 4])
    def test_all(self, path: Path, order: str, version: int) -> None:
        compress = zlib.compress if version >= 3 else None
        shape = Shape(order=order, version=version, compress=compress)
        blocks = [
            Block((Section(0, FIXED_STEP, (1.0, 2.0), start=0, step=2, span=1),)),
            Block((Section(0, VARIABLE_STEP, ((4, 3.0),), span=2),)),
            Block((Section(0, BED_GRAPH, ((7, 8, 4.0),)),)),
        ]
        assert values(path, blocks, shape, end=10) == [1, 0, 2, 0, 3, 3, 0, 4, 0, 0]
        header = read_bigwig_index(path).header
        assert (header.byte_order, header.version) == (order, version)
        assert (header.summary is None) == (version == 1)

    def test_an_old_version_is_never_compressed(self, path: Path) -> None:
        # The field that says so did not exist yet; old writers left anything there.
        block = Block((Section(0, BED_GRAPH, ((1, 3, 2.0),)),))
        assert values(path, [block], Shape(version=2, compress=None, buf_size=777), end=5)[1] == 2

    @pytest.mark.parametrize("version", [0, 5, 0xFFFF])
    def test_an_unknown_version_is_an_error(self, path: Path, version: int) -> None:
        with pytest.raises(InvalidDataError, match="unknown BigWig version"):
            index_of(path, build_bigwig(A, [], Shape(version=version)))

    def test_an_extension_header_is_ignored(self, path: Path) -> None:
        content = bytearray(build_bigwig(A, [Block((Section(0, BED_GRAPH, ((1, 3, 2.0),)),))]))
        struct.pack_into("<Q", content, 56, len(content))
        content += struct.pack("<HHQ", 64, 0, 0) + bytes(52)
        assert index_of(path, bytes(content)).header.extension_offset == len(content) - 64
        assert BigWig(path).values("a", 1, 2).tolist() == [2]


class TestCase5Contigs:
    @given(
        st.dictionaries(
            st.text("abcXYZ0123._-é", min_size=1, max_size=12),
            st.integers(0, 0xFFFFFFFF),
            min_size=1,
            max_size=40,
        ),
        st.integers(2, 5),
        st.sampled_from("<>"),
        st.randoms(use_true_random=False),
    )
    def test_any_tree(self, lengths: dict, fanout: int, order: str, random: object) -> None:
        import tempfile

        ids = list(range(0, 3 * len(lengths), 3))
        random.shuffle(ids)  # type: ignore[attr-defined]
        contigs = {n: (i, length) for (n, length), i in zip(lengths.items(), ids, strict=True)}
        with tempfile.TemporaryDirectory() as folder:
            index = index_of(
                Path(folder) / "a.bw", build_bigwig(contigs, [], Shape(order=order, fanout=fanout))
            )
        assert index.contig_names == tuple(contigs)
        assert list(zip(index.chrom_ids, index.contig_lengths, strict=True)) == list(
            contigs.values()
        )

    def test_more_contigs_than_a_node_holds(self, path: Path) -> None:
        contigs = {f"contig{i:04d}": 1_000 + i for i in range(700)}
        data = {f"contig{i:04d}": ([i], [i + 1], [float(i)]) for i in range(700)}
        write_bigwig(path, contigs, data, WriterOptions(chrom_block_size=256, rtree_block_size=64))
        with BigWig(path) as bigwig:
            assert bigwig.contigs == contigs
            for i in (0, 255, 256, 699):
                assert bigwig.values(f"contig{i:04d}", i, i + 1).tolist() == [i]

    def test_ids_that_are_not_in_name_order(self, path: Path) -> None:
        contigs = {"a": (9, 50), "b": (2, 50), "c": (0xFFFFFFF0, 50)}
        blocks = [
            Block((Section(chrom_id, BED_GRAPH, ((0, 5, float(chrom_id)),)),))
            for chrom_id in (2, 9, 0xFFFFFFF0)
        ]
        write_bigwig_bytes(path, contigs, blocks)
        with BigWig(path) as bigwig:
            for name, (chrom_id, _) in contigs.items():
                assert bigwig.values(name, 1, 2)[0] == np.float32(chrom_id)

    def test_an_unknown_contig_lists_near_names(self, path: Path) -> None:
        write_bigwig(path, {"chr1": 10, "chr2": 10}, {})
        with BigWig(path) as bigwig, pytest.raises(NotFoundError, match=r"'1'.*near names: chr1"):
            bigwig.values("1", 0, 5)


class TestCase6RTree:
    @pytest.mark.parametrize("fanout", [2, 3, 256])
    @pytest.mark.parametrize("padding", [0, 3])
    def test_levels_and_padding(self, path: Path, fanout: int, padding: int) -> None:
        blocks = [Block((Section(0, BED_GRAPH, ((i, i + 1, float(i)),)),)) for i in range(40)]
        shape = Shape(fanout=fanout, node_padding=padding)
        assert values(path, blocks, shape) == list(range(40))

    def test_a_leaf_that_spans_two_contigs(self, path: Path) -> None:
        contigs = {"a": (0, 100), "b": (1, 100), "c": (2, 100), "d": (3, 100)}
        block = Block(
            tuple(Section(i, BED_GRAPH, ((10 * i, 10 * i + 5, 1.0 + i),)) for i in (0, 1, 3))
        )
        write_bigwig_bytes(path, contigs, [block])
        with BigWig(path) as bigwig:
            for _ in range(2):
                for i, name in ((0, "a"), (1, "b"), (3, "d")):
                    got = bigwig.values(name, 10 * i - 1, 10 * i + 6, uncovered=0.0)
                    assert got[1:].tolist() == [1 + i] * 5 + [0]
                assert np.isnan(bigwig.values("c", 0, 100)).all()

    @pytest.mark.parametrize("index_offset_is_zero", [True, False])
    def test_no_items_at_all(self, path: Path, index_offset_is_zero: bool) -> None:
        content = bytearray(build_bigwig(A, []))
        if index_offset_is_zero:  # what libBigWig leaves
            struct.pack_into("<Q", content, 24, 0)
        assert len(index_of(path, bytes(content)).blocks) == 0
        assert np.isnan(BigWig(path).values("a", 0, 100)).all()


class TestCase7StrangeItems:
    def test_overlapping_items_the_last_written_wins(self, path: Path) -> None:
        section = Section(0, BED_GRAPH, ((0, 10, 1.0), (2, 6, 2.0), (4, 5, 3.0)))
        assert values(path, [Block((section,))], end=10) == [1, 1, 2, 2, 3, 2, 1, 1, 1, 1]

    def test_unsorted_items(self, path: Path) -> None:
        section = Section(0, BED_GRAPH, ((6, 8, 1.0), (2, 4, 2.0), (3, 7, 3.0)))
        assert values(path, [Block((section,))], end=10) == [0, 0, 2, 3, 3, 3, 3, 1, 0, 0]

    def test_blocks_that_overlap(self, path: Path) -> None:
        blocks = [
            Block((Section(0, BED_GRAPH, ((0, 30, 1.0),)),)),
            Block((Section(0, BED_GRAPH, ((2, 4, 2.0),)),)),
            Block((Section(0, BED_GRAPH, ((20, 22, 3.0),)),)),
        ]
        want = [1.0] * 30 + [0.0] * 10
        want[2:4], want[20:22] = [2, 2], [3, 3]
        assert values(path, blocks) == want

    def test_steps_shorter_than_the_span(self, path: Path) -> None:
        section = Section(0, FIXED_STEP, (1.0, 2.0, 3.0), start=0, step=2, span=5)
        assert values(path, [Block((section,))], end=10) == [1, 1, 2, 2, 3, 3, 3, 3, 3, 0]

    def test_a_step_of_zero(self, path: Path) -> None:
        section = Section(0, FIXED_STEP, (1.0, 2.0, 3.0), start=1, step=0, span=2)
        assert values(path, [Block((section,))], end=5) == [0, 3, 3, 0, 0]

    def test_items_of_no_length_or_less_cover_nothing(self, path: Path) -> None:
        section = Section(0, BED_GRAPH, ((0, 2, 1.0), (2, 2, 9.0), (5, 3, 9.0), (3, 4, 2.0)))
        assert values(path, [Block((section,))], end=5) == [1, 1, 0, 2, 0]

    def test_an_end_past_the_contigs_end(self, path: Path) -> None:
        write_bigwig_bytes(path, A, [Block((Section(0, BED_GRAPH, ((90, 150, 1.0),)),))])
        got = BigWig(path).values("a", 85, 115, uncovered=0.0, out_of_bounds=-1.0)
        assert got.tolist() == [0] * 5 + [1] * 10 + [-1] * 15

    def test_not_a_number_infinity_negative_and_subnormal(self, path: Path) -> None:
        kept = [NAN, INF, -INF, -1.5, 1e-45, -1e-42, -0.0, 3.4028234663852886e38]
        section = Section(0, FIXED_STEP, tuple(kept), start=0, step=1, span=1)
        write_bigwig_bytes(path, A, [Block((section,))])
        got = BigWig(path).values("a", 0, 8, uncovered=5.0)
        assert got.tobytes() == np.array(kept, np.float32).tobytes()

    def test_positions_that_leave_32_bits(self, path: Path) -> None:
        last = 0xFFFFFFFF
        section = Section(0, FIXED_STEP, (1.0, 2.0, 3.0), start=last - 10, step=8, span=6)
        write_bigwig_bytes(path, {"a": (0, last)}, [Block((section,))])
        got = BigWig(path).values("a", last - 12, last + 3, uncovered=0.0, out_of_bounds=-1.0)
        assert got.tolist() == [0, 0] + [1] * 6 + [0, 0] + [2, 2] + [-1] * 3

    def test_more_items_than_the_block_holds_is_an_error(self, path: Path) -> None:
        section = Section(0, BED_GRAPH, ((0, 10, 1.0),), n_items=2)
        with pytest.raises(InvalidDataError, match="more items than its data block holds"):
            values(path, [Block((section,))])

    def test_a_section_of_another_contig_is_an_error(self, path: Path) -> None:
        block = Block((Section(5, BED_GRAPH, ((0, 10, 1.0),)),), bounds=(0, 0, 0, 10))
        with pytest.raises(InvalidDataError, match="another contig than the index says"):
            values(path, [block])

    def test_zeros_behind_the_last_section_are_padding(self, path: Path) -> None:
        raw = Section(0, BED_GRAPH, ((0, 3, 1.0),)).packed("<")
        block = Block(bounds=(0, 0, 0, 3), stored=raw + bytes(20))
        assert values(path, [block], Shape(compress=None), end=5) == [1, 1, 1, 0, 0]
        block = Block(bounds=(0, 0, 0, 3), stored=raw + b"\1" * 20)
        with pytest.raises(InvalidDataError, match="too short for a section header"):
            values(path, [block], Shape(compress=None))


class TestCase8ZoomLevels:
    def test_headers_are_read_and_values_never_come_from_them(self, path: Path) -> None:
        k = np.arange(1_000)
        data = {"a": (k * 2, k * 2 + 1, k.astype(np.float32))}
        write_bigwig(path, {"a": 3_000}, data, WriterOptions(zoom_reductions=(10, 40, 160)))
        header = read_bigwig_index(path).header
        assert [z.reduction_level for z in header.zoom_levels] == [10, 40, 160]
        with BigWig(path) as bigwig:
            got = bigwig.values("a", 3, 3_000 - 7, bin_size=45)
        parsed = oracle.parse(path)
        request = oracle.Request([("a", 3, False)], 2_990, [0], bin_size=45, uncovered=NAN)
        oracle.assert_equal(got[None, :, None], oracle.signal([parsed], request), request)

    def test_the_total_summary(self, path: Path) -> None:
        data = {"a": ([0, 10], [5, 20], [2.0, -1.0])}
        write_bigwig(path, {"a": 100}, data)
        summary = read_bigwig_index(path).header.summary
        assert summary is not None
        assert (summary.bases_covered, summary.total, summary.sum_of_squares) == (15, 0.0, 30.0)
        assert (summary.minimum, summary.maximum) == (-1.0, 2.0)


class TestCase9WhatIsNoBigWig:
    @pytest.mark.parametrize("n_bytes", [0, 1, 40, 63])
    def test_shorter_than_a_header(self, path: Path, n_bytes: int) -> None:
        with pytest.raises(InvalidDataError, match="shorter than a header") as caught:
            index_of(path, build_bigwig(A, [])[:n_bytes])
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_a_bigbed_is_named(self, path: Path, order: str) -> None:
        content = struct.pack(order + "I", 0x8789F2EB) + build_bigwig(A, [])[4:]
        with pytest.raises(InvalidDataError, match="this is a BigBed file, not a BigWig file"):
            index_of(path, content)

    @pytest.mark.parametrize(
        ("start", "looks"),
        [
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"version https://git-lfs", "git-lfs"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"<html>", "HTML"),
            (bytes(8), "unfinished download"),
            (b"track type=bedGraph", "something else"),
        ],
    )
    def test_other_files_are_recognised(self, path: Path, start: bytes, looks: str) -> None:
        with pytest.raises(InvalidDataError, match=looks) as caught:
            index_of(path, start.ljust(200, b"x"))
        assert caught.value.offset == 0

    def test_a_file_that_is_not_there(self, path: Path) -> None:
        with pytest.raises(NotFoundError, match="cannot open"):
            read_bigwig_index(path)

    def test_every_truncation_is_an_error_or_leaves_the_index_whole(self, path: Path) -> None:
        blocks = [Block((Section(0, BED_GRAPH, ((i, i + 1, 1.0),)),)) for i in range(10)]
        content = build_bigwig(A, blocks)
        data_at = min(int(o) for o in index_of(path, content).blocks.offset)
        for n_bytes in range(0, len(content), 5):
            if n_bytes < data_at - 8:
                with pytest.raises(InvalidDataError):
                    index_of(path, content[:n_bytes])
                continue
            assert len(index_of(path, content[:n_bytes]).blocks) == 10
            with BigWig(path) as bigwig, pytest.raises(InvalidDataError, match="past the end"):
                bigwig.values("a", 0, 10)

    @pytest.mark.parametrize(
        ("field", "at", "code"),
        [("chromosomeTreeOffset", 8, "Q"), ("fullIndexOffset", 24, "Q"), ("zoomLevels", 6, "H")],
    )
    def test_offsets_past_the_end(self, path: Path, field: str, at: int, code: str) -> None:
        for value in (0xFFFF,) if code == "H" else ((1 << 63) + 5, (1 << 64) - 1, 1 << 40):
            content = bytearray(build_bigwig(A, []))
            struct.pack_into("<" + code, content, at, value)
            with pytest.raises(InvalidDataError) as caught:
                index_of(path, bytes(content))
            assert (caught.value.field, caught.value.offset) == (field, at)


# ------------------------------------------------------------------ damaged chromosome trees ----


TREE_AT = 104


def damaged(at: int, code: str, value: int, n: int = 8, fanout: int = 2) -> bytes:
    contigs = {f"c{i}": (i, 100) for i in range(n)}
    content = bytearray(build_bigwig(contigs, [], Shape(fanout=fanout)))
    struct.pack_into("<" + code, content, TREE_AT + at, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("at", "code", "value", "message"),
    [
        (0, "I", 1, "no chromosome tree"),
        (12, "I", 12, "no chromosome tree"),
        (8, "I", 0, "does not fit"),
        (8, "I", 0xFFFFFFFF, "does not fit"),
        (16, "Q", 1 << 63, "does not fit"),
        (16, "Q", 7, "another number of contigs"),
        (34, "H", 0xFFFF, "past the end"),
        (32 + 4 + 2, "Q", TREE_AT + 32, "reached twice"),
        (32 + 4 + 2, "Q", (1 << 64) - 1, "past the end"),
    ],
)
def test_a_damaged_chromosome_tree(
    path: Path, at: int, code: str, value: int, message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        index_of(path, damaged(at, code, value))
    assert caught.value.path == str(path)


def test_a_huge_key_of_an_empty_tree_is_not_allocated(path: Path) -> None:
    content = bytearray(build_bigwig({}, []))
    struct.pack_into("<I", content, TREE_AT + 8, 0xFFFFFFFF)
    with pytest.raises(InvalidDataError, match="does not fit"):
        index_of(path, bytes(content))


@pytest.mark.parametrize("what", ["names", "ids"])
def test_contigs_must_be_distinct(path: Path, what: str) -> None:
    contigs = {"a": (0, 10), "b": (0 if what == "ids" else 1, 20)}
    content = build_bigwig(contigs, [])
    if what == "names":
        content = content.replace(b"b\1\0\0\0", b"a\1\0\0\0")
    with pytest.raises(InvalidDataError, match=f"contig {what}.*not distinct"):
        index_of(path, content)
