"""The made data set is what it says; downloads are resumed, checked and explained."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyBigWig
import pyfaidx
import pytest

from bigwig_loader import download_example_data as download
from bigwig_loader._fetch import RemoteFile, fetch
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from bigwig_loader.example_data import _MOTIFS, ExampleData, make_example_data

CONTIGS = {"chr1": 60_000, "chr2": 20_000, "chr3": 20_000}  # those of the fixture tiny_data


def read_bed(path: Path) -> list[tuple[str, int, int]]:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


def regions_of(data: ExampleData) -> list[list[tuple[str, int, int]]]:
    return [
        read_bed(path) for path in (data.train_regions, data.validation_regions, data.test_regions)
    ]


class TestMakeExampleData:
    def test_genome(self, tiny_data: ExampleData) -> None:
        with pyfaidx.Fasta(str(tiny_data.reference_genome)) as genome:
            assert {name: len(genome[name]) for name in genome.keys()} == CONTIGS  # noqa: SIM118
            text = str(genome["chr1"][:])
        assert set(text) == set("ACGTacgtN")
        assert 0.2 < sum(map(str.islower, text)) / len(text) < 0.7
        assert text.strip("N") == text[1200:-1200]

    def test_the_index_is_what_pyfaidx_makes(self, tiny_data: ExampleData, tmp_path: Path) -> None:
        copy = tmp_path / "genome.fa"
        copy.write_bytes(tiny_data.reference_genome.read_bytes())
        pyfaidx.Faidx(str(copy)).close()
        ours = tiny_data.reference_genome.with_name("genome.fa.fai")
        assert ours.read_text() == (tmp_path / "genome.fa.fai").read_text()

    def test_splits_share_no_contig_and_hold_no_n(self, tiny_data: ExampleData) -> None:
        splits = regions_of(tiny_data)
        assert [{row[0] for row in rows} for rows in splits] == [{"chr1"}, {"chr2"}, {"chr3"}]
        with pyfaidx.Fasta(str(tiny_data.reference_genome)) as genome:
            for chrom, start, end in (row for rows in splits for row in rows):
                assert "N" not in str(genome[chrom][start:end])
                assert str(genome[chrom][start - 1]) == "N"
                assert str(genome[chrom][end]) == "N"

    def test_signal_follows_the_motifs(self, tiny_data: ExampleData) -> None:
        """Signal near the motif that a track follows is far above what it is elsewhere."""
        with pyfaidx.Fasta(str(tiny_data.reference_genome), sequence_always_upper=True) as genome:
            text = str(genome["chr1"][:])
            other_strand = str(genome["chr1"][:].complement)
        ctcf = next(path for path in tiny_data.bigwigs if path.stem == "ctcf")
        with pyBigWig.open(str(ctcf)) as file:
            values = np.nan_to_num(file.values("chr1", 0, len(text), numpy=True))
        near = np.zeros(len(text), bool)
        for strand, motif in ((text, _MOTIFS[0]), (other_strand, _MOTIFS[0][::-1])):
            at = strand.find(motif)
            while at >= 0:
                near[max(0, at - 60) : at + 60] = True
                at = strand.find(motif, at + 1)
        assert near.any()
        assert values[near].mean() > 20 * values[~near].mean()

    def test_nothing_is_stored_in_n(self, tiny_data: ExampleData) -> None:
        for path in tiny_data.bigwigs:
            with pyBigWig.open(str(path)) as file:
                assert file.intervals("chr1", 0, 1000) is None

    def test_peaks(self, tiny_data: ExampleData) -> None:
        rows = [line.split("\t") for line in tiny_data.peaks.read_text().splitlines()]
        assert {len(row) for row in rows} == {10}
        for chrom, start, end, *_, summit in rows:
            assert 0 <= int(start) < int(end) <= CONTIGS[chrom]
            assert 0 <= int(summit) < int(end) - int(start)
            assert 0 <= int(rows[0][4]) <= 1000

    def test_the_seed_decides(self, tiny_data: ExampleData, tmp_path: Path) -> None:
        same = make_example_data(tmp_path / "same", seed=1, contigs=CONTIGS)
        other = make_example_data(tmp_path / "other", seed=2, contigs=CONTIGS)
        for ours, theirs in zip(tiny_data.bigwigs, same.bigwigs, strict=True):
            assert ours.read_bytes() == theirs.read_bytes()
        genome = tiny_data.reference_genome.read_bytes()
        assert genome == same.reference_genome.read_bytes()
        assert genome != other.reference_genome.read_bytes()

    def test_data_of_another_seed_is_made_anew(self, tmp_path: Path) -> None:
        first = make_example_data(tmp_path, seed=1, contigs=CONTIGS).peaks.read_text()
        assert make_example_data(tmp_path, seed=2, contigs=CONTIGS).peaks.read_text() != first

    def test_unfinished_data_is_made_anew(self, tmp_path: Path) -> None:
        data = make_example_data(tmp_path, contigs=CONTIGS)
        (tmp_path / "recipe.json").unlink()  # as an interrupt leaves it
        data.bigwigs[0].write_bytes(b"cut off")
        make_example_data(tmp_path, contigs=CONTIGS)
        assert data.bigwigs[0].stat().st_size > 1000

    @pytest.mark.parametrize("contigs", [{"a": 50_000}, {"a": 50_000, "b": 50_000, "c": 9_999}])
    def test_contigs_that_cannot_be(self, tmp_path: Path, contigs: dict[str, int]) -> None:
        with pytest.raises(InvalidInputError, match="contigs"):
            make_example_data(tmp_path, contigs=contigs)


BODY = bytes(range(256)) * 2000
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY; what it does wrong is set by the tests."""

    ranges = True
    stop_after: int | None = None
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if not self.server.ranges:
            first = 0
        if first >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(BODY) - first))
        self.end_headers()
        self.wfile.write(BODY[first : self.server.stop_after])

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def remote(server: Server, monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return RemoteFile(f"http://127.0.0.1:{server.server_port}/body", MD5, len(BODY))


class TestFetch:
    def test_whole_file(self, remote: RemoteFile, tmp_path: Path) -> None:
        seen: list[tuple[int, int | None]] = []
        target = fetch(remote, tmp_path / "new" / "file", lambda *told: seen.append(told))
        assert target.read_bytes() == BODY
        assert [path.name for path in target.parent.iterdir()] == ["file"]
        assert seen[0] == (0, len(BODY))
        assert seen[-1] == (len(BODY), len(BODY))

    def test_a_file_that_is_there_is_not_asked_for(
        self, server: Server, remote: RemoteFile, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(b"there")
        assert fetch(remote, tmp_path / "file").read_bytes() == b"there"
        assert server.asked == []

    @pytest.mark.parametrize("ranges", [True, False])
    def test_goes_on_where_it_stopped(
        self, server: Server, remote: RemoteFile, tmp_path: Path, ranges: bool
    ) -> None:
        server.stop_after, server.ranges = 100_000, ranges
        with pytest.raises(LoaderError, match=r"100000|Call again"):
            fetch(remote, tmp_path / "file")
        assert not (tmp_path / "file").exists()
        assert (tmp_path / "file.part").stat().st_size == 100_000
        server.stop_after = None
        assert fetch(remote, tmp_path / "file").read_bytes() == BODY
        assert server.asked == [None, "bytes=100000-"]

    def test_a_part_that_is_the_whole(self, remote: RemoteFile, tmp_path: Path) -> None:
        (tmp_path / "file.part").write_bytes(BODY)
        assert fetch(remote, tmp_path / "file").read_bytes() == BODY

    @pytest.mark.parametrize("wrong", [{"md5": "0" * 32}, {"n_bytes": 1000}])
    def test_another_file_is_refused_and_removed(
        self, remote: RemoteFile, tmp_path: Path, wrong: dict[str, object]
    ) -> None:
        with pytest.raises(InvalidDataError, match=f"{len(BODY)} bytes"):
            fetch(replace(remote, **wrong), tmp_path / "file")  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []

    def test_without_a_checksum_the_length_counts(self, remote: RemoteFile, tmp_path: Path) -> None:
        unknown = RemoteFile(remote.url)
        assert fetch(unknown, tmp_path / "file").read_bytes() == BODY

    def test_missing_file_and_no_network(self, remote: RemoteFile, tmp_path: Path) -> None:
        with pytest.raises(LoaderError, match="404"):
            fetch(RemoteFile(remote.url.replace("body", "missing")), tmp_path / "file")
        # Port 9 of this machine: nothing listens there.
        with pytest.raises(LoaderError, match=r"access to 127\.0\.0\.1.*https_proxy.*make_example"):
            fetch(RemoteFile("http://127.0.0.1:9/body"), tmp_path / "file")
        assert list(tmp_path.iterdir()) == []


class TestDownloadExampleData:
    def test_downloads_and_unpacks(
        self,
        remote: RemoteFile,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        packed: list[Path] = []

        def unpack(source: Path, target: Path) -> None:
            packed.append(source)
            target.write_text(">chr1\nACGT\n")

        monkeypatch.setattr(download, "GENOME", remote)
        monkeypatch.setattr(download, "BIGWIGS", {"a.bigWig": remote})
        monkeypatch.setattr(download, "_unpack", unpack)
        data = download.download_example_data(tmp_path)
        assert data.reference_genome == tmp_path / "hg38.fa"
        assert data.bigwigs == (tmp_path / "bigwig" / "a.bigWig",)
        assert data.bigwigs[0].read_bytes() == BODY
        assert packed == [tmp_path / "hg38.fa.gz"]
        assert not packed[0].exists()
        assert download.download_example_data(tmp_path) == data

    def test_places_come_from_the_settings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BIGWIG_LOADER_BIGWIG_DIR", str(tmp_path / "tracks"))
        monkeypatch.setenv("BIGWIG_LOADER_REFERENCE_GENOME", str(tmp_path / "my.fa"))
        monkeypatch.setattr(download, "BIGWIGS", {})
        (tmp_path / "my.fa").write_text(">a\nA\n")
        data = download.download_example_data()
        assert (data.reference_genome, data.bigwig_dir) == (tmp_path / "my.fa", tmp_path / "tracks")

    def test_every_file_has_a_checksum(self) -> None:
        for remote in (download.GENOME, *download.BIGWIGS.values()):
            assert remote.url.startswith("https://")
            assert len(remote.md5 or "") == 32

    def test_command_without_a_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "GENOME", RemoteFile("http://127.0.0.1:9/genome"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(SystemExit, match="cannot fetch"):
            download.main([str(tmp_path)])
