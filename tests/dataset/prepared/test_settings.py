from __future__ import annotations

import inspect

import numpy as np
import pytest

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.settings import Facts, Settings, changed, default_settings
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.fills import Constant, Interpolate, Repeat5p
from bigwig_loader.plan.realign import RealignOptions
from bigwig_loader.plan.signal import TrackTransform

FACTS = Facts(("atac", "rna"), True, True, 8, ("ref", "record", "AF"))


def settings(facts=FACTS, **given):
    return changed(default_settings(facts, {}), given)


@pytest.mark.parametrize(
    ("has_variants", "has_reference", "kind"),
    [
        (True, True, "haplotypes"),
        (False, True, "reference"),
        (True, False, "variants"),
        (False, False, None),
    ],
)
def test_defaults(has_variants, has_reference, kind):
    facts = Facts(("atac",), has_variants, has_reference, 0, ())
    made = default_settings(facts, {})
    assert made.sequences == kind
    assert made.tracks == ("atac",)
    assert made.length == "ragged"
    assert made.realigned == (kind == "haplotypes")
    stored = {"requested_length": 2048, "variants": {"overlap": "bcftools"}}
    assert default_settings(facts, stored).length == 2048
    assert default_settings(facts, stored).overlap == "bcftools"


def test_none_changes_nothing_and_false_switches_off():
    before = settings(
        min_af=0.1, max_af=0.5, transform=len, jitter=3, return_tracks="rna", rc_neg=False
    )
    arguments = inspect.signature(PreparedDataset.with_settings).parameters
    names = [name for name in arguments if name not in ("self", "regions", "samples")]
    assert changed(before, dict.fromkeys(names)) == before
    after = changed(
        before,
        {"min_af": False, "max_af": False, "transform": False, "return_sequences": False,
         "return_tracks": False},
    )  # fmt: skip
    assert (after.min_af, after.max_af, after.transform) == (None, None, None)
    assert (after.sequences, after.tracks) == (None, ())
    assert after.jitter == 3
    assert not after.rc_neg


def test_the_axis_of_one_track():
    assert not settings(return_sequences=False).track_axis
    assert settings(return_sequences=False, track_axis=True).track_axis
    assert settings(return_sequences="reference").track_axis


def test_tracks_and_fills():
    assert settings(return_tracks=True).tracks == ("atac", "rna")
    assert settings(return_tracks=["rna", "atac"]).tracks == ("rna", "atac")
    assert settings(insertion_fill=Constant(1.0)).fill_of("rna") == Constant(1.0)
    one = settings(insertion_fill={"rna": Interpolate(2)})
    assert (one.fill_of("rna"), one.fill_of("atac")) == (Interpolate(2), Repeat5p())
    two = changed(one, {"insertion_fill": {"atac": Constant(0.0)}})
    assert (two.fill_of("rna"), two.fill_of("atac")) == (Interpolate(2), Constant(0.0))
    scaled = settings(track_transform={"atac": TrackTransform(scale=2.0)})
    assert scaled.transform_of("atac").scale == 2
    assert scaled.transform_of("rna") == TrackTransform()
    binned = settings(bin_size=4, statistic="sum", track_dtype="float16", uncovered=-1.0)
    assert binned.track_options == RealignOptions(4, "sum", "float16", -1.0)


def test_encodings_take_their_own_dtype():
    assert settings().options.encoding == "bytes"
    one_hot = settings(encoding="onehot", dtype="float16", layout="BPAL", length=4)
    assert (one_hot.options.dtype, one_hot.options.layout) == ("float16", "BPAL")
    letters = changed(one_hot, {"encoding": "bytes"})
    assert (letters.options.dtype, letters.options.layout) == ("uint8", "BPLA")
    tokens = settings(encoding="tokens", tokens=range(16), dtype="int32").options
    assert tokens.tokens == tuple(range(16))


def test_seeds():
    assert settings().seed == 0
    assert settings(seed=7).seed == settings(rng=7).seed == 7
    drawn = settings(rng=np.random.default_rng(1)).seed
    assert drawn == settings(rng=np.random.default_rng(1)).seed
    assert drawn != settings(rng=np.random.default_rng(2)).seed


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"return_sequences": "haplotype"}, InvalidInputError, "'reference', 'haplotypes'"),
        ({"return_tracks": "atca"}, NotFoundError, "unknown track 'atca'.*atac"),
        ({"var_fields": ["alt", "QUAL"]}, NotFoundError, "unknown field 'QUAL'"),
        ({"jitter": 9}, InvalidInputError, "at most 8, the max_jitter.*got 9"),
        ({"jitter": -1}, InvalidInputError, "jitter"),
        ({"length": 0}, InvalidInputError, "length"),
        ({"length": "long"}, InvalidInputError, "length"),
        ({"seed": -1}, InvalidInputError, "seed"),
        ({"epoch": 1 << 32}, InvalidInputError, "epoch"),
        ({"overlap": "last"}, InvalidInputError, "overlap"),
        ({"index": "sample"}, InvalidInputError, "'cell', 'region'"),
        ({"min_af": "0.1"}, InvalidInputError, "min_af"),
        ({"transform": 3}, InvalidInputError, "transform"),
        ({"encoding": "onehot", "layout": "BPAL"}, InvalidInputError, "layout.*ragged"),
        ({"encoding": "twobit"}, InvalidInputError, "encoding"),
        ({"dtype": "float32"}, InvalidInputError, "dtype"),
        ({"insertion_fill": {"atca": Repeat5p()}}, NotFoundError, "unknown track 'atca'"),
        ({"insertion_fill": "repeat"}, InvalidInputError, "insertion_fill of track 'atac'"),
        ({"track_transform": Repeat5p()}, InvalidInputError, "TrackTransform"),
        ({"bin_size": 0}, InvalidInputError, "bin_size"),
    ],
)
def test_what_cannot_be_given_is_an_error(given, error, message):
    with pytest.raises(error, match=message):
        settings(**given)


def test_frequencies_need_their_column():
    facts = Facts((), True, True, 0, ("ref", "record"))
    with pytest.raises(InvalidInputError, match=r"max_af: expected variants with a column AF"):
        settings(facts, max_af=0.5)


def test_a_setting_of_no_effect_is_no_part_of_the_fingerprint():
    assert set(Settings(FACTS).named()) >= {"seed", "length", "fills", "jitter"}
    assert not {"facts", "epoch", "index"} & set(Settings(FACTS).named())


PEER_OPEN = [
    "path", "reference", "jitter", "rng", "deterministic", "rc_neg", "min_af", "max_af",
    "var_fields", "region_names",
]  # fmt: skip
OLDER = {"return_sequences", "return_tracks", "transform", "seed", "return_indices"}


def test_arguments_of_both_generations():
    opened = inspect.signature(PreparedDataset.open).parameters
    assert list(opened)[: len(PEER_OPEN)] == PEER_OPEN
    assert set(opened) >= OLDER
    with_settings = inspect.signature(PreparedDataset.with_settings).parameters
    peer = ["jitter", "rng", "deterministic", "rc_neg", "min_af", "max_af", "var_fields"]
    assert list(with_settings)[1:8] == peer
    assert set(with_settings) >= OLDER | {"regions", "samples", "realign_tracks", "length"}
