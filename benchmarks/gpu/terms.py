"""What a batch has to take at least, part by part: bytes over the rates found in the same run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.gpu.ceilings import UPLOAD, WRITE
from benchmarks.gpu.inflating import rate_name
from benchmarks.gpu.reading import read_rate_name


@dataclass(frozen=True)
class Taken:
    """What one batch took.

    Parameters
    ----------
    length_bp : int
        Of its windows.
    n_blocks : int
        Inflated.
    bytes_read, bytes_inflated, bytes_out : float
    plan_s : float
        Of planning, measured by itself.
    """

    length_bp: int
    n_blocks: float
    bytes_read: float
    bytes_inflated: float
    bytes_out: float
    plan_s: float


def terms(taken: Taken, rates: dict[str, float]) -> dict[str, float]:
    """Seconds of each part: those that have a rate.

    Reading has the rate of bringing the same bytes from the page cache to the device, inflating
    that of our kernel alone on the nearest number of streams.
    """
    found = {"plan": taken.plan_s, "write": taken.bytes_out / rates[WRITE]}
    if taken.bytes_read:
        found["upload"] = taken.bytes_read / rates[UPLOAD]
        read = _nearest(rates, read_rate_name(0)[:-1], taken.length_bp)
        if read:
            found["read"] = taken.bytes_read / read
    if taken.bytes_inflated:
        inflate = _nearest(rates, rate_name("kernel", 0)[:-1], taken.n_blocks)
        if inflate:
            found["inflate"] = taken.bytes_inflated / inflate
    return found


def binding(found: dict[str, float], seconds: float) -> dict[str, object]:
    """The largest term, and the share of the batch's time that it explains."""
    name = max(found, key=lambda term: found[term])
    return {
        "terms_ms": {term: value * 1e3 for term, value in found.items()},
        "binding": name,
        "share": found[name] / max(seconds, 1e-9),
    }


def _nearest(rates: dict[str, float], prefix: str, wanted: float) -> float:
    """The rate whose number is nearest to `wanted` in proportion; 0 if there is none."""
    numbers = [int(name[len(prefix) :]) for name in rates if name.startswith(prefix)]
    if not numbers:
        return 0.0
    near = min(numbers, key=lambda n: max(n, wanted) / max(min(n, wanted), 1))
    return rates[f"{prefix}{near}"]
