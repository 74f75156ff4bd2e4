"""Sequence the slow, obvious way: one base at a time, from the letters themselves."""

from __future__ import annotations

import numpy as np

# IUPAC nucleotide codes (NC-IUB 1984): the letters that each one stands for.
IUPAC = {
    "A": "A",
    "C": "C",
    "G": "G",
    "T": "T",
    "U": "T",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def letters_of(base: str) -> set[str]:
    """The letters a base stands for; none for what is no nucleotide."""
    return set(IUPAC.get(base.upper(), ""))


def window(sequence: str, start: int, length: int, reverse: bool) -> list[set[str]]:
    """Sets of letters of a window; empty outside the sequence."""
    inside = range(len(sequence))
    bases = [
        letters_of(sequence[p]) if p in inside else set() for p in range(start, start + length)
    ]
    if reverse:
        bases = [{COMPLEMENT[letter] for letter in base} for base in reversed(bases)]
    return bases


def one_hot(
    sequence: str, start: int, length: int, reverse: bool = False, fraction: bool = False
) -> np.ndarray:
    """One-hot window (length, 4) float32."""
    out = np.zeros((length, 4), dtype=np.float32)
    for i, base in enumerate(window(sequence, start, length, reverse)):
        if len(base) == 1 or fraction:
            for letter in base:
                out[i, "ACGT".index(letter)] = 1 / len(base)
    return out


def count_bases(sequence: str, start: int, length: int, codes: int) -> int:
    """Positions of a window whose code c has bit c set in `codes`."""
    found = [code_of(base) for base in window(sequence, start, length, False)]
    return sum(codes >> code & 1 for code in found)


def code_of(base: set[str]) -> int:
    """The 4-bit code of a set of letters: A 1, C 2, G 4, T 8."""
    return sum(1 << "ACGT".index(letter) for letter in base)


def pack(sequence: str) -> np.ndarray:
    """4-bit codes, two to a byte, the even position in the low half."""
    codes = [code_of(letters_of(base)) for base in sequence]
    codes += [0] * (len(codes) % 2)
    pairs = zip(codes[::2], codes[1::2], strict=True)
    return np.array([low + 16 * high for low, high in pairs], dtype=np.uint8)


def fasta_records(text: bytes) -> dict[str, str]:
    """Sequences of FASTA text by name."""
    records: dict[str, str] = {}
    name = None
    for line in text.split(b"\n"):
        if line.startswith(b">"):
            name = (line[1:].split() or [b""])[0].decode()
            records[name] = ""
        elif name is not None:
            records[name] += "".join(line.decode().split())
    return records
