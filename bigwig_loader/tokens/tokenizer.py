"""Regions to tokens: the ids of the universe's regions that they overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.backend.select import check_device, select_backend
from bigwig_loader.backend.threads import available_threads
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.tokens.anndata import is_anndata, tokenize_cells
from bigwig_loader.tokens.config import read_universe, write_universe
from bigwig_loader.tokens.outputs import (
    Documents,
    OutputArguments,
    OutputOptions,
    TokenBatch,
    shape_documents,
)
from bigwig_loader.tokens.regions import Order, read_table
from bigwig_loader.tokens.search import UniverseSearch, Unknown
from bigwig_loader.tokens.universe import Universe
from bigwig_loader.tokens.universe_rows import Duplicates
from bigwig_loader.tokens.vocabulary import Vocabulary
from bigwig_loader.types import PathLike, check_choice, check_positive

if TYPE_CHECKING:
    import pandas as pd

ReturnTensors = Literal["np", "pt", "cp"]


class Tokenizer(Vocabulary):
    """Makes token ids of genomic regions.

    A region stands for all regions of the universe that share a base with it, in order of start
    and end. Made by `from_bed` or `from_config`; may be pickled.

    Parameters
    ----------
    universe : Universe
    n_threads : int, optional
        Threads of one call; by default the cores available. Nothing depends on it but time.
    device : str
        Where regions are looked up: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``, see
        `bigwig_loader.backend.select.select_backend`. It is opened when it is first needed; ids
        do not depend on it. A pickle holds the name.

    Examples
    --------
    >>> universe = {"chrom": ["chr1", "chr1"], "start": [100, 300], "end": [200, 400]}
    >>> tokenizer = Tokenizer.from_bed(universe)
    >>> batch = tokenizer([[("chr1", 150, 350)], [("chr2", 5, 9)]], output="padded")
    >>> batch.input_ids
    array([[0, 1],
           [2, 3]], dtype=int32)
    >>> tokenizer.decode(batch.input_ids[1])
    ['<unk>', '<pad>']
    """

    def __init__(
        self, universe: Universe, n_threads: int | None = None, device: str = "cpu"
    ) -> None:
        super().__init__(universe)
        if n_threads is not None:
            check_positive("n_threads", n_threads)
        check_device(device)
        self.n_threads, self.device = n_threads, device

    @classmethod
    def from_bed(
        cls,
        source: PathLike | pd.DataFrame | Mapping[str, Any],
        duplicates: Duplicates = "error",
        special_tokens: Mapping[str, str] | None = None,
        n_threads: int | None = None,
        device: str = "cpu",
    ) -> Tokenizer:
        """A tokenizer for the regions of a BED file or table, see `Universe.read`."""
        return cls(Universe.read(source, duplicates, special_tokens), n_threads, device)

    @classmethod
    def from_config(
        cls,
        path: PathLike,
        duplicates: Duplicates = "error",
        n_threads: int | None = None,
        device: str = "cpu",
    ) -> Tokenizer:
        """A tokenizer as a TOML file describes it, see `bigwig_loader.tokens.config`."""
        return cls(read_universe(path, duplicates), n_threads, device)

    def save(self, path: PathLike) -> None:
        """Write the universe, so that `from_bed` or `from_config` make the same tokenizer of it.

        Parameters
        ----------
        path : path-like
            With ``.bed`` or ``.bed.gz`` at its end it is for `from_bed`, and with ``.toml`` for
            `from_config`: the regions are then written beside it, under the same name with
            ``.bed``.

        Raises
        ------
        InvalidInputError
            For another name; for a BED file if special tokens have texts of their own; for contig
            names that a BED file cannot hold.
        """
        write_universe(self.universe, path)

    def __getstate__(self) -> dict[str, Any]:
        return {"universe": self.universe, "n_threads": self.n_threads, "device": self.device}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.universe == other.universe

    def __hash__(self) -> int:
        return hash(self.universe)

    def __repr__(self) -> str:
        return f"Tokenizer({self.universe!r})"

    def __call__(
        self,
        regions: Any,
        unknown: Unknown | None = None,
        order: Order | None = None,
        return_tensors: ReturnTensors = "np",
        **output: Unpack[OutputArguments],
    ) -> TokenBatch:
        """Tokens of one or many documents, as arrays.

        Parameters
        ----------
        regions : path, DataFrame, mapping, list or AnnData
            One document: a BED file, plain or compressed; a table or a mapping with columns
            ``chrom`` (or ``chr``), ``start``, ``end``; a list of tuples (contig, start, end, ...),
            or of objects with these as attributes. Many: a list of such documents; a file of
            fragments (``.tsv`` or ``.tsv.gz``, barcode in column 4), one per barcode; an AnnData
            object or file (``.h5ad``), one per cell, see `tokenize_anndata`.
        unknown : {"document", "region", "drop"}, optional
            What stands for regions without a token. ``"document"``: nothing, but a document
            without any token is one unk. ``"region"``: an unk for each of them. ``"drop"``:
            nothing. By default as the peers: ``"region"`` for fragments, ``"document"`` for all
            else.
        order : {"input", "sorted"}, optional
            Whether the regions of a document are taken as they come, or sorted by contig (as text:
            chr1, chr10, chr2) and start. By default as the peers: those of a BED file are
            sorted, all others taken as they come.
        return_tensors : {"np", "pt", "cp"}
            NumPy arrays, torch tensors on the CPU, or CuPy arrays on the tokenizer's device,
            which then has to be a GPU.
        **output
            What the output looks like, see `bigwig_loader.tokens.outputs.OutputOptions`:
            ``output``, ``max_length``, ``truncation``, ``seed``, ``epoch``, ``pad_to``, ``dtype``.

        Returns
        -------
        TokenBatch

        Raises
        ------
        NotFoundError
            If there is no such file.
        InvalidDataError
            For a file without regions, and for a line that is not one: path, line number,
            expected and got.
        InvalidInputError
            For a region that is not one: which, expected and got; and for a document longer than
            the output allows.
        BackendUnavailableError
            If the device, or what `return_tensors` asks for, cannot be had.
        """
        check_choice("return_tensors", return_tensors, get_args(ReturnTensors))
        options = OutputOptions(**output)
        return self.shape(self.documents(regions, unknown, order), options, return_tensors)

    def tokenize(
        self, regions: Any, unknown: Unknown | None = None, order: Order | None = None
    ) -> list[str]:
        """Tokens of all documents as text, one after the other; arguments as for a call."""
        return self.universe.tokens(self.documents(regions, unknown, order).values)

    def documents(
        self, regions: Any, unknown: Unknown | None = None, order: Order | None = None
    ) -> Documents:
        """Tokens of one or many documents, as they are stored; arguments as for a call."""
        policy, order = _policy(unknown), _order(order)
        if is_anndata(regions):
            return self._cells(regions, None, policy, order)
        table = read_table(regions, order, self._threads)
        default: Unknown = "region" if table.is_fragments else "document"
        return self._search.documents(table, policy or default)

    def tokenize_anndata(
        self, data: Any, layer: str | None = None, unknown: Unknown | None = None
    ) -> Documents:
        """Tokens of each cell: those of its features whose value is not 0, in stored order.

        The features are tokenized once. Cells without any token are one unk, unless `unknown`
        says otherwise.

        Parameters
        ----------
        data : path or AnnData
            A file (``.h5ad``), which needs h5py and is read piece by piece; or an object, in
            memory or backed. ``var`` has the columns ``chr`` (or ``chrom``), ``start`` and ``end``.
        layer : str, optional
            The layer to use instead of ``X``.
        unknown : {"document", "region", "drop"}, optional
            As for a call; a region is a feature here.

        Returns
        -------
        Documents
            Their names are those of the cells.

        Raises
        ------
        NotFoundError
            If there is no such file or layer.
        InvalidDataError
            If the file is damaged, or lacks what is needed: path, field, expected and got.
        InvalidInputError
            The same for an object.
        BackendUnavailableError
            If h5py is not installed.
        """
        return self._cells(data, layer, _policy(unknown), None)

    def shape(
        self,
        documents: Documents,
        options: OutputOptions | None = None,
        return_tensors: ReturnTensors = "np",
        index: npt.NDArray[np.int64] | None = None,
    ) -> TokenBatch:
        """Documents as the arrays that a model takes.

        Parameters
        ----------
        documents : Documents
            D documents.
        options : OutputOptions, optional
        return_tensors : {"np", "pt", "cp"}
            As for a call.
        index : (D,) int64, optional
            Numbers of the documents, which random subsets depend on; 0 to D - 1 by default.
        """
        options = options or OutputOptions()
        if return_tensors == "pt" and options.dtype is None:
            options = replace(options, dtype="int64")
        batch = shape_documents(documents, options, self.pad_token_id, index, self._threads)
        if return_tensors == "np":
            return batch
        from bigwig_loader.tokens.tensors import to_cupy, to_torch

        return to_cupy(batch, self._backend) if return_tensors == "cp" else to_torch(batch)

    @property
    def _threads(self) -> int:
        return self.n_threads or available_threads()

    @cached_property
    def _backend(self) -> Backend:
        return select_backend(self.device, self.n_threads)

    @cached_property
    def _search(self) -> UniverseSearch:
        return UniverseSearch(self.universe, self._backend)

    def _cells(
        self, data: Any, layer: str | None, unknown: Unknown | None, order: Order | None
    ) -> Documents:
        if order == "sorted":
            raise InvalidInputError(
                "argument order: expected 'input' for AnnData, whose features have the order of "
                "the file; got 'sorted'"
            )
        return tokenize_cells(self._search, data, layer, unknown or "document")


def _policy(unknown: Unknown | None) -> Unknown | None:
    if unknown is not None:
        check_choice("unknown", unknown, get_args(Unknown))
    return unknown


def _order(order: Order | None) -> Order | None:
    if order is not None:
        check_choice("order", order, get_args(Order))
    return order
