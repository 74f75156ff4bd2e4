"""What ``bigwig-loader tokenize`` does: files of regions to files of tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from bigwig_loader.cli.tokens_info import Counts, count_tokens
from bigwig_loader.dataset.prepared.making.work import WorkFolder
from bigwig_loader.dataset.tokens.sources import ArrayTokens, is_token_data, open_tokens
from bigwig_loader.dataset.tokens.store import check_universe, is_store
from bigwig_loader.dataset.tokens.write import write_store
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.gtok import write_gtok
from bigwig_loader.formats.token_parquet import write_token_parquet
from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens.outputs import Documents
from bigwig_loader.tokens.regions import Order, is_fragments_file
from bigwig_loader.tokens.search import Unknown
from bigwig_loader.tokens.tokenizer import Tokenizer
from bigwig_loader.tokens.universe_rows import Duplicates
from bigwig_loader.types import check_choice

_FORMS = ("store", "parquet", "gtok")
_COMPRESSED = (".gz", ".bgz")
_REGION_FILES = (".bed", ".narrowpeak", ".broadpeak", ".tsv", ".h5ad")
# BED files that are read at a time, by threads.
_GROUP = 64


@dataclass(frozen=True)
class Tokenizing:
    """What is to be done.

    Parameters
    ----------
    inputs : sequence of Path
        Files of regions or tokens, and folders of these.
    tokenizer : Tokenizer
    output : Path
    form : {"store", "parquet", "gtok"}, optional
        By default as `output` is named.
    unknown, order : str, optional
        See `Tokenizer`.
    jobs : int
        Processes that write a store.
    force : bool
        Replace `output`.
    """

    inputs: Sequence[Path]
    tokenizer: Tokenizer
    output: Path
    form: str | None = None
    unknown: str | None = None
    order: str | None = None
    jobs: int = 1
    force: bool = False


def read_tokenizer(universe: Path, duplicates: str, threads: int | None = None) -> Tokenizer:
    """A tokenizer of a BED file, or of a TOML file that names one."""
    check_choice("--duplicates", duplicates, ("error", "first"))
    chosen = cast(Duplicates, duplicates)
    if universe.suffix == ".toml":
        return Tokenizer.from_config(universe, chosen, n_threads=threads)
    return Tokenizer.from_bed(universe, chosen, n_threads=threads)


def tokenize_files(job: Tokenizing) -> Counts:
    """Do it.

    Raises
    ------
    NotFoundError
        For an input that is not there.
    InvalidInputError
        If the output exists and is not to be replaced, or cannot hold what is asked for.
    InvalidDataError
        For an input that is damaged.
    """
    if job.unknown is not None:
        check_choice("--unknown", job.unknown, ("document", "region", "drop"))
    if job.order is not None:
        check_choice("--order", job.order, ("input", "sorted"))
    form = _form(job)
    inputs = find_inputs(job.inputs)
    _check_output(job, inputs)
    if form == "store":
        store = write_store(
            job.output,
            inputs,
            job.tokenizer,
            unknown=cast("Unknown | None", job.unknown),
            order=cast("Order | None", job.order),
            overwrite=job.force,
            n_jobs=job.jobs,
        )
        return count_tokens(store, job.tokenizer.unk_token_id)
    if form == "gtok" and job.output.suffix != ".gtok":
        return _write_folder(job, inputs)
    documents = _joined(list(_documents(job, inputs)))
    if form == "parquet":
        columns = {"name": list(documents.names or ())}
        vocab_size = job.tokenizer.vocab_size
        write_token_parquet(job.output, documents.to_ragged(), columns, vocab_size)
    else:
        if len(documents) != 1:
            raise _too_many(job.output, len(documents))
        write_gtok(job.output, documents.values, job.tokenizer.vocab_size)
    return count_tokens(ArrayTokens(documents), job.tokenizer.unk_token_id)


def find_inputs(given: Sequence[Path]) -> list[Path]:
    """Files, with those of folders in order of their names.

    A folder of tokens, a store or one with ``.gtok`` files, stays as it is.
    """
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise NotFoundError(f"cannot open {path}: no such file or folder; expected regions")
        if not path.is_dir() or is_store(path) or next(path.rglob("*.gtok"), None) is not None:
            found.append(path)
            continue
        inside = sorted(one for one in path.iterdir() if one.is_file() and _has_regions(one))
        if not inside:
            raise NotFoundError(
                f"no regions in {path}: expected files that end with {', '.join(_REGION_FILES)}, "
                "compressed or not"
            )
        found += inside
    return found


def _has_regions(path: Path) -> bool:
    name = path.name.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name.endswith(_REGION_FILES) and not name.startswith(".")


def _form(job: Tokenizing) -> str:
    """What is written: as asked for, or as the output is named."""
    by_name = {".gtok": "gtok", ".parquet": "parquet"}.get(job.output.suffix, "store")
    if job.form is None:
        return by_name
    check_choice("--format", job.form, _FORMS)
    is_folder_of_gtok = job.form == "gtok" and by_name == "store"
    if job.form != by_name and not is_folder_of_gtok:
        raise InvalidInputError(
            f"--format {job.form}: expected an output that is named accordingly; got {job.output}"
        )
    return job.form


def _check_output(job: Tokenizing, inputs: list[Path]) -> None:
    """Refuse before any work what cannot end well."""
    output = job.output
    resolved = output.resolve()
    for path in (*inputs, *job.inputs):
        if resolved == path.resolve() or resolved in path.resolve().parents:
            raise InvalidInputError(f"{output} would replace the input {path}; expected a new path")
    if output.suffix == ".gtok" and len(inputs) > 1:
        raise _too_many(output, len(inputs))
    if not os.path.lexists(output):
        return
    if not job.force:
        raise InvalidInputError(f"{output} exists; expected a new path, or --force to replace it")
    is_folder = output.suffix not in (".gtok", ".parquet")
    if output.is_dir() != is_folder or (is_folder and not _may_be_replaced(output)):
        raise InvalidInputError(
            f"{output} exists, and --force replaces tokens only; expected a new path"
        )


def _may_be_replaced(folder: Path) -> bool:
    """Whether there is nothing but tokens in a folder."""
    return is_store(folder) or all(path.suffix == ".gtok" for path in folder.iterdir())


def _too_many(output: Path, n: int) -> InvalidInputError:
    return InvalidInputError(
        f"{output}: expected one document, since a .gtok file does not say where one ends; got "
        f"{n}. Name a folder or a .parquet file; --format gtok makes a file for each in a folder"
    )


def _documents(job: Tokenizing, inputs: list[Path]) -> Iterator[Documents]:
    """The documents of all inputs, with names and a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    unknown, order = cast("Unknown | None", job.unknown), cast("Order | None", job.order)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("files", total=len(inputs))
        for group in _groups(inputs):
            if is_token_data(group[0]):
                source = open_tokens(group[0])
                check_universe(source, job.tokenizer, str(group[0]))
                made = source.documents(0, len(source))
            else:
                regions: Any = group[0] if len(group) == 1 else group
                made = job.tokenizer.documents(regions, unknown, order)
            yield made if made.names is not None else _named(made, group[0])
            progress.advance(task, len(group))


def _groups(inputs: list[Path]) -> Iterator[list[Path]]:
    """Files that are read together: some BED files, or one of anything else."""
    group: list[Path] = []
    for path in inputs:
        is_bed = not (is_token_data(path) or is_fragments_file(path) or path.suffix == ".h5ad")
        if group and (not is_bed or len(group) == _GROUP):
            yield group
            group = []
        if is_bed:
            group.append(path)
        else:
            yield [path]
    if group:
        yield group


def _named(documents: Documents, path: Path) -> Documents:
    names = tuple(f"{path.name}_{number}" for number in range(len(documents)))
    return replace(documents, names=names)


def _joined(parts: list[Documents]) -> Documents:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    names = tuple(name for part in parts for name in part.names or ())
    return Documents(np.concatenate([part.values for part in parts]), offsets_of(lengths), names)


def _write_folder(job: Tokenizing, inputs: list[Path]) -> Counts:
    """A ``.gtok`` file for each document; the folder appears when it is whole."""
    counts = Counts()
    written: dict[str, str] = {}
    with WorkFolder(job.output, job.force) as work:
        for documents in _documents(job, inputs):
            for name, tokens in zip(documents.names or (), documents, strict=True):
                file = f"{_stem(name)}.gtok"
                if file in written:
                    raise InvalidInputError(
                        f"{job.output}: expected documents of different names; got {written[file]} "
                        f"and {name}, both {file}. A store or a .parquet file can hold them"
                    )
                written[file] = name
                write_gtok(work.result / file, tokens, job.tokenizer.vocab_size)
            counts += count_tokens(ArrayTokens(documents), job.tokenizer.unk_token_id)
        work.publish()
    return counts


def _stem(name: str) -> str:
    """Name of a document without its folder and endings, as a file may be named."""
    stem = Path(name).name
    for suffix in _COMPRESSED:
        stem = stem.removesuffix(suffix)
    for suffix in (*_REGION_FILES, ".gtok"):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return stem
