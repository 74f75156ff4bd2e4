"""The files beside a .pgen: .pvar names its variants, .psam its samples."""

from __future__ import annotations

import gzip
import importlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import BackendUnavailableError, InvalidDataError
from bigwig_loader.formats.variants.header import contigs_of, infos_of
from bigwig_loader.formats.variants.letters import Letters
from bigwig_loader.formats.variants.missing import package
from bigwig_loader.formats.variants.sites import ContigSites, Sites, SortedContigs

_REQUIRED = ("#CHROM", "POS", "REF", "ALT")
_TEXT = ("ID", "QUAL", "FILTER", "INFO")
_MAGIC_GZIP, _MAGIC_ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Pvar:
    """V records of a .pvar file.

    Parameters
    ----------
    sites : Sites
    position : (V,) int64
        0-based.
    ref : Letters
    alts : list of V lists of str
    contigs : dict of str to int or None
        Those that the header declares, then others in their order.
    fields : dict of str to (str, str)
        INFO fields that the header declares, with number and type.
    text : dict of str to list of V str
        Columns ``"ID"``, ``"QUAL"``, ``"FILTER"`` and ``"INFO"``, as far as they are there.
    """

    sites: Sites
    position: npt.NDArray[np.int64]
    ref: Letters
    alts: list[list[str]]
    contigs: dict[str, int | None]
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)
    text: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.position)

    def values(self, name: str, rows: Sequence[int]) -> list[Any]:
        """A field of some records: a value, a tuple, or None for each, as its type says."""
        if name == "ID":
            return [_present(self._column("ID", row)) for row in rows]
        if name == "QUAL":
            return [_number(self._column("QUAL", row), float) for row in rows]
        if name == "FILTER":
            return [tuple(self._column("FILTER", row).split(";")) for row in rows]
        _, kind = self.fields[name]
        pattern = re.compile(rf"(?:^|;){re.escape(name)}(?:=([^;]*))?(?:;|$)")
        return [_value(pattern.search(self._column("INFO", row)), kind) for row in rows]

    def _column(self, name: str, row: int) -> str:
        return self.text[name][row] if name in self.text else "."


def read_pvar(path: str) -> Pvar:
    """Read a .pvar file; plain text, or compressed with gzip or Zstandard.

    Zstandard needs Python 3.14 or the package ``zstandard``. Without these, pgenlib reads the
    variants, but neither FILTER nor INFO.

    Raises
    ------
    InvalidDataError
        For a line that is no variant, a missing header, and records that are not sorted.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        if data[:2] == _MAGIC_GZIP:
            data = gzip.decompress(data)
        elif data[:4] == _MAGIC_ZSTD:
            zstd = _zstd()
            if zstd is None:
                return _read_with_pgenlib(path)
            data = zstd(data)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InvalidDataError(
            f"the compressed text ends early or is damaged ({error})", path=path
        ) from error
    return _parse(data.decode("utf-8", "replace"), path)


def _zstd() -> Any:
    """A function that decompresses Zstandard, if there is one."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if name == "compression.zstd":
            return module.decompress
        return lambda data: module.ZstdDecompressor().decompressobj().decompress(data)
    return None


def _parse(text: str, path: str) -> Pvar:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    first = 0
    while first < len(lines) and lines[first].startswith("##"):
        first += 1
    names = lines[first].rstrip("\r").split("\t") if first < len(lines) else []
    if not set(_REQUIRED) <= set(names):
        raise InvalidDataError(
            "no header line",
            path=path,
            field="#CHROM",
            expected=f"the columns {', '.join(_REQUIRED)}",
            got=", ".join(names[:6]) or "nothing",
        )
    rows = [line.rstrip("\r").split("\t") for line in lines[first + 1 :]]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InvalidDataError(
                f"record {number:,} is incomplete or not a variant",
                path=path,
                expected=f"{len(names)} columns",
                got=len(row),
            )
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    head = "\n".join(lines[:first])
    return table_of_records(
        path,
        list(columns.get("#CHROM", ())),
        columns.get("POS", ()),
        list(columns.get("REF", ())),
        [[] if alt == "." else alt.split(",") for alt in columns.get("ALT", ())],
        head,
        {name: list(columns[name]) for name in _TEXT if name in columns},
    )


def table_of_records(
    path: str,
    contigs: list[str],
    positions: Sequence[str] | Sequence[int],
    refs: list[str],
    alts: list[list[str]],
    head: str = "",
    text: dict[str, list[str]] | None = None,
) -> Pvar:
    """Records from their columns: V contigs, 1-based positions, REF alleles, ALT alleles.

    Parameters
    ----------
    path : str
        For errors.
    contigs, positions, refs, alts : sequences of V
    head : str
        Lines that begin with ``##``.
    text : dict of str to list of V str, optional
    """
    try:
        position = np.array(positions, dtype=np.int64) - 1
    except (ValueError, OverflowError) as error:
        raise InvalidDataError(f"a position is no number ({error})", path=path) from error
    ref = Letters.of(refs)
    end = position + ref.lengths
    names = np.array(contigs, dtype=object)
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    order = SortedContigs(path)
    sites = {}
    for first, last in pairwise(cuts):
        if first < last:
            order.check(contigs[first], first, position[first:last])
            spans = position[first:last].astype(np.int32), end[first:last].astype(np.int32)
            sites[contigs[first]] = ContigSites(first, *spans)
    known: dict[str, int | None] = contigs_of(head)
    for name in sites:
        known.setdefault(name, None)
    fields = infos_of(head) if "INFO" in (text or {}) else {}
    return Pvar(Sites(sites), position, ref, alts, known, fields, text or {})


def _read_with_pgenlib(path: str) -> Pvar:
    pgenlib = package("pgenlib", "PGEN files")
    try:
        reader = pgenlib.PvarReader(path.encode())
    except (RuntimeError, AttributeError) as error:
        raise BackendUnavailableError(
            f"{path} is compressed with Zstandard, which nothing here can read ({error}). "
            "Run: pip install zstandard"
        ) from error
    rows = range(reader.get_variant_ct())
    alleles = [
        [reader.get_allele_code(row, i).decode() for i in range(reader.get_allele_ct(row))]
        for row in rows
    ]
    return table_of_records(
        path,
        [reader.get_variant_chrom(row).decode() for row in rows],
        [reader.get_variant_pos(row) for row in rows],
        [record[0] for record in alleles],
        [[] if record[1:] == ["."] else record[1:] for record in alleles],
    )


def read_psam(path: str) -> tuple[str, ...]:
    """Sample names (column IID) of a .psam file.

    Raises
    ------
    InvalidDataError
        Without a header line that has the column.
    """
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\r\n") for line in file]
    lines = [line for line in lines if line and not line.startswith("##")]
    names = lines[0].removeprefix("#").split() if lines else []
    if not lines or not lines[0].startswith("#") or "IID" not in names:
        raise InvalidDataError(
            "no header line",
            path=path,
            expected="a line that begins with #IID or #FID",
            got=lines[0][:40] if lines else "nothing",
        )
    place = names.index("IID")
    rows = [line.split() for line in lines[1:]]
    if any(len(row) <= place for row in rows):
        raise InvalidDataError("a sample without a name", path=path, field="IID")
    return tuple(row[place] for row in rows)


def _present(text: str) -> str | None:
    return None if text == "." else text


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        return None


def _value(found: re.Match[str] | None, kind: str) -> Any:
    if found is None:
        return None
    if kind == "Flag":
        return True
    text = found[1] or "."
    if kind not in ("Integer", "Float"):
        return _present(text)
    values = tuple(_number(part, int if kind == "Integer" else float) for part in text.split(","))
    return values[0] if len(values) == 1 else values
