"""A damaged file: the batches before it arrive, then an error that says where."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidDataError, LoaderError
from bigwig_loader.formats.bigwig import read_bigwig_index
from tests.dataset.conftest import MakeDataset, World, regions

# The fourth batch of two examples holds the damaged block.
LISTED = [("chr1", 100 + 150 * i, 110 + 150 * i) for i in range(12)]
DAMAGED = 6


@pytest.fixture
def damaged(world: World, tmp_path: Path) -> Path:
    """The world's tracks, one data block of b.bw overwritten."""
    folder = tmp_path / "damaged"
    shutil.copytree(world.bigwig_dir, folder)
    path = folder / "b.bw"
    blocks = read_bigwig_index(path).blocks
    middle = (LISTED[DAMAGED][1] + LISTED[DAMAGED][2]) // 2
    # The block with the example's centre, and none of the example before.
    (which,) = np.flatnonzero(
        (blocks.first_chrom_id == 0) & (blocks.start <= middle) & (blocks.end > middle)
    )[:1]
    content = bytearray(path.read_bytes())
    offset, n_bytes = int(blocks.offset[which]), int(blocks.n_bytes[which])
    content[offset : offset + n_bytes] = bytes([0x55]) * n_bytes
    path.write_bytes(content)
    return folder


def options(damaged: Path, **parameters: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "collection": damaged,
        "regions_of_interest": regions(*LISTED),
        "shuffle": False,
        "batch_size": 2,
        "batches_per_epoch": None,
        "sequence_length": 10,
        "maximum_unknown_bases_fraction": None,
    }
    return usual | parameters


@pytest.mark.parametrize("prefetch", [0, 1, 20])
@pytest.mark.parametrize("super_batch_size", [None, 6, 1000])
def test_a_damaged_block(
    make: MakeDataset, damaged: Path, prefetch: int, super_batch_size: int | None
) -> None:
    how = {"prefetch": prefetch, "super_batch_size": super_batch_size}
    iterator = iter(make(**options(damaged, **how)))
    before = list(islice(iterator, 3))
    assert [b.index for b in before] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(LoaderError) as caught:
            next(iterator)
        assert isinstance(caught.value.__cause__, InvalidDataError)
        message = str(caught.value)
        assert "batch 3 of epoch 0" in message
        assert "b.bw" in message
        assert f"chr1:{LISTED[DAMAGED][1]}-{LISTED[DAMAGED][2]}" in message


def test_the_state_stays_before_the_damage(make: MakeDataset, damaged: Path) -> None:
    dataset = make(**options(damaged))
    with pytest.raises(LoaderError):
        list(dataset)
    assert (dataset.state_dict()["epoch"], dataset.state_dict()["batch"]) == (0, 3)
    dataset.load_state_dict(dataset.state_dict())
    with pytest.raises(LoaderError, match="batch 3 of epoch 0"):
        next(iter(dataset))


def test_what_is_not_damaged_can_be_read(make: MakeDataset, damaged: Path) -> None:
    batches = list(make(**options(damaged, custom_track_sampler=[[0], [1], [2], [0, 2], [0], [0]])))
    assert [b.index for b in batches] == [0, 1, 2, 3, 4, 5]


def broken_encoder(strings: list[str]) -> list[str]:
    return strings[1:]


def test_encoders_have_to_keep_the_number_of_sequences(make: MakeDataset) -> None:
    with pytest.raises(LoaderError, match="expected one result for each of 4"):
        next(iter(make(sequence_encoder=broken_encoder)))


def test_errors_of_encoders_arrive(make: MakeDataset) -> None:
    def fail(strings: list[str]) -> None:
        raise KeyError("letter")

    with pytest.raises(LoaderError, match=r"batch 0.*KeyError") as caught:
        next(iter(make(sequence_encoder=fail)))
    assert isinstance(caught.value.__cause__, KeyError)
