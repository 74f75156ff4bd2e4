"""What reading variants told, part by part: kept beside each part, and added up."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bigwig_loader.formats.variants.check import Reason
from bigwig_loader.formats.variants.report import Dropped, VariantReport

_RECORDS = ("dropped", "unaligned")
_MOST_DROPPED = 20  # of each reason


def save_report(path: Path, report: VariantReport) -> None:
    """Write a report as JSON."""
    path.write_text(json.dumps(asdict(report)), encoding="utf-8")


def load_report(path: Path) -> VariantReport:
    """Read what `save_report` wrote."""
    given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    given["counts"] = {Reason(int(why)): n for why, n in given["counts"].items()}
    for name in _RECORDS:
        given[name] = tuple(
            Dropped(**(one | {"reason": Reason(one["reason"])})) for one in given[name]
        )
    given["absent_contigs"] = tuple(given["absent_contigs"])
    return VariantReport(**given)


def add_reports(reports: Sequence[VariantReport], about: dict[str, Any]) -> VariantReport:
    """One report of all parts.

    Parameters
    ----------
    reports : sequence of VariantReport
        At least one. A record that lies where parts meet is counted in both.
    about : dict
        Exact numbers of variants and entries, known once parts were joined.
    """
    whole: dict[str, Any] = {}
    for one in fields(VariantReport):
        values = [getattr(report, one.name) for report in reports]
        if isinstance(values[0], (bool, str)) or one.name == "n_samples":
            whole[one.name] = values[0]
        elif isinstance(values[0], int):
            whole[one.name] = sum(values)
        elif isinstance(values[0], dict):
            whole[one.name] = dict(sum(map(Counter, values), Counter()))
        else:
            whole[one.name] = tuple(dict.fromkeys(item for value in values for item in value))
    for name in _RECORDS:
        most = _MOST_DROPPED if name == "dropped" else max(len(r.unaligned) for r in reports)
        whole[name] = _first_of_each(whole[name], most)
    exact = {"n_variants": about["n_variants"], "n_carried": about["n_carried"]}
    return VariantReport(**(whole | exact))


def _first_of_each(records: Sequence[Dropped], most: int) -> tuple[Dropped, ...]:
    """The first records of each reason."""
    seen: Counter[Reason] = Counter()
    kept = []
    for record in records:
        seen[record.reason] += 1
        if seen[record.reason] <= most:
            kept.append(record)
    return tuple(kept)


def warn_unphased(report: VariantReport) -> None:
    """Say once how many genotypes were taken in the order they are written in."""
    if report.n_unphased:
        warnings.warn(
            f"{report.path}: {report.n_unphased:,} heterozygous genotypes are not phased; their "
            "alleles were taken in the order they are written in. unphased='error' refuses them",
            UserWarning,
            stacklevel=4,
        )
