"""Signal on haplotypes: all cases of the written rules, from bedGraph and from BigWig files."""

from __future__ import annotations

import numpy as np
import pytest

from bigwig_loader.backend.protocol import RealignedTracks
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.plan.fills import (
    Constant,
    Fill,
    FlankSample,
    Interpolate,
    Repeat5p,
    Repeat5pNormalized,
)
from bigwig_loader.plan.realign import Draws, TrackRows
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.track_sources import BigWigs, Table
from tests.helpers.gvl_cases import CLEAN, Case, read_case
from tests.helpers.on_backend import OnBackend

N_TRACKS = 2
FILLS: dict[str, Fill] = {
    "repeat5p": Repeat5p(),
    "repeat5p_norm": Repeat5pNormalized(),
    "constant_-7": Constant(-7.0),
    "interpolate1": Interpolate(1),
    "interpolate2": Interpolate(2),
    "interpolate3": Interpolate(3),
}


def whole_contigs(case: Case) -> dict[str, np.ndarray]:
    return {name: np.array([[0, len(s)]]) for name, s in case.sequences.items()}


def tables(case: Case, from_bigwigs: bool) -> list[IntervalTable]:
    made = []
    for track in range(N_TRACKS):
        if from_bigwigs:
            source = BigWigs(f"t{track}", case.bigwigs(track))
        else:
            paths = {s: case.folder / f"t{track}.{s}.bedgraph" for s in case.samples}
            source = Table.from_path(f"t{track}", paths)
        made.append(source.read(whole_contigs(case), list(case.sequences), case.samples))
    return made


def rows(realigned: RealignedTracks, n_rows: int) -> list[np.ndarray]:
    """The rows, whatever their lengths."""
    if realigned.offsets is None:
        return list(realigned.data.reshape(n_rows, -1))
    assert len(realigned.offsets) == n_rows + 1
    return np.split(realigned.data, realigned.offsets[1:-1])


@pytest.mark.parametrize("name", CLEAN)
def test_cases(on: OnBackend, name: str) -> None:
    case = read_case(name)
    reader = on.open(case, "window")
    compared = 0
    # The files are the host's business.
    for from_bigwigs in (False, True) if on.is_cpu else (False,):
        made = tables(case, from_bigwigs)
        for length, expected in case.modes():
            windows = case.windows(length)
            tracks = [TrackRows(table, windows.sample) for table in made]
            for fill, by_region in expected["tracks"].items():
                got = on.realign(reader, windows, tracks, [FILLS[fill]] * N_TRACKS)
                want = [x for region in by_region for s in region for track in s for x in track]
                for one, other in zip(rows(got, len(want)), want, strict=True):
                    expected_row = np.array(other, np.float32)
                    np.testing.assert_allclose(one, expected_row, rtol=1e-4, atol=1e-6)
                    compared += 1
    assert compared


@pytest.mark.parametrize("name", CLEAN)
def test_reference_coordinates(on: OnBackend, name: str) -> None:
    case = read_case(name)
    windows = case.windows()
    made = tables(case, True)
    contigs = ContigTable(
        tuple(case.sequences), np.array([len(s) for s in case.sequences.values()])
    )
    tracks = [TrackRows(table, windows.sample) for table in made]
    got = on.along_reference(contigs, windows, tracks)
    by_region = case.expected["ragged"]["tracks_reference_coords"]
    want = [track for region in by_region for sample in region for track in sample]
    for one, other in zip(rows(got, len(want)), want, strict=True):
        np.testing.assert_allclose(one, np.array(other, np.float32), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["02_ins", "50_track_intervals", "rn_03"])
def test_flank_samples_come_from_the_pool(on: OnBackend, name: str) -> None:
    case = read_case(name)
    reader = on.open(case, "window")
    windows = case.windows()
    made = tables(case, False)
    tracks = [TrackRows(t, windows.sample) for t in made]
    draws = Draws(0, 0, np.arange(len(windows)))
    got = on.realign(reader, windows, tracks, [FlankSample(2)] * 2, draws=draws)
    plain = on.realign(reader, windows, tracks, [Repeat5p()] * 2)
    found = on.encode(reader, windows, annotate=True)
    coordinates, offsets = found.ref_coords, found.offsets
    assert coordinates is not None
    assert offsets is not None
    n_rows = len(windows) * N_TRACKS * 2
    drawn = 0
    for row, (one, same) in enumerate(zip(rows(got, n_rows), rows(plain, n_rows), strict=True)):
        window, track, ploid = row // 4, row // 2 % 2, row % 2
        at = window * 2 + ploid
        positions = coordinates[offsets[at] : offsets[at + 1]].tolist()
        region = case.regions[window // len(case.samples)]
        contig = made[track].contig_names.index(region.contig)
        found = made[track].list_of(contig, int(windows.sample[window]))

        def value(position: int, found=found) -> float:
            inside = (found.start <= position) & (position < found.end)
            return float(found.value[inside][0]) if inside.any() else 0.0

        for i, position in enumerate(positions):
            if positions.count(position) > 1 and 0 <= position < 2**31 - 1:
                low, high = max(position - 2, region.start), min(position + 3, region.end)
                assert one[i] in [np.float32(value(p)) for p in range(low, high)]
                drawn += 1
            else:
                assert one[i] == same[i]
    assert drawn


def test_windows_of_fixed_length_reach_behind_the_region(on: OnBackend) -> None:
    case = read_case("03_del")
    reader = on.open(case)
    made = tables(case, True)
    windows = case.windows(40)
    got = on.realign(reader, windows, [TrackRows(made[0], windows.sample)], [Repeat5p()])
    ends = reader.ends(windows)
    assert (ends > windows.end[:, None]).any()
    assert (got.data[..., -1] != 0).all()
