"""Tokenizers as files: the peers' TOML description, and the universe as a BED file.

A TOML file has ``universe``, the path of a BED file, relative to the TOML file's folder; and may
have ``special_tokens``, a list of ``{name, token}`` with names among unk, pad, mask, cls, eos, bos
and sep, and ``tokenizer_type``, "bits" or "ailist". The types find the same tokens; here they
always come in order of start and end, as with "bits".
"""

from __future__ import annotations

import gzip
import json
import os
import tomllib
import warnings
from pathlib import Path
from typing import Any

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.tokens.universe import SPECIAL_TOKENS, Universe
from bigwig_loader.tokens.universe_rows import Duplicates
from bigwig_loader.types import PathLike

_KEYS = ("universe", "tokenizer_type", "special_tokens")
_TYPES = ("bits", "ailist")


def read_universe(path: PathLike, duplicates: Duplicates = "error") -> Universe:
    """The universe that a TOML file describes.

    Raises
    ------
    NotFoundError
        If a file is missing.
    InvalidDataError
        For a description that cannot be used: path, field, expected and got; and as
        `Universe.read`.

    Warns
    -----
    UserWarning
        For the type "ailist", whose order is another one at the peers.
    """
    file = Path(path)
    try:
        described = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(f"cannot open {file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"not a TOML file: {error}", path=file) from error
    for key in described:
        if key not in _KEYS:
            raise _bad(file, key, f"one of the keys {', '.join(_KEYS)}", key)
    universe, kind = described.get("universe"), described.get("tokenizer_type", "bits")
    if not isinstance(universe, str):
        raise _bad(file, "universe", "the path of a BED file", universe)
    if kind not in _TYPES:
        raise _bad(file, "tokenizer_type", " or ".join(map(repr, _TYPES)), kind)
    if kind == "ailist":
        warnings.warn(
            f"{file}: tokenizer_type 'ailist' finds the same tokens as 'bits'; here they come in "
            "the order of 'bits'",
            stacklevel=3,
        )
    special = _special_tokens(file, described.get("special_tokens", []))
    try:
        return Universe.read(file.parent / universe, duplicates, special)
    except InvalidInputError as error:
        raise InvalidDataError(str(error), path=file) from error


def _special_tokens(file: Path, listed: Any) -> dict[str, str]:
    special: dict[str, str] = {}
    for entry in listed if isinstance(listed, list) else [listed]:
        fields = entry if isinstance(entry, dict) else {}
        name, token = fields.get("name"), fields.get("token")
        if len(fields) != 2 or not isinstance(name, str) or not isinstance(token, str):
            raise _bad(file, "special_tokens", "entries {name = '...', token = '...'}", entry)
        if name not in SPECIAL_TOKENS or name in special:
            names = ", ".join(SPECIAL_TOKENS)
            raise _bad(file, "special_tokens, name", f"each of {names} at most once", name)
        special[name] = token
    return special


def _bad(file: Path, key: str, expected: str, got: object) -> InvalidDataError:
    return InvalidDataError(
        "a tokenizer's description that cannot be used",
        path=file,
        field=key,
        expected=expected,
        got=repr(got),
    )


def write_universe(universe: Universe, path: PathLike) -> None:
    """Write a universe, see `bigwig_loader.tokens.Tokenizer.save`."""
    file = Path(path)
    _check_names(universe)
    own = {k: v for k, v in universe.special_tokens.items() if v != SPECIAL_TOKENS[k]}
    if file.name.endswith((".bed", ".bed.gz")):
        if own:
            raise InvalidInputError(
                "argument path: expected a name that ends with .toml, since special tokens have "
                f"texts of their own; got {os.fspath(path)!r}"
            )
        _write_bed(universe, file)
        return
    if file.suffix != ".toml":
        raise InvalidInputError(
            "argument path: expected a name that ends with .bed, .bed.gz or .toml; "
            f"got {os.fspath(path)!r}"
        )
    regions = file.with_suffix(".bed")
    _write_bed(universe, regions)
    # A JSON string is a TOML string.
    lines = [f"universe = {json.dumps(regions.name)}", 'tokenizer_type = "bits"']
    entries = [f"  {{name = {json.dumps(k)}, token = {json.dumps(v)}}}," for k, v in own.items()]
    if entries:
        lines += ["special_tokens = [", *entries, "]"]
    _replace(file, ("\n".join(lines) + "\n").encode())


def _check_names(universe: Universe) -> None:
    for name in universe.contig_names:
        if name[:1] in ("#", "") or any(c in name for c in "\t\n\r") or name.strip() != name:
            raise InvalidInputError(
                f"universe: expected contig names that a BED file can hold; got {name!r}"
            )


def _write_bed(universe: Universe, file: Path) -> None:
    names = universe.contig_names
    columns = (universe.contig_index, universe.start, universe.end)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    text = "".join([f"{names[c]}\t{start}\t{end}\n" for c, start, end in rows]).encode()
    _replace(file, gzip.compress(text, mtime=0) if file.name.endswith(".gz") else text)


def _replace(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInputError(f"cannot write {file}: {error.strerror or error}") from error
