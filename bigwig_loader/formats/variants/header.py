"""What the ``##`` lines of VCF and PVAR text declare."""

from __future__ import annotations

import re

_LINE = r"^##{}=<(.*)>\s*$"
_CONTIG = re.compile(_LINE.format("contig"), re.MULTILINE)
_INFO = re.compile(_LINE.format("INFO"), re.MULTILINE)


def contigs_of(header: str) -> dict[str, int | None]:
    """Contigs with their lengths, where these are told; in the order of the header."""
    contigs: dict[str, int | None] = {}
    for line in _CONTIG.findall(header):
        name, length = _key(line, "ID"), _key(line, "length")
        if name:
            contigs[name] = int(length) if length and length.isdigit() else None
    return contigs


def infos_of(header: str) -> dict[str, tuple[str, str]]:
    """INFO fields with number and type."""
    fields = {}
    for line in _INFO.findall(header):
        name, number, kind = (_key(line, key) for key in ("ID", "Number", "Type"))
        if name and number and kind:
            fields[name] = number, kind
    return fields


def _key(line: str, key: str) -> str | None:
    found = re.search(rf"(?:^|,){key}=([^,]+)", line)
    return found[1] if found else None
