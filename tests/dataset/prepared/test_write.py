"""Writing: what is stored gives the same haplotypes as the whole file; runs resume and publish."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.bigwig import BigWig
from bigwig_loader.dataset.prepared.layout import PreparedData, open_prepared
from bigwig_loader.dataset.prepared.making import store_variants, track_parts, variant_parts, work
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.vcf import Vcf
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.track_sources import BigWigs, Table
from tests.helpers.gvl_cases import CLEAN, REFUSED, read_case
from tests.helpers.haplotypes import World, random_world
from tests.helpers.shared import REPOSITORY

BYTES = HaplotypeOptions(encoding="bytes", dtype="uint8")


def windows_of(
    data: PreparedData, start: np.ndarray, end: np.ndarray, length: int | None
) -> HaplotypeWindows:
    """Stretches around all regions with all samples, region by region."""
    n = data.n_samples
    return HaplotypeWindows(
        np.repeat(np.asarray(data.contig_index), n),
        np.repeat(start, n),
        np.repeat(end, n),
        np.tile(np.arange(n), data.n_regions),
        np.repeat(np.asarray(data.strand) < 0, n),
        length_bp=length,
    )


def reader_of(data: PreparedData, genome: Genome, **options: Any) -> HaplotypeReader:
    assert data.table is not None
    assert data.genotypes is not None
    return HaplotypeReader(genome, data.table, data.genotypes, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    """All arrays of a data set, and its metadata without what names the run."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "metadata.json"
    }
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["report"].pop("variants", None)
    files["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    return files


@pytest.fixture(scope="module")
def world() -> World:
    """Two contigs with many variants that overlap; deletions longer than some regions."""
    return random_world(np.random.default_rng(5), {"a": 300, "b": 120}, 3, 2, 60, 0.4)


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """VCF and BED of it."""
    folder = tmp_path_factory.mktemp("made")
    _, vcf = world.write(folder)
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(25):
        contig = str(rng.choice(list(world.sequences)))
        start = int(rng.integers(-10, len(world.sequences[contig])))
        strand = rng.choice(["+", "-", "."])
        lines.append(f"{contig}\t{start}\t{start + int(rng.integers(1, 40))}\tr\t0\t{strand}\n")
    bed = folder / "regions.bed"
    bed.write_text("".join(lines))
    return vcf, bed


# --------------------------------------------------------------------- what is stored is right


@pytest.mark.parametrize("name", CLEAN[::3])
def test_cases_have_the_haplotypes_of_the_written_rules(name: str, tmp_path: Path) -> None:
    case = read_case(name)
    jitter = case.options.get("max_jitter", 0)
    write(tmp_path / "d", case.bed, case.vcf, max_jitter=jitter, reference=case.fasta)
    data = open_prepared(tmp_path / "d")
    assert data.samples == case.samples
    assert data.ploidy == 2
    reader = reader_of(data, case.genome(), overlap="window")
    n_stored = int((data.end - data.start).min()) + jitter
    for length, expected in case.modes():
        if length is not None and length > n_stored:
            continue
        found = reader.encode(windows_of(data, data.start, data.end, length), BYTES, annotate=True)
        wanted = [h for region in expected["haplotypes"] for s in region for h in s]
        records = [v for region in expected["var_idxs"] for s in region for h in s for v in h]
        assert found.data.tobytes().decode() == "".join(wanted)
        assert found.var_idxs is not None
        assert found.var_idxs.reshape(-1).tolist() == records


@pytest.mark.parametrize("name", REFUSED)
def test_cases_that_are_not_clean_are_refused(name: str, tmp_path: Path) -> None:
    case = read_case(name)
    with pytest.raises(InvalidDataError):
        write(tmp_path / "d", case.bed, case.vcf, reference=case.fasta)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jitter", [0, 4])
def test_haplotypes_are_those_of_the_whole_file(
    world: World, made: tuple[Path, Path], tmp_path: Path, jitter: int
) -> None:
    vcf, bed = made
    report = write(tmp_path / "d", bed, vcf, max_jitter=jitter)
    data, genome = open_prepared(tmp_path / "d"), world.genome()
    table, genotypes = world.tables()
    assert data.table is not None
    assert report.n_variants == len(data.table)
    contigs = [list(world.sequences).index(name) for name in data.contigs.names]
    rng = np.random.default_rng(2)
    for overlap in ("first", "bcftools", "window"):
        for share in (1.0, 0.6):  # filters of variants may apply deletions that were masked
            kept = rng.random(len(table)) < share
            whole = HaplotypeReader(genome, table, genotypes, overlap=overlap, keep=kept)
            mine = kept[np.searchsorted(table.record, data.table.record)]
            stored = reader_of(data, genome, overlap=overlap, keep=mine)
            for shift in {-jitter, 0, jitter}:
                for length in (None, int((data.end - data.start).min())):
                    start, end = data.start + shift, data.end + shift
                    windows = windows_of(data, start, end, length)
                    found = stored.encode(windows, BYTES, annotate=True)
                    windows.contig_index[:] = np.take(contigs, windows.contig_index)
                    expected = whole.encode(windows, BYTES, annotate=True)
                    assert found.data.tobytes() == expected.data.tobytes()
                    assert np.array_equal(found.var_idxs, expected.var_idxs)


def test_regions_reach_as_far_as_their_own_length_needs(
    world: World, made: tuple[Path, Path], tmp_path: Path
) -> None:
    vcf, bed = made
    write(tmp_path / "d", bed, vcf)
    write(tmp_path / "short", bed, vcf, extend_to_length=False)
    data, short = open_prepared(tmp_path / "d"), open_prepared(tmp_path / "short")
    assert (short.stored_end == short.end).all()
    assert (data.stored_end >= data.end).all()
    assert (data.stored_end > data.end).any()
    reader = reader_of(data, world.genome())
    for k in range(data.n_regions):
        n = data.n_samples
        length = int(data.end[k] - data.start[k])
        one = HaplotypeWindows(
            np.repeat(data.contig_index[k], n),
            np.repeat(data.start[k], n),
            np.repeat(data.end[k], n),
            np.arange(n),
            length_bp=length,
        )
        assert reader.ends(one).max() <= data.stored_end[k]


def test_pieces_and_processes_do_not_change_what_is_stored(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vcf, bed = made
    write(tmp_path / "a", bed, vcf, max_jitter=2)
    expected = files_of(tmp_path / "a")
    monkeypatch.setattr(store_variants, "_SHORTEST_GROUP_BP", 60)
    write(tmp_path / "b", bed, vcf, max_jitter=2)
    assert files_of(tmp_path / "b") == expected
    with joblib.parallel_config("threading", n_jobs=2):
        write(tmp_path / "c", bed, vcf, max_jitter=2)
    assert files_of(tmp_path / "c") == expected
    monkeypatch.setattr(store_variants, "_SHORTEST_GROUP_BP", 100_000)
    monkeypatch.setattr(variant_parts, "_PLANNED_DENSITY", 1e5)  # one region after the other
    monkeypatch.setattr(variant_parts, "_COPIES", 1e-3)
    monkeypatch.setattr(variant_parts, "_GROWTH", 1)
    write(tmp_path / "d", bed, vcf, max_jitter=2)
    assert files_of(tmp_path / "d") == expected


def test_regions_without_variants_and_sets_without_variants_open(
    world: World, made: tuple[Path, Path], tmp_path: Path
) -> None:
    vcf, _ = made
    far = pd.DataFrame({"chrom": ["a"], "start": [5_000], "end": [5_100]})
    write(tmp_path / "far", far, vcf)
    data = open_prepared(tmp_path / "far")
    assert data.table is not None
    assert (len(data.table), data.ploidy, data.samples) == (0, 2, world.samples)
    frame = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [9], "value": [1.5]})
    write(tmp_path / "t", far, tracks=Table("x", {"s": frame}), annot_tracks={"y": frame})
    data = open_prepared(tmp_path / "t")
    assert (data.table, data.genotypes, data.ploidy) == (None, None, 1)
    assert {name: len(track.table) for name, track in data.tracks.items()} == {"x": 0, "y": 0}
    assert data.contigs.lengths.tolist() == [-1]


def test_tasks_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    case = read_case("50_track_intervals")
    spans = {"chr1": np.array([[0, 50]])}
    sample = case.samples[0]
    track = BigWigs("x", case.bigwigs(0))
    jobs: list[tuple[Any, Any]] = [
        (
            track_parts.read_track_part,
            track_parts.TrackJob(tmp_path / "t", track, sample, ("chr1",), spans, 1 << 20),
        ),
        (
            variant_parts.read_variant_part,
            variant_parts.VariantJob(
                tmp_path / "v",
                Vcf(case.vcf),
                Genome(case.fasta),
                "chr1",
                np.array([0]),
                np.array([50]),
                case.samples,
                VariantOptions(),
                True,
                1 << 30,
            ),
        ),
    ]
    for job in jobs:
        function, argument = pickle.loads(pickle.dumps(job))
        function(argument)
    assert len(np.load(tmp_path / "t" / "start.npy")) > 0
    assert len(np.load(tmp_path / "v" / "00000" / "position.npy")) > 0


# -------------------------------------------------------------------------------------- tracks


def signal_of(data: PreparedData, track: str, region: int, sample: int) -> np.ndarray:
    """Value of every stored base of a region, 0 where there is none."""
    start, end = int(data.stored_start[region]), int(data.stored_end[region])
    values = np.zeros(end - start, np.float32)
    kind, table = data.tracks[track].kind, data.tracks[track].table
    found = table.list_of(int(data.contig_index[region]), sample if kind == "sample" else 0)
    for a, b, value in zip(found.start, found.end, found.value, strict=True):
        values[max(a - start, 0) : max(b - start, 0)] = value
    return values


@pytest.mark.parametrize("name", ["48_multi_contig_order", "50_track_intervals", "rn_01"])
def test_signal_is_that_of_the_files(name: str, tmp_path: Path) -> None:
    case = read_case(name)
    tracks = [BigWigs(f"t{k}", case.bigwigs(k)) for k in (0, 1)]
    bedgraph = case.folder / f"t1.{case.samples[0]}.bedgraph"
    write(
        tmp_path / "d",
        case.bed,
        case.vcf,
        tracks,
        max_jitter=3,
        annot_tracks={"bw": case.bigwigs(0)[case.samples[0]], "text": bedgraph},
    )
    data = open_prepared(tmp_path / "d")
    expected = {
        **{f"t{k}": [case.bigwigs(k)[s] for s in case.samples] for k in (0, 1)},
        "bw": [case.bigwigs(0)[case.samples[0]]] * len(case.samples),
        "text": [case.bigwigs(1)[case.samples[0]]] * len(case.samples),
    }
    for region in range(data.n_regions):
        contig = data.contigs.names[int(data.contig_index[region])]
        start, end = int(data.stored_start[region]), int(data.stored_end[region])
        for track, files in expected.items():
            for sample, path in enumerate(files):
                with BigWig(path) as file:
                    low, high = max(start, 0), min(end, file.contigs[contig])
                    values = np.zeros(end - start, np.float32)
                    values[low - start : high - start] = np.nan_to_num(
                        file.values(contig, low, high)
                    )
                assert np.array_equal(signal_of(data, track, region, sample), values)


def test_samples_are_joined_and_those_left_out_are_named(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    vcf, bed = made
    frame = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [9], "value": [1.5]})
    track = Table("x", {"s2": frame, "s0": frame, "other": frame})
    report = write(tmp_path / "d", bed, vcf, track)
    assert open_prepared(tmp_path / "d").samples == ("s0", "s2")
    assert report.left_out == {f"variants {vcf}": ["s1"], "track 'x'": ["other"]}
    assert "1 (other) of track 'x'" in str(report)
    assert "not checked, since no reference was given" in str(report)
    metadata = json.loads((tmp_path / "d" / "metadata.json").read_text())
    assert metadata["report"]["left_out"] == report.left_out
    with pytest.raises(NotFoundError, match="unknown sample 's1' in track 'x'"):
        write(tmp_path / "e", bed, vcf, track, samples=["s1", "s0"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


# ------------------------------------------------------------------- publishing and resuming


def test_the_target_is_replaced_only_on_request_and_only_by_what_is_whole(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vcf, bed = made
    target = tmp_path / "d"
    write(target, bed, vcf, samples=["s0"])
    before = files_of(target)
    with pytest.raises(InvalidInputError, match="overwrite=True"):
        write(target, bed, vcf)
    with monkeypatch.context() as patch:
        patch.setattr(work, "_exchange", lambda one, other: False)
        write(target, bed, vcf, samples=["s1"], overwrite=True)
    assert open_prepared(target).samples == ("s1",)
    write(target, bed, vcf, samples=["s0"], overwrite=True)
    assert files_of(target) == before
    with monkeypatch.context() as patch:
        patch.setattr("bigwig_loader.dataset.prepared.write.write_metadata", _fail)
        with pytest.raises(InvalidDataError, match="made to fail"):
            write(target, bed, vcf, samples=["s1"], overwrite=True)
    assert files_of(target) == before
    write(target, bed, vcf, samples=["s1"], overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def _fail(*arguments: object) -> None:
    raise InvalidDataError("made to fail")


def test_one_process_writes_a_target(made: tuple[Path, Path], tmp_path: Path) -> None:
    vcf, bed = made
    with (
        work.WorkFolder(tmp_path / "d", overwrite=False),
        pytest.raises(InvalidInputError, match="being written by another process"),
    ):
        write(tmp_path / "d", bed, vcf)


KILLED = """
import os, signal, sys
from bigwig_loader.dataset.prepared.making import track_parts
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.track_sources import BigWigs

read, n_left = BigWigs.pieces, int(sys.argv[4])

def pieces(self, *arguments):
    global n_left
    for number, piece in enumerate(read(self, *arguments)):
        if not n_left:
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece
    n_left -= 1

BigWigs.pieces = pieces
bed, vcf, table = sys.argv[1:4]
write("d", bed, vcf, BigWigs.from_table("x", table))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = read_case("50_track_intervals")
    table = tmp_path / "table.csv"
    rows = [f"{sample},{path}" for sample, path in case.bigwigs(0).items()]
    table.write_text("\n".join(["sample,path", *rows]))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, case.bed, case.vcf, table, "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    left = tmp_path / ".d.writing"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d.writing", "table.csv"]
    n_parts = len([p for p in (left / "parts").iterdir() if not p.name.endswith(".tmp")])
    assert n_parts == 2  # the variants and one sample
    again: list[str] = []
    read = track_parts.read_track_part

    def counted(job: track_parts.TrackJob) -> None:
        again.append(job.sample)
        read(job)

    monkeypatch.setattr(track_parts, "read_track_part", counted)
    monkeypatch.setattr(store_variants, "read_variant_part", _fail)
    write(tmp_path / "d", case.bed, case.vcf, BigWigs.from_table("x", table))
    assert again == [case.samples[1]]
    monkeypatch.undo()
    write(tmp_path / "fresh", case.bed, case.vcf, BigWigs.from_table("x", table))
    assert files_of(tmp_path / "d") == files_of(tmp_path / "fresh")
    assert not left.exists()


def test_parts_of_changed_inputs_are_not_used(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, vcf = world.write(tmp_path)
    bed = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [200]})
    with monkeypatch.context() as patch:
        patch.setattr("bigwig_loader.dataset.prepared.write.write_metadata", _fail)
        with pytest.raises(InvalidDataError, match="made to fail") as error:
            write(tmp_path / "d", bed, vcf)
    assert "goes on from there" in error.value.__notes__[0]
    text = vcf.read_text().splitlines(keepends=True)
    vcf.write_text("".join(text[:-1]).replace("\n", "\n", 1))
    os.utime(vcf, ns=(1, 1))
    write(tmp_path / "d", bed, vcf)
    write(tmp_path / "fresh", bed, vcf)
    one, other = files_of(tmp_path / "d"), files_of(tmp_path / "fresh")
    assert one == other


def test_a_budget_that_is_too_small_is_told_before_anything_is_read(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    vcf, bed = made
    with pytest.raises(InvalidInputError, match=r"expected at least max_mem='\d+m'") as error:
        write(tmp_path / "d", bed, vcf, max_mem="1m")
    least = str(error.value).split("max_mem='")[1].split("'")[0]
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "d", bed, vcf, max_mem=f"{int(least[:-1]) + 16}m")
    assert open_prepared(tmp_path / "d").n_regions == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_jitter": -1}, "argument max_jitter"),
        ({"length": 0}, "argument length"),
        ({"overlap": "last"}, "argument overlap"),
        ({"samples": {"x": "y.bw"}}, "annot_tracks"),
        ({"tracks": 3}, "expected BigWigs or Table"),
        ({"annot_tracks": {"x": pd.DataFrame()}}, "x"),
        ({"max_mem": "many"}, "argument max_mem"),
        ({"normalize": "guess"}, "normalize"),
    ],
)
def test_wrong_arguments(
    made: tuple[Path, Path], tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    vcf, bed = made
    with pytest.raises(InvalidInputError, match=message):
        write(tmp_path / "d", bed, vcf, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_two_tracks_of_one_name_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    vcf, bed = made
    frame = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [9], "value": [1.5]})
    with pytest.raises(InvalidInputError, match="got 'x' twice"):
        write(tmp_path / "d", bed, vcf, Table("x", {"s0": frame}), annot_tracks={"x": frame})
