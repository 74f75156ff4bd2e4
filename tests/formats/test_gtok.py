"""``.gtok`` files: byte for byte as gtars, and nothing damaged is taken for tokens."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import (
    BigWigLoaderError,
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.formats.gtok import GtokHeader, read_gtok_header, read_gtok_part
from bigwig_loader.tokens import read_gtok, write_gtok
from tests.helpers.shared import shared_peers


def oracle_bytes(tokens: list[int]) -> bytes:
    """The format, with struct."""
    short = all(token < 65_536 for token in tokens)
    head = b"GTOK" + (b"\x01" if short else b"\x02")
    return head + b"".join(struct.pack("<H" if short else "<I", token) for token in tokens)


@settings(max_examples=50)
@given(st.lists(st.one_of(st.integers(0, 70_000), st.integers(0, 2**32 - 1)), max_size=40))
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, tokens: list[int]) -> None:
    path = tmp_path_factory.mktemp("gtok") / "a" / "b.gtok"
    write_gtok(path, tokens)
    assert path.read_bytes() == oracle_bytes(tokens)
    assert read_gtok(path).tolist() == tokens
    assert [p.name for p in path.parent.iterdir()] == ["b.gtok"]
    header = read_gtok_header(path)
    assert header.n_tokens == len(tokens)
    first = len(tokens) // 3
    assert (
        read_gtok_part(path, header, first, len(tokens) // 2).tolist()
        == (tokens[first : first + len(tokens) // 2])
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "uint64", ">u4"])
def test_takes_integers_of_all_types(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "t.gtok"
    write_gtok(path, np.arange(120).astype(dtype)[::2])
    assert read_gtok(path).tolist() == list(range(0, 120, 2))


@pytest.mark.parametrize("n", [131_071, 131_072, 200_000])
def test_large_files_are_mapped(tmp_path: Path, n: int) -> None:
    path = tmp_path / "t.gtok"
    ids = np.random.default_rng(n).integers(0, 65_536, n)
    write_gtok(path, ids)
    tokens = read_gtok(path)
    np.testing.assert_array_equal(tokens, ids)
    assert not tokens.flags.writeable
    header = read_gtok_header(path)
    np.testing.assert_array_equal(read_gtok_part(path, header, 1, n - 1), ids[1:])
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InvalidDataError, match="changed since it was opened"):
        read_gtok_part(path, header, 0, n)
    write_gtok(path, ids + 65_536)
    with pytest.raises(InvalidDataError, match="changed since it was opened"):
        read_gtok_part(path, header, 0, n)


def test_part_of_a_short_file_that_shrank(tmp_path: Path) -> None:
    path = tmp_path / "t.gtok"
    write_gtok(path, [1, 2, 3])
    with pytest.raises(InvalidDataError, match="expected 4 tokens of uint16; got 3 of uint16"):
        read_gtok_part(path, GtokHeader(np.dtype("<u2"), 4), 0, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic"),
        (b"GTO", "magic"),
        (b"GTOX\x01\x01\x00", "magic"),
        (b"GTOK", "flag"),
        (b"GTOK\x00\x01\x00", "flag"),
        (b"GTOK\x03\x01\x00", "flag"),
        (b"GTOK\x01\x05\x00\x07", r"at byte 7 \(field token 1\); expected 2 bytes; got 1"),
        (b"GTOK\x02\x05\x00\x07\x00\x01\x02\x03", r"at byte 9 .*expected 4 bytes; got 3"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.gtok"
    path.write_bytes(content)
    for read in (read_gtok, read_gtok_header):
        with pytest.raises(InvalidDataError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


@settings(max_examples=50)
@given(st.binary(max_size=24), st.integers(0, 12))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, noise: bytes, cut: int) -> None:
    path = tmp_path_factory.mktemp("noise") / "x.gtok"
    content = (oracle_bytes([1, 2, 70_000])[:cut] + noise)[:24]
    path.write_bytes(content)
    try:
        tokens = read_gtok(path).tolist()
    except InvalidDataError:
        return
    size = "H" if content[4] == 1 else "I"
    n = len(tokens)
    assert content == content[:5] + struct.pack(f"<{n}{size}", *tokens)


def test_tokens_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "t.gtok"
    write_gtok(path, [3, 9, 18], vocab_size=19)
    assert read_gtok(path, vocab_size=19).tolist() == [3, 9, 18]
    with pytest.raises(InvalidDataError, match=r"field token 1\); expected below 9.*got 9"):
        read_gtok(path, vocab_size=9)


@pytest.mark.parametrize(
    ("tokens", "vocab_size", "got"),
    [
        ([4_294_967_296], None, "4294967296"),
        ([1, -1], None, "-1"),
        ([1.5], None, "float64"),
        ([[1, 2]], None, r"\(1, 2\)"),
        (["1"], None, "<U1"),
        ([True], None, "bool"),
        ([0, 19], 19, "19"),
    ],
)
def test_what_is_no_token(tmp_path: Path, tokens: Any, vocab_size: int | None, got: str) -> None:
    with pytest.raises(InvalidInputError, match=got):
        write_gtok(tmp_path / "t.gtok", tokens, vocab_size)
    assert not list(tmp_path.iterdir())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no\.gtok"):
        read_gtok(tmp_path / "no.gtok")
    with pytest.raises(NotFoundError):
        read_gtok(tmp_path)


def test_a_failing_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.gtok"
    write_gtok(path, [1, 2])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_gtok(path, [3])
    assert [p.name for p in tmp_path.iterdir()] == ["t.gtok"]
    assert read_gtok(path).tolist() == [1, 2]


def test_the_peers_files(tmp_path: Path) -> None:
    folder = shared_peers("gtok")
    cases = json.loads((folder / "expected.json").read_text())["gtok"]
    refused, written = [], 0
    for name, case in cases.items():
        path = folder / name
        if not name.endswith(".gtok") or not path.is_file():
            continue
        if "error" in case or name == "truncated_u16.gtok":  # which the peer cuts short
            with pytest.raises(BigWigLoaderError):
                read_gtok(path)
            refused.append(name)
            continue
        tokens = read_gtok(path)
        listed = case.get("tokens", case.get("read"))
        if isinstance(listed, list):
            assert tokens.tolist() == listed
        if len(tokens):  # an empty file of the peer's writer has flag 1
            write_gtok(tmp_path / name, tokens)
            assert (tmp_path / name).read_bytes() == path.read_bytes()
            written += 1
    assert sorted(refused) == [
        "bad_magic.gtok",
        "no_flag.gtok",
        "too_short.gtok",
        "truncated_u16.gtok",
    ]
    assert written >= 4


def test_beside_gtars(tmp_path: Path) -> None:
    gtars = pytest.importorskip("gtars.utils", reason="needs gtars, which is not installed")
    rng = np.random.default_rng(3)
    for number, limit in enumerate((5, 65_536, 65_537, 2**32) * 5):
        tokens = rng.integers(0, limit, int(rng.integers(0, 50))).tolist()
        ours, theirs = tmp_path / f"o{number}.gtok", tmp_path / f"t{number}.gtok"
        write_gtok(ours, tokens)
        gtars.write_tokens_to_gtok(str(theirs), tokens)
        assert ours.read_bytes() == theirs.read_bytes()
        assert read_gtok(theirs).tolist() == gtars.read_tokens_from_gtok(str(ours)) == tokens
