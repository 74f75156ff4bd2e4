"""``tokenize`` and ``tokens info``: what is written is what a tokenizer makes."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bigwig_loader.cli import app, tokenizing
from bigwig_loader.cli.tokens_info import Counts, count_tokens
from bigwig_loader.dataset.tokens.sources import ArrayTokens, open_tokens
from bigwig_loader.formats.gtok import read_gtok, write_gtok
from bigwig_loader.tokens import Documents, Tokenizer
from bigwig_loader.tokens.example import ExampleRegions, make_example_regions


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ExampleRegions:
    return make_example_regions(tmp_path_factory.mktemp("made"), n_files=9, n_cells=5)


@pytest.fixture(scope="module")
def tokenizer(made: ExampleRegions) -> Tokenizer:
    return Tokenizer.from_bed(made.universe)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def tokenize(made: ExampleRegions, *arguments: object) -> Result:
    return run("tokenize", "--universe", made.universe, *arguments)


def info(path: object, *arguments: object) -> dict[str, Any]:
    result = run("tokens", "info", path, "--json", *arguments)
    assert result.exit_code in (0, 1), result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def beds_of(made: ExampleRegions) -> list[Path]:
    return sorted(made.beds.glob("*.bed"))


def tokens_of(path: object) -> list[list[int]]:
    source = open_tokens(path)
    return [tokens.tolist() for tokens in source.documents(0, len(source))]


# ----------------------------------------------------------------------------------- tokenize ----


def test_one_file_to_gtok(made: ExampleRegions, tokenizer: Tokenizer, here: Path) -> None:
    bed = beds_of(made)[0]
    result = tokenize(made, bed, "-o", "new/out.gtok")
    assert result.exit_code == 0, result.output
    expected = tokenizer(bed).input_ids
    assert read_gtok("new/out.gtok").tolist() == expected.tolist()
    assert f"1 documents, {len(expected)} tokens of 240 regions" in result.stdout
    assert "unknown" not in result.output


def test_a_folder_to_a_store(made: ExampleRegions, tokenizer: Tokenizer, here: Path) -> None:
    result = tokenize(made, made.beds, "-o", "store", "--order", "input")
    assert result.exit_code == 0, result.output
    expected = tokenizer.documents(beds_of(made), order="input")
    assert tokens_of("store") == [tokens.tolist() for tokens in expected]
    report = info("store", "--universe", made.universe, "--check")
    assert report["universe"]["fits"] is True
    assert report["universe"]["hash"] == tokenizer.hash
    assert report["documents"]["count"] == 9
    assert report["tokens"]["count"] == len(expected.values)
    # Another order of the regions would be another one of the tokens.
    assert tokens_of("store") != [tokens.tolist() for tokens in tokenizer.documents(beds_of(made))]


def test_compressed_files_to_a_folder_of_gtok(
    made: ExampleRegions, tokenizer: Tokenizer, here: Path
) -> None:
    Path("in").mkdir()
    for number, bed in enumerate(beds_of(made)[:3]):
        Path(f"in/{number}.narrowPeak.gz").write_bytes(gzip.compress(bed.read_bytes()))
    Path("in/notes.txt").write_text("not regions")
    result = tokenize(made, "in", "-o", "out", "--format", "gtok")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("out").iterdir()) == ["0.gtok", "1.gtok", "2.gtok"]
    expected = tokenizer.documents(beds_of(made)[:3])
    assert tokens_of("out") == [tokens.tolist() for tokens in expected]
    # Tokens are taken as they are, and names that are equal do not overwrite each other.
    assert tokenize(made, "out", "-o", "store").exit_code == 0
    assert tokens_of("store") == tokens_of("out")
    result = tokenize(made, "in", "out", "-o", "both", "--format", "gtok")
    assert result.exit_code == 2
    assert "documents of different names" in result.stderr
    assert not Path("both").exists()


def test_fragments_and_the_unknown(made: ExampleRegions, here: Path) -> None:
    lines = ["chr1\t1000\t1010\tb\t1", "chrU\t5\t9\ta\t1", "chr1\t1500\t1510\ta\t1",
             "chr1\t3000\t3001\tb\t1"]  # fmt: skip
    Path("fragments.tsv.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    unk = 240
    for policy, expected in (
        (None, [[0, 1], [unk, unk]]),
        ("document", [[0, 1], [unk]]),
        ("drop", [[0, 1], []]),
    ):
        given = () if policy is None else ("--unknown", policy)
        result = tokenize(made, "fragments.tsv.gz", "-o", "out", "--format", "gtok", "-f", *given)
        assert result.exit_code == 0, result.output
        assert [tokens_of(f"out/{name}.gtok")[0] for name in "ba"] == expected
        n_unknown = len(expected[1])
        assert ("unknown" in result.stdout) == (n_unknown > 0)
        if n_unknown:
            assert f"unknown: {n_unknown} tokens; 1 documents have no other" in result.stdout


def test_cells_to_a_store(made: ExampleRegions, tokenizer: Tokenizer, here: Path) -> None:
    pytest.importorskip("h5py", reason="needs h5py, which is not installed")
    result = tokenize(made, made.cells, beds_of(made)[0], "-o", "cells", "--threads", 1)
    assert result.exit_code == 0, result.output
    expected = [*tokenizer.documents(made.cells), *tokenizer.documents(beds_of(made)[0])]
    assert tokens_of("cells") == [tokens.tolist() for tokens in expected]
    assert open_tokens("cells").names(0, 2) == ("cell0", "cell1")


def test_parquet(made: ExampleRegions, tokenizer: Tokenizer, here: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, which is not installed")
    from bigwig_loader.formats.token_parquet import read_token_parquet

    result = tokenize(made, made.beds, "-o", "out.parquet")
    assert result.exit_code == 0, result.output
    found = read_token_parquet("out.parquet", columns=True)
    assert tokens_of("out.parquet") == [t.tolist() for t in tokenizer.documents(beds_of(made))]
    assert found.columns is not None
    assert found.columns["name"].tolist() == list(map(str, beds_of(made)))
    assert info("out.parquet")["kind"] == "parquet file"


def test_a_tokenizer_of_its_own(made: ExampleRegions, here: Path) -> None:
    Path("u.bed").write_text("chr1\t0\t9000\nchr1\t0\t9000\nchr1\t1000\t1500\n")
    Path("u.toml").write_text('universe = "u.bed"\n')
    arguments = ("tokenize", beds_of(made)[0], "-o", "out.gtok", "-u", "u.toml")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "line 1 and line 2" in result.stderr
    assert run(*arguments, "--duplicates", "first").exit_code == 0
    assert set(tokens_of("out.gtok")[0]) <= {0, 1}
    assert run(*arguments, "--duplicates", "last", "-f").exit_code == 2


def test_another_genome_is_reported(made: ExampleRegions, here: Path) -> None:
    Path("other.bed").write_text("1\t1000\t1100\n")
    result = tokenize(made, "other.bed", "-o", "out.gtok")
    assert result.exit_code == 0
    assert "warning: most documents have no region of the universe" in result.stderr
    assert "The universe has chr1, chr2, chr10" in result.stderr


@pytest.mark.parametrize("form", ["out.gtok", "folder", "store"])
def test_nothing_is_replaced_without_force(made: ExampleRegions, here: Path, form: str) -> None:
    first, second = beds_of(made)[:2]
    more = ("--format", "gtok") if form == "folder" else ()
    assert tokenize(made, first, "-o", form, *more).exit_code == 0
    before = tokens_of(form)
    result = tokenize(made, second, "-o", form, *more)
    assert result.exit_code == 2
    assert result.stderr == (
        f"bigwig-loader: {form} exists; expected a new path, or --force to replace it\n"
    )
    assert tokens_of(form) == before
    assert tokenize(made, second, "-o", form, *more, "--force").exit_code == 0
    assert tokens_of(form) != before
    assert [path.name for path in here.iterdir()] == [form]


def test_force_replaces_tokens_only(made: ExampleRegions, here: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    Path("x.gtok").mkdir()
    bed = beds_of(made)[0]
    for output in ("mine", "x.gtok"):
        result = tokenize(made, bed, "-o", output, "--force")
        assert result.exit_code == 2
        assert "--force replaces tokens only" in result.stderr
    copy = Path("copy.gtok")
    copy.write_bytes(b"GTOK\x01")
    for given, output in (("copy.gtok", "copy.gtok"), (copy, here)):
        result = tokenize(made, given, "-o", output, "-f", *(("--format", "gtok")))
        assert result.exit_code == 2
        assert "would replace the input" in result.stderr
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_a_failed_run_leaves_nothing(made: ExampleRegions, here: Path) -> None:
    Path("bad.bed").write_text("chr1\t5\t9\nchr1\tx\t9\n")
    for output in ("out.gtok", "out", "store"):
        more = ("--format", "gtok") if output == "out" else ()
        result = tokenize(made, "bad.bed", "-o", output, *more)
        assert result.exit_code == 2
        assert "bad.bed" in result.stderr
        assert "line 2" in result.stderr
        assert "Traceback" not in result.output
    assert [path.name for path in here.iterdir()] == ["bad.bed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.bed", "-o", "a.gtok"), "cannot open none.bed"),
        (("empty", "-o", "a.gtok"), "no regions in empty"),
        (("{beds}", "-o", "a.gtok"), "expected one document"),
        (("{bed}", "-o", "a.gtok", "--format", "parquet"), "named accordingly; got a.gtok"),
        (("{bed}", "-o", "a", "--format", "bam"), "expected one of 'store', 'parquet', 'gtok'"),
        (("{bed}", "-o", "a", "--unknown", "no"), "argument --unknown: expected one of"),
        (("{bed}", "-o", "a", "--order", "no"), "argument --order: expected one of"),
        (("two.tsv", "-o", "a.gtok"), "expected one document"),
    ],
)
def test_what_cannot_be_done(
    made: ExampleRegions, here: Path, arguments: tuple[str, ...], message: str
) -> None:
    Path("empty").mkdir()
    Path("two.tsv").write_text("chr1\t1\t9\ta\nchr1\t1\t9\tb\n")
    given = [a.format(beds=made.beds, bed=beds_of(made)[0]) for a in arguments]
    result = tokenize(made, *given)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("a").exists()
    assert not Path("a.gtok").exists()


def test_many_files_are_read_in_groups(
    made: ExampleRegions, tokenizer: Tokenizer, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizing, "_GROUP", 2)
    Path("f.tsv").write_text("chr1\t1000\t1009\ta\n")
    beds = beds_of(made)[:5]
    arguments = (*beds[:3], "f.tsv", *beds[3:], "-o", "out", "--format", "gtok")
    assert tokenize(made, *arguments).exit_code == 0
    for bed in beds:
        assert tokens_of(f"out/{bed.stem}.gtok") == [tokenizer(bed).input_ids.tolist()]
    assert tokens_of("out/a.gtok") == [[0]]


# ---------------------------------------------------------------------------------------- info ----


def test_info_of_a_file(made: ExampleRegions, here: Path) -> None:
    write_gtok("a.gtok", np.array([3, 240, 70_000]))
    report = info("a.gtok")
    assert report["kind"] == ".gtok file"
    assert report["bytes"] == 5 + 12
    assert report["dtype"] == "uint32"
    assert report["documents"] == {"count": 1, "empty": 0, "shortest": 3, "longest": 3}
    assert report["tokens"] == {
        "count": 3, "lowest": 3, "highest": 70_000, "unknown": None, "documents_without": None,
    }  # fmt: skip
    assert report["universe"]["fits"] is None
    shown = run("tokens", "info", "a.gtok")
    assert shown.exit_code == 0
    for text in ("3 as uint32", "3 to 70,000", "not said"):
        assert text in shown.stdout
    wrong = run("tokens", "info", "a.gtok", "-u", made.universe)
    assert wrong.exit_code == 1
    assert "no: token 70000 is past its 247 tokens" in wrong.stdout


def test_info_of_a_folder(made: ExampleRegions, here: Path) -> None:
    for number, tokens in enumerate(([5, 240, 9], [240, 240], [])):
        write_gtok(f"in/{number}.gtok", np.array(tokens, int))
    shown = run("tokens", "info", "in", "--universe", made.universe)
    assert shown.exit_code == 0
    text = " ".join(shown.stdout.replace("│", " ").split())
    for part in ("folder of 3 .gtok files", "3 of 0 to 3 tokens, 1.667 on average; 1 empty",
                 "3 tokens, 60 %; 1 documents have no other", "perhaps: all tokens"):  # fmt: skip
        assert part in text


def test_info_of_a_store_of_another_universe(made: ExampleRegions, here: Path) -> None:
    assert tokenize(made, made.beds, "-o", "store").exit_code == 0
    Path("u.bed").write_text(made.universe.read_text().replace("chr10", "chr11"))
    result = run("tokens", "info", "store", "-u", "u.bed")
    assert result.exit_code == 1
    assert "no: the hashes are different" in result.stdout
    assert info("store", "-u", "u.bed")["universe"]["fits"] is False
    assert info("store")["universe"]["fits"] is None
    shard = next(Path("store").glob("*.tokens"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert run("tokens", "info", "store", "--check").exit_code == 2


def test_info_of_what_is_damaged(here: Path) -> None:
    Path("a.gtok").write_bytes(b"GTOK\x02\x01")
    result = run("tokens", "info", "a.gtok")
    assert result.exit_code == 2
    assert "truncated .gtok file" in result.stderr
    assert run("tokens", "info", "none").exit_code == 2


def test_counts_do_not_depend_on_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 6, 200)
    lengths[:3] = 0
    values = rng.integers(0, 4, lengths.sum()).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    source = ArrayTokens(Documents(values, offsets))
    listed = [values[a:b] for a, b in itertools.pairwise(offsets)]
    expected = Counts(
        200,
        len(values),
        int((lengths == 0).sum()),
        0,
        int(lengths.max()),
        0,
        3,
        int((values == 2).sum()),
        sum(len(tokens) > 0 and bool((tokens == 2).all()) for tokens in listed),
    )
    assert count_tokens(source, 2) == expected
    monkeypatch.setattr("bigwig_loader.cli.tokens_info._DOCUMENTS", 7)
    monkeypatch.setattr("bigwig_loader.cli.tokens_info._TOKENS", 5)
    assert count_tokens(source, 2) == expected
