"""What the peak loader reads from: files and arrays, odd and damaged ones; and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidInputError, LoaderError, NotFoundError
from tests.helpers.peaks import PeakWorld, frame_of, write_track


@pytest.mark.filterwarnings("ignore:signal is 0 on contigs:UserWarning")
def test_arrays_equal_files(peak_world: PeakWorld) -> None:
    world = peak_world
    of_files = world.usual(
        signals=[[world.bw("plus"), world.bw("odd")], world.bw("partial")],
        controls=[world.bw("control"), world.bw("control")],
    )
    of_arrays = world.usual(
        peaks=frame_of(world.loci["peaks.narrowPeak"]),
        negatives=frame_of(world.loci["negatives.bed"]),
        sequences=world.onehot(),
        signals=[[world.signal["plus"], world.signal["odd"]], world.signal["partial"]],
        controls=[world.signal["control"]] * 2,
    )
    flat = of_arrays | {
        "signals": [world.signal[t] for t in ("plus", "odd", "partial")],
        "signal_groups": [2, 1],
    }
    first = list(PeakDataset(**of_files).batches(0))
    for arguments in (
        of_arrays,
        flat,
        of_files | {"in_memory": True},
        of_files | {"cache_bytes": 0},
    ):
        for batch, same in zip(PeakDataset(**arguments).batches(0), first, strict=True):
            for name in ("sequences", "values", "controls", "starts", "labels"):
                np.testing.assert_array_equal(getattr(batch, name), getattr(same, name))


def test_missing_contigs_warn_once(peak_world: PeakWorld) -> None:
    with pytest.warns(UserWarning, match=r"partial\.bw lacks chr2") as caught:
        PeakDataset(**peak_world.usual(signals=[peak_world.bw("partial")]))
    assert len(caught) == 1
    assert Path(caught[0].filename) == Path(__file__)


def test_two_flat_strands_warn(peak_world: PeakWorld) -> None:
    flat = [peak_world.bw("plus"), peak_world.bw("minus")]
    with pytest.warns(UserWarning, match=r"plus\.bw and minus\.bw look like") as caught:
        PeakDataset(**peak_world.usual(signals=flat))
    assert len(caught) == 1
    assert Path(caught[0].filename) == Path(__file__)
    PeakDataset(**peak_world.usual(signals=flat, reverse_complement=False))
    PeakDataset(**peak_world.usual(signals=flat, mode="validation"))
    PeakDataset(**peak_world.usual(signals=[flat]))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_damaged_file_names_itself_and_the_region(
    peak_world: PeakWorld, tmp_path: Path, prefetch: int
) -> None:
    path = write_track(tmp_path / "bad.bw", peak_world.signal["plus"])
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[16:24], "little") + 8  # the data blocks
    content[first + 40 : first + 3000] = bytes(2960)
    path.write_bytes(bytes(content))
    dataset = PeakDataset(**peak_world.usual(signals=[str(path)], prefetch=prefetch))
    with pytest.raises(LoaderError, match=r"batch \d+ of epoch 0.*bad\.bw") as caught:
        list(dataset)
    assert "chr1" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_counts_below_minus_one_have_no_logarithm(peak_world: PeakWorld) -> None:
    signals = [{name: -values for name, values in peak_world.signal["plus"].items()}]
    dataset = PeakDataset(**peak_world.usual(signals=signals), count_target="log1p")
    with pytest.raises(LoaderError, match=r"count_target.*above -1.*group 0 around \w+:\d+"):
        next(dataset.batches(0))


def test_verbose(peak_world: PeakWorld, capsys: pytest.CaptureFixture[str]) -> None:
    loud = PeakDataset(**peak_world.usual(verbose=True, min_counts=20, in_memory=True))
    shown = capsys.readouterr().out
    assert "100%" in shown
    assert "Counting peaks" in shown
    assert "Extracting loci" in shown
    assert f"peaks: {loud.n_peaks} of 50 kept (edge 4" in shown
    assert "negatives: 40 of 40 kept (none dropped)" in shown
    quiet = PeakDataset(**peak_world.usual(min_counts=20, in_memory=True))
    assert capsys.readouterr().out == ""
    assert quiet.fingerprint == loud.fingerprint


PLUS = {"chr1": np.zeros(4000, np.float32)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peaks": None}, ["argument peaks", "mode='train'"]),
        ({"negatives": None}, ["argument negative_ratio", "0.5"]),
        ({"negatives": None, "mode": "negatives"}, ["argument negatives", "mode='negatives'"]),
        ({"signals": None}, ["argument signals", "attribution"]),
        ({"signals": []}, ["argument signals"]),
        ({"signals": "plus.bw"}, ["argument signals", "[track]"]),
        ({"signals": [[]]}, ["argument signals", "empty group"]),
        ({"signals": [3]}, ["signal 0", "int"]),
        ({"controls": PLUS}, ["argument controls"]),
        ({"signals": [PLUS], "signal_groups": [2]}, ["argument signal_groups", "1 tracks"]),
        ({"signals": [PLUS], "signal_groups": [True]}, ["argument signal_groups"]),
        ({"signals": [[PLUS, PLUS], PLUS], "signal_groups": [1, 2]}, ["signal_groups", "[2, 1]"]),
        ({"controls": [PLUS], "control_groups": [0]}, ["argument control_groups"]),
        ({"sequences": 3}, ["argument sequences"]),
        ({"chroms": "chr1"}, ["argument chroms"]),
        ({"chroms": ["chrQ"]}, ["no loci remain", "50 because its contig"]),
        ({"in_window": 0}, ["argument in_window"]),
        ({"in_window": 10_000}, ["no loci remain", "50 because its window"]),
        ({"out_window": 1.0}, ["argument out_window"]),
        ({"max_jitter": -1}, ["argument max_jitter"]),
        ({"max_jitter": -1, "mode": "validation"}, ["argument max_jitter"]),
        ({"negative_ratio": -0.1}, ["argument negative_ratio"]),
        ({"negative_ratio": float("nan")}, ["argument negative_ratio"]),
        ({"negative_ratio": "1"}, ["argument negative_ratio"]),
        ({"min_counts": "1"}, ["argument min_counts"]),
        ({"negative_max_counts": [1]}, ["argument negative_max_counts"]),
        ({"min_counts": 1e9}, ["argument peaks", "no loci remain", "below the minimum"]),
        ({"max_counts": -1}, ["argument peaks", "above the maximum"]),
        ({"negative_min_counts": 1e9}, ["argument negatives", "no loci remain"]),
        ({"negative_cap": -1}, ["argument negative_cap"]),
        ({"negative_cap": float("nan")}, ["argument negative_cap"]),
        ({"negative_cap": 1, "peaks": None, "mode": "negatives"}, ["argument negative_cap"]),
        ({"count_group": 1}, ["argument count_group", "1 track groups"]),
        ({"count_group": -2}, ["argument count_group"]),
        ({"count_group": True}, ["argument count_group"]),
        ({"outliers": 2}, ["argument outliers"]),
        ({"edges": "wrap"}, ["argument edges"]),
        ({"exclusion_bp": 0}, ["argument exclusion_bp"]),
        ({"maximum_unknown_bases_fraction": 1.1}, ["argument maximum_unknown_bases_fraction"]),
        ({"maximum_unknown_bases_fraction": "1"}, ["argument maximum_unknown_bases_fraction"]),
        ({"negatives_per": "loop"}, ["argument negatives_per"]),
        ({"peak_weights": [1, 2]}, ["argument peak_weights", "1 files", "got 2"]),
        ({"peak_weights": [0]}, ["argument peak_weights"]),
        ({"peak_weights": ["1"]}, ["argument peak_weights"]),
        ({"count_target": "log"}, ["argument count_target"]),
        ({"mode": "test"}, ["argument mode"]),
        ({"rng": "numpy"}, ["argument rng"]),
        ({"random_state": -1}, ["2**64", "-1"]),
        ({"random_state": 1.5}, ["argument random_state"]),
        ({"random_state": "1", "rng": "cherimoya-0.3"}, ["argument random_state"]),
        ({"batch_size": 0}, ["argument batch_size"]),
        ({"batch_size": 100, "drop_last": True}, ["argument batch_size", "drop_last"]),
        ({"batch_size": 6, "rank": 0, "world_size": 4}, ["argument batch_size", "4 processes"]),
        ({"rank": 4, "world_size": 4}, ["rank"]),
        ({"rank": 0}, ["rank and world_size"]),
        ({"uneven": "wrap"}, ["argument uneven"]),
        ({"prefetch": -1}, ["argument prefetch"]),
        ({"cache_bytes": -1}, ["argument cache_bytes"]),
        ({"n_threads": 0}, ["argument n_threads"]),
        ({"device": "tpu"}, ["argument device"]),
    ],
)
def test_bad_arguments(peak_world: PeakWorld, change: dict[str, Any], words: Sequence[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        PeakDataset(**(peak_world.usual() | change))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "negatives"},
        {"mode": "attribution"},
        {"peak_weights": [1]},
        {"negative_jitter": True},
        {"negatives_per": "batch"},
        {"negative_replacement": False},
    ],
)
def test_the_peer_has_no_such_option(peak_world: PeakWorld, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(change))}.*cherimoya"):
        PeakDataset(**peak_world.usual(rng="cherimoya-0.3", **change))


def test_what_is_not_there(peak_world: PeakWorld) -> None:
    for name in ("peaks", "negatives", "sequences", "exclusion_lists"):
        with pytest.raises(NotFoundError, match=r"absent\.x"):
            PeakDataset(**peak_world.usual(**{name: "absent.x"}))
    for name in ("signals", "controls"):
        with pytest.raises(NotFoundError, match=r"absent\.x"):
            PeakDataset(**peak_world.usual(**{name: ["absent.x"]}))
    elsewhere = frame_of([("chrQ", 1, 2, 0)])
    with pytest.raises(NotFoundError, match=r"chrQ.*genome\.fa.*chroms"):
        PeakDataset(**peak_world.usual(negatives=elsewhere))


def test_bad_examples(peak_world: PeakWorld) -> None:
    dataset = PeakDataset(**peak_world.usual())
    for indices in ([-1], [69], [], [0, 100]):
        with pytest.raises(InvalidInputError, match="expected"):
            dataset.examples(0, indices)
    for epoch in (-1, 2**32, "1"):
        with pytest.raises(InvalidInputError, match="argument epoch"):
            dataset.examples(epoch, [0])  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="argument epoch"):
            dataset.set_epoch(epoch)  # type: ignore[arg-type]
