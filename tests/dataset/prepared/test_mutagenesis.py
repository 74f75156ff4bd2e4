"""Pairs of windows without and with a site, and all substitutions of a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.dataset.prepared.mutagenesis import Saturation, SitePairs
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from tests.helpers.haplotypes import random_variant
from tests.oracles.haplotypes import Variant, letters, window
from tests.oracles.sequence import one_hot

RNG = np.random.default_rng(7)
SEQUENCES = {name: "".join(RNG.choice(list("ACGT"), n)) for name, n in (("c1", 60), ("c2", 25))}
GENOME = Genome.from_arrays(SEQUENCES)


def table(*sites: tuple[str, Variant]) -> dict[str, list[Any]]:
    return {
        "CHROM": [contig for contig, _ in sites],
        "POS": [v.position + 1 for _, v in sites],
        "REF": [v.ref for _, v in sites],
        "ALT": [v.alt for _, v in sites],
    }


class TestSitePairs:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 40), st.booleans())
    def test_equals_writing_into_the_sequence(self, seed: int, n_bp: int, reverse: bool) -> None:
        rng = np.random.default_rng(seed)
        chosen = [str(rng.choice(["c1", "c2"])) for _ in range(5)]
        sites = [(contig, random_variant(rng, SEQUENCES[contig])) for contig in chosen]
        # As they are, so that they need not be left-aligned, which moves their windows.
        sites = [(c, v) for c, v in sites if v.ilen == 0 or v.ref[-1] != v.alt[-1]]
        sites.append(("c1", Variant(0, SEQUENCES["c1"][0], SEQUENCES["c1"][0] + "N")))
        pairs = SitePairs(GENOME, table(*sites), n_bp, encoding="bytes", reverse_complement=reverse)
        which = rng.permutation(len(sites))
        found = pairs[which]
        for row, k in enumerate(which.tolist()):
            contig, site = sites[k]
            start = site.position - n_bp // 2
            for half, carried in enumerate(([], [site])):
                bases = window(SEQUENCES[contig], carried, start, 0, length=n_bp)
                assert found[half][row].tobytes().decode() == letters(bases, reverse)

    def test_one_hot_of_one_and_in_batches(self) -> None:
        sites = [("c1", Variant(p, SEQUENCES["c1"][p], "N")) for p in (9, 3, 30)]
        pairs = SitePairs(GENOME, table(*sites), 8, layout="BPAL", dtype="uint8")
        reference, alternate = pairs[1]
        np.testing.assert_array_equal(reference.T, one_hot(SEQUENCES["c1"], -1, 8))
        assert (reference.shape, alternate.shape, alternate.dtype) == ((4, 8), (4, 8), np.uint8)
        assert (reference.sum(), alternate.sum()) == (7, 6)
        batches = list(pairs.batches(2))
        assert [len(a) for a, _ in batches] == [2, 1]
        np.testing.assert_array_equal(batches[0][1][1], alternate)
        assert pairs.given.tolist() == [0, 1, 2]

    def test_from_files(self, tmp_path: Path) -> None:
        (tmp_path / "g.fa").write_text(f">c1\n{SEQUENCES['c1']}\n")
        base = SEQUENCES["c1"][20]
        (tmp_path / "s.vcf").write_text(
            "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
            f"c1\t21\t.\t{base}\t{base}GG\t.\t.\t.\n"
        )
        pairs = SitePairs(tmp_path / "g.fa", tmp_path / "s.vcf", 10, encoding="bytes")
        reference, alternate = (x.tobytes().decode() for x in pairs[0])
        assert reference == SEQUENCES["c1"][15:25]
        assert alternate == SEQUENCES["c1"][15:21] + "GG" + SEQUENCES["c1"][21:23]

    def test_refused_and_dropped(self) -> None:
        good = ("c1", Variant(4, SEQUENCES["c1"][4], "N"))
        wrong = ("c1", Variant(5, "T" if SEQUENCES["c1"][5] != "T" else "A", "C"))
        with pytest.raises(InvalidInputError, match="REF differs from the genome"):
            SitePairs(GENOME, table(wrong, good), 8)
        pairs = SitePairs(GENOME, table(wrong, good), 8, invalid="drop")
        assert (len(pairs), pairs.given.tolist()) == (1, [1])
        assert pairs.dropped == {"REF differs from the genome": 1}
        with pytest.raises(NotFoundError, match="unknown contig 'c3'"):
            SitePairs(GENOME, table(("c3", good[1])), 8)
        with pytest.raises(NotFoundError, match="site 1 does not exist"):
            pairs[1]


class TestSaturation:
    def test_every_substitution_once(self) -> None:
        made = Saturation(b"ACNgT", encoding="bytes", mutate=(1, 5))
        assert made.reference.tobytes() == b"ACNGT"
        found = [row.tobytes().decode() for batch in made.batches(2) for row in batch]
        assert found == ["AANGT", "AGNGT", "ATNGT", "ACNGA", "ACNGC", "ACNGG"]

    @pytest.mark.parametrize("layout", ["BPLA", "BPAL"])
    def test_one_hot(self, layout: str) -> None:
        text = SEQUENCES["c2"][3:15]
        made = Saturation.of_genome(GENOME, "c2", 3, 15, layout=layout)
        batch = made[:] if layout == "BPLA" else made[:].swapaxes(1, 2)
        assert batch.shape == (36, 12, 4)
        assert batch.dtype == np.float32
        for k, row in enumerate(batch):
            at, letter = int(made.positions[k]), made.letters[k].decode()
            changed = text[:at] + letter + text[at + 1 :]
            assert letter != text[at]
            np.testing.assert_array_equal(row, one_hot(changed, 0, 12))
        assert len({(int(p), x) for p, x in zip(made.positions, made.letters, strict=True)}) == 36
        np.testing.assert_array_equal(made[5], made[[5]][0])

    def test_reverse_complement_and_coordinates(self) -> None:
        made = Saturation.of_genome(
            GENOME, "c2", -2, 6, reverse_complement=True, encoding="tokens", dtype="int32"
        )
        expected = letters(window(SEQUENCES["c2"], [], -2, 6), reverse=True)
        assert made.reference.tolist() == ["ACGTN".index(x) for x in expected]
        assert made.ref_coords is not None
        assert made.ref_coords.tolist() == [p for p in range(5, -1, -1) for _ in range(3)]
        assert made.positions.tolist() == [p for p in range(6) for _ in range(3)]

    def test_as_matrix(self) -> None:
        made = Saturation(b"ANC")
        matrix = made.as_matrix(np.arange(6) + 1)
        np.testing.assert_array_equal(matrix, [[np.nan, 1, 2, 3], [np.nan] * 4, [4, np.nan, 5, 6]])
        assert made.as_matrix(np.zeros((6, 5))).shape == (3, 4, 5)
        with pytest.raises(InvalidInputError, match="expected 6, one for each"):
            made.as_matrix([1, 2])

    def test_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="argument mutate"):
            Saturation(b"ACGT", mutate=(2, 5))
        with pytest.raises(NotFoundError, match="unknown contig 'c9'"):
            Saturation.of_genome(GENOME, "c9", 0, 5)
