"""The inflate decoder on streams that no compressor makes: every kind of code, legal or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.deflate_cases import ILLEGAL, LEGAL, dynamic_blocks, made
from tests.helpers.inflate import (
    ALL,
    BAD,
    OK,
    PATHS,
    TRUNCATED,
    check_as_zlib,
    inflate,
    inflate_zlib,
)
from tests.oracles.deflate_writer import Token, expand


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", LEGAL)
def test_legal_streams(name: str, path: int) -> None:
    build, expected = LEGAL[name]
    stream = made(build)
    assert inflate_zlib(stream) == (OK, expected)
    assert inflate(stream, len(expected), step=path * ALL) == (OK, expected)
    for step in (1, 2, 7, 100):
        assert inflate(stream, len(expected), step=path * step) == (OK, expected)
    for n in range(0, len(stream), 1 + len(stream) // 500):
        assert check_as_zlib(stream[:n], step=path * ALL) == TRUNCATED


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_streams(name: str, path: int) -> None:
    stream = made(ILLEGAL[name])
    assert inflate_zlib(stream)[0] == BAD
    # Room behind the error, so that the fast loop meets it too.
    assert check_as_zlib(stream, step=path * ALL) == BAD
    assert check_as_zlib(stream + b"\0" * 64, step=path * ALL) == BAD


@given(dynamic_blocks(), st.integers(1, 500), st.sampled_from([1, -1]))
def test_random_codes(made: tuple[bytes, bytes], step: int, path: int) -> None:
    stream, expected = made
    assert inflate_zlib(stream) == (OK, expected)
    assert inflate(stream, len(expected), step=path * step) == (OK, expected)
    assert inflate(stream + bytes(40), len(expected) + 40, step=path * ALL) == (OK, expected)


def test_fixed_code_tables() -> None:
    tokens: list[Token] = [*range(256)]
    tokens += [(n, d) for n in range(3, 259) for d in (1, 2, 3, 4, 5, 7, 8, 12, 255)]
    stream = made(lambda w: w.fixed(tokens, final=True))
    assert inflate(stream, len(expand(tokens))) == (OK, expand(tokens))
