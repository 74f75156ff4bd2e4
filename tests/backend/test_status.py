"""Every status of the kernels has a message that says what, where, expected, got and what to do."""

from __future__ import annotations

import errno
import re

import pytest

from bigwig_loader.backend.status import Status, block_error
from bigwig_loader.errors import InvalidDataError, LoaderError
from tests.helpers.shared import REPOSITORY


def test_numbers_are_those_of_the_kernels() -> None:
    source = (REPOSITORY / "cuda_kernels" / "common.cuh").read_text()
    kernels = {int(n): name for name, n in re.findall(r"\bk(\w+) = (\d+),", source)}
    assert {s.value: s.name.replace("_", "").lower() for s in Status} == {
        n: name.lower() for n, name in kernels.items()
    }


@pytest.mark.parametrize(
    "status",
    [s for s in Status if s not in (Status.OK, Status.OUT_OF_MEMORY, Status.NEEDS_WHOLE)],
)
def test_damage_names_file_offset_and_region(status: Status) -> None:
    error = block_error(status, (5, 7), "/data/a.bw", 1234, "chr1:10-20")
    assert isinstance(error, InvalidDataError)
    assert (error.path, error.offset) == ("/data/a.bw", 1234)
    assert error.hint is not None
    text = str(error)
    assert "chr1:10-20" in text or "changed" in text
    assert text.index("/data/a.bw") < text.index("got") < text.index(error.hint)
    assert "{" not in text


def test_a_file_that_changed_says_so() -> None:
    error = block_error(Status.READ_FAILED, (errno.ESTALE, 0), "a.bw", 0, "chr1:1-2")
    assert "has changed since its index was read" in str(error)


def test_a_failed_read_gives_the_systems_reason() -> None:
    error = block_error(Status.READ_FAILED, (errno.EACCES, 0), "a.bw", 0, "chr1:1-2")
    assert "Permission denied" in str(error)
    assert "chr1:1-2" in str(error)


def test_out_of_memory_is_not_blamed_on_the_file() -> None:
    error = block_error(Status.OUT_OF_MEMORY, (0, 0), "a.bw", 0, "chr1:1-2")
    assert isinstance(error, LoaderError)
    assert "memory_budget" in str(error)
