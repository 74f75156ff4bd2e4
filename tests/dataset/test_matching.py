"""`extract_matching_loci` against the slow oracle and the peer's recorded cases."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.dataset.matching import extract_matching_loci
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from tests.helpers.matching import MatchingWorld, make_world
from tests.helpers.shared import SHARED, shared_data
from tests.oracles.matching import Matched, Region, Rules, match, overlap

CASES = SHARED / "peers" / "cherimoya"
LENGTHS = {"chr2": 1500, "chr10": 900, "1": 40}


def extract(*arguments: Any, **keywords: Any) -> pd.DataFrame:
    """Without the warning about loci without a match."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "extract_matching_loci", UserWarning)
        return extract_matching_loci(*arguments, **keywords)


def rows(frame: pd.DataFrame) -> list[Region]:
    return list(frame.itertuples(index=False, name=None))


def keywords_of(rules: Rules) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "in_window": rules.in_window,
        "out_window": rules.out_window,
        "max_n_perc": rules.max_n,
        "gc_bin_width": rules.bin_width,
        "signal_beta": rules.beta,
        "chroms": rules.chroms,
        "random_state": rules.seed,
    }
    if rules.peer:
        return keywords | {"compatible": "tangermeme-1.6"}
    if rules.exclusions:
        keywords["exclusion_lists"] = pd.DataFrame(list(rules.exclusions))
    return keywords | {
        "stride": rules.stride,
        "ratio": float(rules.ratio),
        "allow_overlap": rules.allow_overlap,
        "avoid": rules.avoid,
    }


def check(world: MatchingWorld, rules: Rules, signal: bool, summits: bool = False) -> Matched:
    """Compare windows and report with the oracle's."""
    expected = match(
        world.sequences,
        world.loci,
        rules,
        world.signal if signal else None,
        world.summits if summits else None,
    )
    keywords = keywords_of(rules) | ({"bigwig": world.bigwig} if signal else {})
    keywords |= {"summits": True} if summits else {}
    loci = world.narrow_peaks() if summits else world.frame()
    if not expected.windows:
        with pytest.raises(InvalidInputError):
            extract(loci, world.fasta, **keywords)
        return expected
    frame = extract(loci, world.fasta, **keywords)
    assert rows(frame) == sorted(expected.windows)
    assert [str(frame[name].dtype) for name in ("start", "end")] == ["int64", "int64"]
    if rules.peer:
        assert frame.index.tolist() == [expected.windows.index(row) for row in rows(frame)]
    report = frame.attrs["matching"]
    bins = report["bins"]
    for name in ("wanted", "available", "taken", "missing"):
        assert bins[name] == getattr(expected, name), name
    assert {name: report["loci"][name] for name in expected.left_out} == expected.left_out
    assert report["n_missing"] == sum(expected.missing)
    assert report["windows"]["candidate"] == sum(expected.available)
    json.dumps(report)  # plain numbers only: frames with attrs are written to parquet files
    return expected


rule_sets = st.builds(
    Rules,
    in_window=st.sampled_from([1, 7, 20, 21, 50]),
    out_window=st.sampled_from([1, 6, 7, 20, 21, 50]),
    max_n=st.sampled_from([0.0, 0.1, 0.5]),
    bin_width=st.sampled_from([0.02, 0.05, 0.1, 0.3, 2 / 3, 1.0]),
    beta=st.sampled_from([0.5, 1.0, 3.0]),
    chroms=st.sampled_from([None, ["chr2"], ["1", "chr2", "chr10"]]),
    seed=st.integers(0, 5),
    stride=st.sampled_from([None, 3, 10, 64]),
    ratio=st.sampled_from(["1", "0.3", "2.5"]),
    allow_overlap=st.booleans(),
    avoid=st.sampled_from(["windows", "tiles"]),
    exclusions=st.sampled_from([(), (("chr2", 200, 400), ("chr10", 880, 2000), ("X", 0, 9))]),
)


@settings(max_examples=150)
@given(rule_sets, st.integers(0, 20), st.booleans(), st.booleans())
def test_equals_oracle(rules: Rules, seed: int, signal: bool, summits: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        missing = ("chr10",) if seed % 3 == 0 else ()
        world = make_world(Path(folder), seed, LENGTHS, n_loci=seed * 2 + 1, missing=missing)
        check(world, rules, signal, summits)


@settings(max_examples=60)
@given(rule_sets, st.integers(0, 20), st.booleans())
def test_compatible_equals_oracle_of_the_peer(rules: Rules, seed: int, signal: bool) -> None:
    rules = Rules(**{**vars(rules), "peer": True, "avoid": "tiles", "stride": None, "ratio": "1"})
    rules.exclusions = ()
    if signal:
        rules.out_window = min(rules.in_window, rules.out_window)
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), seed, LENGTHS, n_loci=seed * 2 + 1)
        check(world, rules, signal)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> MatchingWorld:
    lengths = {"chr1": 20_000, "chr2": 12_000, "chr11": 8_000}
    return make_world(tmp_path_factory.mktemp("matching"), 3, lengths, n_loci=60, gap=0.001)


def test_larger_world_has_all_kinds_of_outcome(world: MatchingWorld) -> None:
    # So that the properties above are not true of empty results alone.
    matched = check(world, Rules(100, 50, beta=3.0), signal=True)
    assert matched.windows
    assert matched.left_out["edge"]
    assert matched.left_out["unknown_bases"]
    frame = extract(world.frame(), world.fasta, in_window=100, out_window=50, random_state=0)
    assert sum(frame.attrs["matching"]["bins"]["borrowed"]) > 0
    assert frame.attrs["matching"]["n_missing"] == 0


@pytest.mark.parametrize("case", ["m01_gc", "m03_gc_chroms"])
def test_recorded_cases_of_the_peer(case: str) -> None:
    if not CASES.exists():
        pytest.skip("needs ../shared/peers/cherimoya, which is not there")
    keywords = json.loads((CASES / f"{case}.json").read_text())["kwargs"]
    for name in ("loci", "fasta"):
        keywords[name] = CASES / keywords[name]
    expected = pd.read_csv(CASES / f"{case}.bed", sep="\t", header=None)
    frame = extract(**keywords, compatible="tangermeme-1.6")
    assert rows(frame) == list(expected.iloc[:, :3].itertuples(index=False, name=None))
    # By our own rules, the same but for windows that overlap a locus' window.
    genome = Genome(keywords["fasta"])
    sequences = {name: genome.sequence(name, 0, bp) for name, bp in genome.contigs.items()}
    peaks = pd.read_csv(keywords["loci"], sep="\t", header=None)
    rules = Rules(
        100,
        50,
        bin_width=keywords.get("gc_bin_width", 0.02),
        chroms=keywords.get("chroms"),
        seed=keywords["random_state"],
    )
    matched = match(sequences, list(peaks.iloc[:, :3].itertuples(index=False, name=None)), rules)
    assert rows(extract(**keywords)) == sorted(matched.windows)


# ---------------------------------------------------------------------- the peer's defects ----


def test_signal_filter_works_with_equal_windows(world: MatchingWorld) -> None:
    rules = Rules(98, 98, beta=1.0)
    matched = check(world, rules, signal=True)
    peer = check(world, replace(rules, peer=True, avoid="tiles"), signal=True)
    assert 0 < sum(matched.available) < sum(peer.available) / 4


def test_windows_of_loci_are_not_overlapped(world: MatchingWorld) -> None:
    def n_overlapping(frame: pd.DataFrame) -> int:
        around = [(c, s + (e - s) // 2 - 50, s + (e - s) // 2 + 50) for c, s, e in world.loci]
        return sum(any(overlap(row, window) for window in around) for row in rows(frame))

    keywords: dict[str, Any] = {"in_window": 100, "out_window": 50, "random_state": 1, "ratio": 4}
    assert n_overlapping(extract(world.frame(), world.fasta, **keywords)) == 0
    assert n_overlapping(extract(world.frame(), world.fasta, avoid="tiles", **keywords)) > 0


# --------------------------------------------------------------------------- our own options ----


def test_chosen_windows_do_not_overlap_at_a_small_stride(world: MatchingWorld) -> None:
    keywords: dict[str, Any] = {"in_window": 90, "out_window": 40, "random_state": 0, "ratio": 3}
    apart = extract(world.frame(), world.fasta, stride=7, **keywords)
    same_contig = (apart["chrom"] == apart["chrom"].shift()).to_numpy()
    gap = apart["start"].to_numpy()[1:] - apart["end"].to_numpy()[:-1]
    assert len(apart) > 50
    assert (gap[same_contig[1:]] >= 0).all()
    assert (apart["start"] % 90 != 0).any()
    anywhere = extract(world.frame(), world.fasta, stride=7, allow_overlap=True, **keywords)
    gap = anywhere["start"].to_numpy()[1:] - anywhere["end"].to_numpy()[:-1]
    assert (gap[(anywhere["chrom"] == anywhere["chrom"].shift()).to_numpy()[1:]] < 0).any()


@pytest.mark.parametrize("ratio", ["0.29", "1.5", "1"])
def test_ratio_of_the_total_is_exact(world: MatchingWorld, ratio: str) -> None:
    matched = check(world, Rules(60, 30, ratio=ratio, stride=11, allow_overlap=True), signal=False)
    n_loci = len(world.loci) - sum(matched.left_out.values())
    assert sum(matched.wanted) == int(n_loci * int(ratio.replace(".", "")) / 10 ** len(ratio[2:]))


def test_summits_move_loci(world: MatchingWorld) -> None:
    rules = Rules(100, 50)
    check(world, rules, signal=False, summits=True)
    keywords: dict[str, Any] = {"in_window": 100, "out_window": 50, "random_state": 0}
    by_summit = extract(world.narrow_peaks(), world.fasta, summits=True, **keywords)
    assert rows(by_summit) != rows(extract(world.frame(), world.fasta, **keywords))


def test_result_depends_on_the_seed_alone(world: MatchingWorld) -> None:
    keywords: dict[str, Any] = {"in_window": 100, "out_window": 50, "bigwig": str(world.bigwig)}
    keywords["signal_beta"] = 2
    first = extract(world.frame(), world.fasta, random_state=4, **keywords)
    for same in (
        extract(world.frame(), world.fasta, random_state=4, n_jobs=-1, **keywords),
        extract(world.frame(), Genome(world.fasta), random_state=4, n_threads=2, **keywords),
        extract(
            world.frame(), world.fasta, random_state=np.random.RandomState(4), n_jobs=-2, **keywords
        ),
    ):
        pd.testing.assert_frame_equal(first, same)
    other = extract(world.frame(), world.fasta, random_state=5, **keywords)
    assert rows(first) != rows(other)


def test_indexed_and_unindexed_genomes_agree(world: MatchingWorld, tmp_path: Path) -> None:
    from bigwig_loader.dataset.matching import background

    copy = tmp_path / "genome.fa"
    copy.write_bytes(world.fasta.read_bytes())
    index, at = "", 0
    for name, text in world.sequences.items():
        at += len(f">{name} made\n")
        index += f"{name}\t{len(text)}\t{at}\t{len(text)}\t{len(text) + 1}\n"
        at += len(text) + 1
    Path(f"{copy}.fai").write_text(index)
    keywords: dict[str, Any] = {"in_window": 100, "out_window": 50, "random_state": 0}
    expected = extract(world.frame(), world.fasta, **keywords)
    pd.testing.assert_frame_equal(expected, extract(world.frame(), copy, **keywords))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "_GROUP_BASES", 20_000)  # the first contig alone, then two
        pd.testing.assert_frame_equal(expected, extract(world.frame(), copy, **keywords))


def test_parts_of_a_contig_agree(world: MatchingWorld) -> None:
    from bigwig_loader.dataset.matching import background, signal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "_PART_WINDOWS", 17)
        patch.setattr(signal, "_PART_WINDOWS", 5)
        patch.setattr(signal, "_PART_BASES", 120)
        check(world, Rules(100, 50, beta=3.0, stride=13), signal=True)
        check(world, Rules(100, 50, beta=3.0), signal=True)


def test_several_bigwigs_are_added(world: MatchingWorld, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bw"
    copy.write_bytes(world.bigwig.read_bytes())
    keywords: dict[str, Any] = {"in_window": 100, "out_window": 50, "random_state": 0}
    once = extract(world.frame(), world.fasta, bigwig=world.bigwig, signal_beta=3, **keywords)
    twice = extract(
        world.frame(), world.fasta, bigwig=[world.bigwig, copy], signal_beta=3, **keywords
    )
    pd.testing.assert_frame_equal(once, twice)
    one, two = once.attrs["matching"], twice.attrs["matching"]
    assert two["signal_limit"] == 2 * one["signal_limit"] > 0


# ---------------------------------------------------------------------- messages and errors ----


def test_warns_how_many_loci_have_no_match(world: MatchingWorld) -> None:
    with pytest.warns(UserWarning, match="extract_matching_loci") as caught:
        frame = extract_matching_loci(
            world.frame(), world.fasta, in_window=500, out_window=50, ratio=5, random_state=0
        )
    assert caught[0].filename == __file__
    report = frame.attrs["matching"]
    message = str(caught[0].message)
    n_left_out = report["loci"]["edge"] + report["loci"]["unknown_bases"]
    assert n_left_out
    assert f"{n_left_out} of {len(world.loci)} loci were left out" in message
    assert f"{report['n_missing']} of {report['n_wanted']} background windows" in message
    assert f"{report['windows']['near_loci']} overlap loci" in message


def test_no_warning_where_everything_is_matched(world: MatchingWorld) -> None:
    loci = pd.DataFrame([("chr1", 5_000, 5_100)])
    frame = extract_matching_loci(
        loci, world.fasta, in_window=100, out_window=50, max_n_perc=1.0, random_state=0
    )
    assert len(frame) == 1


def test_verbose_draws_a_table(world: MatchingWorld, capsys: pytest.CaptureFixture[str]) -> None:
    extract(world.frame(), world.fasta, in_window=100, out_window=50, random_state=0, verbose=True)
    shown = capsys.readouterr().out
    assert "Background windows" in shown
    assert re.search(r"\d+ of \d+ background windows found", shown)
    assert "borrowed" in shown


def test_unknown_contigs_name_near_ones(world: MatchingWorld) -> None:
    loci = pd.DataFrame([("1", 500, 600), ("chr2", 500, 600)])
    with pytest.raises(NotFoundError, match="chr1"):
        extract(loci, world.fasta, in_window=100)
    with pytest.raises(NotFoundError, match="chr11"):
        extract(loci, world.fasta, in_window=100, chroms=["chr2", "chr111"])
    assert len(extract(loci, world.fasta, in_window=100, out_window=50, chroms=["chr2"]))


def test_no_background_says_why(world: MatchingWorld) -> None:
    everything = pd.DataFrame([(name, 0, len(s)) for name, s in world.sequences.items()])
    with pytest.raises(InvalidInputError, match="overlap an exclusion list"):
        extract(world.frame(), world.fasta, in_window=100, exclusion_lists=everything)
    central = pd.DataFrame([("chr11", 4_000, 4_010)])
    with pytest.raises(InvalidInputError, match="1 overlap loci"):  # of the one window there is
        extract(central, world.fasta, in_window=5_000, max_n_perc=1.0)


def _on_another_contig(folder: Path) -> Path:
    signal = {"chrX": (np.array([0]), np.array([5]), np.array([1.0]))}
    write_bigwig(folder / "other.bw", {"chrX": 10}, signal)
    return folder / "other.bw"


def test_no_locus_says_why(world: MatchingWorld, tmp_path: Path) -> None:
    one, elsewhere = pd.DataFrame([("chr1", 9_000, 9_100)]), _on_another_contig(tmp_path)
    with pytest.raises(InvalidInputError, match="reaches past an end"):
        extract(pd.DataFrame([("chr1", 0, 2)]), world.fasta, in_window=100)
    with pytest.raises(InvalidInputError, match="not among `chroms`"):
        extract(one, world.fasta, in_window=100, chroms=["chr2"])
    with pytest.raises(InvalidInputError, match="none of 1 lies on a contig of the bigWig"):
        extract(one, world.fasta, in_window=100, bigwig=elsewhere)
    infinite = tmp_path / "infinite.bw"
    values = (np.array([0]), np.array([20_000]), np.array([np.inf]))
    write_bigwig(infinite, {"chr1": 20_000}, {"chr1": values})
    with pytest.raises(InvalidInputError, match="infinite"):
        extract(pd.concat([one] * 3), world.fasta, in_window=100, bigwig=infinite)
    with pytest.raises(InvalidInputError, match="argument ratio"):
        extract(one, world.fasta, in_window=100, max_n_perc=1.0, ratio=0.5)


@pytest.mark.parametrize(
    "keywords",
    [
        {"in_window": 0},
        {"out_window": 2.5},
        {"max_n_perc": 1.5},
        {"max_n_perc": float("nan")},
        {"gc_bin_width": 0},
        {"gc_bin_width": 2},
        {"signal_beta": None},
        {"signal_beta": float("inf")},
        {"ratio": 0},
        {"ratio": float("inf")},
        {"stride": 0},
        {"avoid": "peaks"},
        {"random_state": -1},
        {"random_state": "0"},
        {"random_state": np.random.default_rng(0)},
        {"n_jobs": 0},
        {"n_threads": 0},
        {"chroms": "chr1"},
        {"bigwig": []},
        {"bigwig": 3},
        {"compatible": "tangermeme-1.5"},
        {"compatible": "tangermeme-1.6", "stride": 10},
        {"compatible": "tangermeme-1.6", "avoid": "windows"},
        {"compatible": "tangermeme-1.6", "ratio": 2},
        {"compatible": "tangermeme-1.6", "summits": True},
    ],
)
def test_wrong_arguments(world: MatchingWorld, keywords: dict[str, Any]) -> None:
    name = list(keywords)[-1]
    usual = {"in_window": 100, "out_window": 50, "random_state": 0}
    with pytest.raises(InvalidInputError, match=name):
        extract(world.frame(), world.fasta, **(usual | keywords))


def test_wide_signal_windows_are_refused_in_compatible_mode(world: MatchingWorld) -> None:
    with pytest.raises(InvalidInputError, match="out_window"):
        extract(
            world.frame(),
            world.fasta,
            in_window=50,
            out_window=100,
            bigwig=world.bigwig,
            compatible="tangermeme-1.6",
        )


def test_too_many_windows(world: MatchingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader.dataset.matching import background

    monkeypatch.setattr(background, "MAX_WINDOWS", 1_000)
    with pytest.raises(InvalidInputError, match="stride"):
        extract(world.frame(), world.fasta, in_window=100, stride=10)


# -------------------------------------------------------------------------------- real files ----


def test_yeast_peaks() -> None:
    folder = shared_data("sets", "yeast")
    genome = Genome(folder / "sacCer3.fa.gz")
    sequences = {name: genome.sequence(name, 0, bp) for name, bp in genome.contigs.items()}
    peaks = pd.read_csv(folder / "yeast_peaks.narrowPeak", sep="\t", header=None)
    loci = list(peaks.iloc[:, :3].itertuples(index=False, name=None))
    chosen = ["chrI", "chrIII"]
    keywords: dict[str, Any] = {"in_window": 300, "out_window": 100, "chroms": chosen}
    frame = extract(
        folder / "yeast_peaks.narrowPeak",
        folder / "sacCer3.fa.gz",
        summits=True,
        random_state=1,
        **keywords,
    )
    summits = (peaks[1] + peaks[9]).tolist()
    on_chosen = [i for i, locus in enumerate(loci) if locus[0] in chosen]
    matched = match(
        sequences,
        [loci[i] for i in on_chosen],
        Rules(300, 100, chroms=chosen, seed=1),
        summits=[summits[i] for i in on_chosen],
    )
    assert len(frame) > 20
    assert rows(frame) == sorted(matched.windows)


def test_human_exclusion_list() -> None:
    folder = shared_data("sets", "hg38_chr1")
    excluded = shared_data("bed", "Blacklist__hg38-blacklist.v2.bed.gz")
    loci = pd.DataFrame([("chr1", s, s + 400) for s in range(1_000_000, 9_000_000, 40_000)])
    keywords: dict[str, Any] = {
        "fasta": folder / "hg38_chr1_10M.fa.gz",
        "bigwig": folder / "ENCFF742FDS_H3K4me3_K562_sub.bw",
        "signal_beta": 20,
        "random_state": 0,
        "stride": 500,
    }
    frame = extract(loci, exclusion_lists=excluded, **keywords)
    listed = pd.read_csv(excluded, sep="\t", header=None)
    assert len(frame) > 100
    assert frame.attrs["matching"]["windows"]["excluded"] > 0
    regions = [(c, s, e) for c, s, e in listed.iloc[:, :3].itertuples(index=False) if c == "chr1"]
    regions = [region for region in regions if region[1] < 10_000_000]
    assert not any(overlap(row, region) for row in rows(frame) for region in regions)
