"""Example data: real files by download, or a small made set without a network.

Use it from Python, as ``bigwig-loader download-example-data [PATH]``, or as
``python -m bigwig_loader.download_example_data [PATH]``.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bigwig_loader._fetch import RemoteFile, fetch
from bigwig_loader.config import config
from bigwig_loader.example_data import ExampleData, make_example_data
from bigwig_loader.types import PathLike

__all__ = ["DownloadedData", "ExampleData", "download_example_data", "make_example_data"]

GENOME = RemoteFile(
    # The first release of hg38, which UCSC keeps as it is; checksum from its md5sum.txt.
    "https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz",
    md5="1c9dcaddfa41027f17cd8f7a82c7293b",
    n_bytes=983_659_424,
)
BIGWIGS = {
    # ENCODE tracks on GRCh38; the portal gives the length when they are fetched.
    "ENCFF270YCY.bigWig": RemoteFile(
        "https://www.encodeproject.org/files/ENCFF270YCY/@@download/ENCFF270YCY.bigWig",
        md5="64886b78f4cd70531fceffbaeafd4adb",
    ),
    "ENCFF270ISQ.bigWig": RemoteFile(
        "https://www.encodeproject.org/files/ENCFF270ISQ/@@download/ENCFF270ISQ.bigWig",
        md5="5fef60f9f1e43b9a17075c352650865e",
    ),
}


@dataclass(frozen=True)
class DownloadedData:
    """Where the downloaded files lie.

    Parameters
    ----------
    reference_genome : Path
        FASTA of GRCh38 (hg38), unpacked.
    bigwig_dir : Path
        The folder of `bigwigs`.
    bigwigs : tuple of Path
    """

    reference_genome: Path
    bigwig_dir: Path
    bigwigs: tuple[Path, ...]


def download_example_data(path: PathLike | None = None) -> DownloadedData:
    """Download GRCh38 and two ENCODE tracks.

    The genome is about 1 GB, and 3.3 GB unpacked. Files that are there are kept. A download that
    was cut off goes on where it stopped. Every file is checked against its published MD5, and its
    length against the server's, before it gets its name.

    Parameters
    ----------
    path : path-like, optional
        Folder to download into: ``<path>/hg38.fa`` and ``<path>/bigwig``. By default the places
        that `bigwig_loader.config` names.

    Returns
    -------
    DownloadedData

    Raises
    ------
    LoaderError
        Without a network, or if a server refuses. The message names the host and what helps;
        `make_example_data` needs no network.
    InvalidDataError
        If a file is not the expected one.
    """
    if path is None:
        reference, bigwig_dir = config.reference_genome, config.bigwig_dir
    else:
        reference, bigwig_dir = Path(path) / "hg38.fa", Path(path) / "bigwig"
    if not reference.exists():
        packed = reference.with_name(reference.name + ".gz")
        _fetch_shown(GENOME, packed)
        _unpack(packed, reference)
        packed.unlink()
    bigwigs = {name: bigwig_dir / name for name in BIGWIGS}
    for name, target in bigwigs.items():
        _fetch_shown(BIGWIGS[name], target)
    return DownloadedData(reference, bigwig_dir, tuple(bigwigs.values()))


def _fetch_shown(remote: RemoteFile, target: Path) -> None:
    """Fetch with a progress bar."""
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as shown:
        task = shown.add_task(target.name, total=None)
        fetch(
            remote,
            target,
            lambda there, total: shown.update(task, completed=there, total=total),
        )


def _unpack(packed: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    with gzip.open(packed, "rb") as source, part.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    part.replace(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `download_example_data` from the command line."""
    from rich import print as show

    from bigwig_loader.errors import BigWigLoaderError

    parser = argparse.ArgumentParser(
        prog="python -m bigwig_loader.download_example_data",
        description="Download GRCh38 and ENCODE tracks, or make a small data set.",
    )
    parser.add_argument("path", nargs="?", help="folder (default: that of bigwig_loader.config)")
    parser.add_argument(
        "--make", action="store_true", help="make a small data set, without a network"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.make:
            show(make_example_data(chosen.path or config.example_data_dir))
        else:
            show(download_example_data(chosen.path))
    except BigWigLoaderError as error:
        raise SystemExit(f"{parser.prog}: {error}") from error


if __name__ == "__main__":
    main()
