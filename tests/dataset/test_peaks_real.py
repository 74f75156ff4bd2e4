"""Peaks on real files: yeast ATAC peaks, signal and genome, read beside pyBigWig."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.sampling.loci import read_loci
from tests.helpers.shared import SHARED, shared_data

LETTERS = {"A": 0, "C": 1, "G": 2, "T": 3}
BEDS = sorted((SHARED / "data" / "bed").glob("*")) if (SHARED / "data" / "bed").exists() else []


def test_yeast_peaks() -> None:
    pybigwig = pytest.importorskip("pyBigWig")
    folder = shared_data("sets", "yeast")
    peaks, signal = folder / "yeast_peaks.narrowPeak", folder / "yeast_atac_FE.kent.bw"
    dataset = PeakDataset(
        peaks,
        folder / "hmmratac_yeast500k.narrowPeak",
        folder / "sacCer3.fa.gz",
        [signal],
        in_window=501,
        out_window=250,
        max_jitter=33,
        negative_ratio=0.5,
        summits=True,
        random_state=3,
    )
    table = dataset.reasons
    assert (table["kind"] == "peak").sum() == len(peaks.read_text().splitlines())
    assert table["kept"].sum() == dataset.n_peaks + dataset.n_negatives
    rows = [line.split("\t") for line in peaks.read_text().splitlines()]
    records = gzip.decompress((folder / "sacCer3.fa.gz").read_bytes()).decode().split(">")[1:]
    split = (record.split("\n", 1) for record in records)
    reference = {head.split()[0]: text.replace("\n", "").upper() for head, text in split}
    n_peaks = n_reversed = 0
    with pybigwig.open(str(signal)) as bigwig:
        for _, batch in zip(range(4), dataset, strict=False):
            assert batch.chromosomes is not None
            for i, chrom in enumerate(batch.chromosomes.tolist()):
                start, end = int(batch.starts[i]), int(batch.ends[i])
                assert end - start == 501
                text = reference[chrom][start:end]
                onehot = np.zeros((4, 501), np.int8)
                for at, letter in enumerate(text):
                    if letter in LETTERS:
                        onehot[LETTERS[letter], at] = 1
                first, last = int(batch.value_starts[i]), int(batch.value_ends[i])
                values = np.nan_to_num(bigwig.values(chrom, first, last, numpy=True))
                if batch.reverse[i]:
                    onehot, values = onehot[::-1, ::-1], values[::-1]
                    n_reversed += 1
                np.testing.assert_array_equal(batch.sequences[i], onehot)
                np.testing.assert_array_equal(batch.values[i, 0], values)
                if batch.labels[i]:
                    row = rows[int(batch.regions[i])]
                    middle = int(row[1]) + int(row[9]) + int(batch.jitter[i])
                    assert (chrom, start) == (row[0], middle - 250)
                    n_peaks += 1
    assert 0 < n_peaks < 128
    assert 0 < n_reversed < 128


@pytest.mark.parametrize("path", BEDS, ids=lambda path: path.name)
def test_real_beds(path: Path) -> None:
    """What the files hold, headers, blanks, spaces and missing line ends included."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    expected = []
    for line in text.splitlines():
        fields = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        expected.append(fields)
    if "malformed" in path.name or "multi_tab" in path.name:  # no positions, no end
        with pytest.raises(InvalidDataError, match="line"):
            read_loci(path)
        return
    loci = read_loci(path)
    names = [loci.contig_names[c] for c in loci.contig]
    found = list(zip(names, loci.start.tolist(), loci.end.tolist(), strict=True))
    assert found == [(f[0], int(f[1]), int(f[2])) for f in expected]
    assert loci.row.tolist() == list(range(len(expected)))
    assert loci.middle.tolist() == [(int(f[1]) + int(f[2])) // 2 for f in expected]
