"""Tracks of samples: BigWig files, tables and annotations as interval tables."""

from __future__ import annotations

import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.assemble.interval_lists import bigwig_lists
from bigwig_loader.backend.intervals import flatten_intervals
from bigwig_loader.backend.select import select_backend
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.interval_table import Intervals, IntervalTable
from bigwig_loader.plan.track_index import build_track_index
from bigwig_loader.track_sources import Annotation, BigWigs, Table
from tests.helpers.made_bigwigs import file_sets
from tests.oracles.realign import base_values

# Two of them overlap, and they are out of order.
ROWS = [("b", 5, 9, 1.0), ("a", 10, 20, 2.0), ("a", 2, 6, 3.0), ("a", 15, 18, 4.0), ("b", 0, 5, 5)]
SPANS = {"a": np.array([[0, 4], [5, 16], [17, 40]]), "b": np.array([[3, 50]])}
LENGTHS = {"a": 30, "b": 12}


def painted(found: Intervals, n: int) -> np.ndarray:
    """Base values of a list, NaN where there is none; the list is checked."""
    assert found.start.dtype == found.end.dtype == np.int32
    assert found.value.dtype == np.float32
    assert (found.end > found.start).all()
    assert (found.start[1:] >= found.end[:-1]).all()
    values = np.full(n, np.nan, np.float32)
    for start, end, value in zip(*found, strict=True):
        values[start:end] = value
    return values


def want_rows(contig: str, spans: np.ndarray, rows: list[Any] = ROWS) -> np.ndarray:
    """What rows say about the bases within spans, NaN elsewhere."""
    items = [row[1:] for row in rows if row[0] == contig]
    values = np.array(base_values(items, LENGTHS[contig], math.nan), np.float32)
    inside = np.zeros(LENGTHS[contig], np.bool_)
    for start, end in spans.tolist():
        inside[start:end] = True
    return np.where(inside, values, np.nan)


def check(table: IntervalTable, contigs: list[str]) -> None:
    for number, contig in enumerate(contigs):
        for sample in range(len(table.samples)):
            got = painted(table.list_of(number, sample), LENGTHS[contig])
            np.testing.assert_array_equal(got, want_rows(contig, SPANS[contig]))


def frame(**extra: Any) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=["chrom", "start", "end", "value"]).assign(**extra)


# ------------------------------------------------------------------------------- intervals ----


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-3, 30), st.integers(0, 4)), max_size=25))
def test_flattened_intervals_have_the_values_of_the_last(items: list[tuple[int, int, int]]) -> None:
    start = np.array([s for s, _, _ in items], np.uint32)
    end = np.array([max(s + n, 0) for s, n, _ in items], np.uint32)
    value = np.array([v for _, _, v in items], np.float32)
    flat = flatten_intervals(start, end, value)
    got = painted(Intervals(flat[0].astype(np.int32), flat[1].astype(np.int32), flat[2]), 80)
    want = base_values(zip(start.tolist(), end.tolist(), value.tolist(), strict=True), 80, math.nan)
    np.testing.assert_array_equal(got, np.array(want, np.float32))


def test_what_is_in_order_stays_as_it_is() -> None:
    start, end = np.array([1, 5, 6], np.uint32), np.array([5, 6, 9], np.uint32)
    value = np.array([1, 1, 2], np.float32)
    assert flatten_intervals(start, end, value)[0] is start


def test_table_is_checked() -> None:
    lists = [Intervals(*(np.array([x]) for x in (i, i + 1, i))) for i in range(4)]
    table = IntervalTable.from_lists(["a", "b"], ["s", "t"], lists)
    assert (table.start.dtype, table.value.dtype) == (np.int32, np.float32)
    assert table.list_of(1, 0).value.tolist() == [2.0]
    with pytest.raises(InvalidInputError, match="offsets of 4 lists"):
        IntervalTable(
            ("a", "b"), ("s", "t"), table.offsets[:-1], table.start, table.end, table.value
        )
    with pytest.raises(InvalidInputError, match="of one length"):
        IntervalTable(
            ("a", "b"), ("s", "t"), table.offsets, table.start, table.end[:-1], table.value
        )


# -------------------------------------------------------------------------------- bigWigs ----


@settings(max_examples=40, deadline=None)
@given(piece_bytes=st.sampled_from([1, 1 << 27]), made=file_sets(), seed=st.integers(0, 2**32 - 1))
def test_bigwigs_have_the_base_values_of_the_engine(piece_bytes: int, made: Any, seed: int) -> None:
    """Files of every shape, legal or not; also in as many pieces as there can be."""
    genome, contents = made
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.bw"
        path.write_bytes(contents[0])
        index = build_track_index([read_bigwig_index(path)])
        reader = select_backend("cpu").open_signal(index)
        with BigWigCollection(path) as collection:
            for name, length in zip(index.contigs.names, index.contigs.lengths, strict=True):
                base = genome.base[genome.names.index(name)]
                edges = np.sort(rng.integers(base - 20, int(length) + 40, 6)).reshape(3, 2)
                low, n = int(edges[0, 0]), int(edges[-1, 1] - edges[0, 0])
                if n == 0:
                    continue
                want = collection.get_batch([name], [low], [low + n], default_value=np.nan)
                inside = np.zeros(n, np.bool_)
                for start, end in edges.tolist():
                    inside[start - low : end - low] = True
                values = np.where(inside, want[0, :, 0], np.nan)
                if base > 2**31:  # positions past 31 bits are refused
                    if not np.isnan(values).all():
                        with pytest.raises(InvalidDataError, match="positions up to"):
                            list(bigwig_lists(index, reader, name, edges, piece_bytes))
                    continue
                found = Intervals.join(list(bigwig_lists(index, reader, name, edges, piece_bytes)))
                moved = Intervals(found.start - np.int32(low), found.end - np.int32(low), found[2])
                np.testing.assert_array_equal(painted(moved, n), values)
        reader.close()


@pytest.fixture(scope="module")
def bigwigs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of three samples, one of them without contig b."""
    folder = tmp_path_factory.mktemp("bigwigs")
    rng = np.random.default_rng(0)
    paths = {}
    for sample in ("s2", "s0", "s1"):
        data = {}
        for contig in ("b", "a") if sample != "s1" else ("a",):
            edges = np.sort(rng.choice(5_000, 800, replace=False))
            value = rng.normal(size=400).astype(np.float32)
            value[::50] = np.nan
            data[contig] = (edges[::2], edges[1::2], value)
        paths[sample] = folder / f"{sample}.bw"
        write_bigwig(paths[sample], {name: 5_000 for name in data}, data)
    return paths


def test_bigwigs_equal_pybigwig(bigwigs: dict[str, Path]) -> None:
    source = BigWigs("signal", bigwigs)
    assert source.samples == ("s0", "s1", "s2")
    spans = {"a": np.array([[-10, 300], [900, 901], [2000, 6000]]), "b": np.array([[100, 4000]])}
    table = pickle.loads(pickle.dumps(source)).read(spans, ["a", "b", "c"])
    assert table.contig_names == ("a", "b", "c")
    for row, sample in enumerate(table.samples):
        with pyBigWig.open(str(bigwigs[sample])) as file:
            for number, contig in enumerate(("a", "b")):
                got = painted(table.list_of(number, row), 5_000)
                want = np.full(5_000, np.nan, np.float32)
                for start, end in np.clip(spans[contig], 0, 5_000).tolist():
                    if contig in file.chroms():
                        want[start:end] = file.values(contig, start, end, numpy=True)
                np.testing.assert_array_equal(got, want)
        assert not len(table.list_of(2, row).start)
    some = source.read(spans, ["a", "b", "c"], ["s2", "s0"])
    for number in range(2):
        for row, other in enumerate((2, 0)):
            one, same = some.list_of(number, row), table.list_of(number, other)
            for x, y in zip(one, same, strict=True):
                np.testing.assert_array_equal(x, y)


def test_bigwigs_are_listed_in_a_table(bigwigs: dict[str, Path], tmp_path: Path) -> None:
    listed = pd.DataFrame({"sample": list(bigwigs), "path": [str(p) for p in bigwigs.values()]})
    want = {sample: str(path) for sample, path in sorted(bigwigs.items())}
    assert BigWigs.from_table("t", listed).paths == want
    for name, separator in (("list.csv", ","), ("list.tsv", "\t")):
        listed.to_csv(tmp_path / name, sep=separator, index=False)
        assert BigWigs.from_table("t", tmp_path / name).paths == want
    (tmp_path / "here.bw").write_bytes(bigwigs["s0"].read_bytes())
    (tmp_path / "beside.csv").write_text("sample,path\n007,here.bw\n")
    beside = BigWigs.from_table("t", tmp_path / "beside.csv")
    assert beside.paths == {"007": str(tmp_path / "here.bw")}
    with pytest.raises(InvalidInputError, match="columns sample and path; got sample, file"):
        BigWigs.from_table("t", listed.rename(columns={"path": "file"}))
    with pytest.raises(InvalidInputError, match="each sample once; got 's2' twice"):
        BigWigs.from_table("t", pd.concat([listed, listed.iloc[:1]]))


def test_what_bigwigs_refuse(bigwigs: dict[str, Path], tmp_path: Path) -> None:
    source = BigWigs("t", bigwigs)
    with pytest.raises(NotFoundError, match="unknown sample 's9'"):
        source.read(SPANS, ["a", "b"], ["s9"])
    with pytest.raises(InvalidDataError, match="no contig of the regions"):
        source.read({"chr1": np.array([[0, 5]])}, ["chr1"])
    with pytest.raises(InvalidInputError, match="contigs of the data set; got 'a'"):
        source.read(SPANS, ["b"])
    with pytest.raises(InvalidInputError, match="sorted"):
        source.read({"a": np.array([[0, 5], [4, 9]])}, ["a"])
    with pytest.raises(InvalidInputError, match=r"an array \(n, 2\)"):
        source.read({"a": np.array([0, 5])}, ["a"])
    with pytest.raises(InvalidInputError, match="got none"):
        BigWigs("t", {})
    with pytest.raises(InvalidInputError, match="track name"):
        BigWigs("a/b", bigwigs)
    with pytest.raises(NotFoundError):
        BigWigs("t", {"s": tmp_path / "none.bw"}).read(SPANS, ["a", "b"])
    damaged = bytearray(bigwigs["s0"].read_bytes())
    offset = int(read_bigwig_index(bigwigs["s0"]).blocks.offset[0])
    damaged[offset + 20 : offset + 30] = bytes(10)
    (tmp_path / "bad.bw").write_bytes(damaged)
    with pytest.raises(InvalidDataError, match=r"bad\.bw"):
        BigWigs("t", {"s": tmp_path / "bad.bw"}).read({"a": np.array([[0, 5000]])}, ["a"])


# ------------------------------------------------------------------------- tables, frames ----


def test_tables_by_sample_and_in_one() -> None:
    by_sample = Table("t", {"y": frame(), "x": frame()})
    long = pd.concat([frame(sample_id="y"), frame(sample_id="x")], ignore_index=True)
    for source in (by_sample, Table("t", long), Table("t", long.sample(frac=1, random_state=1))):
        assert source.samples == ("x", "y")
    check(by_sample.read(SPANS, ["a", "b"]), ["a", "b"])
    check(Table("t", long).read(SPANS, ["b", "a"]), ["b", "a"])
    renamed = frame().rename(columns={"value": "signal", "chrom": "where"})
    source = Table("t", {"x": renamed}, {"value": "signal", "chrom": "where"})
    check(source.read(SPANS, ["a", "b"]), ["a", "b"])


def test_a_table_of_polars_like_columns() -> None:
    class Frame:  # what a polars frame has of what is used
        columns = ("sample_id", "chrom", "start", "end", "value")

        def __getitem__(self, name: str) -> np.ndarray:
            return frame(sample_id="x")[name].to_numpy()

    check(Table("t", Frame()).read(SPANS, ["a", "b"]), ["a", "b"])


def test_tables_of_files(tmp_path: Path) -> None:
    frame(sample_id="007").to_csv(tmp_path / "t.csv", index=False)
    frame(sample_id="007").to_csv(tmp_path / "t.tsv.gz", sep="\t", index=False)
    for name in ("t.csv", "t.tsv.gz"):
        source = Table.from_path("t", tmp_path / name)
        assert source.samples == ("007",)
        check(source.read(SPANS, ["a", "b"]), ["a", "b"])
    lines = ["track type=bedGraph", *("\t".join(map(str, row)) for row in ROWS)]
    (tmp_path / "t.bedgraph").write_text("\n".join(lines) + "\n")
    source = Table.from_path("t", {"x": tmp_path / "t.bedgraph"})
    check(source.read(SPANS, ["a", "b"]), ["a", "b"])
    with pytest.raises(NotFoundError, match="no such file"):
        Table.from_path("t", tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InvalidDataError, match="cannot be read as a table"):
        Table.from_path("t", tmp_path / "empty.csv")


def test_parquet_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    try:
        frame(sample_id="x").to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(InvalidInputError, match="pip install pyarrow"):
            Table.from_path("t", path)
    else:
        check(Table.from_path("t", path).read(SPANS, ["a", "b"]), ["a", "b"])


def test_annotations(tmp_path: Path, bigwigs: dict[str, Path]) -> None:
    columns = {"start": "chromStart", "end": "chromEnd", "value": "score"}
    source = Annotation("cons", frame().rename(columns=columns))
    assert source.samples == ("",)
    check(source.read(SPANS, ["a", "b"]), ["a", "b"])
    for name, line in (
        ("x.bdg", "{0}\t{1}\t{2}\t{3}"),
        ("x.bed", "{0}\t{1}\t{2}\tname\t{3}\t+"),
        ("x.narrowPeak", "{0}\t{1}\t{2}\tname\t100\t+\t{3}\t1\t1\t-1"),
    ):
        (tmp_path / name).write_text("".join(line.format(*row) + "\n" for row in ROWS))
        check(Annotation("cons", tmp_path / name).read(SPANS, ["a", "b"]), ["a", "b"])
    (tmp_path / "y.bed").write_text("a\t2\t6\na\t20\t22\n")
    table = Annotation("genes", tmp_path / "y.bed").read({"a": np.array([[0, 30]])}, ["a"])
    assert [x.tolist() for x in table.list_of(0, 0)] == [[2, 20], [6, 22], [1.0, 1.0]]
    spans = {"a": np.array([[0, 5000]])}
    of_file = Annotation("cons", bigwigs["s0"]).read(spans, ["a"]).list_of(0, 0)
    same = BigWigs("t", bigwigs).read(spans, ["a"], ["s0"]).list_of(0, 0)
    np.testing.assert_array_equal(painted(of_file, 5000), painted(same, 5000))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"start": -1}, "row 0, column 'start': expected a whole number"),
        ({"end": 1.5}, "row 0, column 'end': expected a whole number"),
        ({"end": 0, "start": 3}, "row 0: expected end >= start"),
        ({"value": "x"}, "row 0, column 'value': expected a number"),
        ({"chrom": None}, "row 0, column 'chrom': expected a name"),
        ({"start": "far"}, "row 0, column 'start'"),
    ],
)
def test_bad_rows_are_named(change: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        Table("t", {"x": frame(**change)})


def test_what_tables_refuse() -> None:
    with pytest.raises(InvalidInputError, match="a column 'sample_id'"):
        Table("t", frame())
    with pytest.raises(InvalidInputError, match="a column 'v'"):
        Table("t", {"x": frame()}, {"value": "v"})
    with pytest.raises(InvalidInputError, match="argument column_map"):
        Table("t", {"x": frame()}, {"worth": "v"})
    with pytest.raises(InvalidInputError, match="expected a DataFrame; got list"):
        Table("t", [1])
    with pytest.raises(InvalidInputError, match="some samples"):
        Table("t", {})


def test_a_missing_value_is_nan() -> None:
    values = frame().astype({"value": object})
    values.loc[0, "value"] = None
    found = Annotation("t", values).read({"b": np.array([[0, 12]])}, ["b"]).list_of(0, 0)
    assert found.start.tolist() == [0, 5]
    np.testing.assert_array_equal(found.value, np.array([5, np.nan], np.float32))
