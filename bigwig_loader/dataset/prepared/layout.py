"""The files of a prepared data set, and how they are opened; FORMAT.md is the same in words."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import map_array, save_array
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "bigwig-loader prepared data set"
VERSION = 1
UNKNOWN_LENGTH = -1
_MOST_BP = 1 << 33  # more than a contig has
METADATA = "metadata.json"
REGIONS, VARIANTS, GENOTYPES, TRACKS = "regions", "variants", "genotypes", "tracks"
REGION_TABLE = "table.tsv"
TABLE_NULL = "\\N"  # a missing value in the region table

REGION_ARRAYS: dict[str, type[np.generic]] = {
    "contig_index": np.int32,
    "start": np.int64,
    "end": np.int64,
    "strand": np.int8,
    "stored_start": np.int64,
    "stored_end": np.int64,
}
VARIANT_ARRAYS: dict[str, type[np.generic]] = {
    "position": np.int32,
    "ilen": np.int32,
    "ref": np.uint8,
    "alt": np.uint8,
    "record": np.int64,
}
TRACK_ARRAYS: dict[str, type[np.generic]] = {
    "start": np.int32,
    "end": np.int32,
    "value": np.float32,
}
TrackKind = Literal["sample", "annotation"]


@dataclass(frozen=True)
class TrackData:
    """A stored track.

    Parameters
    ----------
    table : IntervalTable
        Mapped. Of all samples of the data set in its order; an annotation track has one list per
        contig, of the sample ``""``.
    kind : {"sample", "annotation"}
    """

    table: IntervalTable
    kind: TrackKind


@dataclass(frozen=True)
class PreparedData:
    """A prepared data set as arrays, mapped from its files.

    Parameters
    ----------
    path : Path
    contigs : ContigTable
        Contigs that have regions; a length is -1 where no source knew it.
    samples : tuple of str
        S names, sorted.
    ploidy : int
        Haplotypes per sample; 1 without variants.
    contig_index : (R,) int32
    start, end : (R,) int64
        Regions in the order they were given; 0-based half-open, may leave their contig.
    strand : (R,) int8
        1 or -1.
    stored_start, stored_end : (R,) int64
        Bases around each region for which variants and intervals are stored.
    table : VariantTable or None
    genotypes : Genotypes or None
        Of `samples`; before overlaps are decided.
    tracks : dict of str to TrackData
    max_jitter : int
        In bp.
    length : int or None
        Length of every region in bp; None if they differ.
    metadata : dict
        All of ``metadata.json``.
    """

    path: Path
    contigs: ContigTable
    samples: tuple[str, ...]
    ploidy: int
    contig_index: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    strand: npt.NDArray[np.int8]
    stored_start: npt.NDArray[np.int64]
    stored_end: npt.NDArray[np.int64]
    table: VariantTable | None
    genotypes: Genotypes | None
    tracks: dict[str, TrackData]
    max_jitter: int
    length: int | None
    metadata: dict[str, Any] = field(repr=False)

    @property
    def n_regions(self) -> int:
        """R."""
        return len(self.start)

    @property
    def n_samples(self) -> int:
        """S."""
        return len(self.samples)

    def region_frame(self) -> pd.DataFrame:
        """The regions with all columns they were given with; R rows."""
        return read_region_table(self.path / REGIONS, self.metadata["region_columns"])


def open_prepared(path: PathLike) -> PreparedData:
    """Open a prepared data set; arrays are mapped, nothing is read but their headers.

    Raises
    ------
    NotFoundError
        If there is no data set, or a file of it is missing.
    InvalidDataError
        If it is of a later version of the format, or damaged.
    """
    folder = Path(path)
    metadata = read_metadata(folder)
    try:
        names = tuple(c["name"] for c in metadata["contigs"])
        lengths = [
            UNKNOWN_LENGTH if c["length"] is None else c["length"] for c in metadata["contigs"]
        ]
        contigs = ContigTable(names, np.array(lengths, np.int64), os.fspath(folder))
        samples, ploidy = tuple(metadata["samples"]), int(metadata["ploidy"])
        n_regions = int(metadata["n_regions"])
        regions = {
            name: map_array(folder / REGIONS / f"{name}.npy", dtype, n_regions)
            for name, dtype in REGION_ARRAYS.items()
        }
        _check_regions(regions, len(names))
        table = genotypes = None
        if metadata["variants"] is not None:
            table = open_variants(folder, names, metadata["variants"]["info"])
            genotypes = open_genotypes(folder, len(names), samples, ploidy)
        tracks = {
            name: open_track(folder, names, samples, about)
            for name, about in metadata["tracks"].items()
        }
        return PreparedData(
            path=folder,
            contigs=contigs,
            samples=samples,
            ploidy=ploidy,
            table=table,
            genotypes=genotypes,
            tracks=tracks,
            max_jitter=int(metadata["max_jitter"]),
            length=metadata["length"],
            metadata=metadata,
            **regions,
        )
    except InvalidInputError as error:
        raise InvalidDataError(
            f"arrays of a prepared data set do not fit together: {error}",
            path=folder,
            hint="The data set is damaged; write it again.",
        ) from error
    except (KeyError, TypeError) as error:
        raise InvalidDataError(
            "metadata of a prepared data set lacks a field or has one of another type",
            path=folder / METADATA,
            got=str(error),
            hint="The data set is damaged; write it again.",
        ) from error


def _check_regions(regions: dict[str, npt.NDArray[Any]], n_contigs: int) -> None:
    """Raise InvalidInputError unless regions lie in what is stored of them."""
    start, end = regions["start"], regions["end"]
    wrong = (start > end) | (regions["stored_start"] > start) | (regions["stored_end"] < end)
    wrong |= (regions["stored_start"] < -_MOST_BP) | (regions["stored_end"] > _MOST_BP)
    wrong |= (regions["contig_index"] < 0) | (regions["contig_index"] >= n_contigs)
    if wrong.any():
        row = int(wrong.argmax())
        got = ", ".join(f"{name} {array[row]}" for name, array in regions.items())
        raise InvalidInputError(
            f"region {row}: expected one of {n_contigs} contigs, and stored_start <= start <= end "
            f"<= stored_end; got {got}"
        )


def open_variants(
    folder: Path, contig_names: tuple[str, ...], info: dict[str, str]
) -> VariantTable:
    """The variants of a data set, mapped."""
    home = folder / VARIANTS
    offsets = map_array(home / "contig_offsets.npy", np.int64, len(contig_names) + 1)
    n = int(offsets[-1])
    ref_offsets = map_array(home / "ref_offsets.npy", np.int64, n + 1)
    alt_offsets = map_array(home / "alt_offsets.npy", np.int64, n + 1)
    return VariantTable(
        contig_names=contig_names,
        contig_offsets=offsets,
        position=map_array(home / "position.npy", np.int32, n),
        ilen=map_array(home / "ilen.npy", np.int32, n),
        ref_offsets=ref_offsets,
        ref=map_array(home / "ref.npy", np.uint8, int(ref_offsets[-1])),
        alt_offsets=alt_offsets,
        alt=map_array(home / "alt.npy", np.uint8, int(alt_offsets[-1])),
        record=map_array(home / "record.npy", np.int64, n),
        info={name: map_array(home / file, None, n) for name, file in info.items()},
    )


def open_genotypes(
    folder: Path, n_contigs: int, samples: tuple[str, ...], ploidy: int
) -> Genotypes:
    """The lists of carried variants of a data set, mapped."""
    home = folder / GENOTYPES
    offsets = map_array(home / "offsets.npy", np.int64, n_contigs * len(samples) * ploidy + 1)
    carried = map_array(home / "variants.npy", np.int32, int(offsets[-1]))
    return Genotypes(samples, ploidy, offsets, carried)


def open_track(
    folder: Path, contig_names: tuple[str, ...], samples: tuple[str, ...], about: dict[str, Any]
) -> TrackData:
    """A track of a data set, mapped."""
    home = folder / about["folder"]
    rows = samples if about["kind"] == "sample" else ("",)
    offsets = map_array(home / "offsets.npy", np.int64, len(contig_names) * len(rows) + 1)
    n = int(offsets[-1])
    arrays = {name: map_array(home / f"{name}.npy", t, n) for name, t in TRACK_ARRAYS.items()}
    return TrackData(IntervalTable(contig_names, rows, offsets, **arrays), about["kind"])


# ------------------------------------------------------------------------------- metadata ----


def read_metadata(folder: Path) -> dict[str, Any]:
    """``metadata.json`` of a data set, with format and version checked."""
    path = folder / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"no prepared data set at {folder}: expected a file {METADATA} in it; "
            "bigwig_loader.write makes one"
        ) from None
    except ValueError as error:
        raise InvalidDataError(f"metadata are no JSON: {error}", path=path) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        got = metadata.get("format") if isinstance(metadata, dict) else type(metadata).__name__
        raise InvalidDataError(
            "not a prepared data set of this package",
            path=path,
            field="format",
            expected=repr(FORMAT),
            got=repr(got),
        )
    if metadata.get("version") != VERSION:
        raise InvalidDataError(
            "prepared data set of another version of the format",
            path=path,
            field="version",
            expected=VERSION,
            got=metadata.get("version"),
            hint="Update this package, or write the data set again.",
        )
    return metadata


def write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Write ``metadata.json`` so that there is always a whole one."""
    path = folder / METADATA
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(metadata, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def file_name(name: str) -> str:
    """A name of a track or field as a name of a file, on every system."""
    return quote(name, safe=" +-_()=,@").replace(".", "%2E")


# ---------------------------------------------------------------------------- region table ----


def write_region_table(folder: Path, frame: pd.DataFrame) -> dict[str, str]:
    """Write all columns of the regions, as text and, if pyarrow is there, as Parquet.

    Returns
    -------
    dict
        Type of each column by name, as `read_region_table` needs it.
    """
    import importlib.util

    columns = {str(name): str(frame[name].dtype) for name in frame.columns}
    if len(columns) != len(frame.columns):
        raise InvalidInputError("regions: expected columns of distinct names")
    for name in columns:
        if frame[name].dtype.kind not in "iufb":  # texts, and whatever else can be written as such
            columns[name] = "str" if columns[name] not in ("Int64", "boolean") else columns[name]
    frame.to_csv(folder / REGION_TABLE, sep="\t", index=False, na_rep=TABLE_NULL)
    if importlib.util.find_spec("pyarrow") is not None:
        frame.to_parquet(folder / "table.parquet", index=False)
    return columns


def read_region_table(folder: Path, columns: dict[str, str]) -> pd.DataFrame:
    """The regions with all columns, as they were given."""
    import pandas as pd

    frame = pd.read_csv(
        folder / REGION_TABLE,
        sep="\t",
        dtype={name: "str" if kind.startswith("float") else kind for name, kind in columns.items()},
        na_values=[TABLE_NULL],
        keep_default_na=False,
    )
    for name, kind in columns.items():
        if kind.startswith("float"):  # Python's own reading of numbers is exact
            texts = frame[name].fillna("nan").tolist()
            frame[name] = np.array([float(text) for text in texts], dtype=kind)
    return frame


def save_regions(folder: Path, regions: dict[str, npt.NDArray[Any]]) -> None:
    """Write the arrays of the regions."""
    for name, dtype in REGION_ARRAYS.items():
        save_array(folder / f"{name}.npy", regions[name].astype(dtype))
