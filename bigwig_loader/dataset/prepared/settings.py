"""What a view of a prepared data set gives, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from bigwig_loader.dataset.prepared.indexing import IndexKind
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.fills import Fill, Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeOptions, Overlap
from bigwig_loader.plan.realign import RealignOptions
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.sampling.rng import check_epoch, check_seed, new_seed
from bigwig_loader.types import check_choice, check_not_negative, check_number, check_positive

SequenceKind = Literal["reference", "haplotypes", "annotated", "variants"]
Transform = Callable[..., Any]
Length = Literal["ragged", "variable"] | int
VariantFilter = Literal["exonic"]

# Kinds of sequence that are those of a person.
PERSONAL = ("haplotypes", "annotated", "variants")


@dataclass(frozen=True)
class Facts:
    """What a data set holds, as far as settings depend on it.

    Parameters
    ----------
    tracks : tuple of str
    has_variants, has_reference : bool
    max_jitter : int
    var_fields : tuple of str
        Columns that variants have besides alt, start and ilen.
    """

    tracks: tuple[str, ...]
    has_variants: bool
    has_reference: bool
    max_jitter: int
    var_fields: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All settings of a view; `PreparedDataset.with_settings` says what they mean."""

    facts: Facts = field(repr=False)
    sequences: SequenceKind | None = None
    tracks: tuple[str, ...] = ()
    track_axis: bool = True
    length: Length = "ragged"
    jitter: int = 0
    deterministic: bool = True
    seed: int = 0
    epoch: int = 0
    rc_neg: bool = True
    min_af: float | None = None
    max_af: float | None = None
    var_fields: tuple[str, ...] = ()
    overlap: Overlap = "first"
    var_filter: VariantFilter | None = None
    realign_tracks: bool = True
    fills: tuple[tuple[str, Fill], ...] = ()
    track_options: RealignOptions = field(default_factory=RealignOptions)
    track_transforms: tuple[tuple[str, TrackTransform], ...] = ()
    options: HaplotypeOptions = field(default_factory=lambda: HaplotypeOptions("bytes"))
    transform: Transform | None = None
    return_indices: bool = False
    index: IndexKind = "cell"

    def __post_init__(self) -> None:
        self._check_sequences()
        for name in self.tracks:
            if name not in self.facts.tracks:
                raise NotFoundError.among("track", name, self.facts.tracks, "the data set")
        for name in self.var_fields:
            if name not in self.facts.var_fields:
                raise NotFoundError.among("field", name, self.facts.var_fields, "the variants")
        if self.length not in ("ragged", "variable"):
            check_positive("length", self.length)
        check_not_negative("jitter", self.jitter)
        if self.jitter > self.facts.max_jitter:
            raise InvalidInputError(
                f"argument jitter: expected at most {self.facts.max_jitter}, the max_jitter that "
                f"the data set was written with; got {self.jitter}. Write it with a larger one"
            )
        check_seed(self.seed)
        check_epoch(self.epoch)
        check_choice("overlap", self.overlap, get_args(Overlap))
        check_choice("index", self.index, get_args(IndexKind))
        for name in ("min_af", "max_af"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
                self._check_frequencies(name)
        self._check_filter()
        if self.transform is not None and not callable(self.transform):
            raise InvalidInputError(
                f"argument transform: expected a function, or False for none; got "
                f"{self.transform!r}"
            )
        if self.length == "ragged" and self.options.layout == "BPAL":
            raise InvalidInputError(
                "argument layout: expected 'BPLA' with length='ragged', whose rows are (length, "
                "4); got 'BPAL'. Set a length, or length='variable'"
            )

    def _check_filter(self) -> None:
        if self.var_filter is None:
            return
        check_choice("var_filter", self.var_filter, get_args(VariantFilter))
        if self.sequences == "variants" or not self.deterministic:
            raise InvalidInputError(
                f"argument var_filter: expected None with return_sequences='variants' or "
                f"deterministic=False; got {self.var_filter!r}"
            )

    def _check_sequences(self) -> None:
        kind, facts = self.sequences, self.facts
        if kind is None:
            return
        check_choice("return_sequences", kind, get_args(SequenceKind))
        if kind in PERSONAL and not facts.has_variants:
            raise InvalidInputError(
                f"argument return_sequences: expected 'reference' or False, since the data set was "
                f"written without variants; got {kind!r}"
            )
        if kind != "variants" and not facts.has_reference:
            raise InvalidInputError(
                f"argument return_sequences: expected 'variants' or False without a reference; "
                f"got {kind!r}. Pass reference= to Dataset.open"
            )

    def _check_frequencies(self, name: str) -> None:
        if "AF" not in self.facts.var_fields:
            raise InvalidInputError(
                f"argument {name}: expected variants with a column AF; the data set has none. "
                "Write it from a source with genotypes"
            )

    @property
    def fixed_length(self) -> int | None:
        """The length of every row in bp; None where rows have their own."""
        return None if isinstance(self.length, str) else int(self.length)

    @property
    def realigned(self) -> bool:
        """Whether tracks follow the haplotypes."""
        return (
            self.realign_tracks
            and bool(self.tracks)
            and self.sequences in PERSONAL
            and self.facts.has_reference
        )

    def fill_of(self, track: str) -> Fill:
        """What bases of insertions have in a track."""
        return dict(self.fills).get(track, Repeat5p())

    def transform_of(self, track: str) -> TrackTransform:
        """Arithmetic on the values of a track."""
        return dict(self.track_transforms).get(track, TrackTransform())

    def named(self) -> dict[str, Any]:
        """All settings that decide what is delivered, by name; what a fingerprint is made of."""
        left_out = ("facts", "epoch", "index")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}


def default_settings(facts: Facts, metadata: Mapping[str, Any]) -> Settings:
    """What a data set gives where nothing else is asked for.

    Parameters
    ----------
    facts : Facts
    metadata : mapping
        Of the data set; ``"requested_length"`` is the length that regions were brought to.
    """
    kind: SequenceKind | None = None
    if facts.has_reference:
        kind = "haplotypes" if facts.has_variants else "reference"
    elif facts.has_variants:
        kind = "variants"
    about = metadata.get("variants") or {}
    return Settings(
        facts,
        sequences=kind,
        tracks=facts.tracks,
        length=metadata.get("requested_length") or "ragged",
        overlap=about.get("overlap", "first"),
    )


def changed(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings with some changes; None leaves a setting as it is, False switches it off.

    Parameters
    ----------
    settings : Settings
    given : mapping
        Arguments of `PreparedDataset.with_settings` by name.

    Raises
    ------
    InvalidInputError, NotFoundError
        For what the data set cannot give.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    out: dict[str, Any] = {}
    if "return_sequences" in changes:
        kind = changes.pop("return_sequences")
        out["sequences"] = None if kind is False else kind
        # Tracks alone come without the axis of tracks where there is one: the older way.
        out["track_axis"] = kind is not False
    if "return_tracks" in changes:
        out["tracks"] = track_names(changes.pop("return_tracks"), settings.facts)
    for name, kinds, merged in (
        ("insertion_fill", get_args(Fill), "fills"),
        ("track_transform", (TrackTransform,), "track_transforms"),
    ):
        if name in changes:
            before = dict(getattr(settings, merged))
            out[merged] = _by_track(name, changes.pop(name), kinds, before, settings.facts)
    binning = {
        own: changes.pop(name)
        for name, own in (
            ("bin_size", "bin_size"),
            ("statistic", "statistic"),
            ("track_dtype", "dtype"),
            ("uncovered", "uncovered"),
            ("out_of_bounds", "out_of_bounds"),
        )
        if name in changes
    }
    if binning:
        out["track_options"] = replace(settings.track_options, **binning)
    if "rng" in changes:
        out["seed"] = seed_of(changes.pop("rng"))
    for name in ("min_af", "max_af", "transform", "var_filter"):
        if name in changes:
            value = changes.pop(name)
            out[name] = None if value is False else value
    if "var_fields" in changes:
        out["var_fields"] = _own_fields(changes.pop("var_fields"))
    encoding: dict[str, Any] = {
        name: changes.pop(name)
        for name in ("encoding", "dtype", "layout", "unknown", "tokens")
        if name in changes
    }
    if encoding:
        out["options"] = _encoding(settings.options, encoding)
    return replace(settings, **{**out, **changes})


def track_names(given: bool | str | Sequence[str], facts: Facts) -> tuple[str, ...]:
    """Names of tracks: True for all, False for none, or some, in the order asked for."""
    if isinstance(given, bool):
        return facts.tracks if given else ()
    return (given,) if isinstance(given, str) else tuple(given)


def seed_of(rng: int | np.random.Generator | None) -> int:
    """A seed, from what other libraries take for one; a generator is drawn from once."""
    if rng is None:
        return new_seed()
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(1 << 63))
    return check_seed(rng)


def _own_fields(names: Sequence[str]) -> tuple[str, ...]:
    """The fields that variants do not have anyway."""
    given = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in given if name not in ("alt", "start", "ilen"))


def _encoding(options: HaplotypeOptions, given: Mapping[str, Any]) -> HaplotypeOptions:
    """Options with some changes; another encoding starts from its own dtype."""
    values: dict[str, Any] = dict(given)
    if "tokens" in values:
        values["tokens"] = tuple(int(token) for token in values["tokens"])
    if values.get("encoding", options.encoding) != options.encoding:
        values.setdefault("dtype", None)
    if values.get("encoding", options.encoding) != "onehot":
        values.setdefault("layout", "BPLA")
        values.setdefault("unknown", "zero")
    return replace(options, **values)


def _by_track(
    argument: str, given: Any, kinds: tuple[type, ...], before: dict[str, Any], facts: Facts
) -> tuple[tuple[str, Any], ...]:
    """A value for each track: one for all, or for those named; the others keep theirs."""
    if not isinstance(given, Mapping):
        given = dict.fromkeys(facts.tracks, given)
    for name, value in given.items():
        if name not in facts.tracks:
            raise NotFoundError.among("track", name, facts.tracks, "the data set")
        if not isinstance(value, kinds):
            expected = ", ".join(kind.__name__ for kind in kinds)
            raise InvalidInputError(
                f"argument {argument} of track {name!r}: expected one of {expected}; got {value!r}"
            )
    return tuple({**before, **given}.items())
