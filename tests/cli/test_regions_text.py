"""Regions as people write them: every form, every error, names with colons."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.cli.regions_text import RegionText, parse_region
from bigwig_loader.errors import InvalidInputError, NotFoundError

CONTIGS = {"chr1": 1_000_000, "chr2": 500, "HLA-A*01:01:01": 3_000, "chr2:10": 40, "a-b": 90}


def parse(text: str) -> RegionText:
    return parse_region(text, CONTIGS, "made.fa")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1:10,000-12,000", RegionText("chr1", 10_000, 12_000)),
        ("chr1:10000-12,000", RegionText("chr1", 10_000, 12_000)),
        (" chr1:0-1 ", RegionText("chr1", 0, 1)),
        ("chr1:999,999", RegionText("chr1", 999_999, 1_000_000, True)),
        ("chr2", RegionText("chr2", 0, 500)),
        ("chr2:0-500", RegionText("chr2", 0, 500)),
        ("HLA-A*01:01:01", RegionText("HLA-A*01:01:01", 0, 3_000)),
        ("HLA-A*01:01:01:5-9", RegionText("HLA-A*01:01:01", 5, 9)),
        ("chr2:10:5-9", RegionText("chr2:10", 5, 9)),
        ("a-b:1-3", RegionText("a-b", 1, 3)),
        ("{chr2:10}", RegionText("chr2:10", 0, 40)),
        ("{chr2}:10", RegionText("chr2", 10, 11, True)),
    ],
)
def test_forms(text: str, expected: RegionText) -> None:
    assert parse(text) == expected


@given(
    name=st.sampled_from([n for n in CONTIGS if n != "chr2:10"]),
    data=st.data(),
    commas=st.booleans(),
)
def test_what_is_written_is_read(name: str, data: st.DataObject, commas: bool) -> None:
    start = data.draw(st.integers(0, CONTIGS[name] - 1))
    end = data.draw(st.integers(start + 1, CONTIGS[name]))
    form = "{}:{:,}-{:,}" if commas else "{}:{}-{}"
    assert parse(form.format(name, start, end)) == RegionText(name, start, end)


@pytest.mark.parametrize(("start", "end", "position"), [(4, 5, 4), (4, 6, 5), (4, 7, 5)])
def test_position_is_the_central_base_of_the_data_sets(start: int, end: int, position: int) -> None:
    assert RegionText("chr1", start, end).position == position


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1:5-", "expected a whole number, with commas between thousands or without; got ''"),
        ("chr1:-5", "got ''"),
        ("chr1:", "got ''"),
        ("chr1:1,00-2,000", "got '1,00'"),
        ("chr1:1e3-2e3", "got '1e3'"),
        ("chr1:1-2-3", "got '2-3'"),
        ("chr1:\u0661-\u0662", "expected a whole number"),
        ("chr1:9-9", "expected START < END; got 9 and 9"),
        ("chr1:9-3", "expected START < END; got 9 and 3"),
        ("chr2:0-501", "expected an end within chr2, which has 500 bp; got 501"),
        ("chr2:500", "expected a position within chr2, which has 500 bp; got 500"),
        ("{chr1", "expected a name in braces"),
        ("{chr1}5-9", "expected a name in braces"),
        ("chr2:10", "are both contigs of made.fa; write {chr2:10} for all of the one"),
    ],
)
def test_errors_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "unknown", "near"),
    [
        ("1:5-9", "'1'", "chr1"),
        ("chr3", "'chr3'", "chr1"),
        ("chr3:4", "'chr3'", "chr1"),
        ("HLA-A*01:01:02", "'HLA-A*01:01'", "HLA-A*01:01:01"),
        ("HLA-A*01:01:x", "'HLA-A*01:01:x'", "HLA-A*01:01:01"),
        ("{chr9}:1-2", "'chr9'", "chr1"),
    ],
)
def test_an_unknown_contig_lists_near_names(text: str, unknown: str, near: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        parse(text)
    assert f"unknown contig {unknown} in made.fa" in str(caught.value)
    assert near in str(caught.value)
