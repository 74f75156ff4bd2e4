"""``profile``: figures against the data set, and against a loader on a made clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.cli import app, profiling
from bigwig_loader.cli.profiling import Profile, Setting, advice, between, profile, walk
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.dataset.stats import STAGES, LoaderStats
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_data import ExampleData

SETTING = Setting(n_threads=2, n_cores=2, prefetch=2)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["profile", *(str(a) for a in arguments)])


class MadeClock:
    """A clock that only `sleep` moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(profiling.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(profiling.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class MadeLoader:
    """Epochs of 4 batches of 10 examples: 3 tracks, 20 bp; a batch takes a known time."""

    def __init__(self, clock: MadeClock | None = None, seconds: float = 0.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.made: list[tuple[int, int]] = []
        self.n_closed = 0

    def __len__(self) -> int:
        return 4

    def batches(self, epoch: int, first: int = 0) -> _MadeBatches:
        return _MadeBatches(self, epoch, first)

    def stats(self) -> LoaderStats:
        n = len(self.made)
        seconds = dict.fromkeys(STAGES, 0.0) | {"inflate": 2.0 * n, "plan": 1.0 * n}
        return LoaderStats(
            seconds,
            signal_seconds=4.0 * n,
            n_blocks=5 * n,
            bytes_inflated=1_000_000 * n,
            cached_bytes=77,
            n_batches=n,
            n_examples=10 * n,
            consumer_seconds=1e3,
            waited_seconds=1e3,
            n_looks=n,
            mean_queue=min(n, 8) / 2,
            max_queue=2,
        )


class _MadeBatches(Iterator[Batch]):
    def __init__(self, loader: MadeLoader, epoch: int, first: int) -> None:
        self.loader, self.epoch, self.at = loader, epoch, first

    def __next__(self) -> Batch:
        if self.at == 4:
            raise StopIteration
        if self.loader.clock is not None:
            self.loader.clock.sleep(self.loader.seconds)
        self.loader.made.append((self.epoch, self.at))
        self.at += 1
        starts = np.arange(10)
        return Batch(
            values=np.zeros((10, 20, 3)),
            starts=starts,
            ends=starts + 50,
            value_starts=starts + 15,
            value_ends=starts + 35,
            track_names=("a", "b", "c"),
        )

    def close(self) -> None:
        self.loader.n_closed += 1


# ----------------------------------------------------------------------------------- measurement --


def test_walk_goes_on_through_the_epochs() -> None:
    loader = MadeLoader()
    assert len(list(walk(loader, 3, 7))) == 7
    assert loader.made == [(0, 3), *((1, i) for i in range(4)), (2, 0), (2, 1)]
    assert loader.n_closed == 3
    assert list(walk(loader, 3, 0)) == []


def test_between_is_what_came_in_between() -> None:
    loader = MadeLoader()
    list(walk(loader, 0, 3))
    before = loader.stats()
    list(walk(loader, 0, 5))
    found = between(before, loader.stats())
    assert (found.n_batches, found.n_examples, found.n_blocks) == (5, 50, 25)
    assert found.seconds["inflate"] == 10
    assert found.seconds["read"] == 0
    assert found.signal_seconds == 20
    assert found.cached_bytes == 77
    # 8 looks of 4 on average, of which the first three of 1.5 on average are taken away.
    assert found.mean_queue == pytest.approx((8 * 4 - 3 * 1.5) / 5)
    assert found.consumer_seconds == 0


def test_figures_of_a_loader_on_a_made_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = MadeClock(monkeypatch)
    loader = MadeLoader(clock, seconds=0.03)
    measured = profile(loader, replace(SETTING, step_seconds=0.01), n_batches=6, n_warm_up=3)
    # Twice the same batches, after the warm-up.
    one_pass = [(0, 3), *((1, i) for i in range(4)), (2, 0)]
    assert loader.made == [(0, 0), (0, 1), (0, 2), *one_pass, *one_pass]
    for each in (measured.first_pass, measured.steady_state):
        assert each.stats.n_batches == 6
        assert each.stats.n_blocks == 30
        assert each.first_batch_seconds == pytest.approx(0.03)
        # From the arrival of the first batch to that of the last: five steps, five waits.
        assert each.seconds == pytest.approx(5 * 0.04)
        assert each.seconds_per_batch == pytest.approx(0.04)
        assert each.stats.waited_share == pytest.approx(0.75)
        assert each.n_examples == 50
        assert each.examples_per_second == pytest.approx(50 / 0.2)
        assert each.mbp_per_second == pytest.approx(50 * 20 * 3 / 0.2 / 1e6)
    assert measured.replay_seconds_per_batch == pytest.approx(0.01)
    assert measured.perfect_speedup == pytest.approx(4)
    assert measured.as_dict()["perfect_speedup"] == pytest.approx(4)
    assert "waits 75% of its time" in measured.verdict
    assert "4.00 times as fast" in measured.verdict
    assert "What binds is inflate, 80% of the time" in measured.verdict


def test_without_a_step_there_is_no_speedup(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = MadeLoader(MadeClock(monkeypatch), seconds=0.03)
    measured = profile(loader, SETTING, n_batches=2, n_warm_up=0)
    assert measured.perfect_speedup is None
    assert measured.verdict.startswith("A training step of 30 ms or more never waits")


def test_a_loader_that_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = MadeLoader(MadeClock(monkeypatch), seconds=0.001)
    measured = profile(loader, replace(SETTING, step_seconds=0.1), n_batches=3, n_warm_up=1)
    assert measured.perfect_speedup == pytest.approx(1.01)
    assert measured.verdict == (
        "Nothing to gain: the loop waits 1.0% of its time, and a perfect loader would make it "
        "1.01 times as fast."
    )


def test_sequence_alone_counts_its_bases() -> None:
    starts = np.arange(4)
    assert profiling._n_bases(Batch(starts=starts, ends=starts + 50)) == 200


def test_one_batch_has_no_rate() -> None:
    with pytest.raises(InvalidInputError, match="expected at least 2"):
        profile(MadeLoader(), SETTING, n_batches=1, n_warm_up=0)


# ---------------------------------------------------------------------------------------- advice --

NOTHING = LoaderStats(dict.fromkeys(STAGES, 0.0))
MISSED = replace(NOTHING, n_blocks=90, n_cached_blocks=30, bytes_inflated=2_000_000)
CACHED = replace(MISSED, n_cached_blocks=90)


@pytest.mark.parametrize(
    ("stage", "setting", "stats", "wanted", "unwanted"),
    [
        ("inflate", SETTING, MISSED, ["cache_bytes, which", "2 MB"], ["n_threads", "prefetch"]),
        (
            "inflate",
            replace(SETTING, cache_bytes=9),
            MISSED,
            ["a larger cache_bytes: 60 of 90"],
            [],
        ),
        ("inflate", replace(SETTING, n_threads=1), CACHED, ["n_threads=2 (now 1)"], ["cache"]),
        ("inflate", SETTING, CACHED, ["more cores"], ["cache_bytes"]),
        ("read", SETTING, MISSED, ["local disk", "cache_bytes"], []),
        ("rasterize", SETTING, MISSED, ["window_size", "dtype"], ["cache_bytes"]),
        ("rasterize", replace(SETTING, dtype="float16"), MISSED, ["window_size"], ["dtype"]),
        ("rasterize", replace(SETTING, dtype=None), MISSED, ["more cores"], ["window_size"]),
        ("sequence", SETTING, MISSED, ["dtype"], ["cache_bytes"]),
        ("sequence", replace(SETTING, dtype=None), MISSED, ["more cores"], ["dtype"]),
        ("plan", replace(SETTING, n_threads=1), MISSED, ["larger batches"], ["n_threads"]),
        ("assemble", SETTING, MISSED, ["moving average"], ["cache_bytes"]),
        ("plan", replace(SETTING, prefetch=0, step_seconds=1), MISSED, ["prefetch=2"], []),
        ("plan", replace(SETTING, prefetch=0), MISSED, ["larger batches"], ["prefetch=2"]),
        ("signal", replace(SETTING, n_threads=1), MISSED, ["n_threads=2", "cache_bytes"], []),
    ],
)
def test_advice(
    stage: str, setting: Setting, stats: LoaderStats, wanted: list[str], unwanted: list[str]
) -> None:
    said = "; ".join(advice(stage, setting, stats))
    assert said
    for part in wanted:
        assert part in said
    for part in unwanted:
        assert part not in said


def test_a_profile_that_nothing_was_measured_for_says_no_stage() -> None:
    one = profiling.Pass(replace(NOTHING, n_batches=2), 0.0, 1.0, 10, 10)
    assert Profile(SETTING, 0, one, one, 0.1).verdict.endswith("never waits for this loader.")


# ----------------------------------------------------------------------------------- the command --


def _options(data: ExampleData, *more: object) -> list[object]:
    return [
        *("--bigwig", data.bigwig_dir, "--genome", data.reference_genome),
        *("--regions", data.train_regions, "--sequence-length", 500, "--center", 200),
        *("--window-size", 4, "--batch-size", 16, "--batches", 5, "--warm-up", 2),
        *("--threads", 2, *more),
    ]


def _json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def test_figures_are_those_of_the_data_set(tiny_data: ExampleData) -> None:
    figures = _json(run(*_options(tiny_data, "--json", "--seed", 3)))
    data_set = BigWigDataset(
        tiny_data.train_regions,
        tiny_data.bigwig_dir,
        tiny_data.reference_genome,
        500,
        200,
        4,
        batch_size=16,
        batches_per_epoch=7,
        seed=3,
        prefetch=0,
    )
    batches = data_set.batches(0, 2)
    assert sum(1 for _ in batches) == 5
    expected = data_set.collection.counts
    assert figures["batches"] == 5
    assert figures["warm_up_batches"] == 2
    assert figures["options"]["n_threads"] == 2
    assert figures["backend"].startswith("cpu")
    for name in ("first_pass", "steady_state"):
        each = figures[name]
        assert set(STAGES) <= set(each["stats"]["seconds"])
        assert each["stats"]["n_batches"] == 5
        assert each["stats"]["n_examples"] == 80
        assert each["stats"]["n_blocks"] == expected.n_blocks > 0
        assert each["stats"]["bytes_read"] == expected.bytes_read > 0
        assert each["stats"]["n_cached_blocks"] == 0
        # 4 batches of 16 examples, 200 bp, 4 tracks.
        assert each["mbp_per_second"] * each["seconds"] * 1e6 == pytest.approx(4 * 16 * 200 * 4)
        assert each["examples_per_second"] * each["seconds"] == pytest.approx(64)
    assert figures["perfect_speedup"] is None
    assert figures["binds"] in {*STAGES, "signal"}
    assert "What binds is" in figures["verdict"]


def test_a_cache_serves_the_steady_state(tiny_data: ExampleData) -> None:
    figures = _json(run(*_options(tiny_data, "--json", "--cache-bytes", 50_000_000)))
    steady = figures["steady_state"]["stats"]
    assert steady["n_cached_blocks"] == steady["n_blocks"] > 0
    assert steady["bytes_read"] == 0
    assert 0 < steady["cached_bytes"] <= 50_000_000
    assert figures["options"]["cache_bytes"] == 50_000_000


def test_a_step_is_waited_for_and_replayed(tiny_data: ExampleData) -> None:
    figures = _json(run(*_options(tiny_data, "--json", "--step-ms", 2)))
    assert figures["step_seconds"] == 0.002
    assert figures["replay"]["seconds_per_batch"] >= 0.002
    assert figures["steady_state"]["seconds_per_batch"] >= 0.002
    assert figures["perfect_speedup"] >= 1


def test_the_table_has_every_stage_and_ends_in_words(tiny_data: ExampleData) -> None:
    result = run(*_options(tiny_data))
    assert result.exit_code == 0, result.output
    for wanted in (
        *STAGES,
        "first pass",
        "steady state",
        "data blocks",
        "from the cache",
        "batches ready",
        "waited",
        "examples/s",
        "Mbp x tracks/s",
        "backend: cpu",
    ):
        assert wanted in result.stdout
    words = " ".join(result.stdout.split())
    assert "5 batches, after 2 batches of warm-up that are not counted" in words
    assert "never waits for this loader. What binds is" in words
    assert "To change that: " in words


def test_sequence_alone_and_signal_alone(tiny_data: ExampleData) -> None:
    options = ("--regions", tiny_data.train_regions, "--batch-size", 4, "--batches", 3, "--json")
    figures = _json(run("--genome", tiny_data.reference_genome, *options))
    assert figures["steady_state"]["stats"]["n_blocks"] == 0
    assert figures["steady_state"]["stats"]["seconds"]["sequence"] > 0
    figures = _json(run("--bigwig", tiny_data.bigwigs[0], *options, "--dtype", "float16"))
    assert figures["steady_state"]["stats"]["n_blocks"] > 0
    assert figures["options"]["dtype"] == "float16"


def test_peaks(tiny_data: ExampleData) -> None:
    options = [
        *("--bigwig", tiny_data.bigwig_dir, "--genome", tiny_data.reference_genome),
        *("--peaks", tiny_data.peaks, "--negatives", tiny_data.validation_regions),
        *("--control", tiny_data.bigwigs[0], "--sequence-length", 300, "--center", 100),
        *("--batch-size", 4, "--batches", 6, "--warm-up", 1, "--negative-ratio", 0.5, "--json"),
        *("--max-jitter", 10, "--threads", 1, "--step-ms", 1),
    ]
    figures = _json(run(*options))
    for name in ("first_pass", "steady_state"):
        each = figures[name]
        assert each["stats"]["n_batches"] == 6
        assert 20 < each["stats"]["n_examples"] <= 24  # an epoch may end in a short batch
        assert each["stats"]["n_blocks"] > 0
        assert each["stats"]["seconds"]["sequence"] > 0
        n_examples = each["examples_per_second"] * each["seconds"]
        n_bases = each["mbp_per_second"] * each["seconds"] * 1e6
        assert n_bases == pytest.approx(n_examples * 100 * 4)
    assert figures["options"]["max_jitter"] == 10
    assert figures["perfect_speedup"] >= 1


def test_peaks_without_negatives(tiny_data: ExampleData) -> None:
    sources = ("--bigwig", tiny_data.bigwigs[0], "--genome", tiny_data.reference_genome)
    options = ("--batches", 2, "--warm-up", 0, "--json", "--prefetch", 0)
    figures = _json(run(*sources, "--peaks", tiny_data.peaks, *options))
    assert figures["steady_state"]["stats"]["n_batches"] == 2
    assert figures["steady_state"]["stats"]["n_looks"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--genome", "x.fa"), "options --regions and --peaks: expected one of them"),
        (("--regions", "x.bed", "--peaks", "x.bed"), "got both"),
        (("--peaks", "x.bed", "--genome", "x.fa"), "0 of --bigwig"),
        (("--peaks", "x.bed", "--window-size", "2"), "options --window-size: mean nothing with"),
        (
            ("--regions", "x.bed", "--negatives", "y.bed", "--max-jitter", "0"),
            "options --negatives, --max-jitter: mean nothing with --regions",
        ),
        (("--regions", "x.bed"), "x.bed"),
        (("--regions", "x.bed", "--dtype", "int8"), "--dtype: expected one of 'float32'"),
    ],
)
def test_errors_are_one_line(options: tuple[str, ...], message: str) -> None:
    result = run(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.strip().count("\n") == 0
