"""The fields of a batch."""

from __future__ import annotations

import dataclasses

import numpy as np

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch

NO_ARRAYS = {"chromosomes", "track_names", "epoch", "index"}


def test_every_field_is_an_array_or_known_to_be_none() -> None:
    fields = {f.name for f in dataclasses.fields(Batch)}
    assert set(ARRAY_FIELDS) | NO_ARRAYS == fields
    assert not set(ARRAY_FIELDS) & NO_ARRAYS
    assert all(f.default is None for f in dataclasses.fields(Batch))


def test_arrays_are_mapped_and_the_rest_is_kept() -> None:
    batch = Batch(values=np.ones(2), reverse=np.array([True, False]), epoch=3, track_names=("a",))
    mapped = batch.map_arrays(lambda array: array.tolist())
    assert mapped["values"] == [1.0, 1.0]
    assert mapped["reverse"] == [True, False]
    assert (mapped["epoch"], mapped["track_names"], mapped["labels"]) == (3, ("a",), None)
    assert set(mapped) == {f.name for f in dataclasses.fields(Batch)}


def test_length() -> None:
    assert len(Batch()) == 0
    assert len(Batch(sequences=["ACGT", "AC"])) == 2
    assert len(Batch(values=np.ones((3, 1)))) == 3
    assert len(Batch(values=np.ones((0, 1)), starts=np.zeros(4))) == 4
