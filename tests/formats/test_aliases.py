"""Contig aliases: only on request, and never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.aliases import resolve

UCSC = ["chr1", "chr2", "chr10", "chrX", "chrM"]
ENSEMBL = ["1", "2", "10", "X", "MT"]


def test_both_ways() -> None:
    assert resolve(UCSC, ENSEMBL, True, "x") == dict(zip(UCSC, ENSEMBL, strict=True))
    assert resolve(ENSEMBL, UCSC, True, "x") == dict(zip(ENSEMBL, UCSC, strict=True))


@pytest.mark.parametrize("name", ["chrM", "chrMT", "MT", "M"])
@pytest.mark.parametrize("known", ["chrM", "chrMT", "MT", "M"])
def test_mitochondria_have_four_spellings(name: str, known: str) -> None:
    assert resolve([name], ["chr1", known], True, "x") == {name: known}


def test_never_without_the_request() -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(["chr1", "1"], UCSC, False, "genome.fa")
    message = str(caught.value)
    assert "unknown contig '1' in genome.fa" in message
    assert "near names: " in message
    assert "'chr1' is another spelling of it: see with_contig_names" in message


@given(st.lists(st.sampled_from(UCSC + ENSEMBL + ["M", "chr"])), st.booleans())
def test_a_known_name_means_itself(names: list[str], aliases: bool) -> None:
    known = list(dict.fromkeys(names))
    assert resolve(names, known, aliases, "x") == {name: name for name in known}


def test_unknown_name_without_another_spelling() -> None:
    with pytest.raises(NotFoundError, match="'chr3'") as caught:
        resolve(["chr3"], UCSC, True, "x")
    assert "spelling" not in str(caught.value)
    with pytest.raises(NotFoundError, match=r"'CHR1'.*near names: chr1"):
        resolve(["CHR1"], UCSC, True, "x")


def test_name_that_could_mean_two_contigs_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="'chrM', 'MT'"):
        resolve(["M"], ["chrM", "MT"], True, "x")
    assert resolve(["MT"], ["chrM", "MT"], True, "x") == {"MT": "MT"}


def test_two_names_for_one_contig_are_an_error() -> None:
    with pytest.raises(InvalidInputError, match="got '1' and 'chr1'"):
        resolve(["1", "chr1"], ["chr1"], True, "x")
    both = resolve(["1", "chr1"], ["chr1", "1"], True, "x")
    assert both == {"1": "1", "chr1": "chr1"}


def test_the_bare_prefix_is_a_name_of_its_own() -> None:
    assert resolve(["chr"], ["chr"], True, "x") == {"chr": "chr"}
    with pytest.raises(NotFoundError):
        resolve(["chr"], ["", "1"], True, "x")
