"""The inflate decoder of the CPU library and zlib's, called the same way."""

from __future__ import annotations

import ctypes
import zlib

from bigwig_loader.backend.cpu.library import library

OK, BAD, TRUNCATED, TOO_LONG = 0, 3, 4, 5  # bwl::Status
ALL = 1 << 40
GUARD = b"\xa5" * 64
# Bytes by which an early stop may be passed: one match and a few short symbols.
OVERSHOOT = 258 + 32

# Factors of the step: with the instructions of this processor, and (negative) without.
PATHS = {"native": 1, "plain": -1}


def inflate(
    stream: bytes, capacity: int, *, target: int = ALL, step: int = ALL
) -> tuple[int, bytes]:
    """(status, output) of our decoder; fails if a byte behind the buffer was written."""
    buffer = ctypes.create_string_buffer(bytes(capacity) + GUARD, capacity + len(GUARD))
    produced = ctypes.c_int64(-1)
    # A copy that ends where the stream does, not with the zero byte of a Python string.
    source = (ctypes.c_char * max(len(stream), 1)).from_buffer_copy(stream or b"\0")
    status = library().bwl_inflate(
        source, len(stream), buffer, capacity, target, step, ctypes.byref(produced)
    )
    assert buffer.raw[capacity:] == GUARD
    assert 0 <= produced.value <= capacity
    return status, buffer.raw[: produced.value]


def inflate_zlib(stream: bytes) -> tuple[int, bytes]:
    """(status, output) of zlib; no output for a stream that it refuses."""
    decoder = zlib.decompressobj(-15)
    try:
        data = decoder.decompress(stream)
    except zlib.error:
        return BAD, b""
    return (OK if decoder.eof else TRUNCATED), data


def check_as_zlib(stream: bytes, *, step: int = ALL) -> int:
    """Compare a stream's verdict and bytes with zlib's; returns the verdict."""
    status, data = inflate_zlib(stream)
    ours, out = inflate(stream, len(data) if status == OK else 1 << 17, step=step)
    assert ours == status
    if status == OK:
        assert out == data
    elif status == TRUNCATED:
        assert out == data[: len(out)]
    return status
