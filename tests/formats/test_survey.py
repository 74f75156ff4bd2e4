"""What `survey` finds in data blocks, against the writer's own numbers and real files' truth."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.survey import (
    inflate_block,
    parse_sections,
    sample_blocks,
    survey_blocks,
)
from tests.helpers.shared import SHARED, shared_data

CONTIGS = {"chr1": 1000, "chr2": 400}
STARTS = np.arange(0, 400, 20)


def _file(path: Path, options: WriterOptions, ends: np.ndarray | None = None) -> Path:
    """20 items of 10 bp each on both contigs, one every 20 bp."""
    items = (STARTS, STARTS + 10 if ends is None else ends, np.arange(20) / 4)
    return write_bigwig(path, CONTIGS, dict.fromkeys(CONTIGS, items), options)


@pytest.mark.parametrize("section", ["bedGraph", "variableStep", "fixedStep"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("compress", [True, False])
def test_survey_counts_what_was_written(
    tmp_path: Path, section: str, byte_order: str, compress: bool
) -> None:
    options = WriterOptions(
        section=section,  # type: ignore[arg-type]
        items_per_block=8,
        compress=compress,
        byte_order=byte_order,  # type: ignore[arg-type]
    )
    survey = survey_blocks(read_bigwig_index(_file(tmp_path / "a.bw", options)))
    assert survey.findings == []
    assert survey.n_blocks == 6  # 8 + 8 + 4 items on each contig
    assert survey.sections == {section: 6}
    assert (survey.n_items, survey.items_bp, survey.mean_item_bp) == (40, 400, 10.0)
    item_bytes = {"bedGraph": 12, "variableStep": 8, "fixedStep": 4}[section]
    assert survey.inflated_bytes == 6 * 24 + 40 * item_bytes
    assert (survey.compression_ratio == 1.0) is not compress


def test_sections_hold_the_items(tmp_path: Path) -> None:
    index = read_bigwig_index(_file(tmp_path / "a.bw", WriterOptions(section="variableStep")))
    at, n = int(index.blocks.offset[0]), int(index.blocks.n_bytes[0])
    stored = (tmp_path / "a.bw").read_bytes()[at : at + n]
    (section,) = parse_sections(inflate_block(stored, 1 << 15), "<")
    assert section.kind == "variableStep"
    assert section.start.tolist() == STARTS.tolist()
    assert section.end.tolist() == (STARTS + 10).tolist()
    assert section.value.tolist() == (np.arange(20) / 4).tolist()


@pytest.mark.parametrize(
    ("start_at", "end_at", "expected"),
    [
        (3, 130, "1 item overlapping or out of order"),  # reaches into the two items after it
        (3, 70, None),
        (3, 60, "1 item ending where or before they start"),
        (19, 2000, "1 item past the end of the contig"),
    ],
)
def test_irregular_items_are_found(
    tmp_path: Path, start_at: int, end_at: int, expected: str | None
) -> None:
    ends = STARTS + 10
    ends[start_at] = end_at
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, {"chr1": (STARTS, ends, np.ones(20))})
    found = [f.what for f in survey_blocks(read_bigwig_index(path)).findings]
    if expected is None:
        assert found == []
    elif start_at == 3 and end_at == 130:
        assert any("3 items overlapping" in what for what in found)
    else:
        assert any(what.startswith(expected) for what in found), found


def test_overlap_of_two_blocks_is_found_only_if_both_are_read(tmp_path: Path) -> None:
    ends = STARTS + 10
    ends[9] = 205  # the last item of the first block reaches into the first of the second
    options = WriterOptions(items_per_block=10)
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, {"chr1": (STARTS, ends, np.ones(20))}, options)
    index = read_bigwig_index(path)
    (finding,) = survey_blocks(index).findings
    assert (finding.block, finding.kind) == (1, "irregular")
    assert finding.what == "1 item overlapping or out of order, chr1:200-390"
    assert survey_blocks(index, np.array([1])).findings == []


def test_damage_is_a_finding_and_the_rest_is_read(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.bw", WriterOptions(items_per_block=10))
    index = read_bigwig_index(path)
    data = bytearray(path.read_bytes())
    last = int(index.blocks.offset[1] + index.blocks.n_bytes[1]) - 1
    data[last] ^= 1  # in the checksum
    path.write_bytes(data)
    seen: list[int] = []
    survey = survey_blocks(read_bigwig_index(path), on_block=lambda: seen.append(1))
    (finding,) = survey.findings
    assert (finding.block, finding.offset) == (1, int(index.blocks.offset[1]))
    assert finding.kind == "damaged"
    assert (survey.n_blocks, survey.n_items, len(seen)) == (4, 30, 4)


def test_block_past_the_end_is_a_finding(tmp_path: Path) -> None:
    index = read_bigwig_index(_file(tmp_path / "a.bw", WriterOptions()))
    index.blocks.offset[0] = index.n_bytes
    (finding,) = survey_blocks(index).findings
    assert finding.what.startswith("lies past the end of the file")


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (b"", "ends in the middle"),
        (zlib.compress(bytes(100))[:-1], "ends in the middle"),
        (zlib.compress(bytes(101)), "inflates to more"),
        (zlib.compress(bytes(1 << 20)), "inflates to more"),
        (b"<html>", "does not inflate"),
    ],
)
def test_bad_streams(stored: bytes, what: str) -> None:
    with pytest.raises(InvalidDataError, match=what):
        inflate_block(stored, 100)


def test_stream_of_just_the_allowed_size() -> None:
    assert inflate_block(zlib.compress(bytes(100)), 100) == bytes(100)


@given(st.binary(max_size=200), st.sampled_from("<>"))
def test_any_bytes_are_sections_or_an_error(raw: bytes, byte_order: str) -> None:
    try:
        sections = list(parse_sections(raw, byte_order))
    except InvalidDataError:
        return
    assert sections
    n_bytes = {"bedGraph": 12, "variableStep": 8, "fixedStep": 4}
    used = sum(24 + len(s.start) * n_bytes[s.kind] for s in sections)
    assert used <= len(raw) < used + 24


@given(st.integers(0, 3000), st.integers(1, 400))
def test_samples_are_spread_over_all_blocks(n_blocks: int, n_wanted: int) -> None:
    sample = sample_blocks(n_blocks, n_wanted)
    assert len(sample) == min(n_blocks, n_wanted)
    bounds = np.concatenate([sample, [n_blocks]])
    if len(sample):
        assert sample[0] == 0
        assert set(np.diff(bounds)) <= {n_blocks // len(sample), n_blocks // len(sample) + 1}


def _truths() -> list[str]:
    root = SHARED / "data" / "truth"
    return sorted(
        str(p.relative_to(root).with_suffix(""))
        for folder in ("bigwig", "bigwig_derived")
        for p in (root / folder).glob("*.json")
    )


@pytest.mark.parametrize("name", _truths() or [pytest.param("bigwig", id="absent")])
def test_real_files(name: str) -> None:
    path, truth_path = shared_data(name), shared_data("truth", f"{name}.json")
    truth = json.loads(truth_path.read_text())["inspect"]
    survey = survey_blocks(read_bigwig_index(path))
    assert survey.sections == truth.get("sections", {})
    assert survey.n_blocks == truth.get("n_blocks", 0)
    assert survey.n_items == truth.get("n_items", 0)
    assert not [f for f in survey.findings if f.kind == "damaged"]
    irregular = {key: truth.get(key, 0) for key in ("overlaps", "disorder", "zero_length")}
    irregular["past_chrom_end"] = truth.get("past_chrom_end", 0)
    assert bool(survey.findings) == any(irregular.values()), (survey.findings, irregular)
    # The truth's sum of lengths counts items that end before they start as negative.
    if not survey.findings:
        assert survey.items_bp == truth.get("bases", 0)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("zlib_flip_block3.bw", 3),
        ("section_chromid_unknown.bw", 4),
        ("section_itemcount_too_big.bw", 4),
        ("leaf_size_zero.bw", 2),
        ("leaf_offset_past_eof.bw", 2),
    ],
)
def test_damaged_real_files(name: str, block: int) -> None:
    survey = survey_blocks(read_bigwig_index(shared_data("bad_derived", name)))
    assert [(f.block, f.kind) for f in survey.findings] == [(block, "damaged")]
